"""What is made of a chain's figures, and the words for it; on figures that are made up."""
import unittest

from . import chains_cases as plan, chains_moved, chains_page
from .chaining import Chain, weir_chains, weir_ports
from .measure import Half, Repetition, result
from .test_measure import interval

NAMES = {case.name: case for case in plan.CASES}


def pair_of(name, peer=plan.PLAIN):
    return next(pair for pair in plan.chosen(lambda _: True, lambda _: True)
                if (pair.case.name, pair.peer) == (name, peer))


def found(name, cycles, plain=100.0, peer=plan.PLAIN, kept=5):
    halves = [Half(interval(at), interval(at)) for at in (cycles, plain)]
    return result(pair_of(name, peer), [Repetition(9e6, [40, 40, 40], *halves)] * kept, {}, [9e6, 9e6], 0, 5)


def of_hops(cycles, flows=1, kept=5, huge=False):
    return [found(f"{plan.many(hops, 'hop')}, {plan.series(flows, huge)}", at, kept=kept)
            for hops, at in cycles.items()]


class Hops(unittest.TestCase):
    def test_mark(self):
        """What a hop adds, not what the chain takes."""
        for cycles, met in ((539.0, True), (541.0, False)):
            mark = found("4 hops, 1 connection", cycles)["marks"][0]
            self.assertAlmostEqual(mark["value"], (cycles - 100) / 400)
            self.assertIs(mark["met"], met)

    def test_linear(self):
        even = {1: 200.0, 2: 300.0, 4: 500.0, 8: 900.0}
        self.assertEqual(chains_page.linear(of_hops(even), 1, False), (1.0, True, False))
        ratio, met, _ = chains_page.linear(of_hops(even | {8: 990.0}), 1, False)
        self.assertAlmostEqual(ratio, 890 / 800)
        self.assertFalse(met)
        self.assertIsNone(chains_page.linear(of_hops(even, kept=4), 1, False)[1])
        self.assertIsNone(chains_page.linear(of_hops({1: 200.0, 2: 300.0}), 1, False))
        self.assertIsNone(chains_page.linear(of_hops(even), 1000, False))
        both = of_hops(even | {8: 990.0}) + of_hops(even, huge=True)
        self.assertEqual([chains_page.linear(both, 1, huge)[1] for huge in (False, True)], [False, True])

    def test_others(self):
        self.assertTrue(found("4 hops inside, 1 connection", 100.0, 450.0, plan.IN_VMS)["marks"][0]["met"])
        self.assertFalse(found("4 hops, 1 connection", 500.0, 1400.0, plan.OVS)["marks"][0]["met"])


class Moved(unittest.TestCase):
    FIGURES = {"connections": 800, "shares": [0.125] * 8, "of_removed": 100, "running_moved": 0.125,
               "running_others_moved": 0, "new_moved": 0.125, "new_others_moved": 0, "left": 0}

    def verdicts(self, **other):
        return [mark["met"] for mark in chains_moved.marks(self.FIGURES | other)]

    def test_marks(self):
        self.assertEqual(self.verdicts(), [True, True])
        self.assertEqual(self.verdicts(new_moved=0.146), [False, True])
        self.assertEqual(self.verdicts(running_others_moved=1), [True, False])
        self.assertEqual(self.verdicts(left=1), [False, True])


class Words(unittest.TestCase):
    def test_page(self):
        moved = {"case": plan.MOVED_NAME, "figures": Moved.FIGURES, "marks": chains_moved.marks(Moved.FIGURES)}
        text = "\n".join(chains_page.lines(of_hops({1: 200.0, 2: 300.0, 4: 500.0, 8: 900.0}), moved))
        self.assertIn("the dearest hop ≤ 1.1 × the cheapest", text)
        self.assertIn("12.50 %", text)
        self.assertNotIn("missed", text)

    def test_chains(self):
        chains, groups = weir_chains(Chain(2, instances=2), without=(1,))
        self.assertEqual([hop["instances"] for hop in chains["chain"]["hops"]],
                         [[{"left": "vm2", "right": "vm3"}], [{"left": "vm6", "right": "vm7"}]])
        self.assertEqual(weir_ports(Chain(1)), {"vm2": {"nf": True}, "vm3": {"nf": True}})
        self.assertEqual(groups, {})
        chains, groups = weir_chains(Chain(2, one_armed=True))
        self.assertEqual([hop["instances"] for hop in chains["chain"]["hops"]], [[{"port": "vm2"}], [{"port": "vm3"}]])
        chains, groups = weir_chains(Chain(1, inside=True))
        self.assertEqual([hop["groups"] for hop in chains["chain"]["hops"]], [list(groups)])
