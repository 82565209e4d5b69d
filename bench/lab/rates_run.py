"""Measures the cases of rates_cases.py. Each kind is a method; it returns {"figures", ...} for the result.

All is seen by the receiver: when which frame arrived (bench/load/streams.h). Lanes stay open, and rates are
changed while they run.
"""
import contextlib
import json
import statistics
import time

from . import measure, rates_cases as plan
from .cases import Shape, Traffic
from .lanes import Lanes
from .load import busiest, program, thread_times
from .rates_recording import BUCKET_US, FINE_US, HASTY, HASTY_WINDOW, Recording, around, delays, drawn
from .rates_windows import errors, jain, mean_seconds, short_seconds
from weirvm.procs import run

WARM_UP = 0.3           # seconds: a bucket that was full is not
SLACK = 10              # seconds of buckets beyond what is wanted, on a busy machine
CAPACITIES = 3
ATTEMPTS = 4            # of what somebody else on the machine disturbed
RETRY_WAIT = 0.02       # of the time, in which a polling thread was ready to run and did not
SPOILED_MAX = 0.5       # of the windows
RETRY_WITHIN = 20       # seconds: what takes longer is not tried again
OVERLOAD = 2            # times the target is offered to who drops
CHANGES, CHANGE_EACH = 20, 0.15      # seconds from an answer to the next request
STREAM = {"from": 0, "to": 1}
SPARSE_RATE, SPARSE_FRAME = 100, 100
DRR_FRAMES = (64, 1500) * 4
LOADS = (1.0, 0.5, 0.1, 0.01)


def rate_words(case):
    """What stands below `rate.from-vm` or `rate.to-vm`."""
    words = {"bits": f"{case.bits // 1000}kbit"} if case.bits else {}
    return {**words, **({"packets": f"{case.packets}pps"} if case.packets else {})}


def waited(waits):
    """Why recordings are better made again; "" if they are not. waits: the share of each in which a polling
    thread waited for its CPU."""
    usual = statistics.median(waits) if waits else 0
    return f"a polling thread waited {usual:.1%} of the time" if usual > RETRY_WAIT else ""


def spoiled(mean, short):
    """Why the windows say nothing; "" if they do."""
    if not mean or not short:
        return "no window had its two looks in time"
    share = short.spoiled / (short.windows + short.spoiled)
    return f"{share:.0%} of the windows are spoiled" if share > SPOILED_MAX else ""


