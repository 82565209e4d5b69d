"""The generator, the switch and the ways between them, without a clock: everything that is sent arrives,
once, in order and unchanged. Runs anywhere, also under sanitizers and on one CPU."""
import json
import os
import time
import traceback
import unittest

from .cases import TRACKED, Shape, Traffic
from .lanes import Bench, Lane
from .tracking import Tracking
from .trials import REFUSED, sustain
from weirvm.procs import Failure

# Frames a second, all directions: so few that a ring still has room for what comes while a busy machine
# lets one of the two wait.
RATE = 20000
CALM_RATE = 2000
SECONDS = 0.15
FEW_FLOWS = Traffic(flows=100)
APPLIES = 5
ATTEMPTS = 4            # each at half the rate, when the machine was too busy for a ring of 256
RING_FULL = "to-vm-ring-full"

PLAIN = (
    *((f"{frame} B, {'one way' if directions == 1 else 'both ways'}, {proto}",
       Traffic(frame, directions, proto=proto), RATE)
      for frame in (64, 256, 1500) for directions in (1, 2) for proto in ("udp", "tcp")),
    ("IMIX", Traffic("imix"), RATE),
    ("10,000 flows, round robin", Traffic(flows=10000), 4 * RATE),
    ("10,000 flows, Zipf", Traffic(flows=10000, order="zipf"), 4 * RATE),
    ("10,000 flows, TCP", Traffic(flows=10000, proto="tcp"), 4 * RATE),
    ("200 MACs behind each port", Traffic(flows=1000, macs=200), RATE),
    ("a frame now and then", Traffic(), CALM_RATE),
)
FEW = Shape(tracking=Tracking(connections=2048))
ROOM_SECONDS = 3        # longer than an entry stays
GROUPS = (
    ("two ports", Shape(), PLAIN),
    ("TSO", Shape(tso=True), (("64 KiB TSO, one way", Traffic("tso", 1, proto="tcp"), 500),
                              ("64 KiB TSO, both ways", Traffic("tso", proto="tcp"), 500))),
    ("jumbo", Shape(jumbo=True), (("9000 B", Traffic(9000), 5000),
                                  ("64 B at an MTU of 9000", Traffic(), RATE))),
    ("a NIC", Shape(nic=True), (("64 B, a VM and net_af_packet", Traffic(), 5000),
                                ("1500 B, a VM and net_af_packet", Traffic(1500), 5000))),
    ("tracked", TRACKED, (("10,000 connections", Traffic(flows=10000), 4 * RATE),
                          ("1500 B, 100 connections", Traffic(1500, flows=100), RATE))),
    ("a small table", FEW, ()),
    ("idle peers", Shape(idle=6), (("64 B beside six idle ports", Traffic(), RATE),)),
)


