"""Connections and groups seen from raw rings: what makes an entry stale, protocols, floods, zones."""
import itertools
import struct

from cases import BOTH, case, check, fixture, slow
from lab import packets, wait_until
from lab.packets import Tcp, Udp, arp, host
from lans import ground, mac, put_all, talk


@fixture(name="ports in groups")
def street():
    """a asks and lets nobody in, b and d take all, c nothing."""
    with ground() as one:
        for name, group in {"a": "shut", "b": "open", "c": "shut", "d": "open"}.items():
            one.port(name, [group])
        one.learned()
        yield one


# -- what makes an entry stale

@case("connections: an address moves to another port, whose groups count then", needs=street, presets=BOTH)
def moves(lan):
    a, b, c, d = lan.a, lan.b, lan.c, lan.d
    for version in (4, 6):
        for kind in (Udp, Tcp):
            one = talk(kind, a, b, version=version)
            lan.all_pass(one, one.handshake() if kind is Tcp else [(0, one.data()), (1, one.data(1))])
            lan.announce(c, b.mac)
            lan.drain()
            lan.denied("a", one.data(), at="c")
            lan.announce(d, b.mac)
            lan.drain()
            lan.passes(one, 0, one.data(), to="d")
            lan.announce(b)
            lan.drain()
            lan.passes(one, 0, one.data())
            lan.passes(one, 1, one.data(1))
            lan.check_one(one)
    return "to c: group-deny; to d: received; back: received"


@case("connections: the one who asks moves", needs=street)
def asker_moves(lan):
    """From a port that may not send it, the same conversation is denied; who answers does not help it."""
    one = talk(Udp, lan.a, lan.b)
    lan.all_pass(one, [(0, one.data()), (1, one.data(1))])
    lan.set("c", groups=["mute"])
    lan.announce(lan.c, lan.a.mac)
    lan.drain()
    lan.denied("c", one.data())
    lan.denied("b", one.data(1), at="c")
    lan.announce(lan.a)
    lan.drain()
    lan.passes(one, 0, one.data())
    lan.passes(one, 1, one.data(1))
    lan.set("c", groups=["shut"])
    return "from its new port: group-deny"


@case("connections: another gateway's address for the same conversation", needs=street, presets=BOTH)
def gateways(lan):
    """The same addresses and L4 ports, to another MAC address: to whom that belongs, by its groups."""
    one = talk(Tcp, lan.a, lan.b)
    lan.all_pass(one, one.handshake())

    def to(end):
        return end.mac + one.data()[6:]
    lan.passes(one, 0, to(lan.d), to="d")
    lan.denied("a", to(lan.c), at="c")
    lan.passes(one, 0, to(lan.b))
    lan.passes(one, 0, to(lan.d), to="d")
    # Alternating, packet by packet, within one burst.
    frames = [to(end) for end in (lan.b, lan.d) for _ in range(4)]
    put_all(lan.a, frames[0::2] + frames[1::2])
    got = {name: len(lan.ends[name].got()) for name in "bcd"}
    check(got == {"b": 4, "c": 0, "d": 4}, f"in turns: {got}")
    return "b, d received; c: group-deny"


@case("connections: an address ages, and the conversation goes on by flood", presets=BOTH)
def ageing():
    with ground(bridges={"default": {"ageing": "2s"}}) as lan:
        for name, group in {"a": "shut", "b": "open", "c": "shut"}.items():
            lan.port(name, [group])
        lan.learned()
        one = talk(Tcp, lan.a, lan.b)
        lan.all_pass(one, one.handshake())

        def aged():
            # The asker goes on talking to itself, so that only the other one is forgotten.
            lan.announce(lan.a)
            lan.announce(lan.c)
            lan.drain()
            return mac(2) not in {row["mac"] for row in lan.switch.json("fdb", "list")}
        wait_until(aged, slow(20), "the address to age", 0.2)
        # Flooded, and only who it was resolved for gets it.
        before = lan.drops("c")
        for _ in range(3):
            lan.passes(one, 0, one.data())
        new = lan.drops("c").get("group-deny", 0) - before.get("group-deny", 0)
        check(new == 3, f"the flood's copies for another port: {new} group-deny")
        lan.passes(one, 1, one.data(1))
        before = lan.drops("c")
        lan.passes(one, 0, one.data())
        check(lan.drops("c") == before, "it is flooded still")
        check(lan.connections() == 1, f"{lan.connections()} connections")
        return "3 flooded, 3 received, 3 kept from another port"


