"""The logic of windows, on arrivals that are made up."""
import unittest

from . import rates_cases as plan
from .rates_recording import BUCKET_US, FINE_US, HASTY, HASTY_WINDOW, Recording, delays
from .rates_windows import errors, jain, mean_seconds, off, short_seconds, turned

BUCKET = 0.001


def seen(amounts, target, seconds=0.010, one=0.0, late=None):
    return errors(amounts, BUCKET, seconds, target, one, late or {})


class Windows(unittest.TestCase):
    def test_lengths(self):
        self.assertEqual(mean_seconds(1000), 1)
        self.assertEqual(mean_seconds(100), 5)
        self.assertEqual(short_seconds(100_000), 0.010)
        self.assertEqual(short_seconds(100), 0.5)

    def test_exact(self):
        found = seen([100] * 50, 100_000)
        self.assertEqual((found.windows, found.worst), (41, 0))

    def test_missed(self):
        found = seen([99] * 50, 100_000)
        self.assertAlmostEqual(found.median, -0.01)
        self.assertAlmostEqual(found.worst, 0.01)

    def test_one_frame_is_allowed(self):
        """Ten frames of 100 are due in a window; nine and eleven are no error, twelve are one too many."""
        self.assertEqual(off(900, 1000, 100), 0)
        self.assertEqual(off(1100, 1000, 100), 0)
        self.assertAlmostEqual(off(1200, 1000, 100), 0.1)
        self.assertAlmostEqual(off(800, 1000, 100), -0.1)

    def test_a_stall_is_one_bad_window_in_ten(self):
        amounts = [100] * 200
        amounts[100], amounts[101] = 0, 200
        found = seen(amounts, 100_000)
        self.assertEqual((found.median, found.p90), (0, 0))
        self.assertAlmostEqual(found.worst, 0.1)

    def test_late_looks_spoil_their_windows_only(self):
        amounts = [100] * 50
        amounts[19], amounts[20] = 50, 150
        found = seen(amounts, 100_000, late={20: 0.0006, 30: 0.00001})
        self.assertEqual((found.spoiled, found.worst), (2, 0))
        self.assertGreater(seen(amounts, 100_000).worst, 0)

    def test_nothing_counts(self):
        self.assertIsNone(seen([100] * 5, 100_000))


def recorded(amounts, began_s, ended_s, bucket_us=BUCKET_US):
    """What arrived from one moment to another, of bytes in each bucket."""
    stream = {"bytes": amounts, "frames": amounts}
    arrivals = {"bucket_s": bucket_us / 1e6, "start_ns": 0, "gaps_us": [], "streams": [stream]}
    return Recording({"lost": 0, "arrivals": arrivals}, round(began_s * 1e9), round(ended_s * 1e9), None, None)


class Recordings(unittest.TestCase):
    def test_a_hasty_one_is_judged(self):
        """A window is shorter than what is left of it when the buckets at its ends are cut off."""
        seen = recorded([100] * 1000, 0.3003, 0.3003 + HASTY)
        self.assertLess(seen.seconds, HASTY)
        self.assertIsNotNone(errors(seen.amounts("bytes"), seen.bucket, HASTY_WINDOW, 100_000, 0, seen.late))


class Delays(unittest.TestCase):
    """In buckets of 0.1 ms: 6250 bytes are the slow pace and 25000 the fast one."""
    FAST, SLOW = [25000], [6250]

    def figures(self, amounts):
        """Of a request for the fast pace 10.02 ms after the begin, and one for the slow pace 10 ms later."""
        fast, slow = max(plan.PACES), min(plan.PACES)
        seen = recorded(amounts, 0.005, 0.02955, FINE_US)
        return delays(seen, [(10_020_000, 10_100_000, fast), (20_020_000, 20_100_000, slow)])

    def test_to_the_end_of_a_bucket(self):
        found = self.figures(self.SLOW * 103 + self.FAST * 100 + self.SLOW * 97)
        self.assertAlmostEqual(found["worst_ms"], 0.38)
        self.assertEqual(found["changes"], 2)

    def test_what_comes_behind_the_next_request_is_too_late(self):
        found = self.figures(self.SLOW * 210 + self.FAST * 10 + self.SLOW * 80)
        self.assertAlmostEqual(found["worst_ms"], 9.98)

    def test_the_last_never_takes_effect(self):
        found = self.figures(self.SLOW * 103 + self.FAST * 197)
        self.assertAlmostEqual(found["worst_ms"], 9.38)


class Fairness(unittest.TestCase):
    def test_jain(self):
        self.assertEqual(jain([5, 5, 5]), 1)
        self.assertAlmostEqual(jain([1, 0, 0, 0]), 0.25)


class Turn(unittest.TestCase):
    def test_up_and_down(self):
        amounts = [5] * 20 + [20] * 20 + [5] * 20
        self.assertEqual(turned(amounts, 10, 5, 20), 20)
        self.assertEqual(turned(amounts, 30, 20, 5), 40)
        self.assertIsNone(turned(amounts[:20], 0, 5, 20))

    def test_a_burst_is_no_turn(self):
        amounts = [5] * 10 + [20] + [5] * 9 + [20] * 20
        self.assertEqual(turned(amounts, 5, 5, 20), 20)


class Cases(unittest.TestCase):
    def test_names_differ(self):
        names = [case.name for case in plan.CASES]
        self.assertEqual(len(names), len(set(names)))

    def test_bytes_of_frames(self):
        """As the segments that they will be, each with its header."""
        self.assertEqual(plan.counted_bytes("tso"), 45 * (1448 + 54))
        self.assertEqual(round(plan.mean_bytes("imix")), 354)
