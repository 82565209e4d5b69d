"""Rates of what VMs receive: what waits in the switch for its turn, and that every packet is either delivered,
counted as lost, or still waits."""
import statistics
import struct
import time

from cases import BOTH, case, check, fixture, slow
from lab import wait_until
from lab.frontend import AVAIL, SIZE
from lab.packets import checksum
from rates import rate_of, set_to_vm, sleeps
from rates_sending import Stream, expect, finish, pairs, pump
from switching import lan

KINDS = ("fifo", "prio", "drr", "fq-codel")
QUEUE_DROPS = ("to-vm-queue-full", "to-vm-queue-drop", "to-vm-no-buffer")


@fixture()
def two():
    """Two senders with their receivers on one worker."""
    with pairs(2) as one:
        yield one


@fixture()
def spread():
    """The same, of which senders and receivers have different workers."""
    with pairs(2, workers=(0, 1)) as one:
        yield one


def send(lan, name, frames):
    """All of them, as fast as they are taken."""
    end = lan.ends[name]
    for first in range(0, len(frames), 128):
        end.put_together(frames[first:first + 128])
        end.wait_sent(slow(20))


def ipv4(length, protocol, tos=0):
    """A header from 10.0.0.1 to 10.0.0.2."""
    header = struct.pack(">BBHHHBBHII", 0x45, tos, length, 0, 0, 64, protocol, 0, 0x0a000001, 0x0a000002)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def udp(lan, name, to, sport, number=0, size=200, tos=0):
    """An IPv4 frame of a flow, numbered."""
    length = size - 14
    header = ipv4(length, 17, tos)
    payload = struct.pack(">HHHH", sport, 9, length - 20, 0) + struct.pack(">I", number)
    return lan.ends[name].frame(to, (header + payload).ljust(length, b"\0"), 0x0800)


def number_of(frame):
    """(source port, number) of what udp() has made."""
    return struct.unpack_from(">H", frame, 34)[0], struct.unpack_from(">I", frame, 42)[0]


def total_drops(lan, port):
    return {reason: count for reason, count in lan.drops(port).items() if count and reason.startswith("to-vm")}


class Offer(Stream):
    """Half as much again as what goes. Not all that is possible: a worker that never sleeps is the first whom the
    kernel lets wait for others, where CPUs are scarce."""

    def __init__(self, lan, number, size, target):
        super().__init__(lan.ends[f"s{number}"], lan.ends[f"r{number}"], size, lan.ends[f"r{number}"].mac)
        self.target, self.start, self.offered = target, time.perf_counter(), 0

    def fill(self):
        tx, due = self.sender.tx, int((time.perf_counter() - self.start) * 1.5 * self.target) - self.offered
        count = max(0, min(due, SIZE - tx.pending()))
        for _ in range(count):
            tx.publish(tx.avail % SIZE)
        self.offered += count
        if count:
            tx.notify()


def end_rate(lan, stream, port):
    """And nothing waits any more, in the sender's ring or for the receiver; that is shown of one with a rate."""
    set_to_vm(lan, port)
    set_to_vm(lan, port, bits="100Gbit")
    finish([stream])

    def gone():
        stream.drain()
        return not rate_of(lan, port)["held"]["packets"]
    wait_until(gone, slow(10), "the queue to run empty", 0.001)
    stream.drain()
    set_to_vm(lan, port)


