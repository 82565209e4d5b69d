"""Lanes: a switch and the generator that plays its VMs. Several stand ready together, and only the one
that is measured runs: the others are stopped by signals, so that no side pays for another's start."""
import contextlib
import json
import math
import os
import time

from . import ROOT, hugepages
from .backlog import Backlog
from .hugepages import HugePages
from .idle import IdlePeers
from .load import Load, program
from .sides import SIDES, Setup, stopped
from weirvm.procs import Failure, Workdir, run, wait_until

# A port at an MTU of 9000, or with TSO, needs more buffers than the generator's default.
JUMBO_BUFFER = 10240
GUESTS_MEMORY = 192 << 20   # bytes that a generator takes at most, where it is not for TSO


def two_cpus(text, smoke_only):
    """(the generator's, the switch's)."""
    there = sorted(os.sched_getaffinity(0))
    if text:
        chosen = tuple(map(int, text.split(",")))
        if len(chosen) != 2:
            raise Failure(f"--cpus takes two, not {text}")
    else:
        chosen = (there[0], there[-1])
    if chosen[0] == chosen[1] and not smoke_only:
        raise Failure("a comparison needs two CPUs: one for the generator, one for the switch")
    return chosen


class Bench:
    """What all lanes have in common: the build, the CPUs, the peers that are here."""

    def __init__(self, preset="release", cpus=(0, 1), peers=None):
        self.preset = preset
        self.cpus = cpus
        for name in ("weir-switchd", "weir-load", "weir-roundtrip"):
            program(name, preset)
        self.sides = {name: SIDES[name](preset) for name in ("weir", *(peers or ()))}
        self.absent = {}
        for name, side in self.sides.items():
            why = side.absent()
            if why:
                self.absent[name] = why
        if "weir" in self.absent:
            raise Failure(f"weir: {self.absent['weir']}")

    def there(self, name):
        return name in self.sides and name not in self.absent

    def version(self, name):
        return self.sides[name].version()

    def round_trip(self, ms=20):
        """The round trip of a cache line between the two CPUs, in ns; nothing may poll meanwhile. Where
        something else has one of them all the time there is none."""
        argv = [program("weir-roundtrip", self.preset), "--cpus", ",".join(map(str, self.cpus)),
                "--ms", str(ms)]
        try:
            return float(json.loads(run(argv, timeout=5).stdout)["round_trip_ns"])
        except Failure:
            return math.inf


class Veth:
    """Two network namespaces and a veth between them, whose ends are `near` (the switch's) and `far` (the
    generator's). In one namespace the driver's sockets could meet in one fanout group."""
    number = 0

    def __init__(self):
        Veth.number += 1
        self.names = {end: f"weir-bench-{os.getpid()}-{Veth.number}-{end}" for end in ("near", "far")}
        try:
            for name in self.names.values():
                run(["ip", "netns", "add", name])
            run(["ip", "-n", self.names["near"], "link", "add", "near", "type", "veth", "peer", "name", "far",
                 "netns", self.names["far"]])
            for end, name in self.names.items():
                # Nobody else is to speak there.
                run([*self.prefix(end), "sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1"])
                run(["ip", "-n", name, "link", "set", end, "up"])
        except BaseException:
            self.close()
            raise

    def prefix(self, end):
        return ["ip", "netns", "exec", self.names[end]]

    def close(self):
        for name in self.names.values():
            run(["ip", "netns", "del", name], check=False)


