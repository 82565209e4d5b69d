"""The logic of the measurement, on figures that are made up."""
import types
import unittest
import unittest.mock

from . import measure, report
from .cases import CASES, Case, Mark, Pair, Shape, Traffic, plan
from .interval import NOTHING, Interval, Nothing, combine, warm_up
from .measure import Half, Repetition
from weirvm.procs import Failure


def interval(cycles=100.0, mpps=10.0, wait=0.0, refused=0.0, busy=0.5, p50=5.0):
    return Interval(seconds=0.5, mpps=mpps, gbps=1.0, bytes_each=64, generator_busy=0.99, refused=refused,
                    lost=0.0, misordered=0, corrupt=0, cycles=cycles, switch_busy=busy, burst=10.0,
                    cpu_ratio=1.05, wait=wait, misses=0.0, drops={},
                    latency_us={"p50": p50, "p99": 2 * p50, "p999": 3 * p50})


def repetition(weir=100.0, peer=200.0, trips=(40, 40, 40), **more):
    return Repetition(9e6, list(trips), Half(interval(weir, **more), interval(weir, **more)),
                      Half(interval(peer), interval(peer)))


def pair(*marks, main="cycles"):
    case = Case("a case", "", Traffic(), main=main)
    return Pair(case, "peer", (("weir", case.shape, 0), ("peer", case.shape, 0)), (case.traffic,) * 2, marks)


class Statistics(unittest.TestCase):
    def test_spread(self):
        self.assertIsNone(measure.spread([1.0]))
        self.assertEqual(measure.spread([2.0] * 5), 0)
        self.assertAlmostEqual(measure.spread([1.0, 2.0, 3.0, 4.0, 5.0]), 2 / 3)

    def test_near(self):
        self.assertEqual(measure.near_limit([40, 160, 44]), 60)
        self.assertEqual(measure.near_limit([160, 170]), measure.NEAR_MAX_NS)


class Keeping(unittest.TestCase):
    def test_flaws(self):
        self.assertEqual(repetition().flaw(60), "")
        self.assertEqual(repetition(trips=(40, 61, 40)).flaw(60), "far state")
        self.assertEqual(repetition(trips=(30, 40, 49)).flaw(60), "the state changed")
        self.assertEqual(repetition(wait=0.05).flaw(60), "a polling thread waited")
        self.assertEqual(repetition(mpps=8.0).flaw(60), "offered load not carried")

    def test_walked(self):
        one = repetition()
        one.peer.saturated.walked = False
        self.assertEqual(one.flaw(60), "not all hops walked")

    def test_refused(self):
        """What was never sent hides from latencies only."""
        one = repetition(refused=0.041)
        self.assertEqual(one.flaw(60), "")
        self.assertEqual(one.flaw(60, measure.REFUSED_MAX), "offered load not carried")
        self.assertFalse(one.short())
        self.assertEqual(repetition(refused=0.04).flaw(60, measure.REFUSED_MAX), "")


