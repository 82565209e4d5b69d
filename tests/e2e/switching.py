"""What the switch does with single frames, seen from raw rings: VLANs, learning, floods, and every drop
that a frame can meet under its name."""
import struct
import time

from cases import BOTH, case, check, fixture, slow
from lab import wait_until
from lab.frontend import F_CSUM, F_GUEST_CSUM, F_MRG_RXBUF
from lans import BROADCAST, NOBODY, lan, mac, tag

ETHERTYPE = 0x88b5      # for experiments (IEEE 802)


@fixture()
def flat():
    """Three ports without VLANs."""
    with lan() as one:
        for name in "abc":
            one.port(name)
        one.learned()
        yield one


@case("switching: unicast, broadcast and unknown", needs=flat, presets=BOTH)
def forwarding(lan):
    a = lan.a
    got = lan.send("a", a.frame(mac(2), b"to b"))
    check(set(got) == {"b"} and got["b"][0][14:18] == b"to b", f"unicast went to {got}")
    got = lan.send("a", a.frame(BROADCAST, b"to all"))
    check(set(got) == {"b", "c"}, f"broadcast went to {set(got)}")
    got = lan.send("a", a.frame(NOBODY, b"to whom?"))
    check(set(got) == {"b", "c"}, f"unknown unicast went to {set(got)}")
    got = lan.send("a", a.frame("33:33:00:00:00:01", b"to a group"))
    check(set(got) == {"b", "c"}, f"multicast went to {set(got)}")


@case("switching: drops by name", needs=flat, presets=BOTH)
def named_drops(lan):
    a = lan.a
    group_source = bytes.fromhex("525400000f02" "015400000001" "88b5") + bytes(46)
    no_source = bytes.fromhex("525400000f02" "000000000000" "88b5") + bytes(46)
    broken_ip = a.frame(mac(2), bytes.fromhex("4500ffff00004000401100000a0000010a000002"), 0x0800)
    huge = a.frame(mac(2), bytes(1501))
    for reason, frame in {
        "link-local": a.frame("01:80:c2:00:00:0e"), "source-multicast": group_source,
        "vlan-not-member": a.frame(mac(2), bytes(46), 0x8100)[:12] + tag(10) + bytes(50),
        "same-port": a.frame(mac(1)), "bad-header": broken_ip, "frame-too-short": bytes(13),
    }.items():
        lan.expect_drop("a", reason, lambda: lan.send("a", frame))
    lan.expect_drop("a", "source-multicast", lambda: lan.send("a", no_source))
    # A priority tag that hides a VLAN's: where the first is taken off, that one would count.
    hidden = a.frame(mac(2))[:12] + tag(0) + tag(20) + b"\x88\xb5" + bytes(46)
    lan.expect_drop("a", "vlan-not-member", lambda: lan.send("a", hidden))
    lan.expect_drop("b", "to-vm-mtu", lambda: lan.send("a", huge))
    return "8 reasons, each counted once"


@case("switching: what every receiver can take of a flood", needs=flat)
def flood_counts(lan):
    """A receiver without buffers loses its copy by name, the others get theirs."""
    c = lan.c
    c.stop()
    c.start(receive=0)
    lan.switch.wait_port("c", "up")
    lan.expect_drop("c", "to-vm-ring-full", lambda: check(
        set(lan.send("a", lan.a.frame(BROADCAST, b"flood"))) == {"b"}, "b has no copy"))
    c.restart()
    lan.switch.wait_port("c", "up")


@case("switching: a port that stops is left out of floods", needs=flat)
def stopped_port(lan):
    lan.b.stop()
    lan.c.stop()
    for name in "bc":
        lan.switch.wait_port(name, "waiting for the guest driver")
    lan.expect_drop("a", "no-receiver", lambda: lan.send("a", lan.a.frame(BROADCAST)))
    lan.expect_drop("b", "to-vm-not-up", lambda: lan.send("a", lan.a.frame(mac(2))))
    for name in "bc":
        lan.ends[name].start()
        lan.switch.wait_port(name, "up")
    got = lan.send("a", lan.a.frame(mac(2), b"again"))
    check(set(got) == {"b"}, f"after the restart it went to {set(got)}")


