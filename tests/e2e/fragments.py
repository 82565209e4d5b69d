"""Fragments of tracked traffic: each goes on as it came, behind its first one."""
import contextlib
import struct

from cases import case, check, slow
from lab import Switch, packets, wait_until
from lab.frontend import Frontend
from lab.wire import Namespaces, Tap

CONFIG = {"switch": {"hugepages": "off"}, "groups": {"dns": {"to-vm": [{"allow": "udp", "dport": 53}]}}, "ports": {
    name: {"vhost-user": {"socket": f"{name}.sock", "listens": "switch", "mode": "0666"}, "mtu": 3000,
           "groups": ["dns"]}
    for name in ("vm1", "vm2")}}
TO = "52:54:00:00:00:02"


def fragment(sender, to, number, start, size, more, dport=53):
    """A part of a UDP datagram from 10.0.0.1 to 10.0.0.2."""
    data = bytes((start + i) * 7 + number & 0xff for i in range(size))
    if not start:
        data = struct.pack(">HHHH", 4000, dport, 40000, 0) + data[8:]
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + size, number, start // 8 | more << 13, 64, 17, 0,
                       bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    return sender.frame(to, head + data, 0x0800)


def parts(sender, to, number, size=1480, count=5, **how):
    return [fragment(sender, to, number, i * size, size, i + 1 < count, **how) for i in range(count)]


def drops(switch, port):
    return {drop["reason"]: drop["count"] for drop in switch.json("drops", port)}


def is_ip(frame):
    return frame[12:14] == b"\x08\0"


def started(switch, *vms):
    for vm, name in vms:
        vm.start()
        switch.wait_port(name)
    # The switch learns where they are.
    for vm, _ in vms:
        address = f"10.0.0.{vm.mac[5]}"
        vm.put(vm.frame(b"\xff" * 6, packets.arp(vm.mac, address, address), packets.ARP))
        vm.wait_sent()


@contextlib.contextmanager
def two_vms(config=CONFIG):
    with Switch(config) as switch, \
            Frontend(switch.socket("vm1"), "switch", mac="52:54:00:00:00:01") as one, \
            Frontend(switch.socket("vm2"), "switch", mac=TO) as two:
        started(switch, (one, "vm1"), (two, "vm2"))
        yield switch, one, two


def wait_drops(switch, **wanted):
    """Until these, and no others, are counted at the named ports."""
    def now():
        return {vm: drops(switch, vm) for vm in wanted}
    wait_until(lambda: now() == wanted, slow(5), lambda: f"{wanted}; dropped: {now()}")


@case("fragments: denied with their first one")
def denied():
    """Whether they come before it, in one burst with it, or later: under its name, and where it counts."""
    outward = {"to-vm": [{"allow": "any"}], "from-vm": [{"deny": "udp", "dport": 54}]}
    groups = {"vm1": dict(CONFIG, groups={"dns": outward}), "vm2": CONFIG}
    for at, config in groups.items():
        with two_vms(config) as (switch, one, two):
            for number in range(30):
                frames = parts(one, TO, number, dport=54)
                if number % 3 == 0:
                    one.put_together(frames)
                for frame in (frames, frames[::-1])[number % 3 - 1] if number % 3 else ():
                    one.put(frame)
                    one.wait_sent()
            wait_drops(switch, **{vm: {"group-deny": 150} if vm == at else {} for vm in groups})
            check(not list(filter(is_ip, two.got())), "one went through")


@case("fragments: later ones of a packet that no state allows")
def no_state():
    """Here rules have nothing against it: TCP in the middle of nothing."""
    config = dict(CONFIG, groups={"dns": {"to-vm": [{"allow": "any"}]}})
    with two_vms(config) as (switch, one, two):
        segment = packets.tcp("10.0.0.1", "10.0.0.2", 4000, 80, 1, 1, packets.ACK, bytes(3000))[20:]
        for number in range(20):
            frames = [one.frame(TO, packets.ip("10.0.0.1", "10.0.0.2", packets.TCP, segment[at:at + 800], number,
                                               (at, at + 800 < len(segment))), packets.V4)
                      for at in range(0, len(segment), 800)]
            one.put_together(frames[::-1] if number % 2 else frames)
        one.wait_sent()
        wait_drops(switch, vm1={"connection-invalid": 20 * len(frames)}, vm2={})
        check(not list(filter(is_ip, two.got())), "one went through")


def error_parts(sender, to, ends, quoted, number, first=600):
    """An ICMP error about a packet, in two fragments of which the first has so many bytes."""
    version = 6 if ":" in ends[0] else 4
    kind, protocol, head = ((1, 4), packets.ICMP6, 40) if version == 6 else ((3, 3), packets.ICMP, 20)
    message = packets.icmp(*ends, *kind, bytes(4) + quoted)[head:]
    return [sender.frame(to, packets.ip(*ends, protocol, message[start:end], number, (start, end < len(message))),
                         packets.V6 if version == 6 else packets.V4)
            for start, end in ((0, first), (first, len(message)))]


