"""What the generator kept of one moment to another, and what is read from it."""
import statistics

from . import rates_cases as plan
from .rates_windows import turned
from weirvm.procs import Failure

BUCKET_US, FINE_US = 1000, 100
HASTY, HASTY_WINDOW = 0.4, 0.2        # seconds: a recording, and a window for the mean; its ends are cut off
PLOT_MS, PLOT_WINDOWS = 10, 100


class Recording:
    """What arrived from one moment to another."""

    def __init__(self, said, began, ended, before, after):
        arrivals = said["arrivals"]
        self.lost = said["lost"]
        self.bucket = arrivals["bucket_s"]
        self.start_ns = arrivals["start_ns"]
        self.first = self.index(began) + 1
        self.last = self.index(ended) - 1
        self.streams = arrivals["streams"]
        if self.last - self.first < 1 or self.last > len(self.streams[0]["frames"]):
            raise Failure(f"{len(self.streams[0]['frames'])} buckets hold nothing of {self.first} to {self.last}")
        self.seconds = (self.last - self.first) * self.bucket
        self.late = {edge - self.first: us / 1e6 for edge, us in arrivals["gaps_us"]}
        self.before, self.after = before, after

    def index(self, moment_ns):
        return int((moment_ns - self.start_ns) / 1e9 / self.bucket)

    def amounts(self, what, stream=0):
        """`frames` or `bytes` of each bucket."""
        return self.streams[stream][what][self.first:self.last]

    def bits(self, stream=0):
        return [8 * count for count in self.amounts("bytes", stream)]

    def per_second(self, amounts):
        return sum(amounts) / self.seconds

    def switch(self):
        """What the switch counted meanwhile."""
        packets = self.after.packets - self.before.packets
        cycles = self.after.busy_cycles - self.before.busy_cycles
        seconds = self.after.at - self.before.at
        bursts = self.after.bursts - self.before.bursts if self.after.bursts is not None else None
        return {"cycles": cycles / packets if packets else None,
                "burst": packets / bursts if bursts else None,
                "busy": cycles / (seconds * self.after.tsc_hz),
                "cpu": (self.after.cpu_ns - self.before.cpu_ns) / 1e9 / seconds,
                "drops": {name: count - self.before.drops.get(name, 0) for name, count in self.after.drops.items()
                          if count > self.before.drops.get(name, 0)}}


def drawn(seen, amounts):
    """Mbit/s of the first windows."""
    each = round(PLOT_MS / 1e3 / seen.bucket)
    return [sum(amounts[first:first + each]) / (each * seen.bucket) / plan.MBIT
            for first in range(0, min(len(amounts) - each, each * PLOT_WINDOWS), each)]


def delays(seen, asked):
    """Until the first bucket with the new pace ended, in ms from the request; as long as it was in force where
    there is none. asked: [(when, when it was answered, bits)]."""
    amounts = [8 * count for count in seen.streams[0]["bytes"]]
    ends = [*(seen.index(began) for began, _, _ in asked[1:]), seen.last]
    took, calls = [], []
    for (began, answered, bits), end in zip(asked, ends):
        old = plan.PACES[0] + plan.PACES[1] - bits
        index = turned(amounts[:end], seen.index(began), old * seen.bucket, bits * seen.bucket)
        took.append((seen.start_ns + (end if index is None else index + 1) * seen.bucket * 1e9 - began) / 1e6)
        calls.append((answered - began) / 1e6)
    return {"worst_ms": max(took), "p90_ms": statistics.quantiles(took, n=10, method="inclusive")[-1],
            "median_ms": statistics.median(took), "changes": len(took),
            "call_ms": statistics.median(calls)}


def around(seen, moment):
    """[(ms from the first change, Mbit/s)] of each bucket."""
    at = seen.index(moment)
    return [((seen.start_ns + index * seen.bucket * 1e9 - moment) / 1e6,
             8 * seen.streams[0]["bytes"][index] / seen.bucket / plan.MBIT) for index in range(at - 30, at + 50)]
