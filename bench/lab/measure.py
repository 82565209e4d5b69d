"""Intervals, repetitions and what is made of them.

The CPUs of a virtual machine wander: a cache line's round trip between them takes 40 ns at one minute and
165 ns at the next, and every figure follows it. So a repetition counts only if the round trip was near
before, between and behind its two sides, and if no polling thread had to wait for its CPU. Weir and the
peer are measured one right after the other; their ratio is taken within the repetition, and the median
over the repetitions.
"""
import collections
import dataclasses
import math
import statistics
import time

from .cases import CPU_RATIO, SATURATED, WAIT_MAX, Mark
from .interval import NOTHING, SATURATION, Interval, Nothing, measure
from weirvm.procs import Failure

CALIBRATIONS = 3        # quiet ones, of at most CALIBRATIONS_MAX
CALIBRATIONS_MAX = 9
NEAR_MAX_NS = 90        # no state is called near above this, whatever the calibration found
NEAR_FACTOR = 1.5
CHANGED_FACTOR = 1.6    # within a repetition: its sides would be compared on two machines
# Of the offered load. A generator or switch that waits as long as it may loses nearly as much.
CARRIED_MIN = 0.95
# Of the frames due, where latency is judged: what is refused was never sent, and its delay is not seen. A
# polling thread that waits its tolerated time refuses as much, and moves a median by no more than that.
REFUSED_MAX = WAIT_MAX
NOT_CARRIED = "offered load not carried"
NOT_WALKED = "not all hops walked"
LEAST_SHARE = 0.8   # of the share of the saturated rate that a case offers, when that is not carried
PATIENCE = 60           # seconds for which a pair waits for the near state, all in all


# -- statistics

def median(values):
    return statistics.median(values) if values else None


