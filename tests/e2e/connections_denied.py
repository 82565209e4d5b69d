"""What is denied or gets nowhere: what becomes of its copies, of its count, and of its connection."""
import struct

from cases import BOTH, case, check
from connections import street
from lab import packets
from lab.packets import Tcp, Udp, host
from lans import ground, talk

SHUT_OUT = {"to-vm": [{"allow": "tcp"}]}    # UDP is not


def counts(lan):
    return {(name, reason): count for name, drops in lan.lost().items() for reason, count in drops.items()}


def floods_to(lan, name, frame, to, **lost):
    """A frame to an address that nobody has learned reaches these ports as it is; each other copy is counted:
    port=(reason, count)."""
    lan.switch.ctl("fdb", "flush")
    before = counts(lan)
    got = lan.send(name, frame)
    check(got == {port: [frame] for port in to}, f"it went to {set(got)}, not {to}; drops: {lan.lost()}")
    new = {key: count - before.get(key, 0) for key, count in counts(lan).items() if count != before.get(key, 0)}
    check(new == {(port, reason): count for port, (reason, count) in lost.items()}, f"counted: {new}, not {lost}")


def town(lan):
    """x and y in no group, g and h in one each."""
    lan.document["groups"] |= {"g": {"to-vm": [{"allow": "any"}]}, "h": {"to-vm": [{"allow": "any"}]}}
    for name in "xygh":
        lan.port(name, [name] if name in "gh" else None)
    lan.learned()


@case("connections: a flood past one whose connection is denied now", presets=BOTH)
def stale():
    """Its sender is in no group: those in none get it, as without the connection."""
    with ground() as lan:
        town(lan)
        for version in (4, 6):
            there, back = talk(Udp, lan.x, lan.g, version=version), talk(Udp, lan.g, lan.x, version=version)
            for one in (there, back):
                lan.all_pass(one, [(0, one.data()), (1, one.data(1))])
            lan.group("g", **SHUT_OUT, from_vm=[{"deny": "udp"}])
            # h is asked by nobody: what is not of an allowed connection passes no group. Both copies are lost
            # by what g's rules say.
            floods_to(lan, "x", there.data(), "y", g=("group-deny", 2))
            floods_to(lan, "x", back.data(1), "y", g=("group-deny", 2))
            quoted = packets.udp(*back.addresses(0), *back.ports(0), b"data")
            error = back.frame(1, packets.unreachable(*back.addresses(1), quoted))
            floods_to(lan, "x", error, "y", g=("group-deny", 2))
            lan.group("g", to_vm=[{"allow": "any"}])
            lan.learned()
            for one in (there, back):
                lan.all_pass(one, [(0, one.data()), (1, one.data(1))])
        return "6 floods"


@case("connections: what groups keep out of a flood counts under its own name", presets=BOTH)
def flood_names():
    """At the port that it would count at if its receiver were known, once for each copy."""
    with ground() as lan:
        town(lan)
        one = talk(Tcp, lan.x, lan.g)
        floods_to(lan, "x", one.data(), "y", x=("connection-invalid", 2))
        floods_to(lan, "x", lan.x.frame(lan.g.mac), "y", g=("group-deny", 1), h=("group-deny", 1))
        lan.group("h", to_vm=[{"allow": "tcp"}])
        udp = talk(Udp, lan.x, lan.g)
        floods_to(lan, "x", udp.data(), "yg", h=("group-deny", 1))
        # An L4 header that is not whole, and one that cannot be found.
        short = packets.ip(host(lan.x), host(lan.g), packets.UDP, b"1234")
        floods_to(lan, "x", lan.x.frame(lan.g.mac, short, packets.V4), "y", x=("connection-invalid", 2))
        options = b"".join(bytes([60 if left else 17, 0, 1, 4, 0, 0, 0, 0]) for left in reversed(range(9)))
        hidden = struct.pack(">IHBB", 6 << 28, len(options) + 8, 60, 64) + packets.address(host(lan.x, 6)) + \
            packets.address(host(lan.g, 6)) + options + struct.pack(">HHHH", 1, 2, 8, 0)
        floods_to(lan, "x", lan.x.frame(lan.g.mac, hidden, packets.V6), "y", x=("headers-too-long", 2))
        everyone = packets.ip(host(lan.x), "10.8.0.255", packets.UDP, b"1234")
        floods_to(lan, "x", lan.x.frame("ff:ff:ff:ff:ff:ff", everyone, packets.V4), "y", x=("connection-invalid", 2))
        # As many connections as there may be of the port.
        lan.switch.ctl("conn", "flush")
        lan.set("x", limits={"connections": 1})
        floods_to(lan, "x", talk(Udp, lan.x, lan.g).data(), "yg", h=("group-deny", 1))
        floods_to(lan, "x", talk(Udp, lan.x, lan.g).data(), "y", x=("connection-limit", 2))
        # A storm's budget comes behind the groups, and is the sender's.
        lan.set("x", limits={"connections": 1, "unknown": "1pps"})
        lan.switch.ctl("fdb", "flush")
        before = lan.drops("x").get("unknown-limit", 0)
        lan.group("g", **SHUT_OUT)
        for _ in range(10):
            lan.send("x", udp.data())
        check(lan.drops("x").get("unknown-limit", 0) > before and not lan.drops("g").get("unknown-limit"),
              f"drops: {lan.lost()}")
        return "connection-invalid, -limit, headers-too-long, group-deny"


@case("connections: what is denied or gets nowhere leaves its connection as it was", needs=street, presets=BOTH)
def unmoved(lan):
    def entry(one):
        [row] = lan.switch.json("conn", "list", "--sport", one.l4[0])
        return row["state"], row["original"]["packets"], row["reply"]["packets"]

    def ends(one):
        """Each would end it, or begin the end."""
        return one.segment(0, packets.ACK | packets.FIN), one.rst()
    for version in (4, 6):
        one = talk(Tcp, lan.a, lan.b, version=version)
        lan.all_pass(one, one.handshake())
        before = entry(one)
        check(before == ("tcp-established", 2, 1), before)
        # Its receiver's address is behind a port whose groups deny it.
        lan.announce(lan.c, lan.b.mac)
        lan.drain()
        for frame in ends(one):
            lan.denied("a", frame, at="c")
            check(entry(one) == before, f"denied, and yet: {entry(one)}")
        # Behind the sender's own port.
        lan.announce(lan.a, lan.b.mac)
        lan.drain()
        for frame in ends(one):
            lan.denied("a", frame, reason="same-port")
            check(entry(one) == before, f"gone nowhere, and yet: {entry(one)}")
        lan.announce(lan.b)
        lan.drain()
        lan.passes(one, 0, one.data())
        lan.passes(one, 1, one.data(1))
        # A reply that comes out at another port than the one that has asked.
        before = entry(one)
        lan.announce(lan.c, lan.a.mac)
        lan.drain()
        lan.denied("b", one.segment(1, packets.ACK | packets.FIN), at="c")
        check(entry(one) == before, f"denied, and yet: {entry(one)}")
        lan.announce(lan.a)
        lan.drain()
        lan.passes(one, 1, one.data(1))
        check(entry(one)[0] == "tcp-established", entry(one))
    return "FIN and RST, there and back"