@case("connections: a group changes", needs=street, presets=BOTH)
def group_changes(lan):
    """Either end's packet is the first to notice; the entry stays and is taken up again."""
    for version in (4, 6):
        one = talk(Tcp, lan.a, lan.b, version=version)
        lan.all_pass(one, one.handshake())
        for way, name in enumerate("ab"):
            lan.group("open", to_vm=[{"allow": "udp"}])
            lan.denied(name, one.ack(way), at="b")
            lan.denied("b" if name == "a" else "a", one.ack(1 - way), at="b")
            lan.group("open", to_vm=[{"allow": "any"}])
            lan.passes(one, way, one.data(way))
            lan.passes(one, 1 - way, one.data(1 - way))
        # A rule that does not concern it costs it nothing.
        lan.group("more", to_vm=[{"allow": "udp", "dport": 53}])
        lan.passes(one, 1, one.data(1))
        lan.passes(one, 0, one.data())
        lan.check_one(one)
    # From-vm, and a port that joins another group.
    lan.group("shut", to_vm=[], from_vm=[{"deny": "tcp", "dport": 80}])
    lan.denied("a", one.ack())
    lan.group("shut", to_vm=[])
    lan.passes(one, 0, one.ack())
    lan.set("b", groups=["shut"])
    lan.denied("a", one.ack(), at="b")
    lan.set("b", groups=["open"])
    lan.passes(one, 0, one.ack())
    return "denied at the next packet, received when the rule is back"


@case("connections: a port is removed, another one comes", presets=BOTH)
def port_removed():
    with ground() as lan:
        for name, group in {"a": "shut", "b": "open", "d": "open"}.items():
            lan.port(name, [group])
        lan.learned()
        one, beside = talk(Tcp, lan.a, lan.b), talk(Tcp, lan.a, lan.d)
        for conversation in (one, beside):
            lan.all_pass(conversation, conversation.handshake())
        lan.ends.pop("b")
        entry = lan.document["ports"].pop("b")
        lan.apply()
        # Nobody is behind that address any more; to those who are left it is a new conversation, or none.
        got = lan.send("a", one.data())
        check(set(got) <= {"d"}, f"it went to {set(got)}")
        lan.passes(beside, 0, beside.data())
        # Another port, with other groups, where the address turns up again.
        lan.document["ports"]["b"] = {**entry, "groups": ["shut"]}
        lan.apply()
        lan.attach("b", True, mac(2), 1)
        lan.announce(lan.b)
        lan.drain()
        one.ends = (lan.a, lan.b)
        lan.denied("a", one.data(), at="b")
        lan.set("b", groups=["open"])
        lan.passes(one, 0, one.data())
        lan.port("e", ["open"])
        lan.passes(beside, 1, beside.data(1))
        lan.passes(one, 1, one.data(1))
        return "to the new port by its own groups; another conversation undisturbed"


@case("connections: a port that is removed takes along what counts for it", presets=BOTH)
def port_leaves():
    with ground() as lan:
        for name, group in {"a": ["open"], "b": ["open"], "x": None}.items():
            lan.port(name, group)
        lan.learned()
        pairs = {"a": (lan.a, lan.b), "b": (lan.b, lan.a), "x": (lan.x, lan.b)}
        talks = {name: talk(Tcp, *ends) for name, ends in pairs.items()}
        for one in talks.values():
            lan.all_pass(one, one.handshake())
        check(lan.connections() == 3, f"{lan.connections()} connections")
        lan.ends.pop("b")
        lan.document["ports"].pop("b")
        lan.apply()
        # Its own, and what came to it from outside; what another port has begun is that one's.
        wait_until(lambda: lan.connections() == 1, slow(20), lambda: f"1 connection: {lan.connections()}")
        row, = lan.switch.json("conn", "list")
        check((row["from"], row["to"]) == ("a", None), row)
        return "1 of 3 is left"


