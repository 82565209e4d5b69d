"""End-to-end cases and the fixtures they share. `tests/e2e/run` is what runs them.

A module beside this file becomes part of the run by having functions marked @case:

    @fixture()
    def pair():                     # made once for all cases that need it, removed behind the last
        with Switch(user=USER) as switch, Guest(...) as guest:
            yield Net(switch, guest)

    @fixture(needs=pair)
    def tuned(net): ...             # a fixture on top of another one

    @case("pair: they talk", needs=pair, presets=BOTH)
    def talk(net):
        return "0 of 5 lost"        # the figure that is shown beside the name

What fails in a case is an exception; Failure and check() are for what was foreseen. A case that fails
takes its fixtures with it, so that the next one starts with sound ones.
"""
import contextlib
import ctypes
import glob
import importlib
import os
import re
import shutil
import signal
import sys
import time
import traceback

from lab import Failure, Workdir, descendants

RELEASE = ("release",)
BOTH = ("release", "asan")
CASE_SECONDS = 240
FIXTURE_SECONDS = 180
PR_SET_CHILD_SUBREAPER = 36

_cases = []


class Ended(BaseException):
    """A signal asks the run to end."""


class TooLong(Exception):
    """A case or fixture reached its limit."""


class Fixture:
    def __init__(self, make, name, needs, alone):
        self.make = contextlib.contextmanager(make)
        self.name = name or make.__name__
        self.needs = needs
        self.alone = alone
        self.failure = None

    def chain(self):
        """Itself behind all that it stands on."""
        return (self.needs.chain() if self.needs else []) + [self]


class Case:
    def __init__(self, function, name, needs, presets, seconds, alone):
        self.function = function
        self.name = name
        self.needs = needs
        self.presets = presets
        self.seconds = seconds
        self.alone = alone

    def chain(self):
        return self.needs.chain() if self.needs else []


def fixture(needs=None, name=None, alone=False):
    """Marks a generator that makes something, yields it once and removes it. It is called with what
    `needs` yielded, if that is given. alone: as of a case, for all cases on it."""
    return lambda make: Fixture(make, name, needs, alone)


def case(name, needs=None, presets=RELEASE, seconds=CASE_SECONDS, alone=False):
    """Marks a case: a function of what `needs` yielded (or of nothing), which returns its figure.

    name      "group: what is shown"; `--only` looks for its pattern in it
    presets   the builds it is for; whatever is no sanitizer's build counts as release
    seconds   how long it may take at most
    alone     it judges rates or times: no other case runs beside it
    """
    def mark(function):
        _cases.append(Case(function, name, needs, presets, seconds, alone))
        return function
    return mark


def check(condition, text):
    if not condition:
        raise Failure(text)


def slow(seconds):
    """A deadline in seconds, longer where a sanitizer slows the switch down."""
    return seconds * (3 if os.environ.get("WEIR_PRESET") in ("asan", "tsan") else 1)


# -- finding and sorting

