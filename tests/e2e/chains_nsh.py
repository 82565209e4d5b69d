"""Chains that share a function, which tells them apart by NSH: raw rings are client, server and every function."""
import struct

from cases import BOTH, case, check, fixture, slow
from chains_routed import WEIR, routed
from chains_tags import Told, balancer, fragments, nat, neighbours, probes, transparent
from lab import packets
from lab.packets import Tcp, Udp
from lans import mac, tag, talk
from rates_tso import TSO

PATHS = {Tcp: 100, Udp: 0xffffff}       # one chain for each
OFFLOADS = TSO | 1 << 8 | 1 << 12       # of IPv6, too
ROOM = 22       # bytes before a frame


def nsh(to, by, path, index, base=0x0fc2, metadata=2, inside=3):
    """What stands before a frame (RFC 8300, 2): Ethernet, the base header, the service path header."""
    return to + by + struct.pack(">HHBBI", 0x894f, base, metadata, inside, path << 8 | index)


class Pathed(Told):
    def told(self, kind):
        return {"recognise-by": "nsh", "path": PATHS[kind]}

    def there(self, port, kind, frame):
        return nsh(self.lan.ends[port].mac, WEIR, PATHS[kind], 255 - self.hop) + frame

    def back(self, port, kind, frame, by=1, **form):
        return nsh(WEIR, self.lan.ends[port].mac, PATHS[kind], 255 - self.hop - by, **form) + frame


@fixture(name="functions that tell chains apart by NSH")
def pathing():
    with routed(("t-l", "t-r", "t1", "ids", "mon")) as one:
        yield Pathed(one.lan)


for told, what in ((transparent, "two chains share a function, and each packet is on its chain's path"),
                   (fragments, "fragments tell their chain, also those that come before their first"),
                   (probes, "a probe is on its chain's path, there and back"),
                   (nat, "two chains share a function that changes addresses"),
                   (balancer, "two chains share a load balancer that clients ask at its own address"),
                   (neighbours, "neighbours are found on each path")):
    case(f"chains, NSH: {what}", needs=pathing, presets=BOTH)(told)


@case("chains, NSH: what comes back on another path, in another form, or not counted down, is lost", needs=pathing,
      presets=BOTH)
def strays(it):
    lan = it.lan
    it.both("t-l", "t-r")
    one = talk(Udp, lan.client, lan.server)
    it.pass_through(one, "t-l", "t-r")
    shown = lan.switch.json("chain", "show", "udp")["hops"][0]
    check((shown["recognise_by"], shown["tag"], shown["path"]) == ("nsh", None, PATHS[Udp]), f"{shown}")
    check(f" transparent, by nsh {PATHS[Udp]} closed " in lan.switch.ctl("chain", "show", "udp"), "not in words")
    for by in (1, 2, 255):
        it.expect("t-r", it.back("t-r", Udp, one.data(), by), "server", one.data())
    good = it.back("t-r", Udp, one.data())
    bad = {
        "not counted down": it.back("t-r", Udp, one.data(), 0),
        "no NSH": one.data(),
        "the other chain's path": it.back("t-r", Tcp, one.data()),
        "nobody's path": nsh(WEIR, lan.t_r.mac, 7, 1) + one.data(),
        "path 0": nsh(WEIR, lan.t_r.mac, 0, 1) + one.data(),
        "version 1": it.back("t-r", Udp, one.data(), base=0x4fc2),
        "OAM": it.back("t-r", Udp, one.data(), base=0x2fc2),
        "metadata": it.back("t-r", Udp, bytes(4) + one.data(), base=0x0fc3),
        "shorter than it can be": it.back("t-r", Udp, one.data(), base=0x0fc1),
        "another type": it.back("t-r", Udp, one.data(), metadata=1),
        "IPv4 inside": it.back("t-r", Udp, one.data()[14:], inside=1),
        "a tag inside": it.back("t-r", Udp, one.data()[:12] + tag(7) + one.data()[12:]),
        "NSH inside": it.back("t-r", Udp, good),
        "nothing inside": good[:ROOM],
        "half an Ethernet header inside": good[:ROOM + 13],
        "a connection that nobody has": it.back("t-r", Udp, talk(Udp, lan.client, lan.server).data()),
        "to all": it.back("t-r", Udp, b"\xff" * 6 + one.data()[6:]),
    }
    for what, frame in bad.items():
        before = lan.drops("t-r").get("chain-stray", 0)
        lan.nothing("t-r", frame)
        check(lan.drops("t-r")["chain-stray"] == before + 1, f"{what}: no chain-stray")
    lan.denied("t-r", good[:12] + tag(7) + good[12:], reason="vlan-not-member")
    lan.denied("t-r", good[:12] + tag(0) + good[12:], reason="chain-stray")
    lan.denied("t-r", it.back("t-r", Udp, one.data()[:ROOM]), reason="bad-header")
    lan.denied("t-r", it.back("t-r", Udp, one.data()[:6] + b"\1" + one.data()[7:]), reason="source-multicast")
    lan.denied("t-r", it.back("t-r", Udp, bytes.fromhex("0180c2000000") + one.data()[6:]), reason="link-local")
    # Of such frames none may ask the switch to complete anything.
    start = ROOM + 34
    lan.expect_drop("t-r", "bad-offload", lambda: check(
        not lan.send("t-r", good, struct.pack("<BBHHHHH", 1, 0, 0, 0, start, 6, 0)), "a claim in NSH was believed"))
    it.pass_through(one, "t-l", "t-r")
    it.none()
    return f"{len(bad) + 6} kinds"