# -- zones

@case("connections: the same addresses in other bridges and VLANs", presets=BOTH)
def zones():
    """Four pairs with the same MAC and IP addresses and L4 ports know nothing of each other."""
    with ground(bridges={"default": {}, "other": {}}) as lan:
        keys = [{}, {"bridge": "other"}, {"vlan": {"access": 10}}, {"vlan": {"access": 20}}]
        pairs = [[lan.port(f"{side}{number}", [group], address=mac(place), **key)
                  for place, (side, group) in enumerate({"x": "shut", "y": "open"}.items(), 1)]
                 for number, key in enumerate(keys)]
        lan.learned()
        tcps = [Tcp(*pair, sport=30000) for pair in pairs]
        udps = [Udp(*pair, sport=30000) for pair in pairs]
        for number, one in enumerate(tcps):
            # Elsewhere it is established, here nobody has said anything yet.
            if number:
                lan.denied(f"x{number}", tcps[0].ack(), reason="connection-invalid")
                lan.denied(f"y{number}", udps[0].data(1), at=f"x{number}")
            lan.all_pass(one, one.handshake())
            lan.passes(udps[number], 0, udps[number].data())
            check(lan.connections() == 2 * number + 2, f"{lan.connections()} connections")
        for one in udps:
            lan.passes(one, 1, one.data(1))
        lan.all_pass(tcps[0], [(0, tcps[0].rst())])
        for one in tcps[1:]:
            lan.passes(one, 1, one.data(1))
        return "8 connections of 4 zones"


@case("connections: who has an address in another VLAN is somebody else", presets=BOTH)
def members():
    """A rule's group, seen through ports without groups: by address, and in the address's own zone only."""
    with ground() as lan:
        lan.document["groups"] |= {"web": {"to-vm": []},
                                   "served": {"to-vm": [{"allow": "any", "from": {"group": "web"}}]}}
        for vlan in (10, 20, 30):
            lan.port(f"up{vlan}", address=mac(5), vlan={"access": vlan})
            lan.port(f"s{vlan}", ["served"], address=mac(6), vlan={"access": vlan})
        own = [host(lan.up10), host(lan.up10, 6)]
        lan.port("member", ["web"], vlan={"access": 10}, addresses={"ip": own})
        lan.port("trunk", ["web"], vlan={"trunk": [30]}, addresses={"ip": own})
        lan.learned()
        for version in (4, 6):
            for vlan in (10, 30):
                one = talk(Udp, lan.ends[f"up{vlan}"], lan.ends[f"s{vlan}"], version=version)
                lan.all_pass(one, [(0, one.data()), (1, one.data(1))])
            lan.denied("up20", talk(Udp, lan.up20, lan.s20, version=version).data(), at="s20")
        return "VLANs 10 and 30 pass, 20 is denied"


@case("connections: a packet in another's name begins nothing that its owner must answer for", needs=street,
      presets=BOTH)
def in_anothers_name(lan):
    """b sends as a, to nobody, and then to a, as if it answered: a's rules are asked for it."""
    for version in (4, 6):
        for kind in (Udp, Tcp):
            one = talk(kind, lan.a, lan.b, version=version)
            first, answer = ([one.segment(way, packets.SYN) for way in (0, 1)] if kind is Tcp
                             else [one.data(way) for way in (0, 1)])
            lan.send("b", lan.b.mac[:5] + b"\x77" + lan.b.mac + first[12:])
            lan.denied("b", answer, at="a")
    return "UDP and TCP, v4 and v6: denied at a"


