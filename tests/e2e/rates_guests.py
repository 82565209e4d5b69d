"""Rates as real guests feel them: TCP through a rate in either direction, and a wall clock that jumps."""
import datetime
import json
import os
import re
import statistics
import time
from dataclasses import dataclass

from cases import check, fixture, case, slow
from guests import USER, start_guest
from lab import ROOT, Guest, Switch, Workdir, run, wait_until
from rates import rate_of, set_from_vm, set_to_vm
from traffic import Drops, items, plain

RATE = 50               # Mbit/s
REACHED = 0.95
EXCEEDED = 1.02         # what a bucket holds at the begin is a thousandth of what comes behind it
# Of a full frame, with TCP's time stamps; the rate counts the frame.
FRAME, PAYLOAD = 1514, 1448
DAY = 86400
SECONDS = 4
EACH_JUMP = 12_000_000  # bytes: some two seconds
# A reserved group address, which no bridge forwards.
RESERVED = "01:80:c2:00:00:0e"


class Clock:
    """The wall clock as one process sees it."""

    def __init__(self, folder):
        self.file = os.path.join(folder, "shift")
        library = os.path.join(folder, "clock_shift.so")
        run(["cc", "-shared", "-fPIC", "-O2", "-o", library, os.path.join(ROOT, "tests/e2e/clock_shift.c")])
        self.env = {"LD_PRELOAD": library, "CLOCK_SHIFT_FILE": self.file}

    def shift(self, seconds):
        """Whole or not at all: the process may look at any moment."""
        with open(self.file + ".new", "w") as file:
            file.write(f"{seconds}\n")
        os.replace(self.file + ".new", self.file)


@dataclass
class Rated:
    switch: Switch
    clock: Clock
    one: Guest
    two: Guest

    def address(self, guest):
        return plain(guest.addresses[0])


@fixture(name="two guests, one of them with rates", alone=True)
def rated():
    work = Workdir("weir-clock-")
    try:
        # The switch's user looks into it.
        os.chmod(work.path, 0o755)
        clock = Clock(work.path)
        with Switch({"switch": {"hugepages": "off"}}, user=USER, env=clock.env) as switch, \
                start_guest(switch, "one") as one, start_guest(switch, "two") as two:
            for guest in (one, two):
                guest.wait_ready(slow(60))
                # Both ends have to want it.
                guest.ok("sysctl -w net.ipv4.tcp_ecn=1")
            two.iperf3_server()
            for port in ("one", "two"):
                switch.wait_port(port, "up", slow(20))
            one.wait_ping(plain(two.addresses[0]), slow(20))
            yield Rated(switch, clock, one, two)
    finally:
        work.remove()


def frame_rates(answer):
    """(Mbit/s as a rate counts it, of each second) of what iperf3 said."""
    factor = FRAME / PAYLOAD / 1e6
    each = [one["sum"]["bits_per_second"] * factor for one in answer["intervals"] if not one["sum"]["omitted"]]
    return answer["end"]["sum_received"]["bits_per_second"] * factor, each


def frame_rate(net, words=""):
    """Mbit/s as a rate counts it."""
    answer = net.one.iperf3(net.address(net.two), f"-O 1 -t {SECONDS} {words}", timeout=slow(60))
    return frame_rates(answer)[0]


def reaches(rate):
    check(REACHED * RATE <= rate <= EXCEEDED * RATE, f"{rate:.2f} Mbit/s of {RATE}")
    return f"{rate:.2f} Mbit/s"


@case("rates: TCP through 50 Mbit from-vm, nothing is dropped", needs=rated)
def from_vm(net):
    set_from_vm(net, "one", bits=f"{RATE}Mbit")
    lost = Drops(net.switch)
    rate = frame_rate(net)
    # What waits does so in the guest's own ring.
    return f"{reaches(rate)}, dropped: {lost.only()}"


def median_ping(net, work):
    """(median ms of a ping beside work(), what work() returned)."""
    job = net.one.start_job(f"ping -n -i 0.05 {net.address(net.two)}")
    try:
        done = work()
    finally:
        output = job.stop().output
    times = [float(value) for value in re.findall(r"time=([\d.]+)", output)]
    check(len(times) > 10, f"{len(times)} answers:\n{output[-600:]}")
    return statistics.median(times), done


@case("rates: TCP through 50 Mbit to-vm with fq-codel, a ping beside it hardly waits", needs=rated)
def to_vm(net):
    """First come first served, the ping waits behind all that the sender has on its way."""
    set_from_vm(net, "one", bits="1Gbit")
    set_to_vm(net, "one", bits=f"{RATE}Mbit", scheduler="fifo")
    behind, _ = median_ping(net, lambda: frame_rate(net, "-R"))
    set_to_vm(net, "one", scheduler="fq-codel")
    lost, marks = Drops(net.switch), rate_of(net, "one")["marks"]
    beside, rate = median_ping(net, lambda: frame_rate(net, "-R"))
    marked = rate_of(net, "one")["marks"] - marks
    figure = f"{rate:.2f} Mbit/s, ping {beside:.1f} ms, with fifo {behind:.1f} ms; {marked} marked"
    reaches(rate)
    # The flow knows ECN, so it is told to slow down and loses nothing.
    check(marked > 0, figure)
    check(beside <= behind / 2, figure)
    return f"{figure}, dropped: {lost.only()}"


def daemon_time(net):
    """What the switch believes the time is: it stamps what it drops."""
    before = Drops(net.switch)
    # Nobody answers, so how it ends does not matter.
    net.one.sh("ping -n -c 1 -W 1 10.1.0.254")
    wait_until(lambda: before.new().get(("one", "link-local")), slow(10), "the frame to be dropped")
    last = next(one["last"] for one in items(net.switch.json("drops"))
                if (one["port"], one["reason"]) == ("one", "link-local"))
    return datetime.datetime.fromisoformat(last["time"].replace("Z", "+00:00")).timestamp()


@case("rates: the wall clock jumps a day forward and back, and nothing changes", needs=rated)
def wall_clock(net):
    set_from_vm(net, "one", bits=f"{RATE}Mbit")
    set_to_vm(net, "one", bits="1Gbit")
    net.one.ok(f"ip neigh replace 10.1.0.254 lladdr {RESERVED} dev eth0")

    def sent():
        return net.switch.port("one")["from_vm"]["bytes"]
    job = net.one.start_job(f"iperf3 -J -O 1 -t 10 -c {net.address(net.two)}")
    try:
        # Forward, and back further than it was, while frames wait.
        for shift in (DAY, -DAY, 0):
            before = sent()
            wait_until(lambda before=before: sent() - before > EACH_JUMP, slow(20), "frames to be sent")
            net.clock.shift(shift)
            seen = daemon_time(net) - time.time()
            check(abs(seen - shift) < 60, f"the switch's clock is off by {seen:.0f} s instead of {shift}")
        done = job.wait(slow(60))
    except BaseException:
        job.signal("KILL")
        raise
    finally:
        net.clock.shift(0)
    rate, each = frame_rates(json.loads(done.output[done.output.find("{"):]))
    figure = f"{reaches(rate)}; of each second {', '.join(f'{one:.1f}' for one in each)}"
    # A clock that is off by a day would stop it or let all pass.
    check(all(RATE / 2 <= one <= 1.2 * RATE for one in each), figure)
    return figure