class Report:
    """A line for each case as it ends, and a JSON object for whoever started the run."""

    def __init__(self, path):
        self.file = open(path, "a") if path else None
        self.passed = self.failed = 0

    def __call__(self, name, ok, seconds, detail=""):
        self.passed += ok
        self.failed += not ok
        text = f"  {detail}" if ok and detail else ""
        print(f"{'ok  ' if ok else 'FAIL'} {name} {seconds:.2f}s{text}", flush=True)
        if not ok:
            print("\n".join(f"     | {line}" for line in detail.splitlines()), flush=True)
        if self.file:
            self.file.write(json.dumps({"name": name, "ok": ok, "seconds": round(seconds, 3),
                                        "detail": detail}) + "\n")
            self.file.flush()

    def case(self, name, work):
        """Runs work(), whose text is shown. Returns whether it went well."""
        start = time.monotonic()
        try:
            detail = work() or ""
            ok = True
        except Failure as error:
            ok, detail = False, str(error)
        except Exception:
            ok, detail = False, traceback.format_exc()
        self(name, ok, time.monotonic() - start, detail)
        return ok

    def end(self):
        """Prints the last line; the exit status."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def faults(said):
    """What must not be in the totals of a run."""
    found = [f"{said[name]} {name}" for name in ("lost", "misordered", "corrupt", "strays") if said[name]]
    return found if said["received"] else [*found, "nothing received"]


def drops(lane):
    return lane.side.counters().drops.get(RING_FULL, 0)


def settled(lane, work, rate):
    """What work(rate) counted, at a rate that the machine can carry at the moment. A full ring is no
    fault of a switch whose CPU does something else; whatever else is lost is."""
    for _ in range(ATTEMPTS):
        before = drops(lane)
        said = work(rate)
        full = drops(lane) - before
        if not said["lost"] or said["lost"] != full:
            break
        rate /= 2
    bad = faults(said)
    if bad:
        raise Failure(f"{', '.join(bad)}; {full} dropped as {RING_FULL!r} at {rate:.0f} frames/s: {said}")
    return said


def traffic(lane, what, rate):
    def work(at):
        lane.load.start(**what.words(), rate=round(at))
        time.sleep(SECONDS)
        return lane.load.stop()
    said = settled(lane, work, rate)
    return f"{said['received']} frames"


def talk(lane, directions):
    def work(at):
        lane.load.talk(conversations=100, directions=directions, rate=round(at))
        time.sleep(SECONDS)
        return lane.load.stop()
    said = settled(lane, work, RATE)
    if not said["conversations"]:
        raise Failure(f"no conversation was completed: {said}")
    return f"{said['conversations']} conversations, {said['received']} frames"


def is_tracked(lane):
    """Each frame is one of a connection, found by one lookup."""
    def totals():
        workers = lane.side.control.call("status")["workers"]
        return [sum(worker[key] for worker in workers) for key in ("tracked", "lookups")]

    traffic(lane, FEW_FLOWS, RATE)      # connections begin, all of them however few frames go
    before = totals()
    said = traffic(lane, FEW_FLOWS, RATE)
    tracked, lookups = (after - one for after, one in zip(totals(), before))
    if tracked < int(said.split()[0]) or lookups > 1.05 * tracked:
        raise Failure(f"{tracked} packets tracked by {lookups} lookups, {said} received")
    return f"{tracked} packets, {lookups} lookups"


def applies(lane):
    """Each document has other rules than the one before, so every connection is resolved anew."""
    def work(at):
        lane.load.start(**Traffic(flows=10000).words(), rate=round(at))
        for number in range(APPLIES):
            lane.side.apply([{"allow": "tcp", "dport": 1000 + number}])
            time.sleep(SECONDS)
        return lane.load.stop()
    said = settled(lane, work, RATE)
    return f"{APPLIES} documents, {said['received']} frames"


def room(lane):
    """So many conversations that entries are used again, and none is missing when it is asked for."""
    found = sustain(lane, ROOM_SECONDS, conversations=100)
    if found[REFUSED] or not found["conversations"]:
        raise Failure(f"entries or conversations are missing: {found}")
    return f"{found['conversations']} conversations, {found['entries at the end']} entries"


def pause(lane):
    """A lane that was stopped goes on, as those of a comparison do."""
    lane.pause()
    time.sleep(0.1)
    lane.resume()
    return traffic(lane, Traffic(), RATE)


def latency(lane):
    def work(at):
        lane.load.start(**Traffic().words(), rate=round(at))
        lane.load.mark()
        time.sleep(SECONDS)
        lane.load.mark()
        return lane.load.stop()
    said = settled(lane, work, RATE)
    at = said["latency_us"]
    if not 0 < at["p50"] <= at["p99"] <= at["p999"] <= at["max"]:
        raise Failure(f"impossible latencies: {at}")
    return f"{said['received']} frames"


def in_a_lane(report, bench, name, shape, todo):
    """Cases of one switch and its generator: (label, what is done with the lane)."""
    if not todo:
        return
    lane = None

    def make():
        nonlocal lane
        lane = Lane(bench, "weir", shape)
        return ", ".join(lane.load.features)

    if not report.case(f"{name}: all ports come up", make):
        return
    with lane:
        for label, work in todo:
            if not report.case(label, lambda work=work: work(lane)) and lane.load.child.poll() is not None:
                break
        # A switch that complained of something does so when it ends.
        report.case(f"{name}: the end", lane.close)


def unit_tests(*modules):
    suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromModule, modules))
    with open(os.devnull, "w") as nowhere:
        outcome = unittest.TextTestRunner(stream=nowhere).run(suite)
    for test, trace in outcome.failures + outcome.errors:
        raise Failure(f"{test}: {trace}")
    return f"{outcome.testsRun} tests"


def statistics():
    """The logic of near states, medians and verdicts, and the words for them."""
    from . import test_measure, test_words
    return unit_tests(test_measure, test_words)


def group(report, bench, name, shape, steps, only):
    extra = [("complete TCP conversations", lambda lane: talk(lane, 1)),
             ("conversations from both ends", lambda lane: talk(lane, 2)),
             ("latencies", latency), ("a pause", pause)] if name == "two ports" else []
    if shape == FEW:
        extra = [("conversations at the rate for which it has room", room)]
    elif shape.tracking:
        extra = [("complete TCP conversations", lambda lane: talk(lane, 1)),
                 ("one lookup for each packet", is_tracked),
                 ("other rules while frames go", applies)]
    todo = [(f"{name}: {label}", lambda lane, what=what, rate=rate: traffic(lane, what, rate))
            for label, what, rate in steps]
    todo += [(f"{name}: {label}", work) for label, work in extra]
    in_a_lane(report, bench, name, shape, [(label, work) for label, work in todo if only(label)])


def smoke(preset, cpus, only, results):
    """The whole of it; the exit status."""
    report = Report(results)
    if only("statistics"):
        report.case("statistics", statistics)
    bench = Bench(preset, cpus)
    for name, shape, steps in GROUPS:
        group(report, bench, name, shape, steps, only)
    return report.end()