@case("switching: an address moves, is listed, flushed and learned again", needs=flat, presets=BOTH)
def mac_moves(lan):
    moving = "52:54:00:00:aa:01"
    bytes_ = bytes.fromhex(moving.replace(":", ""))
    lan.send("b", bytes.fromhex("ffffffffffff") + bytes_ + b"\x88\xb5" + bytes(46))
    check(set(lan.send("a", lan.a.frame(moving))) == {"b"}, "not learned behind b")
    lan.send("c", bytes.fromhex("ffffffffffff") + bytes_ + b"\x88\xb5" + bytes(46))
    check(set(lan.send("a", lan.a.frame(moving))) == {"c"}, "did not move to c")
    rows = lan.switch.json("fdb", "list")
    rows = rows["items"] if isinstance(rows, dict) else rows
    check([row["port"] for row in rows if row["mac"] == moving] == ["c"], f"fdb list says {rows}")
    lan.switch.ctl("fdb", "flush", "--mac", moving)
    check(set(lan.send("a", lan.a.frame(moving))) == {"b", "c"}, "known after the flush")
    lan.switch.ctl("fdb", "flush")
    lan.learned()


@case("switching: a port's limit of addresses")
def mac_limit():
    with lan() as one:
        one.port("a", limits__macs=4)
        one.port("b")
        one.port("c")
        one.learned()
        for number in range(20):
            source = bytes.fromhex("0200000000") + bytes([number])
            one.send("a", bytes.fromhex("ffffffffffff") + source + b"\x88\xb5" + bytes(46))
        check(one.switch.port("a")["macs"] == 4, f"a has {one.switch.port('a')['macs']} addresses")
        check(set(one.send("b", one.b.frame("02:00:00:00:00:02"))) == {"a"}, "the third was not learned")
        check(set(one.send("b", one.b.frame("02:00:00:00:00:10"))) == {"a", "c"}, "the 17th was learned")
        # Its own address was known before: the flood of others has not pushed it out.
        check(set(one.send("b", one.b.frame(mac(1)))) == {"a"}, "its own address was lost")


@fixture()
def vlans():
    with lan() as one:
        one.port("x10", vlan="{access: 10}")
        one.port("y10", vlan="{access: 10}")
        one.port("z20", vlan="{access: 20}")
        one.port("trunk", vlan="{trunk: [10, 20]}")
        one.port("native", vlan="{trunk: [10], native: 20}")
        one.port("all", vlan="{trunk: all}")
        one.port("plain")
        yield one


def shape(frame):
    """(tag or None, ethertype behind it)."""
    kind, control, inner = struct.unpack_from(">HHH", frame, 12)
    return ((kind, control), inner) if kind in (0x8100, 0x88a8) else (None, kind)


@case("VLAN: the matrix of access, trunk and native", needs=vlans, presets=BOTH)
def vlan_matrix(lan):
    """A broadcast from each kind of port in each form: who gets it, and in which form."""
    plain, in10, in20 = None, (0x8100, 10), (0x8100, 20)
    reach10 = {"x10": plain, "y10": plain, "trunk": in10, "native": in10, "all": in10}
    reach20 = {"z20": plain, "trunk": in20, "native": plain, "all": in20}
    sent = 0
    for name, form, reach in [
        ("x10", plain, reach10), ("z20", plain, reach20), ("trunk", in10, reach10),
        ("trunk", in20, reach20), ("native", in10, reach10), ("native", plain, reach20),
        ("all", in20, reach20), ("all", (0x8100, 30), {}), ("plain", plain, {}),
    ]:
        end = lan.ends[name]
        header = bytes.fromhex("ffffffffffff") + end.mac + (struct.pack(">HH", *form) if form else b"")
        got = lan.send(name, header + struct.pack(">H", ETHERTYPE) + bytes(46))
        seen = {who: [shape(frame) for frame in frames] for who, frames in got.items()}
        wanted = {who: [(form, ETHERTYPE)] for who, form in reach.items() if who != name}
        check(seen == wanted, f"{name} sent {form}: {seen}, expected {wanted}")
        sent += 1
    return f"{sent} senders, 0 leaks"


