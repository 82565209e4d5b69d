"""Conversations that begin anew in the entry of an old one: they are asked about and paid for as any."""
import struct
import time

from cases import BOTH, case, check
from connection_limits import establish, offer, pair
from connections import street
from lab import packets
from lab.packets import Tcp
from lans import ground, talk

NEWER = 100_000_000


def state(lan, one):
    rows = lan.switch.json("conn", "list", "--sport", one.l4[0])
    return [row["state"] for row in rows]


def over(lan, one):
    lan.all_pass(one, [*one.handshake(), *one.goodbye()])
    check(state(lan, one) == ["tcp-time-wait"], state(lan, one))


@case("connections: who may not begin anew does not end what was there", needs=street, presets=BOTH)
def denied(lan):
    """In TIME_WAIT and in the middle of a connection; b asks a, which lets nobody in."""
    for version in (4, 6):
        one = talk(Tcp, lan.a, lan.b, version=version)
        over(lan, one)
        lan.denied("b", one.segment(1, packets.SYN, seq=one.seq[1] + NEWER), at="a")
        check(state(lan, one) == ["tcp-time-wait"], state(lan, one))
        # The last FIN and its acknowledgement, once more.
        lan.passes(one, 1, one.segment(1, packets.FIN | packets.ACK, seq=one.seq[1] - 1))
        lan.passes(one, 0, one.ack())
        # b has lost its memory, as it seems, and a answers.
        two = talk(Tcp, lan.a, lan.b, version=version)
        lan.all_pass(two, two.handshake())
        kept = list(two.seq)
        lan.passes(two, 1, two.segment(1, packets.SYN, seq=kept[1] + NEWER))
        two.seq[1] = kept[1] + NEWER + 1
        lan.denied("a", two.segment(0, packets.SYN | packets.ACK, seq=kept[0] + NEWER))
        two.seq = kept
        lan.passes(two, 0, two.data())
        lan.passes(two, 1, two.data(1))
        check(state(lan, two) == ["tcp-established"], state(lan, two))
    return "group-deny, and the old connection goes on"


@case("connections: a restart of SCTP is asked about", needs=street, presets=BOTH)
def sctp(lan):
    one = talk(Tcp, lan.a, lan.b)

    def chunk(way, tag, kind, init=None):
        value = b"cookie" + bytes(2) if init is None else struct.pack(">IIHHI", init, 65535, 1, 1, 1)
        return one.frame(way, packets.sctp(*one.addresses(way), *one.ports(way), tag, kind, value))
    lan.all_pass(one, [(0, chunk(0, 0, 1, 11)), (1, chunk(1, 11, 2, 22)), (0, chunk(0, 22, 10)), (1, chunk(1, 11, 11))])
    lan.all_pass(one, [(1, chunk(1, 0, 1, 33)), (0, chunk(0, 33, 2, 44))])
    lan.denied("b", chunk(1, 44, 10), at="a")
    lan.all_pass(one, [(0, chunk(0, 22, 3)), (1, chunk(1, 11, 3))])
    check(state(lan, one) == ["sctp-established"], state(lan, one))
    lan.all_pass(one, [(0, chunk(0, 0, 1, 55)), (1, chunk(1, 55, 2, 66)), (0, chunk(0, 66, 10)), (1, chunk(1, 55, 11))])
    return "b's: group-deny; a's passes"


@case("connections: what begins anew counts from zero, for who begins it", presets=BOTH)
def counts():
    with ground() as lan:
        for name in "ab":
            lan.port(name, ["open"])
        lan.learned()
        one = talk(Tcp, lan.a, lan.b)
        over(lan, one)
        lan.passes(one, 1, one.segment(1, packets.SYN, seq=one.seq[1] + NEWER))
        row, = lan.switch.json("conn", "list")
        row = lan.switch.json("conn", "show", row["number"])
        check((row["from"], row["to"], row["owner"], row["state"]) == ("b", "a", "b", "tcp-syn-sent"), row)
        check((row["original"]["packets"], row["reply"]["packets"]) == (1, 0), row)
        return "1 packet, owner b"


@case("connections: what begins anew needs room in its owner's limits", presets=BOTH)
def limits():
    with ground() as lan:
        pair(lan)
        talks = establish(lan.a, lan.b, 20)
        for step in zip(*(each.goodbye() for each in talks)):
            ends, way = (lan.a, lan.b), step[0][0]
            check(len(offer(ends[way], ends[1 - way], [frame for _, frame in step])) == 20, "a FIN")
        for each in talks:
            each.seq = [seq + NEWER for seq in each.seq]
        # Those of its own that are over are renewed, not more.
        lan.set("a", limits={"connections": 20, "new-connections": "1cps"})
        start = time.monotonic()
        arrived = offer(lan.a, lan.b, [each.segment(0, packets.SYN) for each in talks])
        most = 2 + int(time.monotonic() - start)
        check(1 <= len(arrived) <= most < 20, f"{len(arrived)} of 20 passed, {most} at most")
        check(lan.lost() == {"a": {"connection-rate": 20 - len(arrived)}}, f"dropped: {lan.lost()}")
        # The other end's would be new ones of its own.
        lan.set("a", groups=["open"], limits=None)
        lan.set("b", limits={"connections": 1})
        arrived = offer(lan.b, lan.a, [each.segment(1, packets.SYN) for each in talks[-3:]])
        check(len(arrived) == 1, f"{len(arrived)} of 3 passed")
        check(lan.lost()["b"] == {"connection-limit": 2}, f"dropped: {lan.lost()}")
        return "connection-rate and connection-limit"
