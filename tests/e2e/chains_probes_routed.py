"""Probes of network functions that route: echo requests, which the test forwards as a router or a NAT does, or not."""
from cases import BOTH, case, check, slow
from chains_nat import OWN, TWO_ARMED, nats
from chains_probes import Strays, falls_silent, forwarding, hop, probed, state, told, wait_state
from chains_routed import LEFT_RIGHT, ROUTED, WEIR, moved, routers
from lab import packets, wait_until
from lab.packets import Udp, host
from lans import talk

IDENTIFIER = 0x5765
WORD = b"Weir probe"


def between(lan, version=4):
    return {"from": host(lan.client, version), "to": host(lan.server, version)}


def router(right):
    return lambda frame: moved(frame, WEIR, right.mac)


def nat(right):
    """Also gives what it forwards an address and an identifier of its own."""
    def change(frame):
        version = 6 if frame[12:14] == b"\x86\xdd" else 4
        ip = packets.routed(frame[14:])
        icmp = ip[40 if version == 6 else 20:]
        to = str(packets.ipaddress.ip_address(ip[24:40] if version == 6 else ip[16:20]))
        return WEIR + right.mac + frame[12:14] + packets.echo(OWN[version], to, 7, payload=icmp[8:])
    return change


def is_probe(frame, left, version):
    head = left.mac + WEIR + (b"\x86\xdd" if version == 6 else b"\x08\0")
    return frame[:14] == head and WORD in frame


@case("chains: a router that forwards no echo request is out of service within a second, until it does", needs=routers,
      presets=BOTH)
def unanswered(it):
    lan, took = it.lan, []
    for instance, (left, right), version in ((LEFT_RIGHT, (lan.r_l, lan.r_r), 4), ("r1", (lan.r1, lan.r1), 6)):
        one = talk(Udp, lan.client, lan.server, version=version)
        lan.drain()
        strays = Strays(lan, "r-l", "r-r", "r1")
        with forwarding(left, right, router(right)) as nf:
            probed(it, [instance], between(lan, version), **ROUTED)
            wait_state(it, "silent")
            wait_until(lambda: nf.seen, slow(2), "a probe")
            check(is_probe(nf.seen[0], left, version), f"the probe is {nf.seen[0].hex()}")
            check(hop(it)["probe"] == {"interval_ns": 200_000_000, "failures": 3, **between(lan, version)}, hop(it))
            lan.expect_drop("client", "chain-closed", lambda: (lan.client.put(one.data()), lan.client.wait_sent(slow(5))))
            nf.set()
            wait_state(it, "in-service")
            frame = one.data()
            lan.client.put(frame)
            check(lan.server.wait_frames(1, slow(5)) == [frame[:14] + packets.routed(frame[14:])], "another frame")
            took.append(falls_silent(it, nf, lan.name(left), 1))
        strays.check_none()
        lan.drain()
    it.none()
    return told(took)


@case("chains: probes of a router are told from pings between the same addresses", needs=routers, presets=BOTH)
def pings(it):
    lan = it.lan
    probed(it, [LEFT_RIGHT], {**between(lan), "interval": "10s", "failures": 1}, **ROUTED)
    probe = lan.r_l.wait_frames(1, slow(5), wanted=lambda frame: WORD in frame)[-1]
    lan.drain()
    answer = moved(probe, WEIR, lan.r_r.mac)
    check(lan.send("r-r", answer) == {}, "it goes on")
    wait_state(it, "in-service")
    # Twice, in at the wrong side, or with another number, it is of no connection.
    forged = answer[:-1] + bytes([answer[-1] ^ 1])
    for name, sent in (("r-r", answer), ("r-l", answer), ("r-r", forged)):
        lan.denied(name, sent, reason="chain-stray")
    # The client pings with the probes' identifier, which is one connection with them by its key.
    one = talk(Udp, lan.client, lan.server)
    ping = one.frame(0, packets.echo(*one.addresses(0), IDENTIFIER))
    pong = one.frame(1, packets.echo(*one.addresses(1), IDENTIFIER, reply=True))
    it.walks(one, [(0, ping), (1, pong)], [LEFT_RIGHT])
    probed(it, [LEFT_RIGHT], {**between(lan), "interval": "200ms", "failures": 3}, **ROUTED)
    with forwarding(lan.r_l, lan.r_r, router(lan.r_r)) as nf:
        nf.set()
        wait_until(lambda: len(nf.seen) > 8, slow(10), "nine probes")
        check(state(it) == "in-service", "the client's pings keep it out of service")
        check(not lan.server.got(), "a probe reached the server")
    lan.drain()
    it.none()
    return "3 strays; 9 answers beside a ping of their key"


@case("chains: probes of a NAT come back with other addresses, and begin no connection", needs=nats, presets=BOTH)
def translated(it):
    lan = it.lan
    for instance, (left, right) in ((TWO_ARMED, (lan.n_l, lan.n_r)), ("n1", (lan.n1, lan.n1))):
        for version in (4, 6):
            with forwarding(left, right, nat(right)) as nf:
                nf.set()
                probed(it, [instance], between(lan, version), mode="routed", **{"recognise-by": "port"})
                wait_state(it, "in-service")
                wait_until(lambda: len(nf.seen) > 4, slow(5), "five probes")
                check(state(it) == "in-service", "five probes later")
            check(lan.switch.json("chain", "list")[0]["begun"] == 0, "connections begun")
            check(not lan.client.got() and not lan.server.got(), "a probe reached an end")
            it.none()
            lan.drain()
    return "two- and one-armed, v4 and v6"
