"""VMs protected from each other: forged addresses, floods of MAC addresses, storms."""
import itertools
import re
import socket
import struct
import time

from cases import BOTH, case, check, fixture, slow
from guests import EXPLAINED, base, start_guest, wait_running
from lab import wait_until
from lab.frontend import SIZE
from lans import BROADCAST, lan, mac, tag
from traffic import Drops, pings, plain

OWN, OTHER, NOWHERE = "10.0.0.1", "10.0.0.2", "0.0.0.0"
OWN6, OTHER6, NOWHERE6, LINK6 = "fd00::1", "fd00::2", "::", "fe80::1234:5678:9abc:def0"


# -- frames

def bytes_of(address):
    if re.fullmatch(r"(..:){5}..", address):
        return bytes.fromhex(address.replace(":", ""))
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def ipv4(source, protocol, payload, fragment=0):
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0,
                       bytes_of(source), b"\xff" * 4) + payload


def ipv6(source, protocol, payload):
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), protocol, 255, bytes_of(source),
                       bytes_of("ff02::1")) + payload


def udp(sport, dport):
    return struct.pack(">HHHH", sport, dport, 8 + 20, 0) + bytes(20)


def nd(kind, target, option=None, address=None):
    message = struct.pack(">BBHI16s", kind, 0, 0, 0, bytes_of(target))
    return message + (struct.pack(">BB6s", option, 1, bytes_of(address)) if option else b"")


def icmp6(kind, length):
    return struct.pack(">BBH", kind, 0, 0) + bytes(length - 4)


def arp(operation, sender, address, target=OTHER):
    return struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, bytes_of(sender), bytes_of(address),
                       bytes(6), bytes_of(target))


