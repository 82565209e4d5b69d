"""The handle of a weir-load process: the generator that plays the VMs of one lane."""
import contextlib
import json
import os
import select
import signal
import time

from . import ROOT
from switch import calm
from weirvm.procs import Failure, end, spawn, tail

def program(name, preset):
    """The path of a program of the bench, or how to come by it."""
    path = os.path.join(ROOT, "build", preset, "bin", name)
    if not os.path.exists(path):
        raise Failure(f"no {os.path.relpath(path, ROOT)}; build it: scripts/setup bench && "
                      f"cmake --preset {preset} && cmake --build build/{preset}")
    return path


def thread_times(pids):
    """{thread: (ns on a CPU, ns it waited for one)} of all threads of the processes."""
    times = {}
    for pid in pids:
        with contextlib.suppress(OSError):      # it ended meanwhile, which others notice
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                        ran, waited, _ = file.read().split()
                    times[int(thread)] = (int(ran), int(waited))
    return times


def busiest(before, after):
    """(ns on a CPU, ns waited) of the thread that ran most between two thread_times(): the one that polls,
    since no other thread of a generator or switch comes near it."""
    spent = [(ran - before.get(thread, (0, 0))[0], waited - before.get(thread, (0, 0))[1])
             for thread, (ran, waited) in after.items()]
    return max(spent, default=(0, 0))


class Load:
    """One weir-load. It listens at the sockets, as QEMU would; partners are neighbours in the list.

    log     a file that gets what it says on stderr
    relays  sockets of network functions, in pairs, or one-armed each for itself
    """

    def __init__(self, sockets, log, cpu=0, ring=256, mergeable=True, tso=False, buffer=None, memory=None,
                 preset="release", prefix=(), relays=(), one_armed=False, huge=False):
        self.log = log
        self.preset = preset
        self.features = []
        self.rest = b""
        self.argv = [program("weir-load", preset), "--cpu", str(cpu), "--ring", str(ring)]
        self.argv += ["--mergeable"] if mergeable else []
        self.argv += ["--tso"] if tso else []
        self.argv += ["--buffer", str(buffer)] if buffer else []
        self.argv += ["--memory", str(memory)] if memory else []
        self.argv += ["--huge"] if huge else []
        self.argv += ["--relays", str(len(relays))] if relays else []
        self.argv += ["--one-armed"] if one_armed else []
        self.argv += [*sockets, *relays]
        reader, self.stdin = os.pipe()
        self.stdout, writer = os.pipe()
        try:
            with open(log, "a") as file:
                # SIGPIPE stays ignored, as in Python: a switch that ends first must not end it.
                self.child = spawn([*prefix, *calm(preset), *self.argv], stdin=reader, stdout=writer, stderr=file,
                                   restore_signals=False)
        finally:
            os.close(reader)
            os.close(writer)

    # -- life

    def ready(self, timeout=30):
        """Wait until all links are up; returns the features each port negotiated."""
        said = self.answer(timeout, "ready")
        if not said.get("ready"):
            raise Failure(f"weir-load: not ready but {said}; {self.why()}")
        self.features = said.get("features", [])
        return self.features

    def pids(self):
        return [self.child.pid]

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        if self.child.poll() is None:
            self.child.send_signal(number)

    def close(self):
        """End it; the end of its input is what it waits for. Fails if it found something wrong."""
        self.resume()
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None
        # It may be in the middle of something long; the signal then helps.
        with contextlib.suppress(Exception):
            self.child.wait(20)
        status = end(self.child)
        if self.stdout is not None:
            os.close(self.stdout)
            self.stdout = None
        if status:
            raise Failure(f"weir-load ended with {status}; what it said:\n{tail(self.log)}")

    def why(self):
        status = self.child.poll()
        state = "it runs" if status is None else f"it ended with {status}"
        return f"{state}; what it said:\n{tail(self.log)}"

    # -- its language

    def tell(self, do, **words):
        line = json.dumps({"do": do, **words}) + "\n"
        try:
            os.write(self.stdin, line.encode())
        except BrokenPipeError:
            raise Failure(f"weir-load: {do}: {self.why()}") from None

    def answer(self, timeout, what):
        """Its next line."""
        until = time.monotonic() + timeout
        while b"\n" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.stdout], [], [], left)[0]:
                raise Failure(f"weir-load: no answer to {what} after {timeout} s; {self.why()}")
            new = os.read(self.stdout, 65536)
            if not new:
                with contextlib.suppress(Exception):
                    self.child.wait(1)
                raise Failure(f"weir-load: {what}: {self.why()}")
            self.rest += new
        line, self.rest = self.rest.split(b"\n", 1)
        try:
            said = json.loads(line)
        except ValueError:
            raise Failure(f"weir-load: {what}: it said {line[:200]!r}") from None
        if "error" in said:
            raise Failure(f"weir-load: {what}: {said['error']}; {self.why()}")
        return said

    def ask(self, do, timeout=20, **words):
        self.tell(do, **words)
        return self.answer(timeout, do)

    def start(self, timeout=60, **traffic):
        """Teach the switch the addresses and begin to send."""
        return self.ask("start", timeout, **traffic)

    def talk(self, timeout=60, **traffic):
        """Begin to hold TCP conversations."""
        return self.ask("talk", timeout, **traffic)

    def streams(self, streams, bucket_us, buckets):
        """Begin to send streams, each a dict; stop() tells when their frames arrived, as `arrivals`."""
        return self.ask("streams", 60, streams=streams, bucket_us=bucket_us, buckets=buckets)

    def mark(self):
        """Counters since the last mark; a new interval begins."""
        return self.ask("mark")

    def visits(self):
        """Of each flow since the last time, or since start(visits=True): bits for the network functions that it
        has visited."""
        return self.ask("visits")["visits"]

    def stop(self):
        """Stop sending, wait for what is under way; totals since start."""
        return self.ask("stop", 40)