def discover(folder):
    """Imports every module of the folder; its cases have then been marked."""
    for path in sorted(glob.glob(os.path.join(folder, "*.py"))):
        name = os.path.basename(path)[:-3]
        if name != "cases":
            importlib.import_module(name)
    names = [one.name for one in _cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Failure(f"two cases of one name: {', '.join(sorted(twice))}")


def pick(preset, only):
    """The cases for a preset whose names match, those with the same fixtures next to each other."""
    kind = preset if preset in ("asan", "tsan") else "release"
    chosen = [one for one in _cases
              if kind in one.presets and (not only or re.search(only, one.name))]
    places = {}
    for number, one in enumerate(chosen):
        for part in one.chain():
            places.setdefault(part, number)
    # Cases of a fixture stand where its first one does; those on the fixture itself before those on
    # what stands on it.
    return sorted(chosen, key=lambda one: [places[part] for part in one.chain()] or [chosen.index(one)])


# -- what a case must not leave behind

def _reap_orphans():
    """Collects grandchildren that have ended; a child is collected by the Popen it belongs to."""
    for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", errors="replace") as file:
                state, parent = file.read().rsplit(")", 1)[1].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                os.waitpid(pid, os.WNOHANG)


def _mounts():
    with open("/proc/self/mountinfo") as file:
        return {line.split()[4] for line in file}


def _huge_pages():
    pages = {}
    for path in glob.glob("/sys/kernel/mm/hugepages/*/nr_hugepages"):
        with open(path) as file:
            pages[path.split("/")[-2]] = file.read().strip()
    return pages


def _netns():
    return set(glob.glob("/run/netns/*"))


class Cleanliness:
    """Compares the machine with what it was when nothing of the run existed."""

    def __init__(self):
        self.mounts, self.pages, self.netns = _mounts(), _huge_pages(), _netns()
        # A daemon that a case started and lost comes back to this process and is seen.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def left(self, patience=3):
        """What is there too much; processes get a moment to end. Ended or removed here, so that it is
        told of once."""
        end = time.monotonic() + patience
        while descendants() and time.monotonic() < end:
            time.sleep(0.05)
        found = [f"process {name} ({pid})" for pid, name in descendants().items()]
        for pid in descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        found += [f"mount {path}" for path in sorted(_mounts() - self.mounts)]
        found += [f"network namespace {path}" for path in sorted(_netns() - self.netns)]
        if _huge_pages() != self.pages:
            found.append(f"huge pages: {self.pages} before, {_huge_pages()} now")
        for path in sorted(Workdir.made):
            if os.path.exists(path):
                found.append(f"folder {path}")
                shutil.rmtree(path, ignore_errors=True)
        Workdir.made.clear()
        self.mounts, self.pages, self.netns = _mounts(), _huge_pages(), _netns()
        _reap_orphans()
        return found


# -- running

@contextlib.contextmanager
def limit(seconds, what):
    """Ends what is inside by an exception when it takes too long."""
    def late(*_):
        raise TooLong(f"{what}: no end after {seconds} s")
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def reason(error):
    """What to print of an exception: for one that was foreseen its text, else where it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if not frame.filename.endswith(("/cases.py", "/contextlib.py"))]
    if isinstance(error, Failure):
        # The caller's line says what the test was at.
        frames = [frame for frame in frames if "/e2e/" in frame.filename]
        place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
        text = f"{error}{place}"
    else:
        text = "".join([f"{type(error).__name__}: {error}\n", *traceback.format_list(frames[-5:])]).rstrip()
    return "\n".join([text, *getattr(error, "__notes__", [])])


class Run:
    def __init__(self, report):
        self.report = report
        self.open = []          # [(fixture, its context manager, what it yielded)]
        self.clean = Cleanliness()

    def cases(self, chosen):
        try:
            for one in chosen:
                self.one(one)
            self.close_to([])
        except BaseException as error:
            self.abandon(error)
            raise

    def one(self, one):
        chain = one.chain()
        broken = next((part for part in chain if part.failure), None)
        if broken:
            self.report(one.name, False, 0.0, broken.failure)
            return
        self.close_to(chain)
        start = time.monotonic()
        try:
            for part in chain[len(self.open):]:
                self.enter(part)
            start = time.monotonic()
            with limit(slow(one.seconds), "the case"):
                figure = one.function(*([self.open[-1][2]] if self.open else []))
        except Exception as error:
            self.abandon(error)
            self.report(one.name, False, time.monotonic() - start, reason(error))
            self.tidy("behind it")
            return
        left = [] if self.open else self.clean.left()
        self.report(one.name, not left, time.monotonic() - start,
                    f"left behind: {', '.join(left)}" if left else str(figure or ""))

    def enter(self, part):
        start = time.monotonic()
        manager = part.make(*([self.open[-1][2]] if self.open else []))
        try:
            with limit(slow(FIXTURE_SECONDS), f"making {part.name}"):
                value = manager.__enter__()
        except Exception as error:
            # The first case that needs it tells all, the others only why they did not run.
            part.failure = f"{part.name} could not be made: {reason(error).splitlines()[0]}"
            error.add_note(f"while making {part.name}")
            raise
        self.open.append((part, manager, value))
        print(f"--   {time.monotonic() - start:6.2f}s  {part.name} is there", flush=True)

    def close_to(self, chain):
        """Removes the fixtures that are not the beginning of the chain; what goes wrong then is a
        failure in the fixture's name: a warning in a log, a status."""
        keep = 0
        while keep < min(len(chain), len(self.open)) and chain[keep] is self.open[keep][0]:
            keep += 1
        while len(self.open) > keep:
            part, manager, _ = self.open.pop()
            start = time.monotonic()
            try:
                with limit(slow(FIXTURE_SECONDS), f"removing {part.name}"):
                    manager.__exit__(None, None, None)
            except Exception as error:
                self.report(f"{part.name}: the end", False, time.monotonic() - start, reason(error))
                self.abandon(error)
        self.tidy("the fixtures")

    def abandon(self, error):
        """Removes all fixtures, which learn why."""
        while self.open:
            part, manager, _ = self.open.pop()
            try:
                manager.__exit__(type(error), error, error.__traceback__)
            except BaseException as again:
                if again is not error:
                    error.add_note(f"removing {part.name}: {again}")

    def tidy(self, what):
        if self.open:
            return
        left = self.clean.left()
        if left:
            self.report(f"clean: {what}", False, 0.0, f"left behind: {', '.join(left)}")


def ended(number, _):
    # Removing takes a while; asking twice makes it incomplete, not quicker.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise Ended(signal.Signals(number).name)


def catch_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ended)
    sys.stdout.reconfigure(line_buffering=True)
