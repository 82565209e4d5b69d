"""What is sent between two guests, and what the switch counted of it."""
import itertools
import re
import time
from typing import NamedTuple

from cases import check, slow
from lab import Failure, wait_until

_ports = itertools.count(7001)


def items(answer):
    """The entries of a list that weirctl -o json printed, with or without an envelope."""
    return answer["items"] if isinstance(answer, dict) else answer


def new_port():
    """An L4 port of a guest's that no test has used."""
    return next(_ports)


def plain(address):
    return address.split("/")[0]


# -- short checks; each returns its figure

def pings(guest, address, count=3, sizes=(None,), fragment=True):
    """Pings with each size; all must be answered. The figure is the slowest answer."""
    guest.wait_ping(address, slow(20))
    worst = 0.0
    for size in sizes:
        ping = guest.ping(address, count=count, size=size, interval=0.1, fragment=fragment, patience=10)
        check(not ping.lost, f"{guest.name}: {ping.lost} of {ping.sent} pings of {address} with "
                             f"{size or 56} bytes lost:\n{ping.output[-1500:]}")
        times = [float(value) for value in re.findall(r"time=([\d.]+)", ping.output)]
        worst = max([worst, *times])
    return f"{count * len(sizes)} answered, slowest {worst:.1f} ms"


def too_large(guest, address, size):
    """A ping that does not fit the MTU must be refused by the sender, not by chance on the way."""
    result = guest.sh(f"ping -n -c 1 -W 1 -M do -s {size} {address}")
    check(result.status and re.search("too long|too large", result.output),
          f"{guest.name}: a ping of {size} bytes fits the MTU:\n{result.output}")


def iperf(client, address, words="-t 1"):
    """Mbit/s of TCP as the receiver saw it."""
    end = client.iperf3(address, words, timeout=slow(40))["end"]
    rate = end["sum_received"]["bits_per_second"] / 1e6
    check(rate > 0, f"{client.name}: iperf3 {words} to {address} moved nothing")
    return rate


def iperf_both(client, address, seconds=1, words=""):
    there = iperf(client, address, f"-t {seconds} {words}")
    back = iperf(client, address, f"-t {seconds} {words} -R")
    return f"{there:.0f} and {back:.0f} Mbit/s"


def iperf_udp(client, address, seconds=1, rate="30M"):
    """UDP both ways: Mbit/s and loss. Some must arrive; how much is the guests' matter under TCG."""
    figures = []
    for words in ("", " -R"):
        end = client.iperf3(address, f"-u -b {rate} -l 1400 -t {seconds}{words}", timeout=slow(40))["end"]
        total = end.get("sum_received") or end["sum"]
        lost = end["sum"].get("lost_percent", 0.0)
        bits = total.get("bits_per_second", 0) / 1e6
        check(bits > 0 and lost < 100,
              f"{client.name}: iperf3 UDP{words} to {address} moved nothing: {end['sum']}")
        figures.append(f"{bits:.0f} Mbit/s with {lost:.1f} % lost")
    return " and ".join(figures)


class Transfer:
    """Noise over TCP: what arrives must have the same checksum. It goes on by itself until finish(), and
    takes at least the pause behind each time."""

    def __init__(self, sender, receiver, address, megabytes=8, times=1, pause_ms=0):
        self.sender, self.receiver = sender, receiver
        self.size = megabytes * times
        port = new_port()
        self.noise, self.sum = f"/tmp/out.{port}", f"/tmp/sum.{port}"
        # nc hands its connection over, as its own loop copies 1 KiB at a time. The noise is repeated
        # where a guest's memory would not hold all of it.
        self.send = f"for i in $(seq {times}); do cat {self.noise}; usleep {pause_ms * 1000}; done"
        sender.ok(f"dd if=/dev/urandom of={self.noise} bs=1M count={megabytes} 2>/dev/null")
        self.taker = receiver.start_job(f"nc -l -p {port} -e /bin/sh -c 'sha256sum >{self.sum}'")
        try:
            receiver.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
            self.giver = sender.start_job(f"start=$(cut -d' ' -f1 /proc/uptime)\n"
                                          f"nc {address} {port} -e /bin/sh -c '{self.send}' || exit 1\n"
                                          f"echo $start $(cut -d' ' -f1 /proc/uptime)")
        except BaseException:
            self.taker.signal("KILL")
            raise

    def running(self):
        return self.giver.running()

    def cancel(self):
        for job in (self.giver, self.taker):
            job.signal("KILL")

    def finish(self, timeout=60):
        """Wait for its end; the figure."""
        try:
            for job in (self.giver, self.taker):
                done = job.wait(slow(timeout))
                check(not done.status, f"{job.guest.name}: nc ended with {done.status}: {done.output}")
        except BaseException:
            self.cancel()
            raise
        sent = self.sender.ok(f"{{ {self.send}; }} | sha256sum; rm {self.noise}", timeout=slow(60)).split()[0]
        got = self.receiver.ok(f"cat {self.sum}; rm {self.sum}").split()[0]
        check(sent == got, f"{self.size} MiB from {self.sender.name} to {self.receiver.name}: "
                           f"sent {sent}, received {got}")
        start, end = map(float, self.giver.output().split()[-2:])
        return f"{self.size} MiB at {self.size * 8.388608 / max(end - start, 0.01):.0f} Mbit/s"


