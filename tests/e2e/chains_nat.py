"""Chains with functions that change addresses: raw rings are client, server and every function."""
import struct

from cases import BOTH, case, check, fixture, slow
from chains_routed import WEIR, Routed, routed
from lab import packets, wait_until
from lab.frontend import SEND_RARP
from lab.packets import Tcp, Udp, host
from lans import BROADCAST, mac, talk

OWN = {4: "10.8.0.150", 6: "fd08::150"}     # what the function gives as its own
NAT = {"mode": "routed", "recognise-by": "port"}
TWO_ARMED = ("n-l", "n-r")


class Natted(Routed):
    """What begins with "n" changes addresses."""

    def hops(self, *hops):
        return [([hop], NAT) if (hop if isinstance(hop, str) else hop[0]).startswith("n") else super(Natted, self).hops(hop)[0]
                for hop in hops]

    def snat(self, kind, version=4, nat=TWO_ARMED, **more):
        """A conversation as the client has it, and as the server does."""
        lan, right = self.lan, self.lan.ends[nat[1]]
        return (talk(kind, lan.client, lan.server, version=version, **more),
                talk(kind, right, lan.server, ips=(OWN[version], host(lan.server, version)), **more))

    def dnat(self, kind, version=4, nat=TWO_ARMED):
        """The client asks for the function's own address."""
        lan, right = self.lan, self.lan.ends[nat[1]]
        inner = talk(kind, lan.client, right, ips=(host(lan.client, version), OWN[version]), dport=8080)
        return inner, kind(right, lan.server, sport=inner.l4[0], ips=(inner.ips[0], host(lan.server, version)))

    def cross(self, way, inner, outer, nat=TWO_ARMED, before=(), behind=()):
        """A frame as the client sends or gets it, and as the server does; `before` and `behind` are as bridges."""
        left, right = (self.lan.ends[name] for name in nat)
        if way == 0:
            self.line("client", inner, [*before], nat[0], left.mac + WEIR + inner[12:])
            self.line(nat[1], outer, [*behind], "server", outer)
        else:
            self.line("server", outer, [*reversed(behind)], nat[1], right.mac + WEIR + outer[12:])
            self.line(nat[0], WEIR + left.mac + inner[12:], [*reversed(before)], "client", inner)

    def line(self, at, sent, bridges, to, wanted):
        """What is sent at `at` comes by each of these as the ends know it, and to `to` as is wanted."""
        for number, name in enumerate(bridges):
            frame = wanted if to in ("client", "server") else sent
            self.expect(at, sent if number == 0 else frame, name, frame)
            at, sent = name, frame
        self.expect(at, sent, to, wanted)

    def talks(self, both, nat=TWO_ARMED, before=(), behind=()):
        """A whole conversation."""
        inner, outer = both
        steps = [[(0, one.data()), (1, one.data(1)), (0, one.data())] for one in both]
        if isinstance(inner, Tcp):
            inner, outer = (type(one)(*one.ends, sport=one.l4[0], dport=one.l4[1], ips=one.ips) for one in both)
            steps = [[*one.handshake(), (0, one.data()), (1, one.data(1)), (0, one.ack()), (1, one.data(1)), *one.goodbye()]
                     for one in (inner, outer)]
        for (way, a), (_, b) in zip(*steps):
            self.cross(way, a, b, nat, before, behind)


@fixture(name="functions that change addresses")
def nats():
    with routed(("n-l", "n-r", "n1", "ids", "mon", "m-l", "m-r")) as one:
        yield Natted(one.lan)


WAYS = [((), ()), (("ids",), ()), ((), ("mon",)), (("ids",), ("mon",))]