@case("fragments: ICMP errors that are cut")
def errors():
    """They belong to the connection that the first one quotes, and need no rule."""
    def is_error(frame):
        return is_ip(frame) or frame[12:14] == b"\x86\xdd"
    for one_ip, two_ip in (("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")):
        with two_vms() as (switch, one, two):
            kind = packets.V6 if ":" in one_ip else packets.V4
            sent = packets.udp(one_ip, two_ip, 4000, 53, bytes(1000))
            one.put(one.frame(TO, sent, kind))
            two.wait_frames(1, wanted=is_error)
            ends, back = (two_ip, one_ip), "52:54:00:00:00:01"
            for number in range(2):
                cut = error_parts(two, back, ends, sent, number)
                two.put_together(cut)
                check(one.wait_frames(2, wanted=is_error) == cut, "an error")
                cut = error_parts(two, back, ends, sent, number + 10)
                two.put_together(cut[::-1])
                check(one.wait_frames(2, wanted=is_error) == cut, "an error, the last fragment first")
            wait_drops(switch, vm1={}, vm2={})
            # About another connection; and one that is cut within its quote's headers.
            foreign = packets.udp(one_ip, two_ip, 4000, 54, bytes(1000))
            two.put_together(error_parts(two, back, ends, foreign, 20))
            wait_drops(switch, vm1={}, vm2={"connection-invalid": 2})
            two.put_together(error_parts(two, back, ends, sent, 21, first=24))
            wait_drops(switch, vm1={}, vm2={"connection-invalid": 2, "fragment-invalid": 2})
            check(not list(filter(is_error, one.got())), "one went through")
            [entry] = switch.json("conn", "list")
            check(entry["reply"]["packets"] == 0, f"an error was counted as an answer: {entry}")


GROUP, ALL = "01:00:5e:00:00:fb", "ff:ff:ff:ff:ff:ff"


@case("fragments: to groups and to all, held to the same rules")
def to_groups():
    """L4 ports decide over later ones too, and none writes over another."""
    inward = [{"allow": "udp", "dport": 53}]
    with two_vms() as (switch, one, two):
        for number, to in enumerate((GROUP, ALL)):
            frames = parts(one, to, number)
            one.put_together(frames)
            check(two.wait_frames(5, wanted=is_ip) == frames, f"to {to}")
            first, *others = frames = parts(one, to, number + 10)
            for frame in others[::-1]:
                one.put(frame)
            one.wait_sent()
            check(not list(filter(is_ip, two.got())), "one came before the first")
            one.put(first)
            check(two.wait_frames(5, wanted=is_ip) == [first, *others[::-1]], f"to {to}, the last one first")
        wait_drops(switch, vm1={}, vm2={})
        # By the receiver's rules, each for itself.
        for number, to in enumerate((GROUP, ALL), 20):
            frames = parts(one, to, number, dport=54)
            one.put_together(frames)
        wait_drops(switch, vm1={}, vm2={"group-deny": 2 * 5})
        # An overlap, after which nothing of its datagram passes.
        for number, to in enumerate((GROUP, ALL), 30):
            first, second, *others = parts(one, to, number)
            one.put_together([first, fragment(one, to, number, 8, 1480, True), second, *others])
            check(two.wait_frames(1, wanted=is_ip) == [first], f"to {to}, overlapping")
        wait_drops(switch, vm1={"fragment-invalid": 2 * 5}, vm2={"group-deny": 2 * 5})
        check(not list(filter(is_ip, two.got())), "one went through")
    with two_vms(dict(CONFIG, groups={"dns": {"to-vm": inward, "from-vm": [{"deny": "udp", "dport": 53}]}})) as (
            switch, one, two):
        for number, to in enumerate((GROUP, ALL)):
            frames = parts(one, to, number)
            one.put_together(frames[::-1] if number else frames)
        # By the sender's.
        wait_drops(switch, vm1={"group-deny": 2 * 5}, vm2={})
        check(not list(filter(is_ip, two.got())), "one went through")


@case("fragments: held for their first one, and for no longer than they may")
def held():
    with two_vms() as (switch, one, two):
        for number in range(40):
            for size in (80, 1480, 2000):
                first, *others = parts(one, TO, number, size)
                order = others[::-1] if number % 2 else others
                for frame in order:
                    one.put(frame)
                one.wait_sent()
                check(not list(filter(is_ip, two.got())), "one came before the first")
                one.put(first)
                frames = two.wait_frames(5, wanted=is_ip)
                check(frames == [first, *order], f"datagram {number}")
        check(not drops(switch, "vm1"), f"{drops(switch, 'vm1')}")
        # The sender and the switch have nothing to do, and yet their time is over.
        for frame in parts(one, TO, 100)[1:]:
            one.put(frame)
        one.wait_sent()
        wait_until(lambda: drops(switch, "vm1") == {"fragment-incomplete": 4}, slow(5),
                   lambda: f"4 lost ones: {drops(switch, 'vm1')}")
        for number in range(200):
            one.put(parts(one, TO, number)[1])
        wait_until(lambda: sum(drops(switch, "vm1").values()) == 204, slow(5),
                   lambda: f"200 more lost ones: {drops(switch, 'vm1')}")
        lost = drops(switch, "vm1")
        check(lost["fragment-limit"] > 0 and len(lost) == 2, lost)
        port = switch.json("port", "show", "vm1")
        check(port["from_vm"]["packets"] == 1 + 40 * 3 * 5 + 204, f"counted twice: {port['from_vm']}")
    return f"{lost}"


@case("fragments: from a NIC")
def from_nic():
    """Of net_tap: the kernel puts fragments together before net_af_packet sees them."""
    with Namespaces("switch") as spaces, \
            Switch(CONFIG, prefix=spaces.prefix("switch"), expected=["qdisc", "rte flow support"]) as switch:
        switch.ctl("port", "add", "up", "dpdk.device=net_tap0,iface=t0")
        switch.wait_port("up", "up", slow(10))
        with Tap(spaces, "switch", "t0") as tap, Frontend(switch.socket("vm2"), "switch", mac=TO) as two:
            started(switch, (two, "vm2"))
            for number in range(20):
                first, *others = (frame[:6] + b"\x02\0\0\0\0\x09" + frame[12:]
                                  for frame in parts(two, TO, number))
                for frame in [*others, first]:
                    tap.put(frame)
                frames = two.wait_frames(5, wanted=is_ip)
                check(frames == [first, *others], f"datagram {number}")