@case("connections: headers that cannot be read pass no rule", presets=BOTH)
def unreadable():
    """Nine extension headers, of which eight are followed, hide what a rule denies."""
    with ground() as lan:
        lan.document["groups"]["most"] = {"to-vm": [{"deny": "tcp"}, {"allow": "any"}]}
        lan.port("a")
        lan.port("b", ["most"])
        lan.learned()
        plain = Tcp(lan.a, lan.b, sport=30000, version=6).segment(0, packets.SYN)
        l4 = plain[54:]
        for count in (8, 9):
            options = b"".join(bytes([60 if number else 6, 0, 1, 4, 0, 0, 0, 0]) for number in reversed(range(count)))
            header = bytearray(plain[:54])
            header[18:20] = struct.pack(">H", len(options) + len(l4))
            header[20] = 60
            frame = bytes(header) + options + l4
            if count == 9:
                lan.denied("a", frame, reason="headers-too-long")
            else:
                lan.denied("a", frame, at="b")
        return "8 are followed, 9 are not"


# -- floods, and ports without groups

@case("connections: broadcast and multicast to ports with groups", presets=BOTH)
def floods():
    with ground() as lan:
        lan.document["groups"]["some"] = {"to-vm": [{"allow": "udp", "dport": 5000}]}
        for name, group in {"a": "open", "some": "some", "shut": "shut"}.items():
            lan.port(name, [group])
        lan.port("plain")
        lan.learned()
        a, everyone = lan.a, "ff:ff:ff:ff:ff:ff"
        nodes, solicited = "33:33:00:00:00:01", "33:33:ff:00:00:03"
        link = "fe80::1"
        target = packets.address("fd08::3")
        option = struct.pack(">BB", 1, 1) + a.mac
        frames = {
            "ARP": (a.frame(everyone, arp(a.mac, host(a), "10.8.0.3"), packets.ARP), {"some", "shut", "plain"}),
            "ND": (a.frame(solicited, packets.icmp(host(a, 6), "ff02::1:ff00:3", 135, 0, bytes(4) + target + option),
                           packets.V6), {"some", "shut", "plain"}),
            "RA": (a.frame(nodes, packets.icmp(link, "ff02::1", 134, 0, bytes(12)), packets.V6),
                   {"some", "shut", "plain"}),
            # A VM takes a server's answers unasked; to be a server it needs a rule.
            "DHCP answer": (a.frame(everyone, packets.udp(host(a), "255.255.255.255", 67, 68, bytes(240)), packets.V4),
                            {"some", "shut", "plain"}),
            "DHCP request": (a.frame(everyone, packets.udp("0.0.0.0", "255.255.255.255", 68, 67, bytes(240)),
                                     packets.V4), {"plain"}),
            "UDP 5000": (a.frame(everyone, packets.udp(host(a), "10.8.0.255", 5000, 5000), packets.V4),
                         {"some", "plain"}),
            "UDP 5001": (a.frame(everyone, packets.udp(host(a), "10.8.0.255", 5000, 5001), packets.V4), {"plain"}),
            "UDP 5000, v6": (a.frame(nodes, packets.udp(host(a, 6), "ff02::1", 5000, 5000), packets.V6),
                             {"some", "plain"}),
            "ping of all": (a.frame(nodes, packets.echo(host(a, 6), "ff02::1", 7), packets.V6), {"plain"}),
            "no IP": (a.frame(everyone), {"plain"}),
        }
        for what, (frame, wanted) in frames.items():
            before = {name: lan.drops(name).get("group-deny", 0) for name in ("some", "shut")}
            got = lan.send("a", frame)
            check(set(got) == wanted, f"{what} reached {set(got)}, not {wanted}")
            for name, count in before.items():
                grown = lan.drops(name).get("group-deny", 0) - count
                check(grown == (name not in wanted), f"{what}: {grown} group-deny at {name}")
        check(lan.connections() == 0, f"{lan.connections()} connections of floods")
        return f"{len(frames)} kinds"


