"""Rates of what VMs receive, of frames that become several packets: how they are counted, and that none of them is
lost for a full ring."""
import struct

from cases import BOTH, case, check, slow
from lab import wait_until
from lab.frontend import F_CSUM, F_GUEST_CSUM, F_MRG_RXBUF, SIZE, VNET, WRITE
from rates import rate_of, set_to_vm
from rates_receiving import KINDS, Books, ipv4, total_drops, udp
from switching import lan

F_GUEST_TSO4, F_HOST_TSO4 = 1 << 7, 1 << 11
TSO = F_CSUM | F_GUEST_CSUM | F_HOST_TSO4 | F_GUEST_TSO4 | F_MRG_RXBUF
PAYLOAD = 8000 // 3      # of a TSO frame, in a front-end's buffer of 4 KiB


def tso_frame(lan, to, gso):
    """From a: the frame, its virtio-net header, and how many segments it is."""
    header = ipv4(20 + 20 + PAYLOAD, 6)
    tcp = struct.pack(">HHIIBBHHH", 1, 2, 1000, 0, 5 << 4, 0x10, 1000, 0, 0)
    vnet = struct.pack("<BBHHHHH", 1, 1, 54, gso, 34, 16, 0)
    check(len(vnet) == VNET, "the header's length")
    data = bytes(i * 7 // 3 % 256 for i in range(PAYLOAD))
    return lan.a.frame(lan.ends[to].mac, header + tcp + data, 0x0800), vnet, -(-PAYLOAD // gso)


def send_tso(lan, to, gso, count):
    frame, vnet, segments = tso_frame(lan, to, gso)
    for _ in range(count):
        lan.a.put(frame, vnet)
        lan.a.wait_sent(slow(5))
    return segments * count


@case("rates: to-vm holds TSO frames whole, and cuts them for who needs it", presets=BOTH)
def tso():
    with lan() as one:
        one.port("a", features=TSO)
        one.port("whole", features=TSO)
        one.port("cut")
        one.learned()
        payload, gso = PAYLOAD, 500
        for name in ("whole", "cut"):
            set_to_vm(one, name, bits="100kbit", queue="1MiB")
            end, raw = one.ends[name], []
            segments = send_tso(one, name, gso, 3) // 3
            held = rate_of(one, name)["held"]
            frames, rest = divmod(held["packets"], segments)
            check(frames >= 1 and not rest and held["bytes"] == frames * (payload + segments * 54), held)
            set_to_vm(one, name)
            count = 3 if name == "whole" else 3 * segments
            wait_until(lambda: raw.extend(end.rx.take_used()) or len(raw) == count, slow(5), lambda: f"{name}: {raw}",
                       0.01)
            total = sum(length for _, length in raw)
            expected = VNET + 54 + payload if name == "whole" else segments * (VNET + 54) + payload
            check(total == 3 * expected, f"{name}: {total} bytes, not {3 * expected}")
            at = end.rx.buffer(raw[0][0])
            flags, kind, _, size = struct.unpack_from("<BBHH", end.rx.memory, at)
            check((flags, kind, size) == ((1, 1, gso) if name == "whole" else (0, 0, 0)), (flags, kind, size))
            end.post(end.rx, [head for head, _ in raw])
        return f"{segments} segments"


@case("rates: TSO frames in the books, whoever loses them", presets=BOTH)
def tso_books():
    """All counts are of the packets that they become."""
    with lan() as one:
        one.port("a", features=TSO)
        one.port("cut")
        one.learned()
        set_to_vm(one, "cut", bits="1kbit", queue="64KiB")
        books = Books(one, "cut")
        for kind in KINDS:
            one.switch.ctl("port", "set", "cut", f"rate.to-vm.scheduler={kind}")
            books.sent += send_tso(one, "cut", 500, 20)
            held = books.check()
            check(held > 50 and held % 6 == 0, f"{held} held")
        lost = books.lost()
        check(set(lost) == {"to-vm-queue-full"} and lost["to-vm-queue-full"] > 100, f"lost {lost}")
        one.cut.stop()
        one.switch.ctl("port", "set", "cut", "rate.to-vm.bits=1Gbit")
        wait_until(lambda: not books.check(), slow(5), "all of it to be lost", 0.01)
        return f"{books.sent} sent, lost {books.lost()}"


def piecewise(trunk):
    @case(f"rates: a TSO frame goes on where a full ring has ended it{', with tags' if trunk else ''}", presets=BOTH)
    def run():
        with lan() as one:
            one.port("a", features=TSO, **({"vlan__access": 5} if trunk else {}))
            one.port("cut", **({"vlan__trunk": "[5]"} if trunk else {}))
            one.learned()
            set_to_vm(one, "cut", bits="1Gbit")
            one.cut.stop()
            one.cut.start(receive=0)
            one.switch.wait_port("cut", "up")
            before, rx, got = total_drops(one, "cut"), one.cut.rx, b""
            passed = rate_of(one, "cut")["passed"]["packets"]
            total = send_tso(one, "cut", 100, 3)
            left = total
            while left:
                room = min(left, 5)
                one.cut.post(rx, [(rx.avail + i) % SIZE for i in range(room)])
                wait_until(lambda: not rx.pending(), slow(5), lambda: f"{rx.pending()} of {room} buffers to be filled")
                for head, length in rx.take_used():
                    at = rx.buffer(head) + VNET + 54 + 4 * trunk
                    got += one.cut.memory[at:rx.buffer(head) + length]
                left -= room
                wait_until(lambda: rate_of(one, "cut")["held"]["packets"] == left, slow(5),
                           lambda: f"{left} are left, {rate_of(one, 'cut')}", 0.001)
            check(total_drops(one, "cut") == before, f"lost {total_drops(one, 'cut')}")
            check(got == 3 * tso_frame(one, "cut", 100)[0][54:], "their bytes")
            passed = rate_of(one, "cut")["passed"]["packets"] - passed
            check(passed == total, f"{passed} passed, not {total}")
            return f"{total} segments, 5 at a time"


piecewise(False)
piecewise(True)


@case("rates: a frame that takes more buffers than a VM ever gives keeps no others", presets=BOTH)
def too_long():
    with lan() as one:
        one.port("a", features=TSO)
        one.port("b", features=TSO)
        one.learned()
        set_to_vm(one, "b", bits="10Gbit")
        one.b.stop()
        one.b.start(receive=0)
        one.switch.wait_port("b", "up")
        # One buffer at a time, too short for the TSO frame.
        rx = one.b.rx
        rx.desc(0, one.b.address(rx, 0), 1000, WRITE)
        rx.publish(0)
        books = Books(one, "b")
        frame, vnet, segments = tso_frame(one, "b", 500)
        one.a.put(frame, vnet)
        books.send("a", [udp(one, "a", one.b.mac, 1)])
        wait_until(lambda: rx.used != rx.used_index(), slow(5), "the frame behind it", 0.001)
        check(books.lost() == {"to-vm-ring-full": segments}, f"lost {books.lost()}")
        check(len(one.b.got()[0]) == 200, "it is another one")