class Lane:
    """One side, its generator and its idle peers; running when made, until pause()."""

    def __init__(self, bench, name, shape):
        self.name = name
        self.shape = shape
        self.work = Workdir("weir-bench-")
        self.side = self.load = self.idle = self.veth = self.pages = None
        self.paused = False
        try:
            self._start(bench)
        except BaseException:
            # What went wrong first is what is told.
            with contextlib.suppress(Failure):
                self.close()
            raise

    def _start(self, bench):
        generator, switch = bench.cpus
        if self.shape.hugepages == "required":
            self.pages = HugePages(*hugepages.of_switch(self.shape.tracking.connections))
        elif self.shape.huge_guests:
            self.pages = HugePages(GUESTS_MEMORY)
        sockets = [self.work.file(f"vm{number}.sock") for number in range(2 * self.shape.pairs)]
        ends = list(sockets)
        if self.shape.nic:
            self.veth = Veth()
            sockets[1], ends[1] = "iface=near", "iface=far"
        chain = self.shape.chain
        relays = [self.work.file(f"nf{number}.sock") for number in range(chain.relays() if chain else 0)]
        others = self.shape.idle + self.shape.backlog
        idle = [self.work.file(f"idle{number}.sock") for number in range(others)]
        setup = Setup(sockets=sockets, mergeable=True, tso=self.shape.tso, jumbo=self.shape.jumbo,
                      macs=self.shape.macs, cpu=switch, idle=idle, tracking=self.shape.tracking,
                      hugepages=self.shape.hugepages, chain=chain, relays=relays,
                      prefix=self.veth.prefix("near") if self.veth else [])
        self.load = Load(ends, self.work.file("load.log"), relays=relays,
                         one_armed=bool(chain and chain.one_armed), huge=self.shape.huge_guests, cpu=generator, ring=setup.ring,
                         mergeable=setup.mergeable, tso=setup.tso, preset=bench.preset,
                         buffer=JUMBO_BUFFER if self.shape.jumbo else None, prefix=self.veth.prefix("far") if self.veth else [])
        if self.shape.backlog:
            self.idle = Backlog(idle, first=len(setup.busy), cpu=generator)
        elif idle:
            self.idle = IdlePeers(idle)
        self.side = SIDES[self.name](bench.preset)
        self.side.start(setup)
        slow = 3 if bench.preset == "asan" else 1
        self.load.ready(40 * slow)
        if self.idle:
            self.idle.ready(40 * slow)
        self.side.ready(40 * slow)

    def describe(self):
        """{"side": lines, "generator": lines}, without the names of folders that are gone when they are
        read."""
        said = {"side": self.side.describe(), "generator": [" ".join(self.load.argv)]}
        if self.load.features:
            said["generator"].append("features negotiated: " + ", ".join(self.load.features))
        return {who: [line.replace(self.work.path, "DIR").replace(ROOT + "/", "") for line in lines]
                for who, lines in said.items()}

    def pause(self):
        if not self.paused:
            self.paused = True
            self.load.pause()
            self.side.pause()
            wait_until(lambda: all(map(stopped, self.load.pids())), 5, "weir-load to stop", 0.001, 0.02)

    def resume(self):
        if self.paused:
            self.paused = False
            self.side.resume()
            self.load.resume()

    def close(self):
        """End all of it, however far it came. What goes wrong is told when all is done."""
        side, idle, load, veth, pages = self.side, self.idle, self.load, self.veth, self.pages
        self.side = self.idle = self.load = self.veth = self.pages = None
        with contextlib.ExitStack() as stack:
            # In the reverse order: the switch ends before the VMs that it is connected to.
            stack.callback(self.work.remove)
            if pages:
                stack.callback(pages.close)
            if veth:
                stack.callback(veth.close)
            if load:
                stack.callback(load.close)
            if idle:
                stack.callback(idle.stop)
            if side:
                stack.callback(side.stop)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # A signal has reached the processes, too, which then ended before they were asked to.
        with contextlib.suppress(Failure) if kind else contextlib.nullcontext():
            self.close()


class Lanes:
    """The lanes that are open, by what they are for; a context manager that closes them all."""

    def __init__(self, bench):
        self.bench = bench
        self.open = {}
        self.complaints = []    # of lanes that ended

    def get(self, key):
        """The paused lane for (side, shape, number); number tells two of the same kind apart."""
        if key not in self.open:
            name, shape, _ = key
            lane = Lane(self.bench, name, shape)
            # Let the switch settle before it is stopped: what it does after "ready" belongs to its start.
            time.sleep(0.2)
            self.open[key] = lane
            lane.pause()
        return self.open[key]

    def keep_only(self, keys):
        """Close the others."""
        self.drop([key for key in self.open if key not in keys])

    def drop(self, keys):
        """Close lanes; one that ends badly does not keep the others from being measured."""
        for key in keys:
            if key in self.open:
                try:
                    self.open.pop(key).close()
                except Failure as error:
                    self.complaints.append(f"{key[0]}, {key[1].text()}: {error}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop(list(self.open))