@case("connections: ports without groups beside one that has them", presets=BOTH)
def without_groups():
    """Between them everything passes and nothing is an entry, whatever a tracker would think of it."""
    with ground() as lan:
        lan.port("x")
        lan.port("y")
        lan.port("g", ["shut"])
        lan.learned()
        one = talk(Tcp, lan.x, lan.y)
        quoted = packets.udp(host(lan.y), host(lan.x), 1, 2)
        strange = {
            "mid-stream": one.data(), "RST": one.rst(), "FIN": one.fin(),
            "no IP": lan.x.frame(lan.y.mac),
            "echo reply": one.frame(0, packets.echo(*one.addresses(0), 5, reply=True)),
            "error": one.frame(0, packets.unreachable(*one.addresses(0), quoted)),
            "error, quoting others": one.frame(0, packets.unreachable(
                *one.addresses(0), packets.udp("192.0.2.1", "192.0.2.2", 1, 2))),
            "error, quoting nothing": one.frame(0, packets.icmp(*one.addresses(0), 3, 3, bytes(4))),
            "SCTP data": one.frame(0, packets.sctp(*one.addresses(0), 1, 2, 3, 0)),
            "fragment": one.frame(0, packets.ip(*one.addresses(0), 17, bytes(64), 9, (1480, False))),
        }
        for what, frame in strange.items():
            got = lan.send("x", frame)
            check(got == {"y": [frame]}, f"{what}: it went to {set(got)}; drops: {lan.lost()}")
        check(lan.connections() == 0, f"{lan.connections()} connections")
        # Nor is it when the receiver is not known yet, and another port's rules could be asked; but then a
        # fragment waits for its first.
        del strange["fragment"]
        before = lan.lost()
        for what, frame in [*strange.items(), *((f"handshake, {way}", (way, frame)) for way, frame in one.handshake())]:
            way, frame = frame if isinstance(frame, tuple) else (0, frame)
            if not what.endswith(", 1"):
                lan.switch.ctl("fdb", "flush")
            got = lan.send("xy"[way], frame)
            check(got == {"yx"[way]: [frame]}, f"{what}, flooded: it went to {set(got)}; drops: {lan.lost()}")
        lan.learned()
        lan.passes(one, 0, one.data())
        lan.passes(one, 1, one.data(1))
        # Each copy for the port in a group was kept from it: what is no IP and the SYN by its rules, the others
        # since no state allows them, as nobody has seen the SYN-ACK between ports without groups.
        check(not before and lan.lost() == {"g": {"group-deny": 2}, "x": {"connection-invalid": len(strange)}},
              f"drops were {before} and are {lan.lost()}")
        # From without to within, by the receiver's rules, and back.
        before = lan.connections()
        inward = talk(Udp, lan.x, lan.g)
        lan.denied("x", inward.data(), at="g")
        outward = talk(Udp, lan.g, lan.x)
        lan.all_pass(outward, [(0, outward.data()), (1, outward.data(1))])
        check(lan.connections() == before + 1, f"{lan.connections() - before} connections")
        # To one that takes them, though it is not known where it is: a whole handshake by flood.
        lan.set("g", groups=["open"])
        inward = talk(Tcp, lan.x, lan.g)
        lan.switch.ctl("fdb", "flush")
        for way, frame in inward.handshake():
            got = lan.send("xg"[way], frame)
            check("gx"[way] in got, f"a handshake by flood: it went to {set(got)}; drops: {lan.lost()}")
        return f"{len(strange)} strange packets pass"


@case("connections: nothing is tracked in a bridge without groups")
def other_bridge():
    with ground(bridges={"default": {}, "other": {}}) as lan:
        lan.port("g", ["open"])
        lan.port("x", bridge="other")
        lan.port("y", bridge="other")
        lan.learned()
        one = talk(Tcp, lan.x, lan.y)
        before = lan.work()
        for _ in range(100):
            lan.passes(one, 0, one.data())
        check(lan.work() == before, f"lookups and tracked packets were {before} and are {lan.work()}")
        check(lan.connections() == 0, f"{lan.connections()} connections")
        return "100 packets, 0 lookups"


# -- protocols

