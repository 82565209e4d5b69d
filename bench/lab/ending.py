"""How the bench's programs end: by a signal, with a failure, and never with something left running."""
import signal
import sys

from weirvm.procs import Failure, descendants

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal asks the run to end."""


def _ended(number, _):
    # Removing takes a moment; asking twice makes it incomplete, not quicker.
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise Ended(signal.Signals(number).name)


def run(name, main):
    """Runs main() and ends the process with the status that it returns, or with what went wrong."""
    for one in SIGNALS:
        signal.signal(one, _ended)
    try:
        status = main()
    except Failure as error:
        status = f"{name}: {error}"
    except Ended as error:
        status = f"{name}: ended by {error}"
    left = descendants()
    if left:
        status = f"{name}: left running: {', '.join(sorted(left.values()))}"
    sys.exit(status)
