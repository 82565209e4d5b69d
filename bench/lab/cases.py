"""What is measured, and what it has to come to: data only. The table of marks is the one that Weir's
design set itself; a case says who is compared, the marks what of the comparison is judged."""
import dataclasses
from typing import NamedTuple

from .chaining import Chain
from .tracking import TABLE, Tracking

# Of an interval, in which a polling thread was ready to run and did not. What the kernel's own threads take
# of a CPU without anybody's doing is 1 to 2 %; and that is how much it can add to a figure.
WAIT_MAX = 0.04

# What is offered to both, as a share of the saturated rate of the slower of the two.
LOAD = 0.9


class Mark(NamedTuple):
    """`what` of Weir over `what` of the peer, at most (or at least) `limit`."""
    what: str           # a key of a repetition's figures: see measure.py
    limit: float
    least: bool = False
    hops: int = 0       # what each of so many hops adds to the peer is judged, as a share of the peer

    def of(self, ratio):
        return (ratio - 1) / self.hops if self.hops else ratio

    def met(self, value):
        return value >= self.limit if self.least else value <= self.limit

    def text(self):
        what = NAMES[self.what] + (", what a hop adds" if self.hops else "")
        return f"{what} {'≥' if self.least else '≤'} {self.limit:.3g} ×"


NAMES = {
    "cycles": "cycles",
    "cycles_saturated": "cycles while saturated",
    "cycles_per_byte": "cycles per byte",
    "mpps": "packets per second",
    "p50": "p50",
    "cpu_ratio": "CPU",
}


class Traffic(NamedTuple):
    """What the generator sends; flows and macs are those behind each port."""
    frame: object = 64              # bytes, "imix" or "tso"
    directions: int = 2
    flows: int = 1
    macs: int = 1
    proto: str = "udp"
    order: str = "round-robin"
    conversations: int = 0          # open at once: complete TCP conversations instead of a stream

    def words(self):
        """What the generator is told."""
        words = self._asdict()
        if self.conversations:
            return {name: words[name] for name in ("conversations", "directions")}
        del words["conversations"]
        return words


class Shape(NamedTuple):
    """What a lane is set up for. Cases of one shape share their lanes."""
    tso: bool = False
    jumbo: bool = False
    macs: int = 1                   # the most addresses behind one port
    idle: int = 0                   # connected ports beside the two that are busy
    nic: bool = False               # the second port is net_af_packet on a veth
    tracking: Tracking = None       # connections
    hugepages: str = ""             # Weir's switch.hugepages; "": the default. "required": reserved for it
    pairs: int = 1                  # of busy ports
    chain: Chain = None             # of network functions between the ports
    huge_guests: bool = False       # the generator's memory is on huge pages
    backlog: int = 0                # ports more whose VMs always have something to send to the second one

    def text(self):
        words = [word for word, there in (("TSO", self.tso), ("MTU 9000", self.jumbo),
                                          ("a port and net_af_packet", self.nic)) if there]
        words += [f"{self.macs} addresses behind each port"] if self.macs > 1 else []
        words += [f"{self.idle + 2} ports"] if self.idle else []
        words += [f"{2 * self.pairs} ports"] if self.pairs > 1 else []
        words += [f"{self.backlog} senders"] if self.backlog else []
        words += [self.tracking.text()] if self.tracking else []
        words += [self.chain.text()] if self.chain else []
        words += [f"hugepages: {self.hugepages}"] if self.hugepages else []
        words += ["guests on huge pages"] if self.huge_guests else []
        return ", ".join(words) or "two ports"


class Rival(NamedTuple):
    """Weir's other self, for a case that compares it with itself."""
    label: str
    traffic: Traffic
    shape: Shape


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    about: str
    traffic: Traffic
    shape: Shape = Shape()
    peers: dict = dataclasses.field(default_factory=dict)      # {name of a side: (marks)}
    rival: Rival = None
    rival_marks: tuple = ()
    main: str = "cycles"            # the figure whose ratio stands in the result's `ratio`
    load: float = LOAD
    wait_max: float = WAIT_MAX


class Trial(NamedTuple):
    """What a switch is asked to do for a while, alone and not by turns; its figures stand for themselves."""
    name: str
    about: str
    kind: str                   # of trials.KINDS
    tracking: Tracking
    mark: str = ""              # of Weir
    traffic: Traffic = None
    sides: tuple = ("weir",)
    seconds: int = 0
    load: float = 0             # as a share of the saturated rate


