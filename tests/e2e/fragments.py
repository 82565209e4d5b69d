"""Fragments of tracked traffic: each goes on as it came, behind its first one."""
import struct

from cases import case, check, slow
from lab import Switch, wait_until
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


@case("fragments: denied with their first one")
def denied():
    """Whether they come before it, in one burst with it, or later."""
    with Switch(CONFIG) as switch, \
            Frontend(switch.socket("vm1"), "switch", mac="52:54:00:00:00:01") as one, \
            Frontend(switch.socket("vm2"), "switch", mac=TO) as two:
        started(switch, (one, "vm1"), (two, "vm2"))
        for number in range(20):
            frames = parts(one, TO, number, dport=54)
            for frame in frames[::-1] if number % 2 else frames:
                one.put(frame)
        one.wait_sent()
        wait_until(lambda: sum((drops(switch, vm).get("group-deny", 0) for vm in ("vm1", "vm2"))) == 100,
                   slow(5), lambda: f"100 denied: {drops(switch, 'vm1')} {drops(switch, 'vm2')}")
        check(not list(filter(is_ip, two.got())), "one went through")


@case("fragments: held for their first one, and for no longer than they may")
def held():
    with Switch(CONFIG) as switch, \
            Frontend(switch.socket("vm1"), "switch", mac="52:54:00:00:00:01") as one, \
            Frontend(switch.socket("vm2"), "switch", mac=TO) as two:
        started(switch, (one, "vm1"), (two, "vm2"))
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
        check(port["from_vm"]["packets"] == 40 * 3 * 5 + 204, f"counted twice: {port['from_vm']}")
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