@case("chains, NAT: a source's address is changed, replies walk back through the function", needs=nats, presets=BOTH)
def snat(it):
    for nat in (TWO_ARMED, ("n1", "n1")):
        for before, behind in WAYS:
            it.chain("inspect", it.hops(*before, nat[0] if nat[0] == nat[1] else nat, *behind))
            for version in (4, 6):
                for kind in (Tcp, Udp):
                    it.talks(it.snat(kind, version, nat), nat, before, behind)
        it.none()
    return f"2 x {len(WAYS)} chains, v4 and v6, TCP and UDP"


@case("chains, NAT: a destination's address is changed, and the server answers to the client", needs=nats, presets=BOTH)
def dnat(it):
    lan = it.lan
    for before, behind in WAYS:
        it.chain("inspect", it.hops(*before, TWO_ARMED, *behind), **{"from": {"port": "client"}})
        lan.announce(lan.n_r)
        lan.drain()
        for version in (4, 6):
            inner, outer = it.dnat(Tcp, version)
            pairs = [[*one.handshake(), (0, one.data()), (1, one.data(1)), (0, one.ack()), (1, one.data(1)), *one.goodbye()]
                     for one in (inner, outer)]
            for (way, a), (_, b) in zip(*pairs):
                # The server knows the client's MAC address.
                it.cross(way, a, b if way == 0 else lan.client.mac + b[6:], before=before, behind=behind)
    it.none()
    return f"{len(WAYS)} chains, v4 and v6"


@case("chains, NAT: pings and ICMP errors", needs=nats, presets=BOTH)
def icmp(it):
    it.chain("inspect", it.hops("ids", TWO_ARMED, "mon"))
    more = {"before": ("ids",), "behind": ("mon",)}
    for version in (4, 6):
        inner, outer = it.snat(Udp, version)
        pings = [one.frame(0, packets.echo(*one.addresses(0), number)) for number, one in ((7, inner), (70, outer))]
        pongs = [one.frame(1, packets.echo(*one.addresses(1), number, reply=True)) for number, one in ((7, inner), (70, outer))]
        it.cross(0, *pings, **more)
        it.cross(1, *pongs, **more)
        # Nobody listens at the server, and then at the client.
        it.cross(0, inner.data(), outer.data(), **more)
        it.cross(1, *(one.frame(1, packets.unreachable(*one.addresses(1), one.data()[14:])) for one in (inner, outer)), **more)
        it.cross(1, inner.data(1), outer.data(1), **more)
        it.cross(0, *(one.frame(0, packets.unreachable(*one.addresses(0), one.data(1)[14:])) for one in (inner, outer)), **more)
    it.none()
    return "v4 and v6"


@case("chains, NAT: fragments", needs=nats, presets=BOTH)
def fragments(it):
    it.chain("inspect", it.hops(TWO_ARMED, "mon"))
    for version in (4, 6):
        both = it.snat(Udp, version)
        for way in (0, 1):
            parts = []
            for one in both:
                l4 = packets.udp(*one.addresses(way), *one.ports(way), bytes(2000))[20 if version == 4 else 40:]
                parts.append([one.frame(way, packets.ip(*one.addresses(way), packets.UDP, part, 99, (offset, offset == 0)))
                              for offset, part in ((0, l4[:1000]), (1000, l4[1000:]))])
            for a, b in zip(*parts):
                it.cross(way, a, b, behind=("mon",))
    it.none()
    return "v4 and v6, both ways"