def matrix(me, other):
    """(name, source MAC, type, what is behind it, the drop or None) of each field, allowed and forged."""
    v4, v6, is_arp = 0x0800, 0x86dd, 0x0806
    return [
        ("IPv4", me, v4, ipv4(OWN, 17, udp(1, 2)), None),
        ("IPv4, forged", me, v4, ipv4(OTHER, 17, udp(1, 2)), "spoofed-ip"),
        ("IPv4 from nowhere", me, v4, ipv4(NOWHERE, 17, udp(1, 2)), "spoofed-ip"),
        ("IPv4 later fragment, forged", me, v4, ipv4(OTHER, 17, bytes(64), 185), "spoofed-ip"),
        ("IPv4, forged MAC", other, v4, ipv4(OWN, 17, udp(1, 2)), "spoofed-mac"),
        ("DHCP request", me, v4, ipv4(NOWHERE, 17, udp(68, 67)), None),
        ("DHCP server", me, v4, ipv4(OWN, 17, udp(67, 68)), "dhcp-server"),
        ("ARP request", me, is_arp, arp(1, me, OWN), None),
        ("ARP reply", me, is_arp, arp(2, me, OWN), None),
        ("ARP probe", me, is_arp, arp(1, me, NOWHERE, OWN), None),
        ("ARP probe for another's", me, is_arp, arp(1, me, NOWHERE, OTHER), "spoofed-arp"),
        ("ARP request, forged IP", me, is_arp, arp(1, me, OTHER), "spoofed-arp"),
        ("ARP reply, forged IP", me, is_arp, arp(2, me, OTHER), "spoofed-arp"),
        ("ARP request, forged MAC", me, is_arp, arp(1, other, OWN), "spoofed-arp"),
        ("ARP reply, forged MAC", me, is_arp, arp(2, other, OWN), "spoofed-arp"),
        ("IPv6", me, v6, ipv6(OWN6, 17, udp(1, 2)), None),
        ("IPv6, link-local", me, v6, ipv6(LINK6, 17, udp(1, 2)), None),
        ("IPv6, forged", me, v6, ipv6(OTHER6, 17, udp(1, 2)), "spoofed-ip"),
        ("IPv6 from nowhere", me, v6, ipv6(NOWHERE6, 17, udp(1, 2)), "spoofed-ip"),
        ("IPv6, forged MAC", other, v6, ipv6(OWN6, 17, udp(1, 2)), "spoofed-mac"),
        ("DHCPv6 request", me, v6, ipv6(LINK6, 17, udp(546, 547)), None),
        ("DHCPv6 server", me, v6, ipv6(LINK6, 17, udp(547, 546)), "dhcp-server"),
        ("ND solicitation", me, v6, ipv6(OWN6, 58, nd(135, OTHER6, 1, me)), None),
        ("ND solicitation, forged MAC", me, v6, ipv6(OWN6, 58, nd(135, OTHER6, 1, other)), "spoofed-nd"),
        ("ND solicitation, forged IP", me, v6, ipv6(OTHER6, 58, nd(135, OWN6, 1, me)), "spoofed-ip"),
        ("ND advertisement", me, v6, ipv6(OWN6, 58, nd(136, OWN6, 2, me)), None),
        ("ND advertisement, link-local", me, v6, ipv6(LINK6, 58, nd(136, LINK6, 2, me)), None),
        ("ND advertisement, forged target", me, v6, ipv6(OWN6, 58, nd(136, OTHER6, 2, me)), "spoofed-nd"),
        ("ND advertisement, forged MAC", me, v6, ipv6(OWN6, 58, nd(136, OWN6, 2, other)), "spoofed-nd"),
        ("DAD", me, v6, ipv6(NOWHERE6, 58, nd(135, OWN6)), None),
        ("DAD for another's", me, v6, ipv6(NOWHERE6, 58, nd(135, OTHER6)), "spoofed-nd"),
        ("router solicitation", me, v6, ipv6(NOWHERE6, 58, icmp6(133, 8)), None),
        ("router advertisement", me, v6, ipv6(LINK6, 58, icmp6(134, 16)), "router-advertisement"),
        ("redirect", me, v6, ipv6(LINK6, 58, icmp6(137, 40)), "spoofed-nd"),
        ("SNAP", me, 46, b"\xaa\xaa\x03\0\0\0\x08\0" + bytes(38), "addresses-hidden"),
        ("another protocol", me, 0x88b5, bytes(46), None),
        ("another protocol, forged MAC", other, 0x88b5, bytes(46), "spoofed-mac"),
    ]


def pour(end, frames):
    """Sends many frames as fast as the switch takes them; how many."""
    count = 0
    for count, frame in enumerate(frames, 1):
        while end.tx.pending() >= SIZE - 1:
            time.sleep(0.0001)
        end.put(frame)
    end.wait_sent(slow(10))
    return count


def enforce(number, ips=(OWN, OWN6)):
    """The keys of a port whose front-end is the number-th of its lan."""
    return {"addresses__mac": mac(number), "addresses__ip": "[" + ", ".join(f'"{ip}"' for ip in ips) + "]"}


# -- forged addresses

@fixture()
def guarded():
    """A guarded port and a guarded trunk, and a witness in the VLAN of each."""
    with lan() as one:
        one.port("a", **enforce(1))
        one.port("b")
        one.port("trunk", vlan="{trunk: [10]}", **enforce(3))
        one.port("x10", vlan="{access: 10}")
        yield one


@case("guard: the matrix of forged addresses", needs=guarded, presets=BOTH)
def spoofing(lan):
    allowed = refused = 0
    wanted = {(name, reason): count for name in ("a", "trunk") for reason, count in lan.drops(name).items()}
    for name, witness, form, number in (("a", "b", b"", 1), ("a", "b", tag(0, priority=3), 1),
                                        ("trunk", "x10", tag(10), 3)):
        for what, source, kind, payload, reason in matrix(mac(number), mac(9)):
            what = f"{name}, {what}, tag {form.hex() or 'none'}"
            frame = bytes.fromhex("ffffffffffff") + bytes_of(source) + form + struct.pack(">H", kind) + payload
            frame = frame.ljust(64, b"\0")
            got = lan.send(name, frame)
            if reason:
                check(not got, f"{what}: a leak to {set(got)}")
                wanted[name, reason] = wanted.get((name, reason), 0) + 1
                now = lan.drops(name).get(reason, 0)
                check(now == wanted[name, reason], f"{what}: {reason} stands at {now}")
                refused += 1
            else:
                check(set(got) == {witness} and got[witness][0][12:] == frame[12 + len(form):],
                      f"{what}: it went to {got}")
                allowed += 1
    total = {(name, reason): count for name in ("a", "trunk") for reason, count in lan.drops(name).items()}
    check(total == wanted, f"dropped: {total}, expected {wanted}")
    return f"{refused} forged, 0 leaks, each named; {allowed} of {allowed} allowed"