@case("VLAN: frames that have no place are dropped by name", needs=vlans)
def vlan_refused(lan):
    for name, form in [("x10", tag(10)), ("x10", tag(20)), ("trunk", b""), ("trunk", tag(30)),
                       ("native", tag(30)), ("all", b""), ("all", tag(4095)), ("plain", tag(1))]:
        end = lan.ends[name]
        frame = bytes.fromhex("ffffffffffff") + end.mac + form + struct.pack(">H", ETHERTYPE) + bytes(46)
        lan.expect_drop(name, "vlan-not-member", lambda: check(
            not lan.send(name, frame), f"{name}: a frame tagged {form.hex()} got through"))
    return "8 of 8"


@case("VLAN: priority tags and QinQ", needs=vlans)
def vlan_tags(lan):
    x10, trunk = lan.x10, lan.trunk
    body = struct.pack(">H", ETHERTYPE) + bytes(46)
    lan.send("trunk", bytes.fromhex("ffffffffffff") + trunk.mac + tag(10) + body)
    # A priority tag names no VLAN: the frame is the access port's, and its priority goes along.
    got = lan.send("x10", trunk.mac + x10.mac + tag(0, priority=5) + body)
    check(set(got) == {"trunk"} and shape(got["trunk"][0]) == ((0x8100, 5 << 13 | 10), ETHERTYPE),
          f"priority tag: {got}")
    # The outer tag is Weir's, whatever its kind; the inner one is the guests' own.
    inner = tag(777)
    got = lan.send("trunk", x10.mac + trunk.mac + tag(10, kind=0x88a8) + inner + body)
    check(set(got) == {"x10"} and got["x10"][0][12:] == inner + body, f"QinQ: {got}")


@case("switching: two workers deliver to one port, and every frame is counted", presets=BOTH)
def two_workers():
    with lan(config={"switch": {"workers": [0, 1]}}) as one:
        for name in "abc":
            one.port(name)
        one.learned()
        cpus = {one.switch.json("port", "show", name)["queue_list"][0]["worker_cpu"] for name in "ab"}
        check(cpus == {0, 1}, f"the senders' workers are on CPUs {cpus}")
        before, total = one.switch.port("c"), 400
        received = 0
        for number in range(total // 2):
            for name in "ab":
                one.ends[name].put(one.ends[name].frame(mac(3), b"%d" % number))
            received += len(one.c.got())
        for name in "ab":
            one.ends[name].wait_sent()
        received += len(one.c.got())
        after = one.switch.port("c")
        lost = after["drops"] - before["drops"]
        check(received + lost == total, f"{received} received and {lost} dropped of {total}")
        check(after["to_vm"]["packets"] - before["to_vm"]["packets"] == received, "the counter disagrees")
        return f"{received} received + {lost} dropped = {total}"


@case("switching: a checksum is completed for a receiver that cannot")
def checksum():
    """The sender leaves the UDP checksum to the device; one receiver takes it so, the other gets it done."""
    with lan() as one:
        one.port("a", F_MRG_RXBUF | F_CSUM)
        one.port("plain")
        one.port("able", F_MRG_RXBUF | F_GUEST_CSUM)
        one.learned()
        payload = bytes(range(256)) * 4 + b"odd"
        udp = struct.pack(">HHHH", 4000, 53, 8 + len(payload), 0x1234) + payload
        addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0x4000, 64, 17, 0) + addresses
        frame = one.a.frame(BROADCAST, ip + udp, 0x0800)
        got = one.send("a", frame, struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 6, 0))
        check(set(got) == {"plain", "able"}, f"it went to {set(got)}")
        done = got["plain"][0]
        words = addresses + struct.pack(">BBH", 0, 17, len(udp)) + done[34:] + b"\0" * (len(done) % 2)
        total = sum(struct.unpack(f">{len(words) // 2}H", words))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        check(total == 0xffff, f"the completed checksum is wrong: the sum is {total:#06x}")
        check(done[42:] == payload and got["able"][0][42:] == payload, "the payload changed")


