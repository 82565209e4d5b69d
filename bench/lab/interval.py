"""Intervals: a lane under one load for a while, and the figures of that."""
import dataclasses
import time

from .cases import SATURATED
from .load import busiest, thread_times
from weirvm.procs import Failure

NOTHING = "nothing came through"
WARM_UP = 0.1           # seconds before each interval
WARM_MAX = 5            # ... and this many while a slow path still decides
RAN_MIN = 0.2           # of an interval: who runs less can explain that nothing came through
WARM_MISSES = 0.001     # of the packets: a side is warm when its slow path sees no more of them
WALKED = 0.1            # of the hops: less than one of eight
SEGMENTS = 8            # of a conversation
SEEN_TWICE, SEE_ALL_MAX = 2, 20     # rounds over all connections before an interval; seconds for them
SATURATION = 0          # the generator's word for "as fast as it goes"


@dataclasses.dataclass
class Interval:
    """A lane under one load for a while."""
    seconds: float
    mpps: float                 # received, all directions
    gbps: float
    bytes_each: float           # of a received frame
    generator_busy: float       # share of its rounds' time that moved frames
    refused: float              # share of the frames due that found the generator's ring full
    lost: float                 # share of the frames sent that were not received
    misordered: int
    corrupt: int
    latency_us: dict
    cycles: float               # busy cycles of the switching thread per packet delivered
    switch_busy: float          # share of its time
    burst: float                # packets a round of the switch, or of the generator where it does not count
    cpu_ratio: float            # CPU time of all threads of the switch over its busy cycles
    wait: float                 # the longer of the two polling threads' waits, as a share
    misses: float               # share of the packets that a slow path decided
    drops: dict
    walked: bool = True         # frames visited as many network functions as they should

    @property
    def cycles_per_byte(self):
        return self.cycles / self.bytes_each if self.bytes_each else None

    def bottleneck(self):
        switch, generator = self.switch_busy > SATURATED, self.generator_busy > SATURATED
        return {(True, True): "both", (True, False): "switch",
                (False, True): "generator", (False, False): "neither"}[switch, generator]


class Nothing(Failure):
    """An interval in which nothing came through."""


def why_nothing(said, before, after, load):
    """A sentence about an interval in which nothing came through, with the figures that tell who was idle."""
    seconds, drops = after.at - before.at, {name: n for name, n in after.drops.items()
                                            if n > before.drops.get(name, 0)}
    if load[0] / 1e9 < RAN_MIN * said["seconds"]:
        why = "the generator hardly got its CPU"
    elif (after.cpu_ns - before.cpu_ns) / 1e9 < RAN_MIN * seconds:
        why = "the switch hardly got its CPU"
    elif said["sent"]:
        why = "the switch passed none of what was sent"
    else:
        why = "the generator waited for frames that the switch had lost, and sent no others"
    return (f"{NOTHING}: {why}. The generator ran {load[0] / 1e9:.3f} of {said['seconds']:.3f} s and "
            f"sent {said['sent']}, refused {said['refused']}; the switch's threads ran "
            f"{(after.cpu_ns - before.cpu_ns) / 1e9:.3f} of {seconds:.3f} s and took "
            f"{after.packets - before.packets} packets; running totals of its drops that grew: {drops or 'none'}")


def combine(said, before, after, load, hops=0):
    """An Interval from the generator's mark, the switch's counters around it, and the generator's
    threads: (ran, waited) of the one that polls. hops: network functions that each frame should visit."""
    packets = after.packets - before.packets
    cycles = after.busy_cycles - before.busy_cycles
    seconds = after.at - before.at
    if not packets or not said["received"]:
        raise Nothing(why_nothing(said, before, after, load))
    bursts = after.bursts - before.bursts if after.bursts is not None else None
    due = said["sent"] + said["refused"]
    lost = max(0.0, 1 - said["received"] / said["sent"]) if said["sent"] else 0.0
    # The generator's share of the switch's own count: not every side tells all its drops, and the two
    # counts begin and end milliseconds apart. In a chain the switch takes each packet once more behind
    # each network function.
    passes = said["sent"] + said["relayed"]
    delivered = packets * (min(1.0, said["received"] / passes) if passes else 1)
    return Interval(
        seconds=said["seconds"],
        mpps=said["mpps"],
        gbps=said["gbps"],
        bytes_each=said["bytes"] / said["received"],
        generator_busy=said["busy"],
        refused=said["refused"] / due if due else 0.0,
        lost=lost,
        misordered=said["misordered"],
        corrupt=said["corrupt"],
        latency_us=said["latency_us"],
        cycles=cycles / delivered,
        switch_busy=cycles / (seconds * after.tsc_hz),
        burst=packets / bursts if bursts else said["burst"],
        cpu_ratio=(after.cpu_ns - before.cpu_ns) * after.tsc_hz / 1e9 / cycles if cycles else None,
        wait=max((after.wait_ns - before.wait_ns) / 1e9 / seconds, load[1] / 1e9 / said["seconds"]),
        misses=(after.misses - before.misses) / packets,
        drops={name: n - before.drops.get(name, 0) for name, n in after.drops.items()
               if n > before.drops.get(name, 0)},
        walked=abs(said["relayed"] / said["received"] - hops) <= WALKED * hops,
    )


def warm_up(side):
    """Waits, and returns the counters then. A side that has stood still may have forgotten what it
    knew of the flows, and deciding anew is not what is measured."""
    end = time.monotonic() + WARM_MAX
    before = side.counters()
    while True:
        time.sleep(WARM_UP)
        after = side.counters()
        missed, packets = after.misses - before.misses, after.packets - before.packets
        # Who has moved nothing is not warm: a lane that was stopped goes on when the kernel lets it.
        if packets and missed <= WARM_MISSES * packets or time.monotonic() > end:
            return after
        before = after


def begin(lane, traffic, rate):
    """Lets the generator send; rate: frames/s."""
    if lane.shape.chain and rate == SATURATION:
        let_client_begin(lane, traffic)
    if traffic.conversations:
        lane.side.make_room()
        lane.load.talk(**traffic.words(), rate=round(rate / SEGMENTS))
    else:
        lane.load.start(**traffic.words(), rate=round(rate))
    # The first packet of a connection is another case.
    if lane.shape.tracking and not traffic.conversations and rate == SATURATION:
        see_all(lane, traffic)


def let_client_begin(lane, traffic):
    """A chain is chosen by who begins a connection, and replies must not come first."""
    one_way = traffic._replace(directions=1)
    lane.load.start(**one_way.words(), rate=SATURATION)
    see_all(lane, one_way)
    lane.load.stop()


def see_all(lane, traffic):
    """Waits until each connection's packets have passed, both ways."""
    left, end = SEEN_TWICE * traffic.directions * traffic.flows, time.monotonic() + SEE_ALL_MAX
    while left > 0 and time.monotonic() < end:
        time.sleep(WARM_UP)
        left -= lane.load.mark()["received"]


def measure(lane, traffic, rate, seconds):
    """The running lane at one rate (frames/s; SATURATION) for `seconds`. All control work is at the edges."""
    begin(lane, traffic, rate)
    before = warm_up(lane.side)
    lane.load.mark()
    threads = thread_times(lane.load.pids())
    time.sleep(seconds)
    load = busiest(threads, thread_times(lane.load.pids()))
    said = lane.load.mark()
    after = lane.side.counters()
    lane.load.stop()
    hops = lane.shape.chain.visited() if lane.shape.chain else 0
    return combine(said, before, after, load, hops)