def quartiles(values):
    """(lower, median, upper); None of fewer than two values."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else None


def spread(values):
    """The distance of the quartiles over the median: how far half of all repetitions lie apart."""
    low, middle, high = quartiles(values) or (0, 0, 0)
    return (high - low) / middle if middle else None


def is_close(values, limit):
    """Whether a limit lies between the quartiles: then the median falls on its side half by chance."""
    low, _, high = quartiles(values) or (math.inf, None, -math.inf)
    return low <= limit <= high


def near_limit(trips):
    """What is near on this machine, by a short calibration."""
    return min(NEAR_MAX_NS, NEAR_FACTOR * min(trips))


def ratio(weir, peer):
    return weir / peer if weir is not None and peer else None


# -- repetitions of a pair

class Near:
    """The state of the two CPUs."""

    def __init__(self, bench, limit=None, pauses=(0.1,) * 9):
        self.bench = bench
        self.seen = [bench.round_trip()]
        if limit is None:
            for pause in pauses:
                time.sleep(pause)
                self.seen.append(bench.round_trip())
        self.limit = limit or near_limit(self.seen)

    def trip(self):
        self.seen.append(self.bench.round_trip())
        return self.seen[-1]

    def summary(self):
        """[lowest, median, highest] so far."""
        seen = [trip for trip in self.seen if math.isfinite(trip)]
        if not seen:
            raise Failure("weir-roundtrip never measured anything; are both CPUs busy?")
        return [min(seen), median(seen), max(seen)]


@dataclasses.dataclass
class Half:
    """One side of a repetition."""
    saturated: Interval
    paced: Interval

    def intervals(self):
        return [at for at in (self.saturated, self.paced) if at]

    def figures(self):
        """{name: value} of what can be compared; a latency where the load was paced only."""
        at, fast = self.paced, self.saturated
        return {"cycles": at.cycles, "cycles_per_byte": at.cycles_per_byte,
                "cycles_saturated": fast.cycles if fast else None, "mpps": fast.mpps if fast else None,
                "p50": at.latency_us["p50"], "p99": at.latency_us["p99"], "p999": at.latency_us["p999"]}


@dataclasses.dataclass
class Repetition:
    offered: float      # frames/s
    trips: list         # ns, before, between and behind the halves
    weir: Half = None
    peer: Half = None   # one of them is missing if the other was first and cannot count
    first: str = "weir"
    nothing: str = ""   # why nothing came through one of them

    def halves(self):
        return [half for half in (self.weir, self.peer) if half]

    def intervals(self):
        return [at for half in self.halves() for at in half.intervals()]

    def ratios(self):
        weir, peer = self.weir.figures(), self.peer.figures()
        return {name: ratio(weir[name], peer[name]) for name in weir}

    def carried(self):
        """frames/s, of the side that carried less."""
        return min(half.paced.mpps * 1e6 for half in self.halves())

    def short(self):
        """Whether a side carried less than it was offered."""
        return self.carried() < CARRIED_MIN * self.offered

    def refused(self):
        return max(half.paced.refused for half in self.halves())

    def flaw(self, near, refused_max=1.0, wait_max=WAIT_MAX):
        """Why it does not count; "" if it does."""
        if self.nothing:
            return NOTHING
        if max(self.trips) > near:
            return "far state"
        if max(self.trips) > CHANGED_FACTOR * min(self.trips):
            return "the state changed"
        if max(at.wait for at in self.intervals()) > wait_max:
            return "a polling thread waited"
        # Whoever skips a hop is quick, and who loses frames behind one is not.
        if not all(at.walked for at in self.intervals()):
            return NOT_WALKED
        return NOT_CARRIED if self.short() or self.refused() > refused_max else ""


class Run:
    """Measures pairs; `tell` gets a line about each repetition."""

    def __init__(self, lanes, near, seconds=0.5, repetitions=5, most=None, tell=lambda text: None,
                 patience=PATIENCE):
        self.lanes = lanes
        self.near = near
        self.seconds = seconds
        self.repetitions = repetitions
        self.most = most or 4 * repetitions
        self.tell = tell
        self.patience = float(patience)

    def alone(self, lane, work):
        """Lets one lane run for as long as work(lane) takes."""
        lane.resume()
        try:
            return work(lane)
        finally:
            lane.pause()

    def calibrate(self, pair, patience):
        """(saturated rate of each in frames/s): what each carried in the middle one of some quiet intervals.
        The best is a moment's, and nine tenths of it are not always carried; the worst a held-up side's."""
        quiet, others, why = [], [], None
        for _ in range(CALIBRATIONS_MAX):
            trips = [self.wait_near(patience)]
            try:
                each = [self.alone(lane, lambda lane, traffic=traffic:
                                   measure(lane, traffic, SATURATION, self.seconds / 2))
                        for lane, traffic in zip(self.of(pair), pair.traffic)]
            except Nothing as error:
                why = error
                continue
            trips.append(self.near.trip())
            good = max(trips) <= self.near.limit and max(at.wait for at in each) <= pair.case.wait_max
            (quiet if good else others).append([at.mpps * 1e6 for at in each])
            if len(quiet) == CALIBRATIONS:
                break
        if not quiet and not others:
            raise why
        return [median(rates) for rates in zip(*(quiet or others))]

    def of(self, pair):
        return [self.lanes.get(key) for key in pair.keys]

    def wait_near(self, patience):
        """Wait for the near state; `patience` is a one-element list of the seconds that are left for it."""
        while True:
            start = time.monotonic()
            trip = self.near.trip()
            if trip <= self.near.limit or patience[0] <= 0:
                return trip
            time.sleep(0.5)
            patience[0] -= time.monotonic() - start

    def half(self, lane, traffic, offered, saturate):
        saturated = measure(lane, traffic, SATURATION, self.seconds) if saturate else None
        return Half(saturated, measure(lane, traffic, offered, self.seconds))

    def repetition(self, pair, offered, first_trip, turned):
        """Weir's half and the peer's, or the other way round; the second is left out when the first cannot
        count."""
        saturate = pair.case.main != "p50"
        lanes = list(zip(("weir", "peer"), self.of(pair), pair.traffic))
        if turned:
            lanes.reverse()
        one = Repetition(offered, [first_trip], first=lanes[0][0])
        for side, lane, traffic in lanes:
            try:
                setattr(one, side, self.alone(lane, lambda lane, traffic=traffic:
                                              self.half(lane, traffic, offered, saturate)))
            except Nothing as error:
                one.nothing = f"{side}: {error}"
            one.trips.append(self.near.trip())
            if self.flaw(pair, one):
                break
        return one

    def flaw(self, pair, one):
        """Where latency is the result, frames that were never sent count as well."""
        return one.flaw(self.near.limit, REFUSED_MAX if pair.case.main == "p50" else 1.0, pair.case.wait_max)

    def pair(self, pair):
        """The result of a pair: a dict for JSON."""
        patience = [self.patience]
        # Both stand ready before either is measured.
        self.of(pair)
        kept, flaws = [], collections.Counter()
        rates = self.calibrate(pair, patience)
        self.tell(f"{pair.name()}: saturated at {rates[0] / 1e6:.2f} and {rates[1] / 1e6:.2f} Mpps")
        share, least = pair.case.load, LEAST_SHARE * pair.case.load
        for number in range(1, self.most + 1):
            trip = self.wait_near(patience)
            if trip > self.near.limit and patience[0] <= 0:
                break
            # Who is first meets another machine than who follows, and its flaw hides the other's half.
            one = self.repetition(pair, share * min(rates), trip, turned=number % 2 == 0)
            flaw = self.flaw(pair, one)
            self.tell(self.line(number, one, flaw))
            # The generator's frames cost it more where they go out a few at a time, so less may be
            # carried than it sends as fast as it goes. Frames refused alone tell of a moment, and so
            # does a side that carries half.
            if flaw == NOT_CARRIED and one.short():
                share = max(least, CARRIED_MIN * one.carried() / min(rates))
            # The CPUs may be in another state than at the calibration.
            if flaw in ("", NOT_CARRIED) and one.peer and one.weir and one.weir.saturated:
                rates = [half.saturated.mpps * 1e6 for half in (one.weir, one.peer)]
            if flaw:
                flaws[flaw] += 1
                continue
            kept.append(one)
            if len(kept) == self.repetitions:
                break
        return result(pair, kept, flaws, rates, self.patience - max(0.0, patience[0]), self.repetitions)

    @staticmethod
    def line(number, one, flaw):
        halves = " against ".join(
            (f"{half.saturated.mpps:.2f} Mpps" if half.saturated else f"p50 {half.figures()['p50']:.2f} µs")
            + f" {half.paced.cycles:.0f} cycles" if half else "–" for half in (one.weir, one.peer))
        trips = "/".join(f"{trip:.0f}" for trip in one.trips)
        wait = max((at.wait for at in one.intervals()), default=0)
        return (f"  {number}: {halves}, {trips} ns, waited {100 * wait:.1f} %"
                f"{f', discarded: {one.nothing or flaw}' if flaw else ''}")


# -- the result

def over(kept, take):
    """The median of a figure over repetitions that have it."""
    return median([value for value in map(take, kept) if value is not None])


def latencies(kept, which):
    halves = [getattr(one, which) for one in kept]
    return {name: over(halves, lambda half, name=name: half.paced.latency_us[name])
            for name in ("p50", "p99", "p999")}


def bottleneck(halves):
    """Who set the saturated rate, in most repetitions; see the page for what that means."""
    said = collections.Counter(half.saturated.bottleneck() for half in halves if half.saturated)
    return said.most_common(1)[0][0] if said else "offered load" if halves else None


def judge(pair, kept, wanted):
    """[{what, limit, value, close, met}] of the marks; too few repetitions judge nothing."""
    ratios = [one.ratios() for one in kept]
    found = [(mark, [mark.of(one[mark.what]) for one in ratios if one[mark.what] is not None]) for mark in pair.marks]
    saturated = [one.weir.saturated for one in kept
                 if one.weir.saturated and one.weir.saturated.switch_busy > SATURATED]
    if saturated:
        found.append((Mark("cpu_ratio", CPU_RATIO),
                      [at.cpu_ratio for at in saturated if at.cpu_ratio is not None]))
    return [{"what": mark.what, "text": mark.text(), "limit": mark.limit, "least": mark.least,
             "value": median(values), "close": is_close(values, mark.limit),
             "met": mark.met(median(values)) if values and len(kept) >= wanted else None}
            for mark, values in found]


def together(marks):
    """Whether all are met; None where one could not be judged, or there is none."""
    verdicts = [mark["met"] for mark in marks]
    if False in verdicts:
        return False
    return None if None in verdicts or not verdicts else True


def result(pair, kept, flaws, rates, waited, wanted):
    """One object of the results: a case and a peer."""
    main = pair.case.main
    ratios = {name: over(kept, lambda one, name=name: one.ratios()[name])
              for name in ("cycles", "cycles_saturated", "cycles_per_byte", "mpps", "p50", "p99", "p999")}
    of_main = [value for value in (one.ratios()[main] for one in kept) if value is not None]
    marks = judge(pair, kept, wanted)
    found = {
        "case": pair.case.name, "peer": pair.peer, "about": pair.case.about,
        "kept": len(kept), "discarded": sum(flaws.values()), "why_discarded": dict(flaws), "wanted": wanted,
        "waited_for_near_s": round(waited, 1),
        "main": main, "ratio": ratios[main], "spread": spread(of_main), "ratios": ratios,
        "offered_mpps": over(kept, lambda one: one.offered / 1e6),
        "round_trip_ns": [min(map(min, (one.trips for one in kept)), default=None),
                          max(map(max, (one.trips for one in kept)), default=None)],
        "bottleneck": bottleneck([one.weir for one in kept]),
        "peer_bottleneck": bottleneck([one.peer for one in kept]),
        "mark": ", ".join(mark["text"] for mark in marks if mark["what"] != "cpu_ratio"),
        "marks": marks, "met": together(marks),
    }
    for number, side in enumerate(("weir", "peer")):
        halves = [getattr(one, side) for one in kept]
        found |= {
            f"{side}_mpps": over(halves, lambda half: half.saturated and half.saturated.mpps)
            or (rates[number] / 1e6 if rates and kept else None),
            f"{side}_gbps": over(halves, lambda half: half.saturated and half.saturated.gbps),
            f"{side}_cycles": over(halves, lambda half: half.paced.cycles),
            f"{side}_cycles_per_byte": over(halves, lambda half: half.paced.cycles_per_byte),
            f"{side}_cycles_saturated": over(halves, lambda half: half.saturated and half.saturated.cycles),
            f"{side}_burst": over(halves, lambda half: half.paced.burst),
            f"{side}_burst_saturated": over(halves, lambda half: half.saturated and half.saturated.burst),
            f"{side}_misses": over(halves, lambda half: half.paced.misses),
            f"{side}_refused": over(halves, lambda half: half.paced.refused),
            f"{side}_lost": over(halves, lambda half: half.paced.lost),
            f"{side}_cpu_ratio": over(halves, lambda half: half.saturated and half.saturated.cpu_ratio),
            f"{side}_latency_us": latencies(kept, side),
            f"{side}_misordered": sum(at.misordered for half in halves for at in half.intervals()),
            f"{side}_corrupt": sum(at.corrupt for half in halves for at in half.intervals()),
        }
    found["cpu_ratio"] = found["weir_cpu_ratio"]
    found["repetitions"] = [dataclasses.asdict(one) | {"ratios": one.ratios()} for one in kept]
    return found