class Pair(NamedTuple):
    """Weir in a case and what it is compared with: two lanes, two loads."""
    case: Case
    peer: str                   # what the result calls it
    keys: tuple                 # of the two lanes: (side, shape, number)
    traffic: tuple              # of Weir, of the peer
    marks: tuple

    def name(self):
        return f"{self.case.name} / {self.peer}"


# What only moves packets and switches nothing is the floor.
FLOOR = "testpmd"
NORMAL = "ovs-normal"
PORT = "ovs-port"
CT = "ovs-ct"
PEERS = (FLOOR, PORT, NORMAL, CT)

# All CPU time of the switch over its busy cycles, while it is saturated: nothing is hidden in other
# threads, nor in rounds that count as idle.
CPU_RATIO = 1.15
# Of what does not change: the noise of a repetition.
UNCHANGED = 1.03
# A switch is saturated when this share of its time is busy; so is the generator.
SATURATED = 0.97


def cycles(limit):
    return (Mark("cycles", limit),)


def at_full_speed(limit):
    """Beside a peer that carries so little that Weir, at its load, takes packets one by one."""
    return (Mark("cycles_saturated", limit),)


def latency(percent):
    return Case(
        f"latency, {percent} % load",
        f"one way, 64 B in both directions, {percent} % of the capacity of the slower of the two",
        Traffic(), peers={FLOOR: (Mark("p50", 1.0),)}, main="p50", load=percent / 100)


def tracked(name, flows, floor, ct, table=TABLE, frame=64, about=""):
    """Connections that are all established, allowed by a group; the two directions of one are far apart
    in time where there are many."""
    return Case(name, about or f"{flows:,} UDP connections, both ways, scattered", Traffic(frame, flows=flows),
                Shape(tracking=Tracking(table)), peers={FLOOR: cycles(floor), CT: at_full_speed(ct) if ct else ()})


def beside_few_rules(name, about, traffic, tracking, *marks):
    """Weir with many rules beside itself with two."""
    few = Shape(tracking=Tracking(tracking.connections))
    return Case(name, about, traffic, Shape(tracking=tracking), rival=Rival("weir, 2 rules", traffic, few),
                rival_marks=marks)


def on_huge_pages(name, flows):
    """The same room for both, so that they share their lanes."""
    traffic = Traffic(flows=flows)
    huge, ordinary = (Shape(tracking=Tracking(MILLION), hugepages=word) for word in ("required", "off"))
    return Case(name, f"{flows:,} UDP connections; packet buffers and connection table on huge pages beside "
                "ordinary ones", traffic, huge, rival=Rival("weir, ordinary pages", traffic, ordinary))


MANY = Traffic(flows=10000, macs=5000)
KNOWN = Shape(macs=5000)
MILLION = 1 << 20       # connections in the table
TRACKED = Shape(tracking=Tracking())
THOUSAND = Traffic(flows=1000)
# Each conversation leaves an entry behind for the second of its TIME_WAIT.
TALK = Traffic(conversations=1000, directions=1)
TALKING = Shape(tracking=Tracking(MILLION))