@case("guard: an address does not move to a port that excludes it", needs=guarded, presets=BOTH)
def no_move(lan):
    lan.send("b", lan.b.frame(BROADCAST))
    bridge = lan.switch.json("bridge", "list")[0]
    stolen = bytes.fromhex("ffffffffffff") + lan.b.mac + b"\x88\xb5" + bytes(46)
    lan.expect_drop("a", "spoofed-mac", lambda: lan.send("a", stolen))
    got = lan.send("a", lan.a.frame(mac(2)))
    check(set(got) == {"b"}, f"b's address is behind {set(got)}")
    check(lan.switch.json("bridge", "list")[0]["moved"] == bridge["moved"], "an address has moved")


@case("guard: addresses change while the port runs", presets=BOTH)
def live():
    with lan() as one:
        one.port("a")
        one.port("b")
        one.learned()
        stolen = one.a.frame(mac(2))[:6] + bytes_of(mac(2)) + b"\x88\xb5" + bytes(46)
        one.send("a", stolen)
        check({row["mac"]: row["port"] for row in one.switch.json("fdb", "list")}[mac(2)] == "a",
              "without addresses b's address does not move to a")
        one.switch.ctl("port", "set", "a", f"addresses.mac={mac(1).upper()}", 'addresses.ip=[10.0.0.1, "fd00::/64"]')
        # What was learned before is forgotten.
        check(not [row for row in one.switch.json("fdb", "list") if row["port"] == "a"], "a still has addresses")
        one.expect_drop("a", "spoofed-mac", lambda: one.send("a", stolen))
        shown = one.switch.json("port", "show", "a")
        check(shown["addresses"] == {"mac": mac(1), "ip": ["10.0.0.1", "fd00::/64"]}, f"shown: {shown['addresses']}")
        check(shown["state"] == "up" and "fd00::/64" in one.switch.ctl("port", "show", "a"), "port show")
        check(one.switch.json("port", "show", "b")["addresses"] == {"mac": None, "ip": None}, "b has addresses")
        text = one.switch.ctl("export")
        check(f'addresses: {{mac: "{mac(1).upper()}", ip: [10.0.0.1, "fd00::/64"]}}' in text, text)
        path = one.switch.write_config(text)
        one.switch.ctl("apply", path)
        check(one.switch.json("diff", path) == [], "the export differs from what runs")
        one.switch.ctl("port", "set", "a", "addresses.mac=")
        forged = one.a.frame(BROADCAST, ipv4(OTHER, 17, udp(1, 2)), 0x0800)
        one.expect_drop("a", "spoofed-ip", lambda: one.send("a", forged))
        one.switch.ctl("port", "set", "a", "addresses=")
        check(set(one.send("a", forged)) == {"b"}, "addresses are enforced that are not there any more")
        said = one.switch.weirctl("port", "set", "a", "addresses.ip=[10.0.0.1/24]").stderr
        check("ports.a.addresses.ip: expected an IP address or a network" in said, said)


# -- floods

def invented(end, numbers):
    """Frames to the sender itself, which go nowhere, each from another source."""
    return (end.mac + struct.pack(">HI", 0x0600, number) + b"\x88\xb5" + bytes(46) for number in numbers)