@case("chains, NAT: two functions of one chain change addresses, one after the other", needs=nats, presets=BOTH)
def twice(it):
    lan = it.lan
    it.chain("inspect", it.hops("ids", TWO_ARMED, "mon", "n1"))
    for version in (4, 6):
        server = host(lan.server, version)
        second = {4: "10.8.0.151", 6: "fd08::151"}[version]
        talks = [talk(Tcp, lan.client, lan.server, version=version),
                 talk(Tcp, lan.n_r, lan.server, ips=(OWN[version], server)),
                 talk(Tcp, lan.n1, lan.server, ips=(second, server))]
        steps = zip(*[[*one.handshake(), (0, one.data()), (1, one.data(1)), *one.goodbye()] for one in talks])
        for (way, a), (_, b), (_, c) in steps:
            if way == 0:
                it.line("client", a, ["ids"], "n-l", lan.n_l.mac + WEIR + a[12:])
                it.expect("n-r", b, "mon", b)
                it.expect("mon", b, "n1", lan.n1.mac + WEIR + b[12:])
                it.expect("n1", c, "server", c)
            else:
                it.expect("server", c, "n1", lan.n1.mac + WEIR + c[12:])
                back = WEIR + lan.n1.mac + b[12:]
                it.expect("n1", back, "mon", b)
                it.expect("mon", b, "n-r", lan.n_r.mac + WEIR + b[12:])
                it.line("n-l", WEIR + lan.n_l.mac + a[12:], ["ids"], "client", a)
        check(lan.connections("--sport", talks[0].l4[0]) == lan.connections("--sport", talks[2].l4[0]) == 1, "entries")
    it.none()
    return "v4 and v6"


@case("chains, NAT: on its right side the function is a host, on its left Weir answers", needs=nats, presets=BOTH)
def neighbours(it):
    lan = it.lan
    it.chain("inspect", it.hops(TWO_ARMED, "n1"))

    def arp(end, source, target):
        return end.frame(BROADCAST, packets.arp(end.mac, source, target), packets.ARP)

    def solicitation(end, source, target):
        return end.frame("33:33:ff:00:00:02", packets.solicitation(end.mac, source, target), packets.V6)
    everybody = {"client", "server", "n-r", "n1", "ids", "mon", "m-l", "m-r"}
    for name, frames in (
            ("server", [arp(lan.server, host(lan.server), OWN[4]), solicitation(lan.server, host(lan.server, 6), OWN[6])]),
            ("n-r", [arp(lan.n_r, OWN[4], host(lan.server)), arp(lan.n_r, OWN[4], OWN[4]),
                     solicitation(lan.n_r, OWN[6], host(lan.server, 6)), solicitation(lan.n_r, "::", OWN[6])]),
            ("n1", [arp(lan.n1, "10.8.0.9", host(lan.server))])):
        for frame in frames:
            got = lan.send(name, frame)
            check(got == {one: [frame] for one in everybody - {name}}, f"from {name} to {set(got)}; {lan.lost()}")
    # Answers find it, and it them.
    to_it = lan.server.frame(lan.n_r.mac, packets.arp(lan.server.mac, host(lan.server), OWN[4]), packets.ARP)
    it.expect("server", to_it, "n-r", to_it)
    from_it = lan.n_r.frame(lan.server.mac, packets.arp(lan.n_r.mac, OWN[4], host(lan.server)), packets.ARP)
    it.expect("n-r", from_it, "server", from_it)
    row = next(row for row in lan.switch.json("fdb", "list") if row["mac"] == mac(4))
    check(row["port"] == "n-r", f"its address is at {row}")
    reply = packets.arp(WEIR, host(lan.server), "10.8.0.8")
    it.expect("n-l", arp(lan.n_l, "10.8.0.8", host(lan.server)), "n-l", lan.n_l.mac + WEIR + struct.pack(">H", packets.ARP) +
              reply[:7] + b"\2" + reply[8:18] + lan.n_l.mac + reply[24:])
    # Other floods pass it by.
    got = lan.send("client", lan.client.frame(BROADCAST, b"who is there"))
    check(set(got) == everybody - {"client", "n-r", "n1"}, f"a broadcast went to {set(got)}")
    it.none()
    return "ARP, ND, answers, one that tells, DAD"