class Books:
    """What was sent to a receiver is there, was lost by name, or waits."""

    def __init__(self, lan, port):
        self.lan, self.port, self.before = lan, port, total_drops(lan, port)
        self.sent, self.frames = 0, []
        lan.ends[port].got()

    def send(self, name, frames):
        send(self.lan, name, frames)
        self.sent += len(frames)

    def lost(self):
        after = total_drops(self.lan, self.port)
        return {key: after[key] - self.before.get(key, 0) for key in after if after[key] != self.before.get(key, 0)}

    def wait_all(self):
        """Until nothing waits any more."""
        def done():
            if frames := self.lan.ends[self.port].got():
                self.frames += frames
                return False
            return len(self.frames) + sum(self.lost().values()) == self.sent
        wait_until(done, slow(20), lambda: f"{self.sent} sent, {len(self.frames)} received, lost {self.lost()}", 0.001)

    def check(self):
        """Nothing is being sent any more; what is in the ring was not looked at yet."""
        held = rate_of(self.lan, self.port)["held"]["packets"]
        self.frames += self.lan.ends[self.port].got()
        lost = self.lost()
        # Between both looks some may have gone.
        still = rate_of(self.lan, self.port)["held"]["packets"]
        if held != still:
            return self.check()
        check(len(self.frames) + sum(lost.values()) + held == self.sent,
              f"{self.sent} sent: {len(self.frames)} received, {held} held, lost {lost}")
        return held


@case("rates: to-vm is held to half a percent", needs=two, alone=True)
def rate(lan):
    said = []
    for rate, size, target in [({"bits": "1Mbit", "queue": "64KiB"}, 125, 1000),
                               ({"bits": "100Mbit"}, 1500, 100e6 / 12000), ({"packets": "10kpps"}, 60, 10000),
                               ({"bits": "10Mbit", "packets": "500pps"}, 1500, 500),
                               ({"bits": "10Mbit", "layer": "wire"}, 101, 10e6 / 1000)]:
        set_to_vm(lan, "r0", **rate)
        stream = Offer(lan, 0, size, target)
        pump([stream], 0.5)     # until the queue is full
        [got] = expect([stream], [target], 0.005, f"{rate}, {size} bytes")
        one = rate_of(lan, "r0")
        check(one["limited_by"] == "rate" and one["held"]["packets"] and one["wait_ns"] > 10**6 and one["drops"], one)
        said.append(f"{got / target - 1:+.2%}")
        end_rate(lan, stream, "r0")
    return ", ".join(said)


@case("rates: to-vm across workers, to those that sleep too", needs=spread, alone=True)
def across(lan):
    cpus = {lan.switch.json("port", "show", name)["queue_list"][0]["worker_cpu"] for name in ("s0", "r1")}
    check(cpus == {0, 1}, f"the workers are on CPUs {cpus}")
    set_to_vm(lan, "r1", bits="10Mbit")
    books = Books(lan, "r1")
    owner = lan.switch.json("port", "show", "r1")["queue_list"][0]["worker_cpu"]
    for round_ in range(20):
        # It has nothing to do when they come, and nobody else to wake it.
        wait_until(lambda: sleeps(lan.switch, owner), slow(5), "the owner to sleep", 0.001)
        books.send("s0", [udp(lan, "s0", lan.r1.mac, 1, round_ * 20 + i, 1250) for i in range(20)])
        books.wait_all()
    check(books.check() == 0 and not books.lost(), f"lost {books.lost()}")
    check([number_of(frame)[1] for frame in books.frames] == list(range(400)), "they came in another order")
    stream = Offer(lan, 0, 1250, 5000)
    set_to_vm(lan, "r1")
    set_to_vm(lan, "r0", bits="50Mbit")
    [got] = expect([stream], [5000], 0.005, "50 Mbit")
    end_rate(lan, stream, "r0")
    return f"{got / 5000 - 1:+.2%}"


def conserved(kind):
    @case(f"rates: to-vm loses nothing uncounted, {kind}", needs=spread, presets=BOTH)
    def run(lan):
        set_to_vm(lan, "r0", bits="2Mbit", scheduler=kind, queue="64KiB", target="1ms", interval="10ms")
        books = Books(lan, "r0")
        for round_ in range(10):
            if round_ == 5:     # from now on all of it waits
                lan.switch.ctl("port", "set", "r0", "rate.to-vm.bits=1kbit")
            frames = [udp(lan, "s0", lan.r0.mac, 1 + i % 7, i, 60 + (i * 211 + round_) % 1400, (i % 8) << 5 | i % 4)
                      for i in range(200)]
            books.send("s0" if round_ % 2 else "s1", frames)
            books.check()
        held, lost = books.check(), books.lost()
        check(held and lost.get("to-vm-queue-full") and set(lost) <= set(QUEUE_DROPS), f"{held} held, lost {lost}")
        set_to_vm(lan, "r0")
        books.wait_all()
        return f"{books.sent} sent, {len(books.frames)} received, {sum(books.lost().values())} lost"