@case("guard: a flood of MAC addresses beside a victim whose entry stays", presets=BOTH)
def mac_flood():
    """First up to the port's limit, then without one, until the table is full."""
    with lan() as one:
        for name in ("attacker", "victim", "peer", "witness"):
            one.port(name)
        one.learned()
        switch, numbers = one.switch, itertools.count()

        def flood(total):
            for _ in range(total // 1000):
                pour(one.attacker, invented(one.attacker, itertools.islice(numbers, 1000)))
                got = one.send("peer", one.peer.frame(mac(2), b"secret"))
                check(set(got) == {"victim"}, f"a frame to the victim went to {set(got)}")
            return total

        small = slow(1) > 1      # under a sanitizer
        sent = flood(20000 if small else 100000)
        check(switch.port("attacker")["macs"] == 1024, f"{switch.port('attacker')['macs']} addresses of the attacker")
        bridge = switch.json("bridge", "list")[0]
        check(bridge["refused"] >= sent - 1024 and bridge["macs"] == 1027, f"bridge: {bridge}")

        switch.ctl("port", "set", "attacker", "limits.macs=0")
        sent += flood(40000)
        bridge = switch.json("bridge", "list")[0]
        check(bridge["macs"] == bridge["macs_max"], f"the table is not full: {bridge}")
        # Who comes now finds no room, and is flooded to; nobody was pushed out for it.
        late = bytes_of("52:54:00:00:0e:01")
        one.send("witness", one.peer.mac + late + b"\x88\xb5" + bytes(46))
        got = one.send("peer", late + one.peer.mac + b"\x88\xb5" + bytes(46))
        check(set(got) == {"attacker", "victim", "witness"}, f"a late address: {set(got)}")
        switch.ctl("port", "set", "attacker", "limits.macs=16")
        switch.ctl("fdb", "flush", "--port", "attacker")
        one.send("witness", one.peer.mac + late + b"\x88\xb5" + bytes(46))
        got = one.send("peer", late + one.peer.mac + b"\x88\xb5" + bytes(46))
        check(set(got) == {"witness"}, f"a late address after the flush: {set(got)}")
        return f"{sent} addresses invented, {bridge['macs_max']} in the full table, 0 frames to the victim flooded"


@case("guard: a storm beside a paced flow that loses nothing", presets=BOTH)
def storm():
    """Sixty broadcasts for each frame of the flow, whose receiver takes its frames every tenth time."""
    with lan() as one:
        one.port("storm", limits__broadcast="500pps")
        one.port("x")
        one.port("y")
        one.learned()
        time.sleep(0.2)      # the budget is full again
        before, start = one.switch.ports(), time.monotonic()
        sent, paced, storms = 0, [], 0
        broadcast = one.storm.frame(BROADCAST, b"storm")
        for number in range(200):
            sent += pour(one.storm, itertools.repeat(broadcast, 60))
            one.x.put(one.x.frame(mac(3), b"%08d" % number))
            if number % 10 == 9:
                one.x.wait_sent(slow(5))
                one.x.got()
                got = one.y.got()
                paced += [int(frame[14:22]) for frame in got if frame[6:12] == one.x.mac]
                storms += sum(frame[6:12] == one.storm.mac for frame in got)
        elapsed = time.monotonic() - start
        check(paced == list(range(200)), f"{len(paced)} of 200 frames of the flow arrived")
        after = one.switch.ports()
        lost = {name: after[name]["drops"] - before[name]["drops"] for name in after}
        check(lost == {"storm": sent - storms, "x": 0, "y": 0}, f"dropped: {lost}; {storms} of {sent} arrived")
        check(one.drops("storm")["broadcast-limit"] == lost["storm"], f"{one.drops('storm')}")
        check(40 <= storms <= 50 + 500 * elapsed + 2, f"{storms} broadcasts in {elapsed:.2f} s at 500 a second")
        return f"200 of 200 arrived beside {sent} broadcasts, of which {storms} passed in {elapsed:.2f} s"


@case("guard: each kind of flood has its budget", presets=BOTH)
def budgets():
    with lan() as one:
        one.port("a", limits="{broadcast: 10pps, multicast: 20pps, unknown: 30pps}")
        one.port("b")
        one.port("c")
        one.learned()
        figures = []
        kinds = {"broadcast-limit": (BROADCAST, 10), "multicast-limit": ("33:33:00:00:00:01", 20),
                 "unknown-limit": ("52:54:00:00:00:99", 30)}
        time.sleep(0.2)      # until the budgets are full: what taught the addresses was a broadcast
        for reason, (to, rate) in kinds.items():
            before, start = one.drops("a"), time.monotonic()
            sent = pour(one.a, itertools.repeat(one.a.frame(to), 40))
            most = max(1, rate // 10) + int((time.monotonic() - start) * rate) + 1
            passed = {name: len(one.ends[name].got()) for name in "bc"}
            grown = {key: count - before.get(key, 0) for key, count in one.drops("a").items()
                     if count != before.get(key, 0)}
            check(passed["b"] == passed["c"] and max(1, rate // 10) <= passed["b"] <= most,
                  f"{reason}: {passed} passed, {most} at most")
            check(grown == {reason: sent - passed["b"]}, f"{reason}: dropped {grown}")
            figures.append(f"{passed['b']} of {sent} to {to}")
        # Known addresses cost nothing.
        check(pour(one.a, itertools.repeat(one.a.frame(mac(2)), 100)) == len(one.b.got()), "unicast was held back")
        # Gone with the key, at once.
        one.switch.ctl("port", "set", "a", "limits.unknown=")
        pour(one.a, itertools.repeat(one.a.frame("52:54:00:00:00:99"), 40))
        check(len(one.b.got()) == 40, "a budget that is not there any more")
        return ", ".join(figures)


@case("guard: the queues of a port share its budget")
def shared_budget():
    """Two queue pairs, each with a worker of its own."""
    with lan(config={"switch": {"workers": [0, 1]}}) as one:
        a = one.port("a", limits__broadcast="100pps", vhost_user__queues=2)
        one.port("b")
        queues = one.switch.json("port", "show", "a")["queue_list"]
        check({queue["worker_cpu"] for queue in queues} == {0, 1}, f"queues {queues}")
        time.sleep(0.2)
        start = time.monotonic()
        for _ in range(100):
            for vring in (a.vrings[1], a.vrings[3]):
                a.put(a.frame(BROADCAST), vring=vring)
        for vring in (a.vrings[1], a.vrings[3]):
            a.wait_sent(vring=vring)
        most = 10 + int((time.monotonic() - start) * 100) + 1
        passed = len(one.b.got())
        check(10 <= passed <= most, f"{passed} of 200 passed, {most} at most")
        return f"{passed} of 200 passed over two workers"


# -- a real guest

@fixture(base, name="a guest with its addresses enforced")
def real(net):
    switch, peer = net
    with start_guest(switch, "kept") as guest:
        # By now QEMU waits for the switch, and the guest has not sent anything.
        ips = ", ".join(f'"{plain(address)}"' for address in guest.addresses)
        switch.ctl("port", "set", "kept", f"addresses.mac={guest.nics[0].mac}", f"addresses.ip=[{ips}]")
        before = Drops(switch)
        for one in (peer, guest):
            one.wait_ready(slow(60))
        wait_running(switch, "kept", 1)
        yield switch, peer, guest, before
    switch.ctl("port", "remove", "kept")


def link_local(guest):
    return re.search(r"inet6 (fe80::\S+)/64", guest.ok("ip -6 addr show dev eth0"))[1]


@case("guard: a guest with its addresses enforced misses nothing", needs=real)
def real_guest(net):
    switch, peer, guest, before = net
    figures = [pings(guest, plain(peer.addresses[0])), pings(peer, plain(guest.addresses[0])),
               pings(guest, plain(peer.addresses[1])), pings(peer, plain(guest.addresses[1]))]
    # With duplicate detection, and a link-local address that is not made of the MAC (RFC 7217).
    made_of_mac = link_local(guest)
    guest.ok("ip link set eth0 down; cd /proc/sys/net/ipv6/conf/eth0; echo 1 >accept_dad; echo 3 >addr_gen_mode; "
             f"ip link set eth0 up; ip -6 addr add {guest.addresses[1]} dev eth0")
    guest.ok("while ip -6 addr show dev eth0 | grep -q tentative || ! ip -6 addr show dev eth0 | grep -q fe80; "
             "do usleep 50000; done", timeout=slow(20))
    shown = guest.ok("ip -6 addr show dev eth0")
    check("dadfailed" not in shown and link_local(guest) != made_of_mac, shown)
    figures.append(pings(guest, plain(peer.addresses[1])))
    figures.append(pings(guest, f"{link_local(peer)}%eth0"))
    figures.append(pings(peer, f"{link_local(guest)}%eth0"))
    figures.append(before.only(*EXPLAINED))
    return f"v4, v6, link-local both ways; drops {figures[-1]}"


@case("guard: a guest with its addresses enforced asks a DHCP server", needs=real)
def real_dhcp(net):
    switch, peer, guest, before = net
    address = plain(guest.addresses[0])
    peer.ok(f"printf 'start {address}\\nend {address}\\ninterface eth0\\nlease_file /tmp/leases\\n"
            "pidfile /tmp/udhcpd.pid\\noption subnet 255.255.255.0\\n' >/tmp/udhcpd.conf; >/tmp/leases")
    guest.ok("ip -4 addr flush dev eth0; printf '#!/bin/sh\\n[ \"$1\" = bound ] && "
             "ip addr add $ip/24 dev eth0 || true\\n' >/tmp/dhcp; chmod +x /tmp/dhcp")
    server = peer.start_job("udhcpd -f /tmp/udhcpd.conf")
    try:
        said = guest.ok("udhcpc -i eth0 -n -q -a500 -t 10 -T 2 -s /tmp/dhcp", timeout=slow(40))
    finally:
        server.stop("TERM")
    check(address in guest.ok("ip -4 addr show dev eth0"), f"no lease:\n{said}")
    pings(guest, plain(peer.addresses[0]))
    before.only(*EXPLAINED)
    return re.search(r"lease of \S+ obtained.*", said)[0]


@case("guard: what a guest forges reaches nobody", needs=real)
def real_forger(net):
    switch, peer, guest, _ = net
    other = plain(peer.addresses[0])
    pings(guest, other)
    figures = []
    for what, do, undo, reasons in (
            ("an IPv4 address", "ip addr add 10.1.0.9/24 dev eth0; ping -n -c 3 -i 0.2 -W 1 -I 10.1.0.9 " + other,
             "ip addr del 10.1.0.9/24 dev eth0", {"spoofed-ip", "spoofed-arp"}),
            ("an IPv6 address", "ip addr add fd01::9/64 dev eth0 nodad; ping -n -c 3 -i 0.2 -W 1 -I fd01::9 "
             + plain(peer.addresses[1]), "ip addr del fd01::9/64 dev eth0", {"spoofed-ip", "spoofed-nd"}),
            ("a MAC address", "ip link set eth0 address 52:54:00:99:99:99; ping -n -c 3 -i 0.2 -W 1 " + other,
             f"ip link set eth0 address {guest.nics[0].mac}", {"spoofed-mac"})):
        before = Drops(switch)
        result = guest.sh(do)
        guest.ok(undo)
        check(re.search(r"3 packets transmitted, 0 received", result.output), f"{what}: {result.output}")
        new = {reason: count for (port, reason), count in before.new().items() if port == "kept"}
        check(set(new) & reasons and not set(new) - reasons - set(EXPLAINED), f"{what}: dropped {new}")
        figures.append(f"{what}: {new}")
    pings(guest, other)
    return "; ".join(figures)
