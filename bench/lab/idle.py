"""Idle peers: VMs that are there, have posted their receive buffers, and then do nothing.

All of them are front-ends without a VM in one process, which sleeps once they are up: they cost the
machine no CPU time and little memory, so what is measured beside them is what the *switch* pays for a
port. They listen at their sockets as QEMU does, in any order beside the switch's start.
"""
import concurrent.futures
import contextlib
import os
import resource
import signal
import subprocess
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import ROOT                            # noqa: E402 -- follows the path above
from weirvm.procs import Failure, Workdir, end, spawn, tail, wait_until    # noqa: E402

FILES_EACH = 8      # descriptors of one front-end: memory, eventfds, listener, connection


class IdlePeers:
    """The process of the idle peers, one for each path in `sockets`; a context manager.

    pairs: queue pairs of each, for a switch that does not go by what the guest enables.
    """
    script = "bench/lab/idle.py"
    what = "idle peers"

    def __init__(self, sockets, pairs=1):
        self.sockets = list(sockets)
        self._begin([str(pairs)])

    def _begin(self, words):
        self.work = Workdir("weir-idle-")
        self.log = self.work.file("log")
        # Ends when this pipe is closed, or with this process.
        reader, self.stdin = os.pipe()
        try:
            with open(self.log, "w") as log:
                self.child = spawn(["/usr/bin/python3", os.path.join(ROOT, self.script), *words, *self.sockets],
                                   stdin=reader, stdout=log, stderr=log)
        finally:
            os.close(reader)
        # The switch may be told of a socket as soon as somebody listens there.
        wait_until(lambda: self._alive() and self._said("listening"), 20, self._text)

    def _text(self):
        return f"{len(self.sockets)} {self.what}: {tail(self.log)}"

    def _said(self, word):
        with open(self.log) as file:
            return word in file.read().split("\n")

    def _alive(self):
        if self.child.poll() is not None:
            raise Failure(f"the {self.what} ended with {self.child.returncode}: {tail(self.log)}")
        return True

    def ready(self, timeout=30):
        """Waits until each peer's rings are started and enabled."""
        wait_until(lambda: self._alive() and self._said("ready"), timeout, self._text)
        return self

    def pids(self):
        return [self.child.pid]

    def pause(self):
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self):
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None
            self.resume()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(5)
            end(self.child)
            self.work.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()


def allow_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def bring_up(sockets, make):
    """The started front-ends; make(path, listener) connects one. What is printed is waited for."""
    from frontend import listen_at

    listeners = [listen_at(path) for path in sockets]
    print("listening", flush=True)
    # A thread for each waits for its switch; together they take what one takes.
    with concurrent.futures.ThreadPoolExecutor(len(sockets)) as pool:
        peers = list(pool.map(lambda path, listener: make(path, listener).start(), sockets, listeners))
    print("ready", flush=True)
    return peers


def main(pairs, sockets):
    """The process itself."""
    from frontend import Frontend

    allow_files(64 + len(sockets) * FILES_EACH * pairs)
    peers = bring_up(sockets, lambda path, listener: Frontend(path, listens=listener, pairs=pairs, timeout=120))
    sys.stdin.read()
    for peer in peers:
        peer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