@case("connections: UDP, ICMP, SCTP and others, v4 and v6", needs=street, presets=BOTH)
def protocols(lan):
    """The first packet by the receiver's rule, replies by the connection, and the same in the wrong way not."""
    shown = 0
    for version in (4, 6):
        one = talk(Udp, lan.a, lan.b, version=version)
        there, back = one.addresses(0), one.addresses(1)
        sport, dport = one.l4
        kinds = {
            "UDP": (packets.udp(*there, sport, dport), packets.udp(*back, dport, sport), "group-deny"),
            "echo": (packets.echo(*there, sport), packets.echo(*back, sport, reply=True), "connection-invalid"),
            "protocol 47": (packets.ip(*there, packets.GRE, bytes(16)), packets.ip(*back, packets.GRE, bytes(16)),
                            "group-deny"),
            "SCTP": (packets.sctp(*there, sport, dport, 0, 1, struct.pack(">IIHHI", 77, 65535, 1, 1, 1)),
                     packets.sctp(*back, dport, sport, 77, 2, struct.pack(">IIHHI", 88, 65535, 1, 1, 1)),
                     None),
        }
        names = "udp", "icmp" if version == 4 else "icmpv6", packets.GRE, "sctp"
        for name, (what, (first, reply, alone)) in zip(names, kinds.items()):
            if alone:
                before = lan.drops("a"), lan.drops("b")
                lan.nothing("b", one.frame(1, reply))
                check((lan.drops("a"), lan.drops("b")) != before, f"{what}: a reply that nobody asked for")
            lan.passes(one, 0, one.frame(0, first))
            lan.passes(one, 1, one.frame(1, reply))
            lan.passes(one, 0, one.frame(0, first)) if what != "SCTP" else None
            check(lan.connections("--protocol", name) >= 1, f"{what}: there is no connection")
            shown += 1
    return f"{shown} kinds"


@case("connections: TCP's states and windows", needs=street, presets=BOTH)
def tcp(lan):
    for version in (4, 6):
        one = talk(Tcp, lan.a, lan.b, version=version)
        lan.denied("a", one.ack(), reason="connection-invalid")
        lan.all_pass(one, one.handshake())
        lan.passes(one, 0, one.data())
        lan.passes(one, 1, one.data(1))
        lan.denied("a", one.segment(0, packets.ACK, b"far", one.seq[0] + 10_000_000), reason="tcp-out-of-window")
        lan.denied("a", one.segment(0, packets.RST, seq=one.seq[0] + 10_000_000), reason="tcp-out-of-window")
        # One that merely lies inside of the window ends nothing: its receiver asks back (RFC 5961).
        lan.passes(one, 0, one.segment(0, packets.RST, seq=one.seq[0] + 5000))
        lan.passes(one, 1, one.data(1))
        # Half closed: what comes back goes on as long as it likes.
        lan.passes(one, 0, one.fin())
        for _ in range(3):
            lan.passes(one, 1, one.data(1))
            lan.passes(one, 0, one.ack())
        lan.passes(one, 1, one.fin(1))
        lan.passes(one, 0, one.ack())
        # The same L4 ports again, at once.
        one.seq = [500_000_000, 1_500_000_000]
        lan.all_pass(one, one.handshake())
        lan.check_one(one)
        lan.passes(one, 1, one.rst(1))
    return "handshake, windows, RST, half close, reuse"


@case("connections: pickup of what has begun before", presets=BOTH)
def pickup():
    with ground() as lan:
        lan.port("a", ["shut"])
        lan.port("b", ["open"])
        lan.learned()
        one = talk(Tcp, lan.a, lan.b)
        lan.denied("a", one.data(), reason="connection-invalid")
        lan.document["switch"]["tcp-pickup"] = "yes"
        lan.apply()
        lan.passes(one, 0, one.data())
        lan.passes(one, 1, one.data(1))
        lan.passes(one, 0, one.data())
        return "refused, then picked up"


@case("connections: ICMP errors belong to what they quote", needs=street, presets=BOTH)
def errors(lan):
    for version in (4, 6):
        one = talk(Udp, lan.a, lan.b, version=version)
        sent = packets.udp(*one.addresses(0), *one.l4, b"data")
        foreign = packets.udp(*one.addresses(0), one.l4[0], 81, b"data")
        lan.passes(one, 0, one.frame(0, sent))
        lan.passes(one, 1, one.frame(1, packets.unreachable(*one.addresses(1), sent)))
        lan.denied("b", one.frame(1, packets.unreachable(*one.addresses(1), foreign)), reason="connection-invalid")
        # One that the quoted packet's sender does not get.
        lan.denied("b", lan.b.frame(lan.c.mac, packets.unreachable(
            host(lan.b, version), host(lan.c, version), sent), packets.V6 if version == 6 else packets.V4),
            reason="connection-invalid")
        lan.check_one(one)
        # Its rule gone, its errors are gone, too.
        lan.group("open", to_vm=[{"allow": "tcp"}])
        lan.denied("b", one.frame(1, packets.unreachable(*one.addresses(1), sent)), at="b")
        lan.group("open", to_vm=[{"allow": "any"}])
        lan.passes(one, 1, one.frame(1, packets.unreachable(*one.addresses(1), sent)))
    return "of its own connection; not of another one"