@case("chains, NAT: a function that has come from another host is announced on its right side", needs=nats, presets=BOTH)
def announced(it):
    lan = it.lan
    it.chain("inspect", it.hops(TWO_ARMED))
    lan.switch.ctl("fdb", "flush")
    lan.n_r.tell(SEND_RARP, lan.n_r.mac + bytes(2))
    frame, = lan.client.wait_frames(1, slow(5))
    check(frame[:14] == b"\xff" * 6 + lan.n_r.mac + b"\x80\x35", f"announced by {frame.hex()}")
    row, = lan.switch.json("fdb", "list")
    check((row["mac"], row["port"]) == (mac(4), "n-r"), f"its address is at {row}")
    # In the name of another, and on the left, where it is no host, it is nobody's.
    for name, told in (("n-r", lan.client.mac), ("n-l", lan.n_l.mac)):
        before = lan.drops(name).get("chain-stray", 0)
        lan.ends[name].tell(SEND_RARP, told + bytes(2))
        wait_until(lambda: lan.drops(name).get("chain-stray", 0) > before, slow(5), f"a stray of {name}")
    for end in (lan.client, lan.server):
        lan.announce(end)
    lan.drain()
    it.none()
    return "RARP"


@case("chains, NAT: what is of no connection is lost on both sides", needs=nats, presets=BOTH)
def strays(it):
    lan = it.lan
    it.chain("inspect", it.hops(TWO_ARMED))
    both = inner, outer = it.snat(Udp)
    it.talks(both)
    lan.announce(lan.n_r)
    lan.drain()
    # To the function itself, from who is in no chain and from who is in one for another address.
    lan.denied("server", talk(Udp, lan.server, lan.n_r, ips=(host(lan.server), OWN[4])).data(), reason="chain-stray")
    lan.denied("server", lan.server.frame(lan.n_r.mac, b"hello"), reason="chain-stray")
    it.chain("watch", it.hops("mon"), **{"from": {"port": "server"}})
    lan.denied("server", talk(Udp, lan.server, lan.n_r, ips=(host(lan.server), OWN[4])).data(), reason="chain-stray")
    del lan.document["chains"]["watch"]
    lan.apply()
    # From it: with an address not its own, no IP, to all, of an unknown connection on the left, back where it came in.
    lan.denied("n-r", outer.data()[:6] + lan.server.mac + talk(Udp, lan.n_r, lan.server).data()[12:], reason="chain-stray")
    lan.denied("n-r", outer.data()[:6] + lan.client.mac + outer.data()[12:], reason="chain-stray")
    lan.denied("n-r", lan.n_r.frame(lan.server.mac, b"hello"), reason="chain-stray")
    lan.denied("n-r", lan.n_r.frame(BROADCAST, packets.udp(OWN[4], "10.8.0.255", 9, 9), packets.V4), reason="chain-stray")
    lan.denied("n-l", talk(Udp, lan.n_l, lan.client, ips=(OWN[4], host(lan.client))).data(), reason="chain-stray")
    lan.denied("n-l", WEIR + lan.n_l.mac + inner.data()[12:], reason="chain-stray")
    lan.denied("n-r", WEIR + lan.n_r.mac + it.snat(Udp)[1].data()[12:], reason="chain-stray")
    lan.denied("n-r", WEIR + lan.n_r.mac + inner.data(1)[12:], reason="chain-stray")
    lan.denied("n-l", WEIR + lan.n_l.mac + outer.data(1)[12:], reason="chain-stray")
    lan.denied("n-r", WEIR + lan.n_r.mac + outer.data(1)[12:], reason="chain-stray")
    macs = {row["mac"]: row["port"] for row in lan.switch.json("fdb", "list")}
    check(macs[mac(1)] == "client" and macs[mac(2)] == "server", f"learned: {macs}")
    it.cross(1, inner.data(1), outer.data(1))
    it.none()
    return "chain-stray"


