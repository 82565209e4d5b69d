"""The switches that the bench compares. Each is a Side: started, waited for, counted, paused and stopped
in the same way, whatever its own tools are.

A side stands between generators that listen at Unix sockets as QEMU does; ports 0 and 1 are partners, 2
and 3, and so on. What differs from a side's defaults is in describe(), with the reason.
"""
import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass, field

from .. import ROOT     # first: it makes weirvm known
from weirvm.procs import Failure, wait_until


@dataclass
class Setup:
    """What a case needs of the switch, the same for every side."""
    sockets: list               # absolute paths where the generator listens, in the order of its ports;
                                # iface=NAME: net_af_packet on that interface
    mergeable: bool = False     # what the generator negotiates: no side restricts it
    tso: bool = False
    queues: int = 1
    ring: int = 256             # the generator's, likewise
    jumbo: bool = False         # frames of 9000 bytes
    macs: int = 1               # the most source MACs behind one port
    cpu: int = 1                # the switching thread's
    prefix: list = field(default_factory=list)  # words before its command: where its interfaces are
    chain: object = None        # a Chain: what goes between the ports visits network functions
    relays: list = field(default_factory=list)  # sockets of their ports
    idle: list = field(default_factory=list)    # sockets of peers that are connected and send nothing
    tracking: object = None     # a Tracking: connections are tracked
    hugepages: str = ""         # of Weir: switch.hugepages, if not the default

    @property
    def ports(self):
        return [*self.sockets, *self.relays, *self.idle]

    @property
    def busy(self):
        return [*self.sockets, *self.relays]

    @property
    def others(self):
        """A line for describe() about the ports that it leaves out."""
        if not self.idle:
            return []
        return [f"the same for vm{len(self.busy)} to vm{len(self.ports) - 1}, which are idle"]

    @property
    def partners(self):
        """Pairs of ports, as numbers."""
        return [(i, i + 1) for i in range(0, len(self.sockets) - 1, 2)]


@dataclass
class Counters:
    """Running totals since start()."""
    packets: int                # taken by the switching thread
    busy_cycles: int            # of the switching thread, while it moved packets
    tsc_hz: int
    bursts: int | None          # receive calls that gave packets, as near as the side counts them
    drops: dict                 # {name: packets}
    cpu_ns: int                 # CPU time of all threads of all its processes
    wait_ns: int                # time in which the switching thread was ready to run and did not
    at: float                   # time.monotonic() of the counts
    misses: int = 0             # packets that a slow path had to decide: until they end it is not warm


class Side:
    """One switch. A context manager that stops it."""
    name = None
    thread = None       # pattern of the switching thread's name

    def __init__(self, preset="release"):
        self.preset = preset    # the build, where there are several
        self.setup = None
        self.folder = None
        self.children = []      # subprocess.Popen of all its processes
        self.paused = False

    # -- what each side has of its own

    def absent(self):
        """Why it cannot run here; None if it can."""
        raise NotImplementedError

    def refuses(self, setup):
        """Why it cannot do what this setup asks; None if it can."""
        return None

    def version(self):
        raise NotImplementedError

    def start(self, setup):
        """Start the processes. They connect when the generator's sockets are there."""
        raise NotImplementedError

    def ready(self, timeout=30):
        """Wait until every port is up and it forwards."""
        raise NotImplementedError

    def counts(self):
        """Those of Counters that it counts itself: packets, busy_cycles, tsc_hz, bursts, drops, misses."""
        raise NotImplementedError

    def make_room(self):
        """Waits until it can begin as many connections as an interval has."""

    def describe(self):
        """Lines: commands and configuration, and what is not the default."""
        raise NotImplementedError

    def end(self):
        """End the processes and remove their files; called once, with all of them running."""
        raise NotImplementedError

    # -- what they have in common

    def begin(self, setup, folder):
        """The first step of start(). `folder` is for its files."""
        why = self.refuses(setup)
        if why:
            raise Failure(f"{self.name}: {why}")
        self.setup = setup
        self.folder = folder

    def plain(self, text):
        """What is the same in every run."""
        names = {ROOT + "/": "", self.folder: "DIR"}
        names.update((path, f"vm{number}.sock") for number, path in enumerate(self.setup.ports))
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, names[name])
        return text

    def counters(self):
        self.check_alive()
        try:
            counts = self.counts()
        except OSError as error:        # of its socket or pipe
            raise Failure(f"{self.name} gives no counts: {error}\n{self.log_tail()}") from None
        counts["drops"] = {name: count for name, count in counts["drops"].items() if count}
        return Counters(**counts, cpu_ns=sum(map(cpu_ns, self.pids())), wait_ns=self.wait_ns(),
                        at=time.monotonic())

    def pids(self):
        return [child.pid for child in self.children if child.poll() is None]

    def check_alive(self):
        """Fail if a process has ended by itself."""
        for child in self.children:
            if child.poll() is not None:
                raise Failure(f"{self.name}: a process ended with {child.returncode}: "
                              f"{' '.join(child.args)}\n{self.log_tail()}")
        return True

    def log_tail(self):
        return ""

    def switching_thread(self):
        """The folder of the switching thread in /proc."""
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                path = f"/proc/{pid}/task/{task}"
                with contextlib.suppress(OSError):      # that one has ended
                    if re.match(self.thread, first_line(f"{path}/comm")):
                        return path
        raise Failure(f"{self.name} has no thread named {self.thread}")

    def wait_ns(self):
        return int(first_line(f"{self.switching_thread()}/schedstat").split()[1])

    def pause(self):
        """Stop all its processes; they have stopped when this returns."""
        if not self.paused:
            self.signal(signal.SIGSTOP)
            self.paused = True
            wait_until(lambda: all(map(stopped, self.pids())), 5, f"{self.name} to stop", 0.001, 0.02)

    def resume(self):
        if self.paused:
            self.signal(signal.SIGCONT)
            self.paused = False

    def signal(self, number):
        for child in self.children:
            child.send_signal(number)

    def stop(self):
        """End everything; to be called however far start() came."""
        self.resume()
        try:
            self.end()
        finally:
            self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()


def first_line(path):
    with open(path) as file:
        return file.readline().rstrip("\n")


def cpu_ns(pid):
    """CPU time of a process, ended threads included. The clock is exact to the moment; /proc/PID/schedstat
    of a thread that runs is as old as its last tick."""
    return time.clock_gettime_ns(~pid << 3 | 2)     # what clock_getcpuclockid(3) gives


def stopped(pid):
    """Whether all threads of a process have stopped."""
    with contextlib.suppress(OSError):
        return all(first_line(f"/proc/{pid}/task/{task}/stat").rsplit(")", 1)[1].split()[0] in "TtZX"
                   for task in os.listdir(f"/proc/{pid}/task"))
    return False        # a thread has ended meanwhile


from .ovs import OvsChain, OvsCt, OvsNormal, OvsPort     # noqa: E402 -- they derive from Side
from .testpmd import Testpmd            # noqa: E402
from .weir import Weir                  # noqa: E402

SIDES = {side.name: side for side in (Weir, Testpmd, OvsNormal, OvsPort, OvsCt, OvsChain)}

__all__ = ["ROOT", "SIDES", "Counters", "Failure", "Setup", "Side"]