class RatesRun:
    """hasty: everything as short as it can be, for tests."""

    def __init__(self, bench, near, tell=lambda text: None, hasty=False):
        self.bench = bench
        self.near = near
        self.tell = tell
        self.hasty = hasty
        self.lanes = Lanes(bench)
        self.carried = {}
        self.waits = []         # of the recordings that a result is made of

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.lanes.__exit__(*exception)

    @contextlib.contextmanager
    def lane(self, side, shape):
        lane = self.lanes.get((side, shape, 0))
        lane.resume()
        try:
            yield lane
        finally:
            lane.pause()

    def result(self, case):
        """One object of the results: of the first attempt that nobody disturbed, or of the last."""
        about = {"case": case.name, "kind": case.kind, "about": case.about, "side": case.side, "way": case.way,
                 "bits": case.bits, "packets": case.packets, "frame": case.frame}
        with self.lane(case.side, case.shape) as lane:
            for attempt in range(1, 2 if self.hasty else ATTEMPTS + 1):
                self.waits, began = [], time.monotonic()
                found = getattr(self, case.kind)(lane, case)
                disturbed = found.get("disturbed") or waited(self.waits)
                if not disturbed or time.monotonic() - began > RETRY_WITHIN:
                    break
                self.tell(f"  {attempt}: {disturbed}")
        found |= about | {"attempts": attempt, "disturbed": disturbed}
        found["marks"] = [] if found.get("unreachable") else [self.judged(mark, found) for mark in case.marks]
        return found

    @staticmethod
    def judged(mark, found):
        """A miss that somebody else may have caused is none."""
        value = found["figures"].get(mark.figure)
        met = None if value is None else mark.met(value)
        return {"text": mark.text, "figure": mark.figure, "value": value,
                "met": None if found.get("disturbed") and not met else met}

    # -- recordings

    def record(self, lane, streams, seconds, bucket_us=BUCKET_US, during=None, warm=WARM_UP):
        """Sends the streams, and keeps what arrives for `seconds`, or as long as during() takes."""
        buckets = int((warm + seconds + SLACK) * 1e6 / bucket_us)
        drops = lane.side.counters().drops
        lane.load.streams(streams, bucket_us, buckets)
        time.sleep(warm)
        lane.load.mark()
        threads, before, began = thread_times(lane.load.pids()), lane.side.counters(), time.monotonic_ns()
        if during:
            during()
        else:
            time.sleep(seconds)
        ended, after = time.monotonic_ns(), lane.side.counters()
        waited = busiest(threads, thread_times(lane.load.pids()))[1]
        self.free(lane)
        wait = max(waited, after.wait_ns - before.wait_ns) / (ended - began)
        self.waits.append(wait)
        seen = Recording(lane.load.stop(), began, ended, before, after)
        seen.dropped = sum(lane.side.counters().drops.values()) - sum(drops.values())
        return seen

    @staticmethod
    def free(lane):
        """Whatever a rate has kept goes, before the generator waits for it."""
        if lane.name == "weir":
            lane.side.set_rates({})
        else:
            lane.side.police(0, 0, 0)

    def capacity(self, lane, frame):
        """Frames a second that one VM carries to another without a rate."""
        key = lane.name, frame
        if key not in self.carried:
            self.free(lane)
            judged = list(self.waits)
            window = {} if lane.name == "weir" else {"window": 0}
            # The best of some: what it did not carry at a bad moment it can carry all the same.
            found = [self.record(lane, [STREAM | {"frame": frame} | window], 0.2) for _ in range(CAPACITIES)]
            self.carried[key] = max(seen.per_second(seen.amounts("frames")) for seen in found)
            self.waits = judged
        return self.carried[key]

    # -- the kinds

    def exact(self, lane, case):
        per_frame = 8 * plan.mean_bytes(case.frame)
        frames = case.packets or case.bits / per_frame
        carried = self.capacity(lane, case.frame)
        if carried < plan.REACHABLE * frames:
            return {"unreachable": True, "figures": {"carried": carried * per_frame}}
        window = HASTY_WINDOW if self.hasty else mean_seconds(frames)
        seconds = HASTY if self.hasty else window + min(window, 2.0)
        stream = STREAM | {"frame": case.frame}
        if case.side == "weir":
            port = 0 if case.way == "from-vm" else 1
            lane.side.set_rates({port: {case.way: rate_words(case)}})
        else:
            lane.side.police(0, case.bits, plan.counted_bytes(case.frame))
            stream |= {"window": 0, "rate": round(min(OVERLOAD * frames, carried))}
        seen = self.record(lane, [stream], seconds)
        amounts, one = self.amounts(case, seen)
        target = case.packets or case.bits
        mean = errors(amounts, seen.bucket, window, target, one, seen.late)
        short = errors(amounts, seen.bucket, short_seconds(frames), target, one, seen.late)
        found = {"target": target, "actual": seen.per_second(amounts), "carried": carried,
                 "seconds": seen.seconds, **seen.switch()}
        if case.side != "weir":
            found["mean_l2"] = seen.per_second(seen.bits()) / target - 1
        if mean and short:
            found |= {"mean": abs(mean.median), "mean_signed": mean.median, "mean_worst": mean.worst,
                      "short": short.p90, "short_median": abs(short.median), "short_worst": short.worst,
                      "mean_s": mean.seconds, "short_s": short.seconds, "windows": short.windows,
                      "spoiled": short.spoiled}
        result = {"figures": found}
        if case.plot:
            result["windows"] = drawn(seen, amounts)
        return result | {"disturbed": spoiled(mean, short)}

    @staticmethod
    def amounts(case, seen):
        """(what the side counts of each bucket, the most that one frame is)."""
        if case.packets:
            return seen.amounts("frames"), 1
        if case.side == "weir":
            return seen.bits(), 8 * plan.counted_bytes(case.frame)
        # It counts frames without their Ethernet header, and a TSO frame as one.
        sizes, frames = seen.amounts("bytes"), seen.amounts("frames")
        if case.frame == "tso":
            return [8 * (plan.TSO_FRAME - 14) * count for count in frames], 8 * (plan.TSO_FRAME - 14)
        return ([8 * (size - 14 * count) for size, count in zip(sizes, frames)],
                8 * (plan.counted_bytes(case.frame) - 14))

    def many(self, lane, case):
        """Beside one port: at the same rate, and with as much as all of them have together."""
        count = case.shape.backlog
        words = rate_words(case)
        lane.resume()
        lane.side.set_rates({2 + number: {"from-vm": words} for number in range(count)})
        lane.idle.send(case.frame)
        try:
            seen = self.record(lane, [{"to": 1}] * count, self.seconds(3))
        finally:
            lane.idle.send(0)
        lane.pause()
        off = [seen.per_second(seen.bits(number)) / case.bits - 1 for number in range(count)]
        figures = {f"many_{name}": value for name, value in seen.switch().items()}
        figures |= {"mean": max(map(abs, off)), "mean_median": statistics.median(off)}
        for name, bits in (("same_rate", case.bits), ("same_load", count * case.bits)):
            with self.lane("weir", Shape()) as one:
                one.side.set_rates({0: {"from-vm": {"bits": f"{bits // 1000}kbit"}}})
                alone = self.record(one, [STREAM | {"frame": case.frame}], self.seconds(3)).switch()
            figures |= {f"{name}_cycles": alone["cycles"], f"{name}_burst": alone["burst"],
                        name: seen.switch()["cycles"] / alone["cycles"]}
        return {"figures": figures}

    def bench_alone(self, lane, case):
        lane.pause()
        found = json.loads(run([program("weir-rate-bench", self.bench.preset), "--json"], timeout=120).stdout)
        return {"figures": {"many_cycles": found["thousand"], "many_burst": found["burst"],
                            "same_rate_cycles": found["one"], "same_rate_burst": 1.0,
                            "same_load_cycles": found["all_in_one"], "same_load_burst": found["all_burst"],
                            "same_rate": found["thousand"] / found["one"]}}

    def seconds(self, usual):
        return 0.3 if self.hasty else usual

    def unreached(self, lane, case):
        """Pairs of intervals, one with the rate and one without, that take turns to be the first. Full rings
        make full bursts, and what is compared is then the same; at half of that what a burst costs counts more,
        and so does chance."""
        half = 0.5 * self.capacity(lane, case.frame)
        rates = {0 if case.way == "from-vm" else 1: {case.way: rate_words(case)}}
        found = {load: [] for load in (measure.SATURATION, half)}
        for number in range(3 if self.hasty else 15):
            for load, pairs in found.items():
                pair, trip = {}, self.near.trip()
                for given in (True, False) if number % 2 else (False, True):
                    lane.side.set_rates(rates if given else {})
                    pair[given] = measure.measure(lane, Traffic(case.frame, 1), load, self.seconds(0.4))
                calm = (max(trip, self.near.trip()) <= self.near.limit
                        and max(at.wait for at in pair.values()) <= measure.WAIT_MAX)
                pairs.append((calm, pair[True], pair[False]))
            self.tell("  " + ", ".join(f"{pairs[-1][1].cycles:.1f} and {pairs[-1][2].cycles:.1f} cycles"
                                       for pairs in found.values()))
        lane.side.set_rates({})
        full, half = map(self.compared, found.values())
        return {"figures": full | {f"half_{name}": value for name, value in half.items()},
                "disturbed": "" if full["calm"] else "no pair was measured in a calm moment"}

    @staticmethod
    def compared(pairs):
        """Of the pairs in calm moments, if there are any."""
        counted = [one for one in pairs if one[0]] or pairs
        return {"cycles": statistics.median(given.cycles - free.cycles for _, given, free in counted),
                "cycles_with": statistics.median(given.cycles for _, given, _ in counted),
                "cycles_without": statistics.median(free.cycles for _, _, free in counted),
                "burst": statistics.median(free.burst for _, _, free in counted),
                "calm": sum(one[0] for one in pairs), "mpps": statistics.median(free.mpps for _, _, free in counted)}

    def tenth(self, lane, case):
        carried = self.capacity(lane, case.frame)
        loads, drops = [], {}
        for share in LOADS:
            frames = carried * share
            bits = int(frames * 8 * case.frame)
            lane.side.set_rates({0: {"from-vm": {"bits": f"{bits // 1000}kbit"}}} if share < 1 else {})
            seen = self.record(lane, [STREAM | {"frame": case.frame}], self.seconds(2))
            said = seen.switch()
            loads.append({"share": share, "mbit": seen.per_second(seen.bits()) / plan.MBIT, **said})
            if share < 1:
                drops |= said["drops"]
        rises = sum(less["cpu"] >= more["cpu"] for more, less in zip(loads, loads[1:]))
        return {"figures": {"loads": loads, "drops": sum(drops.values()), "rises": rises}}

    def beside(self, lane, case):
        """The fast VM, alone and beside the slow one in turn."""
        fast, slow = STREAM | {"frame": case.frame}, {"from": 2, "to": 3, "frame": 1500}
        ratios, rates = [], []
        for number in range(3 if self.hasty else 11):
            carried = {}
            for both in (True, False) if number % 2 else (False, True):
                lane.side.set_rates({2: {"from-vm": rate_words(case)}})
                seen = self.record(lane, [fast, slow] if both else [fast], self.seconds(0.7))
                carried[both] = seen.per_second(seen.amounts("frames"))
                if both:
                    rates.append(seen.per_second(seen.bits(1)))
            ratios.append(carried[True] / carried[False])
            self.tell(f"  {carried[True] / 1e6:.3f} Mpps beside, {carried[False] / 1e6:.3f} alone")
        return {"figures": {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios),
                            "slow_mbit": statistics.median(rates) / plan.MBIT}}

    def drr(self, lane, case):
        share = case.bits / len(DRR_FRAMES)
        streams = [STREAM | {"frame": frame, "rate": round(OVERLOAD * share / 8 / frame), "window": 0}
                   for frame in DRR_FRAMES]
        lane.side.set_rates({1: {"to-vm": rate_words(case) | {"scheduler": "drr"}}})
        seen = self.record(lane, streams, self.seconds(3))
        each = [seen.per_second(seen.bits(number)) for number in range(len(streams))]
        return {"figures": {"jain": jain(each), "mbit": [bits / plan.MBIT for bits in each],
                            "frames": list(DRR_FRAMES), "mean": abs(sum(each) / case.bits - 1), **seen.switch()}}

    def codel(self, lane, case):
        scheduler, tos = case.more
        bulk = STREAM | {"frame": 1500, "tos": tos}
        sparse = STREAM | {"frame": SPARSE_FRAME, "rate": SPARSE_RATE, "tos": tos}
        lane.side.set_rates({1: {"to-vm": rate_words(case) | {"scheduler": scheduler}}})
        seen = self.record(lane, [bulk, sparse], self.seconds(5))
        waits = seen.streams[1]["latency_us"]
        return {"figures": {"wait_ms": waits["p50"] / 1e3, "wait_p99_ms": waits["p99"] / 1e3,
                            "bulk_wait_ms": seen.streams[0]["latency_us"]["p50"] / 1e3,
                            # All while there was the rate: behind it more are received, as fast as they go.
                            "marked": seen.streams[0]["marked"], "dropped": seen.dropped,
                            "received": sum(seen.streams[0]["frames"][:seen.last]),
                            "mean": abs(seen.per_second([a + b for a, b in zip(seen.bits(0), seen.bits(1))])
                                        / case.bits - 1)}}

    def tenant(self, lane, case):
        senders, frames = case.more
        weights = {"vm0": 1, "vm2": 2, "vm4": 4}
        lane.side.set_rates({}, {"tenant": rate_words(case) | {"ports": weights}})
        streams = [{"from": 2 * sender, "to": 2 * sender + 1, "frame": frame}
                   for sender, frame in zip(senders, frames)]
        seen = self.record(lane, streams, self.seconds(3), warm=0.5)
        each = [seen.per_second(seen.bits(number)) for number in range(len(senders))]
        weights = [(1, 2, 4)[sender] for sender in senders]
        off = [got / sum(each) / (weight / sum(weights)) - 1 for got, weight in zip(each, weights)]
        return {"figures": {"share": max(map(abs, off)), "off": off, "mbit": [got / plan.MBIT for got in each],
                            "mean": abs(sum(each) / case.bits - 1), **seen.switch()}}

    def change(self, lane, case):
        port = 0 if case.way == "from-vm" else 1
        asked = []

        def set_rate(bits):
            began = time.monotonic_ns()
            lane.side.control.call("port.set", name=f"vm{port}", settings=[
                {"path": f"rate.{case.way}.bits", "value": f"{bits // plan.MBIT}Mbit"}])
            asked.append((began, time.monotonic_ns(), bits))

        def during():
            for number in range(4 if self.hasty else CHANGES):
                set_rate(plan.PACES[(number + 1) % 2])
                time.sleep(CHANGE_EACH)
        lane.side.set_rates({port: {case.way: {"bits": f"{plan.PACES[0] // plan.MBIT}Mbit"}}})
        seen = self.record(lane, [STREAM | {"frame": case.frame}], (CHANGES + 1) * CHANGE_EACH, FINE_US, during)
        return {"figures": delays(seen, asked), "windows": around(seen, asked[0][0])}