for _kind in KINDS:
    conserved(_kind)


@case("rates: a to-vm scheduler is changed without loss", needs=spread, presets=BOTH)
def changed(lan):
    """Each to each, while packets wait; of each flow in its order."""
    set_to_vm(lan, "r0", bits="1kbit", queue="1MiB")
    books, number = Books(lan, "r0"), 0
    for one in KINDS:
        for other in KINDS:
            for kind in (one, other):
                lan.switch.ctl("port", "set", "r0", f"rate.to-vm.scheduler={kind}", "rate.to-vm.target=1s",
                               "rate.to-vm.interval=10s")
                books.send("s0", [udp(lan, "s0", lan.r0.mac, 1 + i % 5, number + i, 250) for i in range(20)])
                number += 20
        check(books.check() > 100, "nothing waits")
    check(not books.lost(), f"lost {books.lost()}")
    set_to_vm(lan, "r0")
    books.wait_all()
    for flow in range(1, 6):
        numbers = [number for sport, number in map(number_of, books.frames) if sport == flow]
        check(numbers == sorted(numbers) and len(numbers) == books.sent / 5, f"flow {flow}: {numbers}")
    return f"{books.sent} packets, {2 * len(KINDS) ** 2} changes"


@case("rates: a rate that ends lets what waits go first", needs=two, presets=BOTH)
def ended(lan):
    set_to_vm(lan, "r0", bits="1kbit", queue="1MiB")
    books = Books(lan, "r0")
    books.send("s0", [udp(lan, "s0", lan.r0.mac, 1, i, 1000) for i in range(100)])
    check(books.check() > 50, "nothing waits")
    set_to_vm(lan, "r0")
    books.send("s0", [udp(lan, "s0", lan.r0.mac, 1, 100 + i, 100) for i in range(100)])
    books.wait_all()
    check([number_of(frame)[1] for frame in books.frames] == list(range(200)), "some were overtaken")
    return "200 packets in order"


@case("rates: what waits for a VLAN never goes to another one", needs=two, presets=BOTH)
def left_vlan(lan):
    books = fill(lan, "r0")
    lan.switch.ctl("port", "set", "r0", "vlan.access=20", "rate.to-vm.bits=100Mbit")
    wait_until(lambda: not rate_of(lan, "r0")["held"]["packets"], slow(20), lambda: f"{rate_of(lan, 'r0')}", 0.01)
    came, lost = len(books.frames) + len(lan.r0.got()), lan.drops("r0").get("vlan-not-member", 0)
    lan.switch.ctl("port", "set", "r0", "vlan=", "rate=")
    check(came < 100 and came + lost == books.sent, f"{books.sent} sent, {came} came, {lost} lost")
    return f"{lost} lost"


