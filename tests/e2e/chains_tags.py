"""Chains that share a function, which tells them apart by tags: raw rings are client, server and every function."""
import struct

from cases import BOTH, case, check, fixture, slow
from chains_nat import OWN, Natted
from chains_probes import PROBE
from chains_routed import WEIR, routed
from lab import packets, wait_until
from lab.packets import Tcp, Udp, host
from lans import BROADCAST, mac, put_all, tag, talk

TAGS = {Tcp: 100, Udp: 200}     # one chain for each


def tagged(frame, number):
    return frame[:12] + tag(number) + frame[12:]


class Told(Natted):
    """A chain for TCP and one for UDP, both through one function, whose packets tell which they are of."""

    def both(self, left, right, before=(), behind=(), **keys):
        instance = {"port": left} if left == right else {"left": left, "right": right}
        hops = [{"nf": name, "instances": [{"port": name}]} for name in (*before, None, *behind)]
        self.lan.document["chains"], self.hop = {}, len(before)
        for proto, kind in (("tcp", Tcp), ("udp", Udp)):
            hop = {"nf": "shared", "instances": [instance], **self.told(kind), **keys}
            self.lan.document["chains"][proto] = {"match": {"from": {"port": "client"}, "proto": proto},
                                                  "hops": [one if one["nf"] else hop for one in hops]}
        self.lan.apply()

    def pass_through(self, one, left, right, before=(), behind=()):
        """A conversation through a function that is as a bridge."""
        kind = type(one)
        frames = [*one.handshake(), (0, one.data()), (1, one.data(1))] if isinstance(one, Tcp) else \
                 [(0, one.data()), (1, one.data(1)), (0, one.data())]
        for way, frame in frames:
            arrives, leaves = (left, right) if way == 0 else (right, left)
            first, last = ("client", "server") if way == 0 else ("server", "client")
            one_side, other = (before, behind) if way == 0 else (behind[::-1], before[::-1])
            self.line(first, frame, one_side, arrives, self.there(arrives, kind, frame))
            self.line(leaves, self.back(leaves, kind, frame), other, last, frame)

    def line(self, at, sent, bridges, to, wanted):
        """Bridges between see frames as the ends do."""
        frame = wanted if to in ("client", "server") else sent
        for name in bridges:
            self.expect(at, sent, name, frame)
            at, sent = name, frame
        self.expect(at, sent, to, wanted)


class Tagged(Told):
    def told(self, kind):
        return {"recognise-by": "vlan", "tag": TAGS[kind]}

    def there(self, _port, kind, frame):
        """As the function gets it."""
        return tagged(frame, TAGS[kind])

    back = there        # as it sends it


@fixture(name="functions that tell chains apart by tags")
def tagging():
    with routed(("t-l", "t-r", "t1", "ids", "mon")) as one:
        yield Tagged(one.lan)


@case("chains, tags: two chains share a function, and each packet carries its chain's tag", needs=tagging, presets=BOTH)
def transparent(it):
    for left, right in (("t-l", "t-r"), ("t1", "t1")):
        for before, behind in (((), ()), (("ids",), ("mon",))):
            it.both(left, right, before, behind)
            for kind in (Tcp, Udp):
                for version in (4, 6):
                    it.pass_through(talk(kind, it.lan.client, it.lan.server, version=version), left, right, before, behind)
    it.none()
    return "two- and one-armed, v4 and v6"


@case("chains, tags: what comes back with another tag, or with none, is lost", needs=tagging, presets=BOTH)
def strays(it):
    lan = it.lan
    it.both("t-l", "t-r")
    one = talk(Udp, lan.client, lan.server)
    it.pass_through(one, "t-l", "t-r")
    lan.denied("t-r", one.data(), reason="chain-stray")
    lan.denied("t-r", tagged(one.data(), TAGS[Tcp]), reason="chain-stray")
    lan.denied("t-r", tagged(one.data(), 300), reason="vlan-not-member")
    lan.denied("t-r", tagged(one.data(), 0), reason="chain-stray")
    lan.denied("t-r", tagged(tagged(one.data(), 7), TAGS[Udp]), reason="chain-stray")
    lan.denied("t-r", tagged(talk(Udp, lan.client, lan.server).data(), TAGS[Udp]), reason="chain-stray")
    it.pass_through(one, "t-l", "t-r")
    # Of two chains' first packets that are alike, in one burst, too.
    it.both("t-l", "t-r", mode="routed")
    _, one = it.snat(Udp, nat=("t-l", "t-r"))
    frames = [it.back("t-r", kind, one.data()) for kind in (Udp, Tcp)]
    lan.expect_drop("t-r", "chain-stray", lambda: put_all(lan.t_r, frames))
    got = lan.server.wait_frames(1, slow(5))
    check(got == [one.data()], f"{[frame.hex() for frame in got]}")
    it.none()
    return "untagged, the other chain's, nobody's, two tags, two in a burst"