@case("connections: rules for types of ICMP", needs=street, presets=BOTH)
def icmp_types(lan):
    for version, word, kind in ((4, "icmp", 8), (6, "icmpv6", 128)):
        lan.group("open", to_vm=[{"allow": word, "type": kind}])
        one = talk(Udp, lan.a, lan.b, version=version)
        echo = one.frame(0, packets.echo(*one.addresses(0), one.l4[0]))
        lan.passes(one, 0, echo)
        lan.passes(one, 1, one.frame(1, packets.echo(*one.addresses(1), one.l4[0], reply=True)))
        lan.passes(one, 0, echo)
        # A reply is of another type, whatever its identifier looks like.
        lan.denied("a", one.frame(0, packets.echo(*one.addresses(0), kind, reply=True)), at="b")
        # Asked again, when the packet that made the entry has long gone.
        lan.group("more", to_vm=[{"allow": "udp", "dport": one.l4[0]}])
        lan.passes(one, 1, one.frame(1, packets.echo(*one.addresses(1), one.l4[0], reply=True)))
        lan.group("open", to_vm=[{"allow": word, "type": kind + 5}])
        lan.denied("a", echo, at="b")
    lan.group("open", to_vm=[{"allow": "any"}])
    return "echo by its type, and its reply"


# -- several workers

@case("connections: two workers handle one connection", presets=BOTH)
def two_workers():
    """Each packet by the other queue than the one before it, and the two ends by other workers."""
    with ground(switch={"workers": [0, 1]}) as lan:
        lan.port("a", ["shut"], queues=2)
        lan.port("b", ["open"], queues=2)
        lan.learned()
        queues = lan.switch.json("port", "show", "a")["queue_list"]
        check({queue["worker_cpu"] for queue in queues} == {0, 1}, f"queues {queues}")
        turn = itertools.cycle((0, 1))

        def passes(one, way, frame):
            end, other = one.ends[way], one.ends[1 - way]
            vring = end.vrings[2 * next(turn) + 1]
            end.put(frame, vring=vring)
            end.wait_sent(slow(5), vring)
            got = [frame for ring in other.vrings[0::2] for frame in other.got(ring)]
            check(got == [frame], f"{len(got)} frames came; drops: {lan.lost()}")
        before = lan.lost()
        for number in range(12):
            one = talk(Tcp, lan.a, lan.b, version=4 if number % 2 else 6)
            for way, frame in one.handshake():
                passes(one, way, frame)
            for _ in range(4):
                passes(one, 0, one.data())
                passes(one, 1, one.data(1))
            for way, frame in one.goodbye():
                passes(one, way, frame)
            next(turn)
        check(lan.connections() == 12, f"{lan.connections()} connections")
        # First packets of one conversation at once on both queues: it is one connection.
        for number in range(30):
            one = talk(Udp, lan.a, lan.b)
            for vring in (lan.a.vrings[1], lan.a.vrings[3]):
                lan.a.put(one.data(), vring=vring)
            for vring in (lan.a.vrings[1], lan.a.vrings[3]):
                lan.a.wait_sent(slow(5), vring)
            got = sum(len(lan.b.got(ring)) for ring in lan.b.vrings[0::2])
            check(got == 2, f"{got} of 2 frames came")
        check(lan.connections() == 42, f"{lan.connections()} connections")
        check(lan.lost() == before, f"lost: {lan.lost()}")
        return "12 conversations, 30 begun twice at once: 42 connections"
