"""Rates of what VMs send, measured where it arrives. The senders' rings are always full."""
import contextlib
import statistics
import time

from cases import BOTH, case, check, fixture, slow
from lab import Failure, wait_until
from lab.frontend import AVAIL, SIZE, USED, VNET
from rates import rate_of, set_from_vm, worker
from rpc import Client
from switching import lan, mac
from traffic import drops

NO_INTERRUPT = 1    # VRING_AVAIL_F_NO_INTERRUPT
AT_ONCE = 0.0001    # seconds


class Stream:
    """A sender whose ring is kept full of one frame, to a receiver that counts what comes."""

    def __init__(self, sender, receiver, size, to):
        self.sender, self.receiver, self.size = sender, receiver, size
        tx, frame = sender.tx, sender.frame(to, bytes(size - 14))
        for entry in range(SIZE):
            sender.write(frame, entry)
            tx.desc(entry, sender.address(tx, entry), VNET + size)
        self.arrivals = []      # (when, how many so far)
        self.count = self.sent = 0
        # Nobody waits for signals here.
        for ring in (tx, receiver.rx):
            ring.words[(ring.base + AVAIL) // 2] = NO_INTERRUPT

    def fill(self):
        tx = self.sender.tx
        for _ in range(SIZE - tx.pending()):
            tx.publish(tx.avail % SIZE)
            self.sent += 1
        # As a driver does: only where the device asks for it.
        if not tx.words[(tx.base + USED) // 2]:
            tx.notify()

    def drain(self):
        rx = self.receiver.rx
        before = time.perf_counter()
        fresh = (rx.used_index() - rx.used) & 0xffff
        if not fresh:
            return
        now = time.perf_counter()
        for _ in range(fresh):
            head = rx.memory[rx.base + USED + 4 + rx.used % SIZE * 8]
            rx.used = (rx.used + 1) & 0xffff
            rx.publish(head)
        self.count += fresh
        # Else it is not known how many had come when.
        if now - before < AT_ONCE:
            self.arrivals.append((now, self.count))

    def since(self, start):
        """Frames per second from the first arrival behind `start` to the last."""
        seen = [one for one in self.arrivals if one[0] >= start]
        check(len(seen) > 1, f"{len(seen)} times did frames arrive")
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def pump(streams, until):
    """Keeps them going until until() is true or for so many seconds."""
    if not callable(until):
        end = time.perf_counter() + until
        until = lambda: time.perf_counter() >= end      # noqa: E731
    while not until():
        for stream in streams:
            stream.fill()
            stream.drain()
        time.sleep(0.0003)


def finish(streams):
    """Lets what they have in their rings go."""
    def gone():
        for stream in streams:
            stream.drain()
        return not any(stream.sender.tx.pending() for stream in streams)
    wait_until(gone, slow(10), "the rings to run empty", 0.0003)
    gone()


def expect(streams, targets, limit, what, seconds=2.0):
    """Each holds its frames per second, once they have settled. A machine that takes a CPU away for longer than a
    burst lasts makes them fewer for a while, but never more: so in no window are there more, and in one, which was
    undisturbed, not fewer. Of a window a frame is a twentieth of the limit if that takes no more than `seconds`."""
    window = min(seconds, max(0.5, 20 / limit / min(targets)))
    pump(streams, 0.3)
    end, tries = time.perf_counter() + slow(45), []
    pump(streams, window)
    while True:
        got = [stream.since(time.perf_counter() - window) for stream in streams]
        worst = max(abs(frames / target - 1) for frames, target in zip(got, targets))
        if worst < limit:
            return got
        tries.append((worst, got))
        if sum(got) > sum(targets) * (1 + limit) or time.perf_counter() > end:
            break
        pump(streams, window / 5)
    words = ", ".join(f"{frames:.1f}" for frames in (got if sum(got) > sum(targets) else min(tries)[1]))
    raise Failure(f"{what}: {words} frames a second, not {', '.join(f'{target:.1f}' for target in targets)}, "
                  f"in {len(tries)} windows of {window:.1f} s")


@contextlib.contextmanager
def pairs(count, workers=(0,)):
    """count senders s0 s1 …, each with a receiver r0 r1 …"""
    with lan(config={"switch": {"workers": list(workers)}}) as one:
        for number in range(count):
            one.port(f"s{number}")
        for number in range(count):
            one.port(f"r{number}")
        one.learned()
        one.count = count

        def stream(number, size):
            return Stream(one.ends[f"s{number}"], one.ends[f"r{number}"], size, mac(count + number + 1))
        one.stream = stream
        yield one


@fixture(alone=True)
def three():
    with pairs(3) as one:
        yield one


@case("rates: from-vm is held to half a percent, and the VM's own ring waits", needs=three)
def held(lan):
    said = []
    before = drops(lan.switch)
    for rate, size, target in [({"bits": "1Mbit"}, 125, 1000), ({"bits": "100Mbit"}, 1500, 100e6 / 12000),
                               ({"packets": "10kpps"}, 60, 10000),
                               ({"bits": "10Mbit", "packets": "500pps"}, 1500, 500),
                               ({"bits": "10Mbit", "layer": "wire"}, 101, 10e6 / 1000)]:
        set_from_vm(lan, "s0", **rate)
        stream = lan.stream(0, size)
        [got] = expect([stream], [target], 0.005, f"{rate}, {size} bytes")
        check(stream.sender.tx.pending() > SIZE / 2, "the ring is not full")
        one = rate_of(lan, "s0", "from-vm")
        check(one["limited_by"] == "rate" and not one["held"]["packets"], one)
        said.append(f"{got / target - 1:+.2%}")
        finish([stream])
        set_from_vm(lan, "s0")
    check(drops(lan.switch) == before, f"dropped: {drops(lan.switch)}")
    return ", ".join(said)


@case("rates: a frame larger than the burst goes when it is due", needs=three, presets=BOTH)
def large(lan):
    set_from_vm(lan, "s0", bits="1Mbit", burst="1KiB")
    stream = lan.stream(0, 1500)
    [got] = expect([stream], [1e6 / 12000], 0.01, "1 Mbit", 3)
    set_from_vm(lan, "s0")
    finish([stream])
    return f"{got * 12000 / 1e6:.4f} Mbit/s"


def round_trips(lan, slow_one, count=300):
    """Seconds from a frame's sending to its arrival, s1 to r1, while slow_one's ring is kept full."""
    sender, receiver, times = lan.ends["s1"], lan.ends["r1"], []
    frame = sender.frame(mac(lan.count + 2), b"quick")
    for _ in range(count):
        for stream in slow_one:
            stream.fill()
            stream.drain()
        start = time.perf_counter()
        sender.put(frame)
        while receiver.rx.used == receiver.rx.used_index():
            check(time.perf_counter() - start < slow(5), "nothing arrives")
        times.append(time.perf_counter() - start)
        receiver.got()
        sender.wait_sent()
        time.sleep(0.002)
    return times


@case("rates: a slow VM does not delay an unlimited one on its worker", needs=three)
def beside(lan):
    alone = round_trips(lan, [])
    set_from_vm(lan, "s0", bits="1Mbit")
    stream = lan.stream(0, 1500)
    pump([stream], 0.2)
    both = round_trips(lan, [stream])
    set_from_vm(lan, "s0")
    finish([stream])
    alone, both = statistics.median(alone), statistics.median(both)
    # A frame of the slow one takes 12 ms.
    check(both < alone * 2 + 0.0002, f"median {both * 1e6:.0f} µs, alone {alone * 1e6:.0f} µs")
    return f"median {both * 1e6:.0f} µs, alone {alone * 1e6:.0f} µs"


@case("rates: the worker sleeps until the next frame is due", needs=three)
def asleep(lan):
    """The same sender without a limit, at a tenth of what it offers then, and at a thousand a second."""
    stream, rows = lan.stream(0, 1000), []
    for rate in (None, 0.1, 1000):
        if rate:
            set_from_vm(lan, "s0", packets=f"{int(rate * rows[0]['frames'] if rate < 1 else rate)}pps")
            pump([stream], 0.2)
        before, cpu, start, count = worker(lan.switch), lan.switch.cpu_seconds(), time.perf_counter(), stream.count
        pump([stream], 2)
        cpu, seconds, after = lan.switch.cpu_seconds() - cpu, time.perf_counter() - start, worker(lan.switch)
        rows.append({"frames": (stream.count - count) / seconds, "cpu": cpu / seconds,
                     "sleeps": (after["sleeps"] - before["sleeps"]) / seconds,
                     "busy": (after["busy_cycles"] - before["busy_cycles"]) / seconds / after["tsc_hz"]})
    finish([stream])
    set_from_vm(lan, "s0")
    said = "; ".join("{frames:.0f} frames, {sleeps:.0f} sleeps a second, {cpu:.0%} of a CPU, {busy:.1%} busy"
                     .format(**row) for row in rows)
    free, tenth, little = rows
    check(tenth["frames"] / free["frames"] < 0.102, said)
    check(tenth["sleeps"] > 500 and tenth["busy"] < free["busy"] * 0.8, said)
    check(little["cpu"] < free["cpu"] / 2 and little["busy"] < tenth["busy"], said)
    return said


@case("rates: a change holds at once, for a worker that sleeps too", needs=three, presets=BOTH)
def changed(lan):
    """From a frame each 400 ms to one each millisecond, between two of them."""
    stream, said = lan.stream(0, 1250), []
    with Client(lan.switch.control) as client:
        for _ in range(3):
            client.call("port.set", name="s0", settings=[{"path": "rate.from-vm.bits", "value": "25kbit"}])
            pump([stream], slow(0.5))
            seen = stream.count
            pump([stream], lambda: stream.count > seen)
            client.call("port.set", name="s0", settings=[{"path": "rate.from-vm.bits", "value": "10Mbit"}])
            start, seen = time.perf_counter(), stream.count
            pump([stream], lambda: stream.count > seen + 20)
            took = time.perf_counter() - start
            check(took < slow(0.1), f"20 frames of a millisecond each took {took:.3f} s")
            said.append(took)
            client.call("port.set", name="s0", settings=[{"path": "rate", "value": None}])
    finish([stream])
    return f"20 frames after {max(said) * 1000:.0f} ms"


@case("rates: what a policed VM sends beyond its rate is dropped by name", needs=three, presets=BOTH)
def policed(lan):
    before = drops(lan.switch).get(("s0", "rate-police"), 0)
    set_from_vm(lan, "s0", bits="10Mbit", police="true")
    stream = lan.stream(0, 1250)
    [got] = expect([stream], [1000], 0.01, "10 Mbit")
    finish([stream])
    dropped = drops(lan.switch)[("s0", "rate-police")] - before
    one = rate_of(lan, "s0", "from-vm")
    set_from_vm(lan, "s0")
    check(dropped > 2 * stream.count and stream.count + dropped == stream.sent,
          f"{stream.sent} sent, {stream.count} arrived, {dropped} dropped")
    check(one["drops"] == dropped, one)
    return f"{got:.1f} frames a second, {dropped} dropped"


@case("rates: what VMs share is spread by weights, and lent", alone=True)
def shared():
    """On two workers; the sender with the largest weight then has an own limit, and then nothing to send."""
    with pairs(3, workers=(0, 1)) as lan:
        cpus = {lan.switch.json("port", "show", f"s{n}")["queue_list"][0]["worker_cpu"] for n in range(3)}
        check(cpus == {0, 1}, f"the senders' workers are on CPUs {cpus}")
        text = lan.switch.ctl("export")
        path = lan.switch.work.file("shared.yaml")
        with open(path, "w") as file:
            file.write(text + "\nrates:\n  tenant: {bits: 70Mbit, ports: {s0: 1, s1: 2, s2: 4}}\n")
        lan.switch.ctl("apply", path)
        streams = [lan.stream(number, 1250) for number in range(3)]
        said = [expect(streams, [1000, 2000, 4000], 0.02, "1:2:4", 3)]
        set_from_vm(lan, "s2", bits="10Mbit")
        said.append(expect(streams, [2000, 4000, 1000], 0.02, "the third has an own limit", 3))
        set_from_vm(lan, "s2")
        finish(streams)
        said.append(expect(streams[:2], [7000 / 3, 14000 / 3], 0.02, "the third has nothing to send", 3))
        rate = lan.switch.json("rate", "show", "tenant")["rates"][0]
        check(rate["limited_by"] == "rate" and abs(rate["actual_1s"]["bits"] / 70e6 - 1) < 0.02, rate)
        return "Mbit/s: " + "; ".join(" ".join(f"{frames / 100:.2f}" for frames in row) for row in said)
