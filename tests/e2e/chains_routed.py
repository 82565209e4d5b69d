"""Chains whose network functions route: raw rings are client, server and every function."""
import contextlib
import struct

from cases import BOTH, case, check, fixture
from chains import OUT, Chained, in_vlans
from lab import Failure, packets
from lab.packets import Tcp, Udp, host
from lans import BROADCAST, ground, mac, tag, talk

WEIR = bytes.fromhex("025765697200")
ROUTED = {"mode": "routed"}


def moved(frame, to, by):
    """The frame with other MAC addresses, and one hop less to live."""
    return to + by + frame[12:14] + packets.routed(frame[14:])


class Routed(Chained):
    """Functions are named for what they are: those that begin with "r" route, others are as a bridge."""

    def hops(self, *hops):
        return [([hop], ROUTED) if (hop if isinstance(hop, str) else hop[0]).startswith("r") else [hop]
                for hop in hops]

    def walk(self, one, way, frame, hops):
        """As Chained's, through functions that route as well."""
        lan, sent, end = self.lan, frame, frame[:12]
        at = lan.name(one.ends[way])
        for hop in hops:
            arrives, leaves = (hop, hop) if isinstance(hop, str) else hop
            routes = arrives.startswith("r")
            wanted = lan.ends[arrives].mac + WEIR + sent[12:] if routes else end + sent[12:]
            self.expect(at, sent, arrives, wanted)
            sent = moved(sent, WEIR, lan.ends[leaves].mac) if routes else wanted
            at = leaves
        self.expect(at, sent, lan.name(one.ends[1 - way]), end + sent[12:])

    def expect(self, at, frame, to, wanted):
        got = self.lan.send(at, frame)
        if got != {to: [wanted]}:
            raise Failure(f"from {at}, expected at {to} {wanted.hex()}: "
                          f"{ {who: [one.hex() for one in f] for who, f in got.items()} }; drops: {self.lan.lost()}")


@contextlib.contextmanager
def routed(nfs, **document):
    with ground(**document) as lan:
        lan.switch.expect(OUT)
        lan.port("client")
        lan.port("server")
        for number, name in enumerate(nfs, 3):
            lan.port(name, addresses={"mac": mac(number)})
        lan.learned()
        yield Routed(lan)


LEFT_RIGHT = ("r-l", "r-r")


@fixture(name="functions that route, and some that are as bridges")
def routers():
    with routed(("r-l", "r-r", "r1", "fw-l", "fw-r", "ids")) as one:
        yield one


WAYS = [
    [LEFT_RIGHT],
    ["r1"],
    [LEFT_RIGHT, "r1"],
    ["ids", LEFT_RIGHT],
    [LEFT_RIGHT, ("fw-l", "fw-r")],
    ["r1", "ids", LEFT_RIGHT],
]


@case("chains, routed: functions get packets at their MAC address, and the ends see none of it", needs=routers,
      presets=BOTH)
def order(it):
    for way in WAYS:
        it.chain("inspect", it.hops(*way))
        for version in (4, 6):
            one = talk(Tcp, it.lan.client, it.lan.server, version=version)
            it.walks(one, one.handshake(), way)
            it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.data())], way)
            it.walks(one, one.goodbye(), way)
            one = talk(Udp, it.lan.client, it.lan.server, version=version)
            it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.data()), (1, one.data(1))], way)
    macs = {row["mac"] for row in it.lan.switch.json("fdb", "list")}
    check(macs == {mac(1), mac(2)}, f"learned: {macs}")
    it.none()
    return f"{len(WAYS)} chains, v4 and v6, TCP and UDP"


@case("chains, routed: pings, ICMP errors and fragments go the same way", needs=routers, presets=BOTH)
def others(it):
    way = [LEFT_RIGHT, "ids"]
    it.chain("inspect", it.hops(*way))
    for version in (4, 6):
        one = talk(Udp, it.lan.client, it.lan.server, version=version)
        it.walks(one, [(0, one.data())], way)
        quoted = one.data()[14:]
        it.walks(one, [(1, one.frame(1, packets.unreachable(*one.addresses(1), quoted)))], way)
        ping = one.frame(0, packets.echo(*one.addresses(0), 7))
        pong = one.frame(1, packets.echo(*one.addresses(1), 7, reply=True))
        it.walks(one, [(0, ping), (1, pong)], way)
        whole = packets.udp(*one.addresses(0), *one.ports(0), bytes(2000))[20 if version == 4 else 40:]
        for offset, part in ((0, whole[:1000]), (1000, whole[1000:])):
            it.walks(one, [(0, one.frame(0, packets.ip(*one.addresses(0), packets.UDP, part, one.l4[0],
                                                       (offset, offset == 0))))], way)
    it.none()
    return "v4 and v6"