@case("chains, NSH: frames of TSO are cut, checksums completed, and what is too long is lost", presets=BOTH)
def offloads():
    with routed(()) as one:
        lan, it = one.lan, Pathed(one.lan)
        for number, name in enumerate(("t-l", "t-r"), 3):
            lan.port(name, features=OFFLOADS, addresses={"mac": mac(number)})
        sender = lan.port("sender", features=OFFLOADS)
        lan.learned()
        it.both("t-l", "t-r")
        for chain in lan.document["chains"].values():
            chain["match"] = {**chain["match"], "from": {"port": "sender"}}
        lan.apply()
        for version in (4, 6):
            talks = talk(Tcp, sender, lan.server, version=version)
            for way, frame in talks.handshake():
                at, to = (("sender", "t-l"), ("server", "t-r"))[way]
                it.expect(at, frame, to, it.there(to, Tcp, frame))
            l4 = 34 if version == 4 else 54
            large = partial(talks.segment(0, packets.ACK, bytes(range(250)) * 10), l4)
            sender.put(large, struct.pack("<BBHHHHH", 1, 1 if version == 4 else 4, l4 + 20, 1000, l4, 16, 0))
            sender.wait_sent(slow(5))
            got = lan.t_l.wait_frames(3, slow(5))
            head = it.there("t-l", Tcp, b"")
            check([frame[:ROOM] for frame in got] == 3 * [head], f"before them {[frame[:ROOM].hex() for frame in got]}")
            frames = [frame[ROOM:] for frame in got]
            check([len(frame) - l4 - 20 for frame in frames] == [1000, 1000, 500], f"{[len(frame) for frame in frames]}")
            check(all(is_whole(frame, l4) for frame in frames), f"checksums: {[frame.hex() for frame in frames]}")
            check(b"".join(frame[l4 + 20:] for frame in frames) == bytes(range(250)) * 10, "another payload")
            # On from there as any others.
            for frame in frames:
                it.expect("t-r", it.back("t-r", Tcp, frame), "server", frame)
            small = talks.segment(0, packets.ACK, bytes(range(100)))
            sender.put(partial(small, l4), struct.pack("<BBHHHHH", 1, 0, 0, 0, l4, 16, 0))
            got = lan.t_l.wait_frames(1, slow(5))
            check(got == [it.there("t-l", Tcp, small)], f"not completed: {small.hex()}, {[one.hex() for one in got]}")
            room = 1500 - ROOM - (l4 - 14) - 20
            fits, longer = (talks.segment(0, packets.ACK, bytes(size)) for size in (room, room + 1))
            it.expect("sender", fits, "t-l", it.there("t-l", Tcp, fits))
            lan.denied("sender", longer, at="t-l", reason="to-vm-mtu")
        it.none()
        return "v4 and v6"


def partial(frame, l4):
    """With the checksum that a sender leaves to the receiver: the pseudo header's, which the switch does itself."""
    return frame[:l4 + 16] + bytes(2) + frame[l4 + 18:]


def is_whole(frame, l4):
    """Whether both checksums are right."""
    ip, message = frame[14:l4], frame[l4:]
    at = 12 if l4 == 34 else 8
    addresses = ip[at:at + (8 if l4 == 34 else 32)]
    pseudo = addresses + struct.pack(">BBH", 0, 6, len(message)) if l4 == 34 else \
        addresses + struct.pack(">IHBB", len(message), 0, 0, 6)
    return packets.checksum(pseudo + message) == 0 and (l4 == 54 or packets.checksum(ip) == 0)