@case("rates: a stalled receiver takes nothing from another one", needs=two, presets=BOTH, alone=True)
def stalled(lan):
    """Both have rates and large queues; one has no buffers, and its sender never rests."""
    set_to_vm(lan, "r0", bits="10Gbit", queue="1GiB")
    set_to_vm(lan, "r1", bits="4Mbit", queue="64KiB")
    lan.r0.stop()
    lan.r0.start(receive=0)
    lan.switch.wait_port("r0", "up")
    stuck, books = Books(lan, "r0"), Books(lan, "r1")
    flood = [udp(lan, "s0", lan.r0.mac, 1, i, 100) for i in range(2000)]
    for round_ in range(40):
        stuck.send("s0", flood)
        books.send("s1", [udp(lan, "s1", lan.r1.mac, 2, round_ * 10 + i, 500) for i in range(10)])
        books.wait_all()
    check(books.check() == 0 and not books.lost(), f"lost {books.lost()}")
    held, lost = stuck.check(), stuck.lost()
    check(set(lost) == {"to-vm-no-buffer"} and held > 1000, f"{held} held, lost {lost}")
    one = rate_of(lan, "r0")
    check(one["limited_by"] == "receiver" and one["held"]["packets"] == held, one)
    cpu, start = lan.switch.cpu_seconds(), time.monotonic()
    time.sleep(1)
    used = (lan.switch.cpu_seconds() - cpu) / (time.monotonic() - start)
    check(used < 0.3, f"waiting for a receiver takes {used:.0%} of a CPU")
    # It comes back to life.
    lan.r0.post(lan.r0.rx, range(SIZE))
    stuck.wait_all()
    check(stuck.check() == 0, "some still wait")
    numbers = [number_of(frame)[1] for frame in stuck.frames]
    check(numbers[:4000] == 2 * list(range(2000)), "they came in another order")
    set_to_vm(lan, "r0")
    set_to_vm(lan, "r1")
    lan.r0.restart()
    lan.switch.wait_port("r0", "up")
    return f"{held} held, {sum(lost.values())} lost, {used:.1%} of a CPU"


def room(lan):
    """How many packets may wait for r1: half of all buffers that are free."""
    set_to_vm(lan, "r1", bits="1kbit", queue="1GiB")
    flood = [udp(lan, "s1", lan.r1.mac, 1, i, 100) for i in range(2000)]
    before = lan.drops("r1").get("to-vm-no-buffer", 0)
    while lan.drops("r1").get("to-vm-no-buffer", 0) == before:
        send(lan, "s1", flood)
    most = rate_of(lan, "r1")["held"]["packets"]
    lan.switch.ctl("port", "set", "r1", "rate.to-vm.bits=400Gbit")

    def gone():
        return not lan.r1.got() and not rate_of(lan, "r1")["held"]["packets"]
    wait_until(gone, slow(20), "all of them to go", 0.001)
    return most


@case("rates: a receiver that stops, faults or is removed while packets wait", presets=BOTH)
def gone():
    with pairs(3) as lan:
        most = room(lan)
        stop_and_fault(lan)
        close_and_remove(lan)
        again = room(lan)
        check(abs(most - again) < 1000, f"{most} packets could wait, now {again}")
        return f"{most} and {again} packets may wait"


def fill(lan, name):
    """Its books, with packets that wait for it."""
    set_to_vm(lan, name, bits="1kbit", queue="1MiB")
    books = Books(lan, name)
    books.send("s0", [udp(lan, "s0", lan.ends[name].mac, 1, i, 1000) for i in range(150)])
    check(books.check() > 50, "nothing waits")
    return books


def stop_and_fault(lan):
    # Its driver stops: what is due then has nobody to go to.
    books = fill(lan, "r0")
    lan.r0.stop()
    lan.switch.ctl("port", "set", "r0", "rate.to-vm.bits=100Mbit")
    wait_until(lambda: not rate_of(lan, "r0")["held"]["packets"], slow(20), lambda: f"{rate_of(lan, 'r0')}", 0.01)
    lost = books.lost()
    check(set(lost) == {"to-vm-not-up"} and lost["to-vm-not-up"] + len(books.frames) <= books.sent, f"lost {lost}")
    lan.r0.start()
    lan.switch.wait_port("r0", "up")
    # It names descriptors that are none.
    lan.switch.expect(r"descriptor index beyond the ring in queue 0")
    books = fill(lan, "r0")
    rx = lan.r0.rx
    for entry in range(SIZE):
        struct.pack_into("<H", rx.memory, rx.base + AVAIL + 4 + 2 * entry, 40000)
    lan.switch.ctl("port", "set", "r0", "rate.to-vm.bits=100Mbit")
    wait_until(lambda: not rate_of(lan, "r0")["held"]["packets"], slow(20), lambda: f"{rate_of(lan, 'r0')}", 0.01)
    wait_until(lambda: lan.switch.port("r0")["state"].startswith("faulted"), slow(5), "the fault")
    lost = books.lost()
    check(lost.get("to-vm-faulted") and set(lost) <= {"to-vm-faulted", "to-vm-not-up"}, f"lost {lost}")
    lan.r0.restart()
    lan.switch.wait_port("r0", "up")


