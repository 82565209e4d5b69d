"""What starts the programs of all other cases."""
import multiprocessing

from cases import case, check
from lab import spawn

_fork = multiprocessing.get_context("fork")


def starts():
    return spawn(["true"]).wait(10)


@case("starting: a forked process starts programs, too, when its parent has done so before")
def forked():
    # The first process of a run asks whether KVM works, for which it boots a guest, and then forks.
    check(starts() == 0, "true did not end well")
    child = _fork.Process(target=starts)
    child.start()
    child.join(20)
    hangs = child.is_alive()
    child.kill()
    child.join()
    check(not hangs, "the forked process waits for a thread that only its parent has")
    check(child.exitcode == 0, f"the forked process ended with {child.exitcode}")