@case("chains, tags: fragments tell their chain, also those that come before their first", needs=tagging, presets=BOTH)
def fragments(it):
    it.both("t-l", "t-r", behind=("mon",))
    for version in (4, 6):
        one = talk(Udp, it.lan.client, it.lan.server, version=version)
        it.pass_through(one, "t-l", "t-r", behind=("mon",))
        l4 = packets.udp(*one.addresses(0), *one.ports(0), bytes(2000))[20 if version == 4 else 40:]
        parts = [one.frame(0, packets.ip(*one.addresses(0), packets.UDP, part, 7, (offset, offset == 0)))
                 for offset, part in ((0, l4[:1000]), (1000, l4[1000:]))]
        first, later = [it.back("t-r", Udp, part) for part in parts]
        it.lan.nothing("t-r", later)
        it.lan.t_r.put(first)
        got = it.lan.mon.wait_frames(2, slow(5))
        check(got == parts, f"{[one.hex() for one in got]}; {it.lan.lost()}")
    it.none()
    return "v4 and v6"


@case("chains, tags: a probe has its chain's tag, there and back", needs=tagging, presets=BOTH)
def probes(it):
    lan, own = it.lan, {"interval": "10s", "failures": 1}
    it.both("t-l", "t-r", probe=own)
    sent = lan.t_l.wait_frames(2, slow(5), wanted=lambda frame: PROBE in frame)
    bare = [b"\2weir\2\2weir\1" + frame[frame.index(PROBE):] for frame in sent]
    kinds = [kind for kind in (Tcp, Udp) if it.there("t-l", kind, bare[0]) == sent[0]]
    check(len(kinds) == 1 and it.there("t-l", *{Tcp, Udp} - set(kinds), bare[1]) == sent[1], f"{[one.hex() for one in sent]}")
    probe = bare[0] if kinds == [Tcp] else bare[1]
    lan.denied("t-r", it.back("t-r", Udp, probe), reason="chain-stray")
    lan.denied("t-r", probe, reason="chain-stray")
    states = lambda: [lan.switch.json("chain", "show", name)["hops"][0]["instances"][0]["state"] for name in ("tcp", "udp")]
    check(states() == ["silent", "silent"], f"{states()}")
    lan.nothing("t-r", it.back("t-r", Tcp, probe))
    wait_until(lambda: states() == ["in-service", "silent"], slow(5), lambda: f"{states()}")
    it.none()
    return "each chain's own"


@case("chains, tags: two chains share a function that changes addresses", needs=tagging, presets=BOTH)
def nat(it):
    lan = it.lan
    for left, right in (("t-l", "t-r"), ("t1", "t1")):
        for before, behind in (((), ()), (("ids",), ("mon",))):
            it.both(left, right, before, behind, mode="routed")
            near, far = lan.ends[left], lan.ends[right]
            for kind in (Tcp, Udp):
                for version in (4, 6):
                    inner, outer = it.snat(kind, version, (left, right))
                    steps = [[*one.handshake(), (0, one.data()), (1, one.data(1)), *one.goodbye()] if kind is Tcp else
                             [(0, one.data()), (1, one.data(1)), (0, one.data()), (1, one.data(1))] for one in (inner, outer)]
                    for (way, a), (_, b) in zip(*steps):
                        if way == 0:
                            it.line("client", a, before, left, it.there(left, kind, near.mac + WEIR + a[12:]))
                            it.line(right, it.back(right, kind, b), behind, "server", b)
                        else:
                            it.line("server", b, behind[::-1], right, it.there(right, kind, far.mac + WEIR + b[12:]))
                            it.line(left, it.back(left, kind, WEIR + near.mac + a[12:]), before[::-1], "client", a)
    it.none()
    return "two- and one-armed, v4 and v6"


@case("chains, tags: what ran before its chain came, or had another name, is lost until the function says its chain",
      needs=tagging, presets=BOTH)