CASES = (
    Case("64 B, one way", "from one VM to another", Traffic(directions=1),
         peers={FLOOR: cycles(0.5), NORMAL: cycles(0.33), PORT: ()}),
    Case("64 B, both ways", "two VMs, each to the other", Traffic(),
         peers={FLOOR: cycles(0.5), NORMAL: cycles(0.33), PORT: ()}),
    Case("256 B, both ways", "", Traffic(256), peers={FLOOR: (), NORMAL: ()}),
    Case("1500 B, one way", "", Traffic(1500, directions=1),
         peers={FLOOR: (*cycles(0.5), Mark("mpps", 2.0, least=True)), NORMAL: ()}),
    Case("1500 B, both ways", "", Traffic(1500),
         peers={FLOOR: (*cycles(0.5), Mark("mpps", 2.0, least=True)), NORMAL: ()}),
    Case("IMIX, both ways", "64, 576 and 1500 B, 7 : 4 : 1", Traffic("imix"),
         peers={FLOOR: cycles(0.6), NORMAL: ()}),
    Case("9000 B, both ways", "MTU 9000 on both sides", Traffic(9000), Shape(jumbo=True),
         peers={FLOOR: (), NORMAL: ()}),
    Case("64 KiB TSO, both ways", "unsegmented TCP frames from VM to VM", Traffic("tso", proto="tcp"),
         Shape(tso=True), peers={FLOOR: (Mark("cycles_per_byte", 0.6),), NORMAL: ()},
         main="cycles_per_byte"),
    Case("64 B, 10,000 MACs and flows", "5,000 addresses behind each port, 10,000 flows each way",
         MANY, KNOWN, peers={NORMAL: cycles(0.25)},
         rival=Rival("weir, 2 MACs", Traffic(), KNOWN), rival_marks=cycles(1.3)),
    Case("64 B, 64 ports", "64 connected ports, 2 of them busy", Traffic(), Shape(idle=62),
         rival=Rival("weir, 2 ports", Traffic(), Shape()), rival_marks=cycles(1.25)),
    Case("64 B, 1,000,000 flows", "UDP, one address behind each port", Traffic(flows=1000000),
         peers={FLOOR: (), NORMAL: ()}),
    Case("64 B, VM and af_packet", "a VM and net_af_packet on a veth, both ways", Traffic(),
         Shape(nic=True), peers={FLOOR: (Mark("mpps", 0.95, least=True),)}),
    Case("1500 B, VM and af_packet", "a VM and net_af_packet on a veth, both ways", Traffic(1500),
         Shape(nic=True), peers={FLOOR: (Mark("mpps", 0.95, least=True),)}),
    latency(10),
    latency(50),
    tracked("64 B, 1,000 connections", 1000, 0.7, 0.15),
    tracked("64 B, 10,000 connections", 10000, 0.8, 0.15),
    tracked("64 B, 100,000 connections", 100000, 1.0, 0.16),
    tracked("64 B, 1,000,000 connections", 1000000, 1.25, 0.16, MILLION),
    tracked("1500 B, 1,000 connections", 1000, 0.6, None, frame=1500),
    on_huge_pages("100,000 connections, huge pages", 100000),
    on_huge_pages("1,000,000 connections, huge pages", 1000000),
    # Open vSwitch removes what has ended by a thread that shares the polling one's CPU here.
    Case("TCP conversations", "SYN to the last ACK, 8 segments, 1,000 at once; a polling thread may have waited "
         "10 %, by which the ratios can be too good", TALK, TALKING,
         peers={CT: (*at_full_speed(0.2), Mark("mpps", 4.0, least=True))}, wait_max=0.1),
    beside_few_rules("1,000 connections, 10,000 rules", "one group; the last of its rules allows them",
                     THOUSAND, Tracking(rules=10000), *cycles(UNCHANGED)),
    beside_few_rules("1,000 connections, 1,000 groups", "of 10 rules; the port is in 16 of them",
                     THOUSAND, Tracking(groups=1000, rules=10), *cycles(UNCHANGED)),
    beside_few_rules("TCP conversations, 10,000 rules", "one group; the last of its rules allows them",
                     TALK, Tracking(MILLION, rules=10000), Mark("mpps", 0.7, least=True)),
    beside_few_rules("TCP conversations, 1,000 groups", "of 10 rules; the port is in 16 of them",
                     TALK, Tracking(MILLION, groups=1000, rules=10), Mark("mpps", 0.7, least=True)),
)


TRIALS = (
    Trial("TCP conversations, a minute", "at the rate that fills 95 % of a table of 262,144: each leaves its entry "
          "behind for its TIME_WAIT of one second, and up to 1.25 more", "sustain", Tracking(),
          "none is refused for want of an entry", TALK, ("weir", CT), seconds=60),
    Trial("apply, 10,000 rules", "one group; weirctl apply from 2 rules to them, and once more without a change",
          "apply", Tracking(rules=10000)),
    Trial("apply, 1,000 groups", "of 10 rules, likewise", "apply", Tracking(groups=1000, rules=10)),
    Trial("an apply per second", "10,000 connections, 30 % of the saturated rate; each document adds or removes a "
          "rule, so that all connections are resolved anew", "applies", Tracking(),
          "no packet is lost, or no more than without", Traffic(flows=10000), seconds=10, load=0.3),
)


def plan(cases, there):
    """[Pair], one for each case and whom it is compared with; `there` tells whether a peer may be."""
    pairs = []
    for case in cases:
        weir = ("weir", case.shape, 0)
        if case.rival:
            # The same shape twice is two lanes: one has never seen the other's traffic.
            other = ("weir", case.rival.shape, 1 if case.rival.shape == case.shape else 0)
            pairs.append(Pair(case, case.rival.label, (weir, other), (case.traffic, case.rival.traffic),
                              case.rival_marks))
        pairs += [Pair(case, peer, (weir, (peer, case.shape, 0)), (case.traffic, case.traffic), marks)
                  for peer, marks in case.peers.items() if there(peer)]
    return pairs
