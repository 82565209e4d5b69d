"""What is said of results, and of machines that lack something; on figures that are made up."""
import os
import tempfile
import unittest
import unittest.mock

from . import hugepages, page_tracking, report, trials
from .hugepages import HugePages, Unavailable
from .test_measure import Half, Judging, Mark, Repetition, interval


class BothLoads(unittest.TestCase):
    def test_page(self):
        """It says how far the ratio at the same load is from the judged one, and why."""
        halves = [Half(interval(100.0, mpps=15.0), interval(600.0)), Half(interval(1000.0, mpps=1.0), interval(1000.0))]
        halves[0].paced.burst = 1.1
        found = Judging().result([Repetition(1e6, [40, 40, 40], *halves)] * 5, Mark("cycles_saturated", 0.15))
        text = " ".join(page_tracking.at_both_loads([found]).split())
        self.assertIn("at the load that Open vSwitch carries it is **0.60**", text)
        self.assertIn("carries 0.07 of what Weir does", text)
        self.assertIn("one by one (bursts of 1.1)", text)
        self.assertEqual(page_tracking.at_both_loads([]), "")


class Trials(unittest.TestCase):
    def result(self, met):
        return {"trial": "a trial", "side": "weir", "about": "of something", "mark": "no loss", "met": met,
                "judged": "lost", "figures": {"lost": 3, "ms": 2.5, "sent": 1234567}}

    def test_words(self):
        self.assertEqual(trials.line(self.result(False)), "a trial / weir: lost 3, ms 2.5, sent 1,234,567; "
                         "no loss: missed")
        self.assertTrue(trials.line(self.result(None)).endswith("no loss: not judged"))
        self.assertEqual(page_tracking.trial_rows([self.result(True)]), [["a trial", "–", "no loss", "3 lost", "met"]])
        self.assertIn("|  | lost | ms | sent |\n| --- | --- | --- | --- |\n| weir | 3 | 2.5 | 1,234,567 |\n",
                      page_tracking.trials([self.result(True)]))

    def test_failed(self):
        found = {"trial": "a trial", "side": "weir", "about": "", "mark": "no loss", "error": "a reason\nand more"}
        self.assertEqual(page_tracking.trial_rows([found]), [])
        self.assertIn("weir failed: a reason\n", page_tracking.trials([found]))

    def test_room(self):
        def kept(rate, refused):
            return trials.room_kept({"offered per second": 1000, "conversations per second": rate,
                                     trials.REFUSED: refused})
        self.assertEqual([kept(950, 0), kept(949, 0), kept(100, 1)], [True, None, False])

    def test_chosen(self):
        names = [trials.name(*one) for one in trials.chosen(lambda side: False, lambda name: "minute" in name)]
        self.assertEqual(names, ["TCP conversations, a minute / weir"])


class Pages(unittest.TestCase):
    """A kernel that is a file and a dict."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "nr_hugepages")
        with open(self.path, "w") as file:
            file.write("7\n")
        self.most = 1 << 20

        def figure(name):
            total = min(self.total(), self.most)
            return {"HugePages_Total": total, "HugePages_Free": total - 2, "Hugepagesize": 2048}[name]
        for name, value in (("RESERVED", self.path), ("figure", figure)):
            patch = unittest.mock.patch.object(hugepages, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def total(self):
        with open(self.path) as file:
            return int(file.read())

    def test_given_back(self):
        pages = HugePages(*hugepages.of_switch(1 << 20))
        self.assertEqual(self.total(), 7 - 5 + 128 + 128)
        pages.close()
        self.assertEqual(self.total(), 7)

    def test_unavailable(self):
        self.most = 100
        with self.assertRaises(Unavailable):
            HugePages(*hugepages.of_switch(1 << 20))
        self.assertEqual(self.total(), 7)
        os.unlink(self.path)
        with self.assertRaises(Unavailable):
            HugePages(*hugepages.of_switch(1 << 20))

    def test_left_out(self):
        one = {"case": "a case", "peer": "a peer", "error": "no huge pages", "left_out": True}
        self.assertEqual((report.verdict(one), report.row(one)[2]), ("left out", "left out: no huge pages"))


if __name__ == "__main__":
    unittest.main()