def overtaken(it):
    lan, pair = it.lan, ("t-l", "t-r")
    it.none()
    lan.set("server", groups=["open"])
    lan.announce(lan.t_r)
    lan.drain()
    talks = {kind: it.snat(kind, nat=pair)[1] for kind in (Tcp, Udp)}
    for kind, one in talks.items():
        lan.all_pass(one, one.handshake() if kind is Tcp else [(0, one.data()), (1, one.data(1))])
    for suffix in ("", "-renamed"):
        it.both(*pair, behind=("mon",), mode="routed")
        lan.document["chains"] = {name + suffix: chain for name, chain in lan.document["chains"].items()}
        lan.apply()
        for kind, one in talks.items():
            its, servers = one.data(), one.data(1)
            lan.denied("server", servers, reason="chain-stray")
            it.line("t-r", it.back("t-r", kind, its), ["mon"], "server", its)
            it.line("server", servers, ["mon"], "t-r", it.there("t-r", kind, lan.t_r.mac + WEIR + servers[12:]))
            lan.check_one(one)
    it.none()
    lan.set("server", groups=None)
    return "a chain that comes, and another name"


@case("chains, tags: two chains share a load balancer that clients ask at its own address", needs=tagging, presets=BOTH)
def balancer(it):
    lan, pair = it.lan, ("t-l", "t-r")
    it.both(*pair, mode="routed")
    shown = lan.t_r.frame(BROADCAST, packets.arp(lan.t_r.mac, OWN[4], OWN[4]), packets.ARP)
    lan.send("t-r", it.back("t-r", Udp, shown))
    for kind in (Tcp, Udp):
        for version in (4, 6):
            inner, outer = it.dnat(kind, version, pair)
            steps = [[*one.handshake(), (0, one.data()), (1, one.data(1))] if kind is Tcp else
                     [(0, one.data()), (1, one.data(1)), (0, one.data())] for one in (inner, outer)]
            for (way, a), (_, b) in zip(*steps):
                if way == 0:
                    it.expect("client", a, "t-l", it.there("t-l", kind, lan.t_l.mac + WEIR + a[12:]))
                    it.expect("t-r", it.back("t-r", kind, b), "server", b)
                else:
                    # The server knows the client's MAC address.
                    it.expect("server", lan.client.mac + b[6:], "t-r", it.there("t-r", kind, lan.t_r.mac + WEIR + b[12:]))
                    it.expect("t-l", it.back("t-l", kind, WEIR + lan.t_l.mac + a[12:]), "client", a)
    lan.denied("server", talk(Udp, lan.server, lan.t_r, ips=(host(lan.server), OWN[4])).data(), reason="chain-stray")
    it.none()
    return "v4 and v6"


@case("chains, tags: neighbours are found with each tag", needs=tagging, presets=BOTH)
def neighbours(it):
    lan = it.lan
    it.both("t-l", "t-r", mode="routed")
    asked = [lan.server.frame(BROADCAST, packets.arp(lan.server.mac, host(lan.server), OWN[4]), packets.ARP),
             lan.server.frame("33:33:ff:00:01:50", packets.solicitation(lan.server.mac, host(lan.server, 6), OWN[6]), packets.V6)]
    for frame in asked:
        got = lan.send("server", frame)
        check(sorted(got.pop("t-r")) == sorted(it.there("t-r", kind, frame) for kind in (Tcp, Udp)), "not once for each chain")
        check(got == {name: [frame] for name in ("client", "t1", "ids", "mon")}, f"to {set(got)}")
    # To its address alone, too.
    for kind in (Tcp, Udp):
        mine = lan.t_r.frame(BROADCAST, packets.arp(lan.t_r.mac, OWN[4], host(lan.server)), packets.ARP)
        got = lan.send("t-r", it.back("t-r", kind, mine))
        check(got == {name: [mine] for name in ("client", "server", "t1", "ids", "mon")}, f"from it to {set(got)}; {lan.lost()}")
    frame = lan.server.frame(lan.t_r.mac, packets.arp(lan.server.mac, host(lan.server), OWN[4]), packets.ARP)
    got = lan.send("server", frame)
    check(sorted(got.pop("t-r")) == sorted(it.there("t-r", kind, frame) for kind in (Tcp, Udp)) and not got, f"an answer came as {got}")
    # A copy for each chain: that is a flood.
    lan.set("server", limits={"unknown": "1pps"})
    before = lan.drops("server").get("unknown-limit", 0)
    for _ in range(10):
        lan.send("server", frame)
    check(lan.drops("server").get("unknown-limit", 0) > before, f"drops: {lan.lost()}")
    lan.set("server", limits=None)
    # On its left Weir answers, and tells the chain.
    ask = lan.t_l.mac + struct.pack(">H", packets.ARP) + packets.arp(lan.t_l.mac, "10.8.0.8", host(lan.server))
    reply = packets.arp(WEIR, host(lan.server), "10.8.0.8")
    reply = lan.t_l.mac + WEIR + struct.pack(">H", packets.ARP) + reply[:7] + b"\2" + reply[8:18] + lan.t_l.mac + reply[24:]
    for kind in (Tcp, Udp):
        it.expect("t-l", it.back("t-l", kind, b"\xff" * 6 + ask), "t-l", it.there("t-l", kind, reply))
    macs = {row["mac"]: row["port"] for row in lan.switch.json("fdb", "list")}
    check(macs.get(mac(4)) == "t-r", f"learned: {macs}")
    # Also where that is its right in another chain.
    hop = lan.document["chains"]["udp"]["hops"][0]
    hop["instances"] = [{"left": "t-r", "right": "t-l"}]
    lan.apply()
    it.expect("t-l", it.back("t-l", Tcp, b"\xff" * 6 + ask), "t-l", it.there("t-l", Tcp, reply))
    lan.denied("t-l", b"\xff" * 6 + ask, reason="chain-stray")
    it.none()
    return "floods, one address, Weir's answers"


