"""What of rates is measured, and what it has to come to: data only."""
import dataclasses
from typing import NamedTuple

from .cases import Shape

MBIT, GBIT = 10 ** 6, 10 ** 9
RATES = tuple(10 ** exponent for exponent in range(6, 11))
PACKETS = (10_000, 100_000, 1_000_000)
FRAMES = (64, 1500, "imix", "tso")
WAYS = ("from-vm", "to-vm")

# Of the generator (bench/load/frames.h): 45 segments, each with a header of its own.
TSO_SEGMENTS, TSO_PAYLOAD, HEADER = 45, 1448, 54
TSO_FRAME = HEADER + TSO_SEGMENTS * TSO_PAYLOAD
IMIX = (64,) * 7 + (576,) * 4 + (1500,)

MEAN, SHORT = 0.005, 0.02
REACHABLE = 1.2             # times the target, carried without a rate
CYCLES = 10                 # of a rate that is not reached
MANY_PORTS, MANY_RATIO = 60, 1.2
BESIDE = 0.98
JAIN = 0.99
TARGET_MS = 5               # of fq-codel
SHARES = 0.02
CHANGE_MS = 1.0
PACES = (500 * MBIT, 2 * GBIT)     # in turn


class Mark(NamedTuple):
    figure: str             # a key of the case's figures
    text: str
    limit: float
    least: bool = False

    def met(self, value):
        return value >= self.limit if self.least else value <= self.limit


@dataclasses.dataclass(frozen=True)
class RateCase:
    name: str
    kind: str               # what of rates_run.py measures it
    marks: tuple = ()
    about: str = ""
    side: str = "weir"
    way: str = "from-vm"
    bits: int = 0
    packets: int = 0
    frame: object = 1500
    shape: Shape = Shape()
    plot: bool = False      # its windows are drawn
    more: tuple = ()        # what else the kind needs


def counted_bytes(frame):
    """The longest frame, as a rate counts it."""
    if frame == "tso":
        return TSO_FRAME + (TSO_SEGMENTS - 1) * HEADER
    return max(IMIX) if frame == "imix" else frame


def mean_bytes(frame):
    return sum(IMIX) / len(IMIX) if frame == "imix" else counted_bytes(frame)


def name_of(frame):
    return {"imix": "IMIX", "tso": "64 KiB TSO"}.get(frame) or f"{frame} B"


def text_of(bits):
    return f"{bits // GBIT} Gbit" if bits >= GBIT else f"{bits // MBIT} Mbit"


def shape_for(frame):
    return Shape(tso=frame == "tso")


EXACT = (Mark("mean", f"median of the means ≤ {100 * MEAN:g} %", MEAN),
         Mark("short", f"nine of ten short ≤ {100 * SHORT:g} %", SHORT))
PACED = EXACT[:1]           # of packets


def exact(side, way, bits, frame):
    beside = "" if side == "weir" else ", policed by OVS"
    return RateCase(f"{text_of(bits)}, {name_of(frame)}, {way}{beside}", "exact",
                    EXACT if side == "weir" else (), side=side, way=way, bits=bits, frame=frame,
                    shape=shape_for(frame), plot=frame == 1500 and bits == 100 * MBIT)


def paced(way, packets):
    return RateCase(f"{packets // 1000} kpps, 64 B, {way}", "exact", PACED, way=way, packets=packets, frame=64)


def unreached(way, name, **rate):
    return RateCase(f"a rate that is not reached, {name}", "unreached",
                    (Mark("cycles", f"≤ {CYCLES} cycles per packet at full rings", CYCLES),),
                    "64 B with the rate and without it in turn; judged at full rings, as fast as they go; the figures "
                    "of half that load, in bursts of a few frames, stand beside it", way=way, frame=64, **rate)


def beside(frame):
    return RateCase(f"unlimited beside a VM of 1 Mbit, {name_of(frame)}", "beside",
                    (Mark("ratio", f"≥ {BESIDE} × alone", BESIDE, least=True),),
                    "on one worker; the slow VM always has something to send", bits=MBIT, frame=frame,
                    shape=Shape(pairs=3))