class Lane:
    """One whose intervals are made up; `log` gets its name whenever it is let run."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def resume(self):
        self.log.append(self.name)

    def pause(self):
        pass


class Ordering(unittest.TestCase):
    def run_pair(self, main="cycles", flawed=None, **flaw):
        """(the result, who ran in which order after the calibration, what was told)."""
        log, told = [], []
        lanes = {("weir", Shape(), 0): Lane("weir", log), ("peer", Shape(), 0): Lane("peer", log)}
        near = types.SimpleNamespace(limit=60, trip=lambda: 40)
        run = measure.Run(lanes, near, repetitions=2, most=4, tell=told.append)

        def made_up(lane, _, rate, __):
            return interval(**flaw if lane.name == flawed and rate else {})
        with unittest.mock.patch.object(measure, "measure", made_up):
            found = run.pair(pair(main=main))
        return found, log[2 * measure.CALIBRATIONS:], told

    def test_turns(self):
        found, log, _ = self.run_pair()
        self.assertEqual(log, ["weir", "peer", "peer", "weir"])
        self.assertEqual([one["first"] for one in found["repetitions"]], ["weir", "peer"])

    def test_flaw_of_either(self):
        """Whoever is first spares the other its half; nobody is first twice."""
        found, log, told = self.run_pair(flawed="weir", wait=0.5)
        self.assertEqual(log, ["weir", "peer", "weir"] * 2)
        self.assertEqual((found["kept"], found["discarded"]), (0, 4))
        self.assertTrue(told[1].startswith("  1: 10.00 Mpps 100 cycles against –"), told[1])

    def test_calibration(self):
        """The middle one of the quiet intervals, of each side for itself."""
        lanes = {("weir", Shape(), 0): Lane("weir", []), ("peer", Shape(), 0): Lane("peer", [])}
        near = types.SimpleNamespace(limit=60, trip=lambda: 40)
        mpps = iter([9.0, 5.0, 20.0, 6.0, 10.0, 1.0])
        with unittest.mock.patch.object(measure, "measure", lambda *_: interval(mpps=next(mpps))):
            found = measure.Run(lanes, near).calibrate(pair(), [1.0])
        self.assertEqual(found, [10e6, 5e6])

    def test_offers_less(self):
        """What a side does not carry is offered to neither again."""
        found, log, _ = self.run_pair(flawed="weir", mpps=8.0)
        self.assertEqual([one["offered"] for one in found["repetitions"]], [7.6e6, 7.6e6])
        self.assertEqual(log, ["weir", "peer", "weir", "weir", "peer"])
        self.assertEqual(found["why_discarded"], {"offered load not carried": 1})

    def test_a_moment_is_no_measure(self):
        """A side that carried next to nothing was held up: little less is offered then."""
        offered = []
        repetition_of = measure.Run.repetition

        def noted(run, pair, rate, *rest, **more):
            offered.append(rate)
            return repetition_of(run, pair, rate, *rest, **more)
        with unittest.mock.patch.object(measure.Run, "repetition", noted):
            found, _, _ = self.run_pair(flawed="weir", mpps=2.0)
        self.assertEqual(found["why_discarded"], {"offered load not carried": 4})
        self.assertEqual([round(rate) for rate in offered], [9000000] + [7200000] * 3)

    def test_nothing_came_through(self):
        """One interval without a packet discards a repetition, and not the pair."""
        lanes = {("weir", Shape(), 0): Lane("weir", []), ("peer", Shape(), 0): Lane("peer", [])}
        near, told = types.SimpleNamespace(limit=60, trip=lambda: 40), []
        outcomes = iter([Nothing("none")] + [interval()] * 2 * measure.CALIBRATIONS
                        + [Nothing("the reason")] + [interval()] * 8)

        def made_up(*_):
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        with unittest.mock.patch.object(measure, "measure", made_up):
            found = measure.Run(lanes, near, repetitions=2, most=3, tell=told.append).pair(pair())
        self.assertEqual((found["kept"], found["why_discarded"]), (2, {NOTHING: 1}))
        self.assertIn("weir: the reason", told[1])
        with unittest.mock.patch.object(measure, "measure", unittest.mock.Mock(side_effect=Nothing("x"))):
            with self.assertRaises(Nothing):
                measure.Run(lanes, near).calibrate(pair(), [1.0])

    def test_follows_the_state(self):
        """What is offered is a share of what both have just carried, not of the calibration's."""
        rates = iter([5.0, 5.0] * measure.CALIBRATIONS + [10.0, 9.0, 10.0, 9.0, 10.0, 9.0, 10.0, 9.0])
        lanes = {("weir", Shape(), 0): Lane("weir", []), ("peer", Shape(), 0): Lane("peer", [])}
        near = types.SimpleNamespace(limit=60, trip=lambda: 40)
        run = measure.Run(lanes, near, repetitions=2, most=2)
        with unittest.mock.patch.object(measure, "measure", lambda *_: interval(mpps=next(rates))):
            found = run.pair(pair())
        self.assertEqual([one["offered"] for one in found["repetitions"]], [4.5e6, 9e6])

    def test_refused(self):
        """Latency is not judged by those that were let through, and nothing is calibrated anew for it."""
        found, log, _ = self.run_pair("p50", "peer", refused=0.05)
        self.assertEqual(found["why_discarded"], {"offered load not carried": 4})
        self.assertEqual(log, ["weir", "peer", "peer"] * 2)
        found, _, _ = self.run_pair("cycles", "peer", refused=0.05)
        self.assertEqual((found["kept"], found["weir_refused"], found["peer_refused"]), (2, 0.0, 0.05))