@case("chains, tags: the tag is one of 802.1Q, whatever tag the sender puts on", presets=BOTH)
def senders_tags():
    def of_ten(frame, kind):
        return frame[:12] + tag(10, kind=kind) + frame[12:]
    with routed(()) as one:
        lan, it = one.lan, Tagged(one.lan)
        for name in ("client", "server"):
            lan.set(name, vlan={"trunk": [10]})
        for number, name in enumerate(("t-l", "t-r"), 3):
            lan.port(name, addresses={"mac": mac(number)}, vlan={"access": 10})
        lan.port("other", vlan={"trunk": [10]})
        asked = {name: lan.ends[name].frame(BROADCAST, packets.arp(lan.ends[name].mac, host(lan.ends[name]), OWN[4]), packets.ARP)
                 for name in ("client", "server")}
        for name, frame in asked.items():
            lan.send(name, of_ten(frame, 0x88a8))
        it.both("t-l", "t-r")
        for kind in (Tcp, Udp):
            talks = talk(kind, lan.client, lan.server)
            for way, frame in talks.handshake() if kind is Tcp else [(0, talks.data()), (1, talks.data(1))]:
                (at, to), (first, last) = (("t-l", "t-r"), ("client", "server")) if way == 0 else (("t-r", "t-l"), ("server", "client"))
                it.expect(first, of_ten(frame, 0x88a8), at, it.there(at, kind, frame))
                it.expect(to, it.back(to, kind, frame), last, of_ten(frame, 0x8100))
        # What goes to others, too, keeps its own there.
        it.both("t-l", "t-r", mode="routed")
        got = lan.send("server", of_ten(asked["server"], 0x88a8))
        check(sorted(got.pop("t-r")) == sorted(it.there("t-r", kind, asked["server"]) for kind in (Tcp, Udp)), "not of 802.1Q")
        check(got == {name: [of_ten(asked["server"], 0x88a8)] for name in ("client", "other")}, f"to {got}")
        return "of 802.1ad"


@case("chains, tags: of access ports, each VLAN's packets keep to theirs", presets=BOTH)
def access():
    with routed(()) as one:
        lan = one.lan
        it = Tagged(lan)
        for name in ("client", "server"):
            lan.set(name, vlan={"access": 10})
        for number, name in enumerate(("t-l", "t-r"), 3):
            lan.port(name, addresses={"mac": mac(number)}, vlan={"access": 10})
        lan.learned()
        it.both("t-l", "t-r")
        for kind in (Tcp, Udp):
            it.pass_through(talk(kind, lan.client, lan.server), "t-l", "t-r")
        # Another VLAN's get there no more.
        for name in ("client", "server"):
            lan.set(name, vlan={"access": TAGS[Udp]})
        lan.learned()
        lan.denied("client", talk(Udp, lan.client, lan.server).data(), reason="chain-closed")
        # Nor to a function's address that is known in the VLAN which the ports had, and which is a tag's number now.
        lan.set("server", vlan={"access": 10})
        it.both("t-l", "t-r", mode="routed")
        shown = lan.t_r.frame(BROADCAST, packets.arp(lan.t_r.mac, OWN[4], OWN[4]), packets.ARP)
        it.expect("t-r", it.back("t-r", Udp, shown), "server", shown)
        for name in ("t-l", "t-r"):
            lan.document["ports"][name]["vlan"] = {"access": 20}
        lan.document["chains"]["tcp"]["hops"][0]["tag"] = 10
        lan.apply()
        got = lan.send("server", lan.server.frame(lan.t_r.mac, packets.arp(lan.server.mac, host(lan.server), OWN[4]), packets.ARP))
        check("t-r" not in got, f"an answer of another VLAN came as {got}")
        return "VLAN 10; not the one with the tag's number"