def send_file(sender, receiver, address, megabytes=8):
    return Transfer(sender, receiver, address, megabytes).finish()


# -- a ping that goes on

ANSWER = re.compile(r"\[([\d.]+)\] \d+ bytes from .*icmp_seq=(\d+)")


class Gap(NamedTuple):
    """What a ping saw of an event. Frames that wait in a guest's ring for the switch come late and are
    not lost, so there are two figures."""
    seconds: float      # the longest time without an answer, beyond the ping's interval
    lost: int           # packets without an answer
    sent: int

    def __str__(self):
        return f"gap {self.seconds:.1f} s, {self.lost} of {self.sent} pings lost"


class Stream:
    """A ping that goes on while something happens to its way, and tells the gap afterwards."""

    def __init__(self, guest, address, interval=0.1):
        self.guest = guest
        self.interval = interval
        guest.wait_ping(address, slow(20))
        self.job = guest.start_job(f"ping -n -D -i {interval} {address}")
        self.wait(slow(10))

    def wait(self, timeout, more=10):
        """Wait until that many more answers have come, by themselves: nothing is restarted here."""
        out = f"{self.job.base}.out"
        count = f"$(grep -c 'bytes from' {out})"
        wait = self.guest.sh(f"n={count}; until [ {count} -ge $((n + {more})) ]; do usleep 50000; done", timeout)
        if wait.status:
            raise Failure(f"{self.guest.name}: the ping does not flow again within {timeout} s:\n"
                          f"{self.job.output()[-600:]}")

    def stop(self):
        """Ends it; the Gap."""
        output = self.job.stop().output
        answers = sorted((float(when), int(number)) for when, number in ANSWER.findall(output))
        check(answers, f"{self.guest.name}: no answer at all:\n{output[-600:]}")
        pauses = [later[0] - earlier[0] for earlier, later in zip(answers, answers[1:])]
        # What was under way when the ping was ended is not lost.
        sent = max(number for _, number in answers)
        return Gap(max(0.0, max(pauses) - self.interval), sent - len({number for _, number in answers}), sent)

    def cancel(self):
        self.job.signal("KILL")


def gap(guest, address, action, deadline, recovered=lambda: None, interval=0.1):
    """Does action() under a ping and waits until it flows again; the Gap.

    deadline    seconds from the action's end until it flows
    recovered   waits for whatever must come first, e.g. a port that is up
    """
    stream = Stream(guest, address, interval)
    try:
        action()
        recovered()
        stream.wait(slow(deadline))
    except BaseException:
        stream.cancel()
        raise
    return stream.stop()


# -- counters

def drops(switch):
    """{(port, reason): count}."""
    return {(one["port"], one["reason"]): one["count"] for one in items(switch.json("drops"))}


class Drops:
    """What was dropped since this was made."""

    def __init__(self, switch):
        self.switch = switch
        self.before = drops(switch)

    def new(self):
        now = drops(self.switch)
        return {key: count - self.before.get(key, 0) for key, count in now.items()
                if count > self.before.get(key, 0)}

    def only(self, *reasons):
        """Fails unless everything dropped since has one of these reasons; the figure."""
        new = self.new()
        said = {reason: [] for _, reason in new}
        for (port, reason), count in sorted(new.items()):
            said[reason].append(f"{port} {reason} {count}")
        other = [words for reason, words in said.items() if reason not in reasons]
        check(not other, f"drops that nothing explains: {', '.join(sum(other, []))}")
        return ", ".join(sum(said.values(), [])) or "none"


def traffic(switch, name, direction):
    """Packets of one direction of a port, "from_vm" or "to_vm"."""
    return switch.port(name)[direction]["packets"]


def settled(read, timeout=10, still=0.5):
    """The value of read() once it has not changed for a while: counters trail what they count."""
    state = {"value": read(), "since": time.monotonic()}

    def same():
        value = read()
        if value != state["value"]:
            state.update(value=value, since=time.monotonic())
        return time.monotonic() - state["since"] >= still
    wait_until(same, timeout, lambda: f"{state['value']} to stay as it is", interval=0.05)
    return state["value"]
