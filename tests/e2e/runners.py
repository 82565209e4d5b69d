"""Cases side by side: an emulated guest and whoever talks to it take turns, which leaves a CPU idle.

A group is the cases of one outermost fixture, or a case that has none. Each gets a process of its own, so
many at once as --jobs says, and that process a mount namespace with its own folder of network namespaces:
what its cases leave behind it finds itself, and nobody else's is taken for it. All else that cases make is
named by their process' id or by mkdtemp.

Cases and fixtures marked alone=True judge rates or times that another's load would change. They come last,
one group after another; their fixture, if others need it too, is made anew for them.

The first process alone writes results. It knows which cases a group has: one of which nothing was heard has
failed.
"""
import collections
import contextlib
import ctypes
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys

import cases
from lab import Failure, accelerator, image

PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 1 << 18
NETNS = "/run/netns"

_libc = ctypes.CDLL(None, use_errno=True)
_fork = multiprocessing.get_context("fork")


def alone(one):
    return any(part.alone for part in [one, *one.chain()])


def groups(chosen):
    """Those with most cases first, so that the last ones are short."""
    found = itertools.groupby(chosen, lambda one: (one.chain() or [one])[0])
    return sorted((list(some) for _, some in found), key=len, reverse=True)


def own_mounts():
    os.makedirs(NETNS, exist_ok=True)
    if _libc.unshare(CLONE_NEWNS) or _libc.mount(None, b"/", None, MS_REC_PRIVATE, None) or \
            _libc.mount(b"netns", NETNS.encode(), b"tmpfs", 0, None):
        raise Failure(f"mounts of its own: {os.strerror(ctypes.get_errno())}")


def serve(group, pipe, parent):
    """What the process of a group does."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the first process has ended")
    own_mounts()
    try:
        cases.Run(lambda *told: pipe.send(told)).cases(group)
    except cases.Ended as error:
        sys.exit(f"ended by {error}")


class Runner:
    def __init__(self, group):
        self.awaited = [one.name for one in group]
        self.pipe, far = _fork.Pipe(duplex=False)
        self.process = _fork.Process(target=serve, args=(group, far, os.getpid()))
        self.process.start()
        far.close()

    def hear(self, report):
        """Passes on one result; False at the end."""
        try:
            told = self.pipe.recv()
        except EOFError:
            self.end(report)
            return False
        report(*told)
        with contextlib.suppress(ValueError):
            self.awaited.remove(told[0])
        return True

    def end(self, report):
        self.process.join()
        why = f"its process ended with {self.process.exitcode}"
        for name in self.awaited:
            report(name, False, 0.0, why)
        if self.process.exitcode and not self.awaited:
            report("a group's end", False, 0.0, why)

    def stop(self):
        self.process.terminate()
        self.process.join()


def side_by_side(waiting, jobs, report):
    waiting, running = collections.deque(waiting), []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Runner(waiting.popleft()))
            ready = multiprocessing.connection.wait([one.pipe for one in running])
            for one in [one for one in running if one.pipe in ready]:
                if not one.hear(report):
                    running.remove(one)
    finally:
        for one in running:
            one.stop()


def run(chosen, jobs, report):
    clean = cases.Cleanliness()
    # Asked here once, and not in each process anew. Who has no need of them does not miss them.
    with contextlib.suppress(Failure):
        image(), accelerator()
    side_by_side(groups(one for one in chosen if not alone(one)), jobs, report)
    side_by_side(groups(one for one in chosen if alone(one)), 1, report)
    left = clean.left()
    if left:
        report("clean: behind all cases", False, 0.0, f"left behind: {', '.join(left)}")