@case("chains, routed: each direction keeps its own MAC addresses, and a function may answer itself", needs=routers,
      presets=BOTH)
def ends(it):
    lan = it.lan
    it.chain("inspect", it.hops(LEFT_RIGHT))
    # Two more addresses of the server: it gets at one and sends from the other, as behind a pair of routers.
    second, third = bytes.fromhex("525400000fa2"), bytes.fromhex("525400000fa3")
    for source in (second, third):
        lan.announce(lan.server, source)
    lan.drain()
    one = talk(Udp, lan.client, lan.server)
    there, back = one.data(), one.data(1)
    it.walk(one, 0, second + there[6:], [LEFT_RIGHT])
    it.walk(one, 1, back[:6] + third + back[12:], [("r-r", "r-l")])
    it.walk(one, 0, second + there[6:], [LEFT_RIGHT])
    # An error that a router on the way sends is its own.
    error = one.frame(1, packets.unreachable("10.8.0.77", one.ips[0], there[14:]))
    it.walk(one, 1, error[:6] + third + error[12:], [("r-r", "r-l")])
    # Nothing has come from the other end yet: an answer has the addresses of what it answers, turned round.
    for version in (4, 6):
        one = talk(Udp, lan.client, lan.server, version=version)
        lan.send("client", one.data())
        answer = one.data(1)
        it.expect("r-l", WEIR + lan.r_l.mac + answer[12:], "client", answer)
        unreachable = one.frame(1, packets.unreachable(*one.addresses(1), one.data()[14:]))
        it.expect("r-l", WEIR + lan.r_l.mac + unreachable[12:], "client", unreachable)
    it.none()
    return "asymmetrical; an answer before the server's"


def _neighbours(it, name, vlan=b""):
    lan, end = it.lan, it.lan.ends[name]
    head = vlan + struct.pack(">H", packets.ARP)
    ask = BROADCAST.replace(":", "")
    arp = bytes.fromhex(ask) + end.mac + head + packets.arp(end.mac, "10.8.0.200", "10.8.0.7")
    reply = packets.arp(WEIR, "10.8.0.7", "10.8.0.200")
    reply = reply[:7] + b"\2" + reply[8:18] + end.mac + reply[24:]
    it.expect(name, arp.ljust(60 + len(vlan), b"\0"), name, end.mac + WEIR + head + reply)
    lan.denied(name, arp[:-4] + packets.address("10.8.0.200"), reason="chain-stray")
    lan.denied(name, bytes.fromhex(ask) + end.mac + head + packets.arp(end.mac, "0.0.0.0", "10.8.0.7"),
               reason="chain-stray")
    head = vlan + struct.pack(">H", packets.V6)
    ask = end.mac + head + packets.solicitation(end.mac, "fe80::1", "fd08::7")
    answer = packets.icmp("fd08::7", "fe80::1", 136, 0, b"\xe0\0\0\0" + packets.address("fd08::7") + b"\2\1" + WEIR)
    it.expect(name, b"\x33\x33\xff\0\0\7" + ask, name, end.mac + WEIR + head + answer[:7] + b"\xff" + answer[8:])
    # It may ask Weir alone.
    it.expect(name, WEIR + ask, name, end.mac + WEIR + head + answer[:7] + b"\xff" + answer[8:])
    lan.denied(name, b"\x33\x33\xff\0\0\7" + end.mac + head + packets.solicitation(end.mac, "::", "fd08::7"),
               reason="chain-stray")


