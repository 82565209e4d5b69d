"""What of chains is measured, and what it has to come to: data only."""
from .cases import Case, Mark, Rival, Shape, Traffic, plan
from .chaining import Chain
from .tracking import Tracking

OVS = "ovs-chain"
PEERS = (OVS,)
PLAIN = "weir, no chain"
IN_VMS = "weir, 4 hops in VMs"

HOPS = (1, 2, 4, 8)
FLOWS = (1, 1000)
HOP = 1.1               # of plain tracked forwarding
LINEAR = 1.1            # the dearest hop over the cheapest
BESIDE_OVS = 1 / 3
INSIDE = 0.25
HUGE = ", huge pages"   # a guest has thousands of buffers, each on a page of its own where these are small
INSTANCES = 8
MOVED = 1 / INSTANCES + 0.02
MOVED_FLOWS = 8000      # so that one standard deviation of an instance's share is 0.4 %
MOVED_NAME = f"{INSTANCES} instances, one removed"


def many(number, word):
    return f"{number:,} {word}{'s' if number > 1 else ''}"


def shape(chain=None, huge=False):
    """huge: the guests' memory is, and nobody else's."""
    return Shape(tracking=Tracking(), chain=chain, huge_guests=huge, hugepages="off" if huge else "")


def series(flows, huge):
    """The name of cases that differ by their hops."""
    return many(flows, "connection") + (HUGE if huge else "")


def in_vms(hops, flows, huge=False):
    traffic = Traffic(flows=flows)
    return Case(f"{many(hops, 'hop')}, {series(flows, huge)}",
                f"{many(hops, 'two-armed NF')} beside none; {many(flows, 'UDP connection')}, 64 B, both ways"
                + (", guests' memory on huge pages" if huge else ""),
                traffic, shape(Chain(hops), huge), rival=Rival(PLAIN, traffic, shape(huge=huge)),
                main="cycles_saturated", rival_marks=(Mark("cycles_saturated", HOP, hops=hops),),
                peers={OVS: (Mark("cycles_saturated", BESIDE_OVS),)} if hops == 4 else {})


def inside(flows):
    traffic = Traffic(flows=flows)
    return Case(f"4 hops inside, {many(flows, 'connection')}",
                f"four groups of Weir's own in place of four VMs; {many(flows, 'UDP connection')}, 64 B, both ways",
                traffic, shape(Chain(4, inside=True)), rival=Rival(IN_VMS, traffic, shape(Chain(4))),
                main="cycles_saturated", rival_marks=(Mark("cycles_saturated", INSIDE),))


# In this order each lane is started once for both numbers of connections, and ends before the last.
CASES = tuple(case for hops in HOPS for case in (
    *(in_vms(hops, flows, huge) for huge in (False, True) for flows in FLOWS),
    *((inside(flows) for flows in FLOWS) if hops == 4 else ())))


def chosen(there, wanted):
    return [pair for pair in plan(CASES, there) if wanted(pair.name())]