@case("chains, NAT: each of the two connections has its state, once", needs=nats, presets=BOTH)
def states(it):
    lan = it.lan
    for name in ("client", "server"):
        lan.set(name, groups=["open"])
    it.chain("inspect", it.hops(TWO_ARMED, "mon"))
    inner, outer = it.snat(Tcp)

    def state(one):
        rows = lan.switch.json("conn", "list", "--sport", one.l4[0])
        rows = rows["items"] if isinstance(rows, dict) else rows
        check(len(rows) == 1, f"{len(rows)} connections: {rows}")
        return rows[0]
    for (way, a), (_, b) in zip(inner.handshake(), outer.handshake()):
        it.cross(way, a, b, behind=("mon",))
    for one in (inner, outer):
        check(state(one)["state"] == "tcp-established", f"{state(one)}")
    # What the function makes of a reply is held to the client's window.
    lan.denied("n-l", WEIR + lan.n_l.mac + inner.segment(1, packets.ACK, seq=inner.seq[1] + 10_000_000)[12:],
               reason="tcp-out-of-window")
    lan.denied("server", outer.segment(1, packets.ACK, seq=outer.seq[1] + 10_000_000), reason="tcp-out-of-window")
    # A function may answer by itself, as a proxy or a firewall does.
    alone, _ = it.snat(Tcp)
    syn = alone.handshake()[0][1]
    it.expect("client", syn, "n-l", lan.n_l.mac + WEIR + syn[12:])
    rst = alone.segment(1, packets.RST | packets.ACK, seq=0)
    it.expect("n-l", WEIR + lan.n_l.mac + rst[12:], "client", rst)
    check(state(alone)["state"] == "tcp-closed", f"{state(alone)}")
    # What it leaves as it is has one entry, which the server's packets advance.
    same = talk(Tcp, lan.client, lan.server)
    for way, frame in [*same.handshake(), (0, same.data()), (1, same.data(1)), *same.goodbye()]:
        if way == 0:
            it.line("client", frame, [], "n-l", lan.n_l.mac + WEIR + frame[12:])
            it.line("n-r", WEIR + lan.n_r.mac + frame[12:], ["mon"], "server", frame)
        else:
            it.line("server", frame, ["mon"], "n-r", lan.n_r.mac + WEIR + frame[12:])
            it.line("n-l", WEIR + lan.n_l.mac + frame[12:], [], "client", frame)
    check(state(same)["reply"]["packets"] == 4, f"counted: {state(same)}")
    # Also when rules have changed, and only the server sends.
    running = talk(Tcp, lan.client, lan.server)
    for way, frame in running.handshake():
        if way == 0:
            it.line("client", frame, [], "n-l", lan.n_l.mac + WEIR + frame[12:])
            it.line("n-r", WEIR + lan.n_r.mac + frame[12:], ["mon"], "server", frame)
        else:
            it.line("server", frame, ["mon"], "n-r", lan.n_r.mac + WEIR + frame[12:])
            it.line("n-l", WEIR + lan.n_l.mac + frame[12:], [], "client", frame)
    lan.group("another", to_vm=[{"allow": "udp"}])
    for frame in (running.data(1), running.data(1)):
        it.line("server", frame, ["mon"], "n-r", lan.n_r.mac + WEIR + frame[12:])
        it.line("n-l", WEIR + lan.n_l.mac + frame[12:], [], "client", frame)
    check(state(running)["reply"]["packets"] == 3, f"counted: {state(running)}")
    # The server cannot begin one with the function, nor keep that from beginning it.
    both = inner, outer = it.snat(Udp)
    lan.denied("server", outer.data(1), reason="chain-stray")
    it.talks(both, behind=("mon",))
    for name in ("client", "server"):
        lan.set(name, groups=None)
    it.none()
    return "established, out of window, reset, unchanged"


