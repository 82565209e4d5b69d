"""Which instance of a hop each connection visits, before and after one of them is taken out of the chain.

The generator's network functions note the flows that they see, of both directions (bench/load/relay.h). So
nothing of this is by the switch's own account.
"""
import collections
import time

from . import chains_cases as plan, report
from .cases import Shape, Traffic
from .chaining import Chain
from .lanes import Lane
from .tracking import Tracking
from weirvm.procs import Failure

RATE = 200_000          # frames a second
LOOK = 0.1              # seconds
PATIENCE = 30
SHAPE = Shape(tracking=Tracking(), chain=Chain(1, instances=plan.INSTANCES))


class Visits:
    """What the lane's network functions see of so many flows."""

    def __init__(self, lane, flows, rate=RATE):
        self.lane = lane
        self.traffic = Traffic(flows=flows)
        self.rate = rate

    def begin(self, directions):
        self.lane.load.start(**self.traffic._replace(directions=directions).words(), rate=self.rate, visits=True)

    def seen(self, directions):
        """Bits of each flow, when each must have been seen both ways."""
        self.lane.load.visits()
        self.lane.load.mark()
        found, end, received = [0] * self.traffic.flows, time.monotonic() + PATIENCE, 0
        while received < 2 * directions * self.traffic.flows or not all(found):
            if time.monotonic() > end:
                raise Failure(f"{found.count(0)} of {len(found)} connections visited nothing for {PATIENCE} s")
            time.sleep(LOOK)
            found = [one | more for one, more in zip(found, self.lane.load.visits())]
            received += self.lane.load.mark()["received"]
        return found

    def connections(self):
        """{flow: its instance} of connections that their clients have begun; they go on."""
        self.begin(1)
        self.seen(1)
        self.lane.load.stop()
        self.begin(2)
        return self.instances()

    def instances(self):
        found = self.seen(2)
        several = sum(bits & (bits - 1) != 0 for bits in found)
        if several:
            raise Failure(f"{several} connections visited more than one instance")
        return [bits.bit_length() - 1 for bits in found]


def shares(instances, count):
    seen = collections.Counter(instances)
    return [seen[one] / len(instances) for one in range(count)]


def moved(lane, flows=plan.MOVED_FLOWS, rate=RATE):
    """Figures; the last instance is removed while connections run."""
    instances = lane.shape.chain.instances
    visits, removed = Visits(lane, flows, rate), instances - 1
    before = visits.connections()
    lane.side.leave_out((removed,))
    after = visits.instances()
    lane.load.stop()
    lane.side.forget_connections()
    anew = visits.connections()
    lane.load.stop()
    theirs = sum(one == removed for one in before)
    return {
        "connections": flows,
        "shares": shares(before, instances),
        "of_removed": theirs,
        "running_moved": sum(one != two for one, two in zip(before, after)) / flows,
        "running_others_moved": sum(one != two for one, two in zip(before, after) if one != removed),
        "new_moved": sum(one != two for one, two in zip(before, anew)) / flows,
        "new_others_moved": sum(one != two for one, two in zip(before, anew) if one != removed),
        "left": sum(one == removed for one in after + anew),
    }


def marks(figures):
    """[{text, value, met}]"""
    both = max(figures["running_moved"], figures["new_moved"])
    others = figures["running_others_moved"]
    return [{"text": f"connections moved ≤ 1/{plan.INSTANCES} + 2 %", "value": report.percent(both, 2),
             "met": both <= plan.MOVED and not figures["left"]},
            {"text": "of running ones none but those of the one removed", "value": str(others), "met": not others}]


def run(bench):
    """One object of the results."""
    found = {"case": plan.MOVED_NAME, "commit": report.commit()}
    try:
        with Lane(bench, "weir", SHAPE) as lane:
            figures = moved(lane)
    except Failure as error:
        return found | {"error": str(error)}
    return found | {"figures": figures, "marks": marks(figures)}


def line(found):
    if "error" in found:
        return f"{found['case']}: failed: {found['error']}"
    judged = "; ".join(f"{mark['text']}: {mark['value']}, {'met' if mark['met'] else 'missed'}"
                       for mark in found["marks"])
    return f"{found['case']}: {text(found['figures'])}; {judged}"


def text(figures):
    low, high = min(figures["shares"]), max(figures["shares"])
    return (f"{figures['connections']:,} connections, of which each instance had {report.percent(low, 1)} to "
            f"{report.percent(high, 1)}, and the one removed {figures['of_removed']}. Of running connections "
            f"{report.percent(figures['running_moved'], 2)} moved, {figures['running_others_moved']} of them from others; "
            f"of the same ones begun anew {report.percent(figures['new_moved'], 2)}, "
            f"{figures['new_others_moved']} from others")