def tenant(name, senders, frames):
    return RateCase(f"tenant of {name}", "tenant",
                    (Mark("share", f"shares off by ≤ {100 * SHARES:g} %", SHARES),
                     Mark("mean", f"all together off by ≤ {100 * MEAN:g} %", MEAN)),
                    f"1 Gbit for three VMs with weights 1, 2 and 4; VMs {', '.join(str(n + 1) for n in senders)} "
                    f"send {', '.join(name_of(frame) for frame in frames)}",
                    bits=GBIT, shape=Shape(pairs=3), more=(senders, frames))


def codel(name, scheduler, tos, marks, about):
    return RateCase(name, "codel", marks, about, way="to-vm", bits=100 * MBIT, more=(scheduler, tos))


MANY = (Mark("same_rate", f"≤ {MANY_RATIO} × the cycles of one port at that rate", MANY_RATIO),)

CASES = (
    *(exact("weir", way, bits, frame) for way in WAYS for frame in FRAMES for bits in RATES),
    *(paced(way, packets) for way in WAYS for packets in PACKETS),
    *(exact("ovs-normal", "from-vm", bits, frame) for frame in FRAMES for bits in RATES),
    RateCase(f"{MANY_PORTS} ports, each with its rate, on one worker", "many",
             MANY, "64 B; each VM always has something to send", bits=5 * MBIT, frame=64,
             shape=Shape(backlog=MANY_PORTS)),
    RateCase("1,000 ports in weir-rate-bench", "bench_alone", MANY,
             "agenda, taking, parsing and charging alone, in a time that is made up; 64 B, 5 kpps each"),
    unreached("from-vm", "from-vm", bits=40 * GBIT),
    unreached("from-vm", "from-vm, bits and packets", bits=40 * GBIT, packets=50_000_000),
    unreached("to-vm", "to-vm", bits=40 * GBIT),
    RateCase("from-vm at a tenth of the offered load", "tenth",
             (Mark("drops", "no drop in Weir", 0),
              Mark("rises", "how often the CPU does not fall with the load", 0)),
             "1500 B; the VM always has something to send; rates of a half, a tenth and a hundredth of that"),
    beside(1500),
    beside(64),
    RateCase("drr, flows of 64 and 1500 B", "drr", (Mark("jain", f"Jain's index ≥ {JAIN} by bytes", JAIN, True),),
             "four of each, all offering twice their share of 100 Mbit", way="to-vm", bits=100 * MBIT),
    codel("fq-codel, ECN", "fq-codel", 2,
          (Mark("wait_ms", f"sparse flow's median wait ≤ {TARGET_MS} ms", TARGET_MS),
           Mark("marked", "the bulk flow is marked", 1, least=True), Mark("dropped", "none of it is dropped", 0)),
          "a bulk flow that knows ECN keeps 27 ms of frames on their way; a sparse one sends 100 frames a second"),
    codel("fq-codel, no ECN", "fq-codel", 0,
          (Mark("wait_ms", f"sparse flow's median wait ≤ {TARGET_MS} ms", TARGET_MS),
           Mark("dropped", "the bulk flow is dropped from", 1, least=True)), "the same, without ECN"),
    codel("fifo, for comparison", "fifo", 2, (), "the same, first come first served"),
    tenant("three VMs 1:2:4", (0, 1, 2), (1500, 1500, 1500)),
    tenant("three VMs 1:2:4, mixed frames", (0, 1, 2), (64, 1500, "imix")),
    tenant("three VMs, the heaviest silent", (0, 1), (1500, 1500)),
    *(RateCase(f"a change of rate takes effect, {way}", "change",
               # Both CPUs are taken by polling threads: client and main thread may have to wait for a slice.
               (Mark("p90_ms", f"nine of ten ≤ {CHANGE_MS:g} ms from the request", CHANGE_MS),),
               "500 Mbit and 2 Gbit in turn, 1500 B; buckets of 0.1 ms", way=way, plot=True) for way in WAYS),
)