class Judging(unittest.TestCase):
    def result(self, kept, *marks, **more):
        return measure.result(pair(*marks, **more), kept, {}, [1e7, 1e7], 0, 5)

    def test_ratio_within_repetitions(self):
        """The median of the ratios, not the ratio of the medians."""
        kept = [repetition(*one) for one in ((100.0, 200.0), (300.0, 400.0), (500.0, 2000.0))]
        self.assertAlmostEqual(measure.result(pair(), kept, {}, None, 0, 3)["ratio"], 0.5)

    def test_marks(self):
        kept = [repetition()] * 5
        self.assertTrue(self.result(kept, Mark("cycles", 0.5))["met"])
        self.assertIs(self.result(kept, Mark("cycles", 0.49))["met"], False)
        self.assertIs(self.result(kept, Mark("cycles", 0.5), Mark("mpps", 2.0, least=True))["met"], False)
        self.assertIsNone(self.result(kept)["met"])

    def test_close(self):
        """The median judges, and the quartiles tell how surely."""
        kept = [repetition(value, 1000.0) for value in (460.0, 480.0, 490.0, 510.0, 900.0)]
        marks = self.result(kept, Mark("cycles", 0.5), Mark("cycles", 0.6), Mark("cycles", 0.4))["marks"]
        self.assertEqual([(mark["met"], mark["close"]) for mark in marks],
                         [(True, True), (True, False), (False, False)])
        self.assertEqual([report.close([mark], mark["met"]) for mark in marks], [" (close)", "", ""])
        self.assertEqual(report.close(marks, False), "")
        self.assertEqual(report.close(marks[:2], True), " (close)")

    def test_saturated(self):
        """Cycles at full speed are judged by themselves; those at the same load stand beside them."""
        def half(fast, slow):
            return Half(interval(fast), interval(slow))
        kept = [Repetition(1e6, [40, 40, 40], half(100.0, 600.0), half(1000.0, 1000.0))] * 5
        found = self.result(kept, Mark("cycles_saturated", 0.15))
        self.assertEqual((found["met"], found["ratio"], found["ratios"]["cycles_saturated"]), (True, 0.6, 0.1))
        self.assertEqual(report.at_full_speed([found]), [found])
        self.assertEqual(report.both_loads(found)[2:], ["100", "1000", "0.10", "10.0", "10.0",
                                                        "600", "1000", "0.60", "10.0", "10.0"])
        self.assertEqual(report.at_full_speed([self.result(kept, Mark("cycles", 0.15))]), [])

    def test_too_few(self):
        found = self.result([repetition()] * 4, Mark("cycles", 0.5))
        self.assertIsNone(found["met"])
        self.assertEqual(found["marks"][0]["value"], 0.5)
        self.assertIsNone(self.result([], Mark("cycles", 0.5))["ratio"])

    def test_latency(self):
        halves = [Half(None, interval(p50=value)) for value in (4.0, 5.0)]
        found = self.result([Repetition(1e6, [40, 40, 40], *halves)] * 5, Mark("p50", 1.0), main="p50")
        self.assertAlmostEqual(found["ratio"], 0.8)
        self.assertEqual((found["bottleneck"], found["weir_mpps"], found["met"]),
                         ("offered load", 10.0, True))

    def test_hidden_work(self):
        """CPU time counts where the switch is saturated."""
        kept = [repetition(busy=0.98)] * 5
        self.assertEqual([mark["what"] for mark in self.result(kept)["marks"]], ["cpu_ratio"])
        self.assertEqual(self.result([repetition()] * 5)["marks"], [])

    def test_bottleneck(self):
        self.assertEqual(interval().bottleneck(), "generator")
        self.assertEqual(interval(busy=0.98).bottleneck(), "both")