@case("chains, routed: Weir answers a function's ARP and neighbour solicitations", needs=routers, presets=BOTH)
def neighbours(it):
    lan = it.lan
    it.chain("inspect", it.hops(LEFT_RIGHT, "r1", "ids"))
    for name in ("r-l", "r-r", "r1"):
        _neighbours(it, name)
    lan.denied("ids", lan.ids.frame(BROADCAST, packets.arp(lan.ids.mac, "10.8.0.8", "10.8.0.7"), packets.ARP),
               reason="chain-stray")
    # Its ports are in no flood as ever.
    got = lan.send("client", lan.client.frame(BROADCAST, packets.arp(lan.client.mac, "10.8.0.1", "10.8.0.7"), packets.ARP))
    check(set(got) == {"server", "fw-l", "fw-r"}, f"ARP from the client went to {set(got)}")
    it.none()
    return "any address; not a gratuitous one, not a probe; not a bridge's"


@case("chains, routed: on a trunk, each VLAN is answered and walked in its own", presets=BOTH)
def vlans():
    with in_vlans({"r1": {"vlan": {"trunk": [10, 20]}, "addresses": {"mac": mac(3)}}}) as lan:
        it = Routed(lan)
        it.chain("inspect", it.hops("r1"))
        _neighbours(it, "r1", tag(10))
        _neighbours(it, "r1", tag(20))
        for version in (4, 6):
            one = talk(Udp, lan.client, lan.server, version=version)
            for way in (0, 1):
                frame = one.data(way)
                at, to = (lan.name(end) for end in (one.ends[way], one.ends[1 - way]))
                it.expect(at, frame, "r1", lan.r1.mac + WEIR + tag(10) + frame[12:])
                back = moved(frame, WEIR, lan.r1.mac)
                it.expect("r1", back[:12] + tag(10) + back[12:], to, frame[:12] + back[12:])
        return "10 and 20"


@case("chains, routed: a hop changes its mode while connections run", needs=routers, presets=BOTH)
def changes(it):
    lan = it.lan
    ones = [talk(Tcp, lan.client, lan.server, version=version) for version in (4, 6)]
    it.chain("inspect", [["ids"]])
    for one in ones:
        it.walks(one, one.handshake(), ["ids"])
    for way in ([LEFT_RIGHT], ["ids", "r1"], [LEFT_RIGHT, "r1"], ["ids"], ["r1"]):
        it.chain("inspect", it.hops(*way))
        for one in ones:
            it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.ack())], way)
    for one in ones:
        lan.check_one(one)
    # Its port's address is read anew, too.
    lan.set("r1", addresses={"mac": "52:54:00:00:0f:77"})
    frame = ones[0].data()
    it.expect("client", frame, "r1", bytes.fromhex("525400000f77") + WEIR + frame[12:])
    lan.set("r1", addresses={"mac": mac(5)})
    it.none()
    return "transparent, routed, both, back"


@case("chains, routed: an instance that fails moves its connections, and is skipped where none is left", needs=routers,
      presets=BOTH)
def fails(it):
    lan = it.lan
    it.chain("inspect", [(["r1"], {**ROUTED, "on-failure": "open"}), ["ids"]])
    one = talk(Udp, lan.client, lan.server)
    it.walks(one, [(0, one.data()), (1, one.data(1))], ["r1", "ids"])
    lan.r1.stop()
    it.wait_state("r1", "down")
    it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids"])
    lan.r1.start()
    it.wait_state("r1", "in-service")
    it.walks(one, [(0, one.data()), (1, one.data(1))], ["r1", "ids"])
    it.chain("inspect", it.hops("ids"))
    it.none()
    return "open"


@case("chains, routed: two workers", presets=BOTH)
def two_workers():
    with routed(("r-l", "r-r", "r1"), switch={"workers": [0, 1]}) as it:
        it.chain("inspect", it.hops(LEFT_RIGHT, "r1"))
        for version in (4, 6):
            for _ in range(10):
                one = talk(Tcp, it.lan.client, it.lan.server, version=version)
                it.walks(one, one.handshake(), [LEFT_RIGHT, "r1"])
                it.walks(one, [(0, one.data()), (1, one.data(1))], [LEFT_RIGHT, "r1"])
                it.walks(one, one.goodbye(), [LEFT_RIGHT, "r1"])
        return "20 conversations"