def close_and_remove(lan):
    """A port that is opened anew keeps its counters; of one that is removed only the buffers stay."""
    for name in ("r0", "r2"):
        books = fill(lan, name)
        held = books.check()
        if name == "r0":
            lan.switch.ctl("port", "set", name, "vhost-user.queues=2")
            check(books.lost().get("to-vm-not-up", 0) >= held - 5, f"{held} held, lost {books.lost()}")
            check(not rate_of(lan, name)["held"]["packets"], rate_of(lan, name))
        else:
            lan.switch.ctl("port", "remove", name)


@case("rates: figures of a port that gets fewer queues do not go back", presets=BOTH)
def fewer_queues():
    with lan() as one:
        one.port("a")
        one.port("r", vhost_user__queues=2)
        one.learned()
        one.switch.ctl("port", "set", "r", "rate.to-vm.bits=1Gbit", "rate.from-vm.bits=1Gbit")
        send(one, "a", [udp(one, "a", one.r.mac, 1 + i, i) for i in range(64)])
        one.r.put(one.r.frame(one.a.mac), vring=one.r.vrings[3])
        one.r.wait_sent(vring=one.r.vrings[3])
        check(all(ring.take_used() for ring in one.r.vrings[0::2]), "one of its rings got nothing")

        def totals():
            port = one.switch.json("port", "show", "r")
            rates = one.switch.json("rate", "show", "r")["rates"]
            return [port["to_vm"], port["from_vm"]] + [rate["passed"] for rate in rates]
        before = totals()
        check(before[3]["packets"] >= 65 and before[2]["packets"], before)
        one.switch.ctl("port", "set", "r", "vhost-user.queues=1")
        check(totals() == before, f"{totals()}, before {before}")


@case("rates: prio, drr and fq-codel order what waits", needs=two, alone=True)
def ordered(lan):
    set_to_vm(lan, "r0", bits="2Mbit", scheduler="prio", queue="1MiB")
    books = Books(lan, "r0")
    books.send("s0", [udp(lan, "s0", lan.r0.mac, i % 2 + 1, i, 500, 0xb8 if i % 2 else 0) for i in range(200)])
    books.wait_all()
    numbers = [number_of(frame)[0] for frame in books.frames]
    # The first few have found the bucket full.
    last = max(i for i, sport in enumerate(numbers) if sport == 2)
    check(numbers[30:last].count(1) <= 3, f"of those marked EF some waited for others: {numbers}")
    # A bulk flow that is ECN capable, beside one that sends now and then.
    lan.switch.ctl("port", "set", "r0", "rate.to-vm.bits=8Mbit", "rate.to-vm.scheduler=fq-codel")
    waits, books, number = [], Books(lan, "r0"), 0
    pending, start = {}, time.perf_counter()
    while time.perf_counter() - start < 3:
        if books.sent - len(books.frames) < 60:
            books.send("s0", [udp(lan, "s0", lan.r0.mac, 1, i, 1000, 2) for i in range(60)])
        number += 1
        pending[number] = time.perf_counter()
        books.send("s0", [udp(lan, "s0", lan.r0.mac, 2, number, 100)])
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            for frame in lan.r0.got():
                books.frames.append(frame)
                sport, which = number_of(frame)
                if sport == 2:
                    waits.append(time.perf_counter() - pending[which])
            time.sleep(0.0005)
    books.wait_all()
    marks = sum(frame[15] & 3 == 3 for frame in books.frames)
    one = rate_of(lan, "r0")
    check(not books.lost() and marks and one["marks"] == marks, f"lost {books.lost()}, {marks} marked, {one}")
    median = statistics.median(waits)
    check(median < 0.005, f"the sparse flow waits {median * 1000:.1f} ms")
    set_to_vm(lan, "r0")
    return f"{marks} marked; the sparse flow waits {median * 1000:.2f} ms"