class Combining(unittest.TestCase):
    def test_counters(self):
        said = {"seconds": 0.5, "sent": 1000, "received": 990, "relayed": 0, "refused": 0, "misordered": 0,
                "corrupt": 0, "bytes": 63360, "mpps": 0.00198, "gbps": 0.001, "burst": 8.0, "busy": 0.4,
                "latency_us": {}}

        def counters(packets, cycles, cpu, wait, at, drops):
            return types.SimpleNamespace(packets=packets, busy_cycles=cycles, tsc_hz=10 ** 9, bursts=None,
                                         cpu_ns=cpu, wait_ns=wait, at=at, drops=drops, misses=0)
        before = counters(0, 0, 0, 0, 0.0, {"a": 1})
        after = counters(1000, 100000, 110000, 5000000, 0.5, {"a": 1, "b": 10})
        found = combine(said, before, after, (0, 10000000))
        self.assertEqual((found.burst, found.drops), (8.0, {"b": 10}))
        self.assertAlmostEqual(found.lost, 0.01)
        # Of packets delivered.
        self.assertAlmostEqual(found.cycles, 100000 / 990)
        self.assertAlmostEqual(found.cpu_ratio, 1.1)
        self.assertAlmostEqual(found.wait, 0.02)
        self.assertAlmostEqual(found.cycles_per_byte, 100000 / 990 / 64)

        # In a chain of four the switch takes each packet five times.
        after.packets = 5000
        found = combine(said | {"received": 1000, "relayed": 4000}, before, after, (0, 10000000), 4)
        self.assertAlmostEqual(found.cycles, 100000 / 1000)
        self.assertTrue(found.walked)
        self.assertFalse(combine(said | {"relayed": 3000}, before, after, (0, 10000000), 4).walked)

    def test_nothing(self):
        """The failure names who was idle."""
        said = {"seconds": 0.5, "sent": 0, "received": 0, "refused": 7}
        before = types.SimpleNamespace(packets=5, cpu_ns=0, at=1.0, drops={"a": 1})

        def why(sent, ran, cpu):
            after = types.SimpleNamespace(packets=5, busy_cycles=0, cpu_ns=cpu * 1e9, at=1.5, drops={"a": 3})
            before.busy_cycles = 0
            with self.assertRaises(Failure) as caught:
                combine(said | {"sent": sent}, before, after, (ran * 1e9, 0))
            return str(caught.exception)
        self.assertIn("the generator hardly got its CPU", why(0, 0.05, 0.5))
        self.assertIn("the switch hardly got its CPU", why(0, 0.5, 0.01))
        self.assertIn("passed none of what was sent", why(96, 0.5, 0.5))
        self.assertIn("frames that the switch had lost", why(0, 0.5, 0.5))
        self.assertIn("{'a': 3}", why(0, 0.5, 0.5))


class Warming(unittest.TestCase):
    def test_nothing_moves(self):
        """A side through which nothing has passed yet is not warm."""
        packets = iter([0, 0, 0, 1000, 2000])
        side = types.SimpleNamespace(counters=lambda: types.SimpleNamespace(packets=next(packets), misses=0))
        self.assertEqual(warm_up(side).packets, 1000)

    def test_slow_path(self):
        """It goes on until the slow path sees next to nothing."""
        side = types.SimpleNamespace(misses=[0, 500, 900, 900, 900], asked=0)

        def counters():
            side.asked += 1
            return types.SimpleNamespace(packets=1000 * side.asked, misses=side.misses[side.asked - 1])
        side.counters = counters
        warm_up(side)
        self.assertEqual(side.asked, 4)


class Planning(unittest.TestCase):
    def test_two_of_one_kind(self):
        """Weir beside itself is two lanes."""
        for one in plan(CASES, lambda name: True):
            self.assertNotEqual(one.keys[0], one.keys[1], one.name())

    def test_absent_peers(self):
        self.assertEqual({one.keys[1][0] for one in plan(CASES, lambda name: False)}, {"weir"})


if __name__ == "__main__":
    unittest.main()