@case("chains, NAT: the receiver's rules and the function's limits hold for what comes out of it", presets=BOTH)
def policy():
    with routed(("n-l", "n-r")) as one:
        it, lan = Natted(one.lan), one.lan
        lan.group("guarded", to_vm=[{"allow": "udp", "from": f"{host(lan.client)}/32"}])
        lan.set("server", groups=["guarded"])
        it.chain("inspect", it.hops(TWO_ARMED))
        inner, outer = it.snat(Udp)
        it.expect("client", inner.data(), "n-l", lan.n_l.mac + WEIR + inner.data()[12:])
        lan.denied("n-r", outer.data(), at="server")
        lan.group("guarded", to_vm=[{"allow": "udp"}])
        it.talks((inner, outer))
        # Counted at its port.
        lan.set("n-r", limits={"connections": 2})
        it.talks(it.snat(Udp))
        inner, outer = it.snat(Udp)
        it.expect("client", inner.data(), "n-l", lan.n_l.mac + WEIR + inner.data()[12:])
        lan.denied("n-r", outer.data(), reason="connection-limit")
        # Rules are asked again when they change, also by what the function sends back.
        lan.set("n-r", limits=None)
        it.talks((inner, outer))
        lan.set("client", groups=["mute"])
        lan.denied("n-l", WEIR + lan.n_l.mac + inner.data(1)[12:], at="client")
        return "group-deny, connection-limit"


@case("chains, NAT: hops come and go while connections run, and the function fails", needs=nats, presets=BOTH)
def changes(it):
    lan = it.lan
    it.chain("inspect", it.hops(TWO_ARMED))
    both = inner, outer = it.snat(Tcp)
    for (way, a), (_, b) in zip(inner.handshake(), outer.handshake()):
        it.cross(way, a, b)
    for before, behind in (((), ("mon",)), (("ids",), ("mon",)), (("ids",), ()), ((), ("ids", "mon")), ((), ())):
        it.chain("inspect", it.hops(*before, TWO_ARMED, *behind))
        for way in (1, 0, 1, 0):
            it.cross(way, inner.data(way), outer.data(way), before=before, behind=behind)
    lan.n_l.stop()
    it.wait_state_of("n-l", "down")
    lan.denied("server", outer.data(1), reason="chain-closed")
    lan.denied("client", inner.data(), reason="chain-closed")
    lan.n_l.start()
    it.wait_state_of("n-l", "in-service")
    for one in both:
        lan.check_one(one)
    it.none()
    # Without a chain the function is a host as any.
    lan.announce(lan.n_r)
    lan.drain()
    lan.passes(outer, 1, outer.data(1))
    lan.passes(outer, 0, outer.data())
    return "before, behind, both; closed; a host"


@case("chains, NAT: what ran before its chain came, or had another name, takes the later hops, whoever sends first", needs=nats,
      presets=BOTH)
def overtaken(it):
    lan = it.lan
    lan.set("server", groups=["open"])
    for first in (1, 0):
        lan.announce(lan.n_r)
        lan.drain()
        _, outer = it.snat(Tcp)
        lan.all_pass(outer, outer.handshake())
        for name in ("inspect", "renamed", "again"):
            lan.document["chains"] = {}
            it.chain(name, it.hops(TWO_ARMED, "mon"))
            for way in (first, 1 - first, first):
                frame = outer.data(way)
                if way == 0:
                    it.line("n-r", frame, ["mon"], "server", frame)
                else:
                    it.line("server", frame, ["mon"], "n-r", lan.n_r.mac + WEIR + frame[12:])
            lan.check_one(outer)
        it.none()
    lan.set("server", groups=None)
    return "a chain that comes, and another name, twice"


@case("chains, NAT: two workers", presets=BOTH)
def two_workers():
    with routed(("n-l", "n-r", "ids", "mon"), switch={"workers": [0, 1]}) as one:
        it = Natted(one.lan)
        it.chain("inspect", it.hops("ids", TWO_ARMED, "mon"))
        for version in (4, 6):
            for _ in range(10):
                it.talks(it.snat(Tcp, version), before=("ids",), behind=("mon",))
        return "20 conversations"