@case("switching: buffers that are too small for a frame", presets=BOTH)
def small_buffers():
    """Without mergeable buffers a frame that does not fit is lost by name, and smaller ones go on."""
    with lan() as one:
        one.port("a")
        b = one.port("b", features=0)
        one.learned()
        b.stop()
        b.start(receive=0)
        for entry in range(8):
            b.rx.desc(entry, b.address(b.rx, entry), 12 + 100, 2)
            b.rx.publish(entry)
        one.switch.wait_port("b", "up")
        one.expect_drop("b", "to-vm-buffer-too-small", lambda: one.send("a", one.a.frame(mac(2), bytes(200))))
        got = one.send("a", one.a.frame(mac(2), b"fits"))
        check(set(got) == {"b"}, f"a frame that fits went to {set(got)}")


@case("switching: frames of every size over every layout of buffers")
def sizes():
    """From 14 bytes to the MTU of 9000, over mergeable buffers much smaller than the frame."""
    with lan() as one:
        one.port("a", mtu=9000)
        b = one.port("b", mtu=9000)
        one.learned()
        b.stop()
        b.start(receive=0)
        entries = iter(range(256))
        for entry in entries:
            b.rx.desc(entry, b.address(b.rx, entry), 137, 2)
            b.rx.publish(entry)
        one.switch.wait_port("b", "up")
        count = 0
        for size in (60, 61, 64, 125, 126, 191, 192, 193, 1514, 2048, 4000):
            payload = bytes(number & 0xff for number in range(size - 14))
            a = one.a
            a.put(a.frame(mac(2), payload))
            a.wait_sent()
            used = b.rx.take_used()
            data = b"".join(bytes(b.memory[b.rx.buffer(head):b.rx.buffer(head) + length])
                            for head, length in used)
            buffers = struct.unpack_from("<H", data, 10)[0]
            check(buffers == len(used), f"{size} B: num_buffers {buffers}, {len(used)} used")
            check(data[12:] == a.frame(mac(2), payload), f"{size} B: the content changed")
            count += 1
        return f"{count} sizes over buffers of 137 bytes"


@case("switching: the first frame behind a sleep arrives")
def idle():
    with lan() as one:
        one.port("a")
        one.port("b")
        one.learned()
        def sleeps():
            return one.switch.json("status")["workers"][0]["sleeps"]
        before = sleeps()
        for number in range(50):
            got = one.send("a", one.a.frame(mac(2), b"wake up"))
            check(set(got) == {"b"}, f"the first frame after a sleep went to {got}")
            wait_until(lambda: sleeps() > before + number, slow(5), "the worker to sleep again")
        return "50 first frames after a sleep"


@case("switching: a guest that never kicks is looked at")
def kickless():
    with lan() as one:
        one.port("a")
        one.port("b")
        one.learned()
        one.a.stop_kicking(one.a.tx)
        one.switch.wait_port("a", "up", slow(10))
        for _ in range(20):
            got = one.send("a", one.a.frame(mac(2), b"no kick"))
            check(set(got) == {"b"}, f"a frame without a kick went to {got}")
            time.sleep(0.01)    # past the switch's last look before it sleeps
        start, before = time.monotonic(), one.switch.cpu_seconds()
        time.sleep(2)
        share = (one.switch.cpu_seconds() - before) / (time.monotonic() - start)
        check(share < 0.25, f"idle, the switch takes {share:.0%} of a CPU")
        return f"20 frames; {share:.1%} of a CPU while idle"
