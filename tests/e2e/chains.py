"""Chains of network functions seen from raw rings: the test is client, server and every function."""
import contextlib
import threading
import time

from cases import BOTH, case, check, fixture, slow
from lab import Failure, packets, wait_until
from lab.packets import Tcp, Udp, host
from lans import BROADCAST, NOBODY, ground, mac, put_all, tag, talk

TWO_ARMED = ("fw-l", "fw-r")
OUT = r"chain .* is out of service"


class Chained:
    """A lan with a client, a server and some ports for functions; chains between them come and go."""

    def __init__(self, lan):
        self.lan = lan

    def chain(self, name, hops, **match):
        """hops: each a list of instances, ("left", "right") or "port"; open if it is a tuple (list, "open"); or with
        more keys of the hop, if it is a tuple (list, {keys})."""
        document = []
        for number, hop in enumerate(hops):
            instances, more = hop if isinstance(hop, tuple) else (hop, "closed")
            keys = {"on-failure": more} if isinstance(more, str) else more
            document.append({"nf": f"nf{number}", **keys,
                             "instances": [{"port": one} if isinstance(one, str) else
                                           {"left": one[0], "right": one[1]} for one in instances]})
        match = match or {"from": {"port": "client"}, "to": {"port": "server"}}
        self.lan.document.setdefault("chains", {})[name] = {"match": match, "hops": document}
        self.lan.apply()

    def state(self, port, name="inspect"):
        """The state of the one-armed instance at that port."""
        return next(one["state"] for hop in self.lan.switch.json("chain", "show", name)["hops"]
                    for one in hop["instances"] if one["port"] == port)

    def wait_state(self, port, state, timeout=2):
        wait_until(lambda: self.state(port) == state, slow(timeout), lambda: f"{port} {self.state(port)}, not {state}")

    def wait_state_of(self, port, state, timeout=2):
        """As wait_state, of an instance by one of its two ports."""
        def now():
            return next(one["state"] for hop in self.lan.switch.json("chain", "show", "inspect")["hops"]
                        for one in hop["instances"] if port in (one["left"], one["right"]))
        wait_until(lambda: now() == state, slow(timeout), lambda: f"{port} {now()}, not {state}")

    def none(self):
        self.lan.document["chains"] = {}
        self.lan.apply()

    def walk(self, one, way, frame, hops):
        """The frame is seen at each port of `hops` in order, as it is, and nowhere else; then at the other end.

        hops: ports where it arrives and from which it is sent on: "port" or (arrives, leaves).
        """
        at = self.lan.name(one.ends[way])
        for hop in [*hops, self.lan.name(one.ends[1 - way])]:
            arrives, leaves = (hop, hop) if isinstance(hop, str) else hop
            got = self.lan.send(at, frame)
            if got != {arrives: [frame]}:
                raise Failure(f"from {at}: it went to { {who: len(f) for who, f in got.items()} }, not to {arrives}; "
                              f"drops: {self.lan.lost()}")
            at = leaves

    def walks(self, one, frames, hops):
        """Both ways: replies backwards."""
        back = [hop if isinstance(hop, str) else (hop[1], hop[0]) for hop in reversed(hops)]
        for way, frame in frames:
            self.walk(one, way, frame, back if way else hops)


@contextlib.contextmanager
def chained(groups=None, nfs=(), **document):
    with ground(**document) as lan:
        lan.switch.expect(OUT)
        lan.port("client", groups and groups[0])
        lan.port("server", groups and groups[1])
        for name in nfs:
            lan.port(name)
        lan.learned()
        yield Chained(lan)


@contextlib.contextmanager
def in_vlans(nfs):
    """A lan with client and server in VLAN 10, and functions: {name: keys of its port}."""
    with ground() as lan:
        lan.switch.expect(OUT)
        for name in ("client", "server"):
            lan.port(name, vlan={"access": 10})
        for name, keys in nfs.items():
            lan.port(name, **keys)
        lan.learned()
        yield lan


@fixture(name="a chain's ports, without groups")
def bare():
    with chained(nfs=("fw-l", "fw-r", "ids", "mon-l", "mon-r")) as one:
        yield one


@fixture(name="a chain's ports, client and server in groups")
def grouped():
    with chained(groups=(["shut"], ["open"]), nfs=("fw-l", "fw-r", "ids", "mon-l", "mon-r")) as one:
        yield one


WAYS = {
    "one two-armed hop": [[TWO_ARMED]],
    "one one-armed hop": [["ids"]],
    "two hops": [[TWO_ARMED], ["ids"]],
    "three hops": [[TWO_ARMED], ["ids"], [("mon-l", "mon-r")]],
}


def _order(it):
    for hops in WAYS.values():
        it.chain("inspect", hops)
        way = [hop[0] for hop in hops]
        for version in (4, 6):
            one = talk(Tcp, it.lan.client, it.lan.server, version=version)
            it.walks(one, one.handshake(), way)
            it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.data())], way)
            it.walks(one, one.goodbye(), way)
            one = talk(Udp, it.lan.client, it.lan.server, version=version)
            it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.data()), (1, one.data(1))], way)
    it.none()
    return f"{len(WAYS)} chains, v4 and v6, TCP and UDP"


@case("chains: packets visit the hops in order, replies backwards", needs=bare, presets=BOTH)
def order(it):
    return _order(it)


@case("chains: the same between ports in groups", needs=grouped, presets=BOTH)
def order_grouped(it):
    return _order(it)


# -- what stays outside

@case("chains: floods do not reach network functions, and what these send by themselves reaches nobody", needs=bare,
      presets=BOTH)
def apart(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    got = lan.send("client", lan.client.frame(BROADCAST, b"who is there"))
    check(set(got) == {"server", "mon-l", "mon-r"}, f"a broadcast went to {set(got)}")
    got = lan.send("client", lan.client.frame(NOBODY, b"who are you"))
    check(set(got) == {"server", "mon-l", "mon-r"}, f"a frame to nobody went to {set(got)}")
    stray = lan.fw_l.frame(BROADCAST, b"I am a function")
    for name in ("fw-l", "fw-r", "ids"):
        lan.denied(name, stray, reason="chain-stray")
    macs = [row["port"] for row in lan.switch.json("fdb", "list")]
    check(not set(macs) & {"fw-l", "fw-r", "ids"}, f"learned behind {set(macs)}")
    # Addressed to a function itself: nobody is known there.
    got = lan.send("client", lan.client.frame(lan.ids.mac, b"hello"))
    check("ids" not in got, f"a frame to a function's address went to {set(got)}")
    # It is a port like any when no chain names it.
    it.none()
    lan.announce(lan.ids)
    lan.drain()
    frame = lan.client.frame(lan.ids.mac, b"hello")
    got = lan.send("client", frame)
    check(got == {"ids": [frame]}, f"without a chain it went to {set(got)}")
    return "broadcast, unknown: not there; theirs: chain-stray"


@case("chains: a port that is said to be a function's is apart without a chain, too", presets=BOTH)
def said():
    with ground() as lan:
        lan.port("client")
        lan.port("server")
        for name in ("nf-l", "nf-r"):
            lan.port(name, nf=True)
        # Before there has ever been a chain; and each time when it has gone.
        it, one = Chained(lan), talk(Udp, lan.client, lan.server)
        hello = lan.nf_l.frame(BROADCAST, b"I am a bridge")
        for _ in range(2):
            for name in ("nf-l", "nf-r"):
                lan.denied(name, hello, reason="chain-stray")
            for to in (BROADCAST, NOBODY, lan.nf_l.mac):
                got = lan.send("client", lan.client.frame(to, b"who is there"))
                check(set(got) == {"server"}, f"a frame to {to} went to {set(got)}")
            it.walks(one, [(0, one.data()), (1, one.data(1))], [])
            it.chain("inspect", [[("nf-l", "nf-r")]])
            it.wait_state_of("nf-l", "in-service")
            it.walks(one, [(0, one.data()), (1, one.data(1))], [("nf-l", "nf-r")])
            lan.denied("nf-r", one.data(1), reason="chain-stray")
            it.none()
        learned = {row["port"] for row in lan.switch.json("fdb", "list")}
        check(learned == {"client", "server"}, f"learned behind {learned}")
        # A member of the bridge as any, when it is said no more; and not again.
        for nf in (False, True):
            lan.set("nf-l", nf=nf)
            got = lan.send("client", lan.client.frame(BROADCAST, b"who is there"))
            check(("nf-l" in got) != nf, f"nf: {nf}: a broadcast went to {set(got)}")
            if not nf:
                lan.announce(lan.nf_l)
                lan.drain()
            got = lan.send("client", lan.client.frame(lan.nf_l.mac, b"hello"))
            check(set(got) == {"server" if nf else "nf-l"}, f"nf: {nf}: a frame to it went to {set(got)}")
        return "before the first chain, behind the last one"


@case("chains: what comes out of a function on the wrong side, or of one not visited, is lost", needs=bare, presets=BOTH)
def strays(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED]])
    it.chain("other", [["ids"]], to={"port": "mon-l"})
    one = talk(Udp, lan.client, lan.server)
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED])
    lan.denied("fw-l", one.data(), reason="chain-stray")
    lan.denied("fw-r", one.data(1), reason="chain-stray")
    lan.denied("ids", one.data(), reason="chain-stray")
    other = talk(Udp, lan.client, lan.server)
    lan.denied("fw-r", other.data(), reason="chain-stray")
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED])
    it.none()
    return "chain-stray"


@case("chains: only what matches goes there, the first chain counts", needs=bare, presets=BOTH)
def matching(it):
    lan = it.lan
    it.chain("web", [["ids"]], **{"from": {"port": "client"}, "proto": "tcp", "dport": [80, 443]})
    it.chain("rest", [[TWO_ARMED]], to={"cidr": f"{host(lan.server)}/32"}, proto="udp")
    for kind, dport, way in ((Tcp, 80, ["ids"]), (Tcp, 443, ["ids"]), (Tcp, 81, []), (Udp, 80, [TWO_ARMED])):
        one = talk(kind, lan.client, lan.server, dport=dport)
        it.walks(one, one.handshake() if kind is Tcp else [(0, one.data()), (1, one.data(1))], way)
    # The other way round it is another connection; one to an IPv6 address is not meant by the network.
    one = talk(Tcp, lan.server, lan.client, dport=80)
    it.walks(one, one.handshake(), [])
    one = talk(Udp, lan.client, lan.server, version=6)
    it.walks(one, [(0, one.data()), (1, one.data(1))], [])
    # ... whose answers are no beginnings, though a chain takes all that the client begins.
    it.chain("web", [["ids"]], **{"from": {"port": "client"}})
    for version in (4, 6):
        one = talk(Udp, lan.server, lan.client, version=version)
        it.walks(one, [(0, one.data()), (1, one.data(1))], [])
    it.chain("web", [["ids"]], **{"from": {"port": "client"}, "proto": "tcp", "dport": [80, 443]})
    # What no chain takes is not tracked: a segment in the middle passes.
    one = talk(Tcp, lan.client, lan.server, dport=81)
    it.walks(one, [(0, one.data())], [])
    it.none()
    return "by port, network, protocol and L4 ports"


# -- ICMP, fragments, unknown receivers

@case("chains: pings and ICMP errors go the same way", needs=bare, presets=BOTH)
def icmp(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    for version in (4, 6):
        one = talk(Udp, lan.client, lan.server, version=version)
        it.walks(one, [(0, one.data())], [TWO_ARMED, "ids"])
        quoted = one.data()[14:]
        it.walks(one, [(1, one.frame(1, packets.unreachable(*one.addresses(1), quoted)))], [TWO_ARMED, "ids"])
        ping = one.frame(0, packets.echo(*one.addresses(0), 7))
        pong = one.frame(1, packets.echo(*one.addresses(1), 7, reply=True))
        it.walks(one, [(0, ping), (1, pong)], [TWO_ARMED, "ids"])
    it.none()
    return "v4 and v6"


@case("chains: fragments follow their first", needs=bare, presets=BOTH)
def fragments(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    for version in (4, 6):
        one = talk(Udp, lan.client, lan.server, version=version)
        whole = packets.udp(*one.addresses(0), *one.ports(0), bytes(2000))
        l4 = whole[20 if version == 4 else 40:]
        parts = [(0, l4[:1000]), (1000, l4[1000:])]
        first, later = [one.frame(0, packets.ip(*one.addresses(0), packets.UDP, part, one.l4[0],
                                                (offset, offset == 0))) for offset, part in parts]
        it.walks(one, [(0, first), (0, later)], [TWO_ARMED, "ids"])
    it.none()
    return "v4 and v6"


@case("chains: a receiver that is not known yet is flooded behind the last hop", needs=bare, presets=BOTH)
def unknown(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]], to={"cidr": "0.0.0.0/0"})
    lan.switch.ctl("fdb", "flush")
    lan.announce(lan.client)
    lan.drain()
    one = talk(Udp, lan.client, lan.server)
    frame = one.data()
    for name, then in (("client", "fw-l"), ("fw-r", "ids")):
        got = lan.send(name, frame)
        check(got == {then: [frame]}, f"from {name} to {set(got)}")
    got = lan.send("ids", frame)
    check(got == {name: [frame] for name in ("server", "mon-l", "mon-r")}, f"behind the last: {set(got)}")
    it.walks(one, [(1, one.data(1)), (0, one.data())], [TWO_ARMED, "ids"])
    it.none()
    return "to all but the sender; once it has answered to it alone"


# -- VLANs

@case("chains: a function serves the VLANs of its port", presets=BOTH)
def vlans():
    with in_vlans({"in-10": {"vlan": {"access": 10}}, "trunk": {"vlan": {"trunk": [10, 20]}},
                   "in-20": {"vlan": {"access": 20}}}) as lan:
        it = Chained(lan)
        one = talk(Udp, lan.client, lan.server)
        it.chain("inspect", [["in-10"]])
        it.walks(one, [(0, one.data()), (1, one.data(1))], ["in-10"])
        # A trunk's function gets tagged frames, and sends them so.
        it.chain("inspect", [["trunk"]])
        frame = one.data()
        tagged = frame[:12] + tag(10) + frame[12:]
        got = lan.send("client", frame)
        check(got == {"trunk": [tagged]}, f"to {set(got)}")
        got = lan.send("trunk", tagged)
        check(got == {"server": [frame]}, f"to {set(got)}; drops: {lan.lost()}")
        # One of another VLAN never sees it: the hop has nobody in service.
        it.chain("inspect", [["in-20"]])
        lan.denied("client", one.data(), reason="chain-closed")
        it.chain("inspect", [(["in-20"], "open")])
        it.walks(one, [(0, one.data()), (1, one.data(1))], [])
        lan.set("in-20", vlan={"access": 10})
        it.walks(one, [(0, one.data()), (1, one.data(1))], ["in-20"])
        return "access, trunk, another VLAN"


# -- instances

def instances(lan):
    return [f"ids{number}" for number in range(4)]


@fixture(name="a hop of four instances")
def spread():
    with chained(nfs=instances(None)) as one:
        yield one


def visited(it, one, way=0):
    """Which instance a packet of the conversation visits."""
    lan = it.lan
    names = [lan.name(end) for end in one.ends]
    frame = one.data(way)
    got = lan.send(names[way], frame)
    name = next(iter(got), None)
    if got != {name: [frame]} or name in names:
        raise Failure(f"it went to {set(got)}; drops: {lan.lost()}")
    got = lan.send(name, frame)
    check(got == {names[1 - way]: [frame]}, f"from {name} to {set(got)}")
    return name


@case("chains: connections spread over the instances and stay with theirs", needs=spread, presets=BOTH)
def stay(it):
    lan, all_four = it.lan, instances(None)
    it.chain("inspect", [all_four])
    talks = [talk(kind, lan.client, lan.server, version=version)
             for kind in (Udp,) for version in (4, 6) for _ in range(60)]
    first = [visited(it, one) for one in talks]
    counts = {name: first.count(name) for name in all_four}
    check(min(counts.values()) >= 12, f"of 120: {counts}")
    check([visited(it, one, 1) for one in talks] == first, "a reply visits another one")
    # One that is drained moves its own only; one that comes back, none.
    it.chain("inspect", [all_four[:3]])
    second = [visited(it, one, 1) for one in talks]
    moved = [was for was, now in zip(first, second) if was != now]
    check(set(moved) == {"ids3"} and len(moved) == counts["ids3"], f"moved: {moved}")
    check(len({now for was, now in zip(first, second) if was == "ids3"}) > 1, "all of its went to one")
    it.chain("inspect", [all_four])
    check([visited(it, one) for one in talks] == second, "an instance more moves connections")
    check("ids3" in [visited(it, talk(Udp, lan.client, lan.server)) for _ in range(40)], "none visits the new one")
    # The hop in another place of its chain.
    lan.document["chains"]["inspect"]["hops"].insert(0, {"nf": "before", "instances": [{"port": "ids3"}]})
    lan.document["chains"]["inspect"]["hops"][1]["instances"].remove({"port": "ids3"})
    lan.apply()
    for one, was in zip(talks, second):
        it.walk(one, 0, one.data(), ["ids3", was])
        it.walk(one, 1, one.data(1), [was, "ids3"])
    it.none()
    return f"{counts}; 1 of 4 drained: {len(moved)} of 120 moved"


@case("chains: an instance that dies moves its own connections, and those stay moved", needs=spread, presets=BOTH)
def dies(it):
    lan, pair = it.lan, instances(None)[:2]
    for rule in ("open", "closed"):
        it.chain("inspect", [(pair, rule)])
        talks = [talk(Udp, lan.client, lan.server) for _ in range(20)]
        first = [visited(it, one) for one in talks]
        check(set(first) == set(pair), f"visited: {first}")
        lan.ids0.stop()
        it.wait_state("ids0", "down")
        check([visited(it, one, 1) for one in talks] == ["ids1"] * 20, "not all visit the other one")
        lan.ids0.start()
        it.wait_state("ids0", "in-service")
        check([visited(it, one) for one in talks] == ["ids1"] * 20, "moved back")
        check("ids0" in [visited(it, talk(Udp, lan.client, lan.server)) for _ in range(20)], "it gets none")
        it.none()
    return "open and closed"


@case("chains: a hop without any instance is skipped or closed", needs=spread, presets=BOTH)
def nobody(it):
    lan = it.lan
    for rule in ("open", "closed"):
        it.chain("inspect", [["ids1"], (["ids0"], rule)])
        one = talk(Tcp, lan.client, lan.server)
        it.walks(one, one.handshake(), ["ids1", "ids0"])
        lan.ids0.stop()
        it.wait_state("ids0", "down")
        if rule == "open":
            it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids1"])
        else:
            frame = one.data()
            got = lan.send("client", frame)
            check(got == {"ids1": [frame]}, f"to {set(got)}")
            lan.denied("ids1", frame, reason="chain-closed")
            lan.denied("server", one.data(1), reason="chain-closed")
        lan.ids0.start()
        it.wait_state("ids0", "in-service")
        it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids1", "ids0"])
        it.none()
    return "open: skipped; closed: chain-closed; both go on when it is back"


# -- changes

@case("chains: a chain changes while connections run", needs=bare, presets=BOTH)
def changes(it):
    lan = it.lan
    ones = [talk(Tcp, lan.client, lan.server, version=version) for version in (4, 6)]
    it.chain("inspect", [[TWO_ARMED]])
    for one in ones:
        it.walks(one, one.handshake(), [TWO_ARMED])

    def walk(hops):
        for one in ones:
            it.walks(one, [(1, one.data(1)), (0, one.data()), (1, one.ack(1))], hops)
    walk([TWO_ARMED])
    it.chain("inspect", [[TWO_ARMED], ["ids"], [("mon-l", "mon-r")]])
    walk([TWO_ARMED, "ids", ("mon-l", "mon-r")])
    it.chain("inspect", [["ids"], [("mon-r", "mon-l")]])
    walk(["ids", ("mon-r", "mon-l")])
    # Another chain before it, and one without a match.
    lan.document["chains"] = {"first": {"match": {"to": {"port": "server"}}, "hops": [
        {"nf": "a", "instances": [{"port": "fw-l"}]}]}, **lan.document["chains"]}
    lan.apply()
    walk(["fw-l"])
    # None, and the port is one like any again.
    for one in ones:
        lan.check_one(one)
    it.none()
    walk([])
    # It comes again when conversations are far beyond what was seen of them, or were never seen.
    far = b"x" * 1000
    for one in ones:
        for _ in range(200):
            one.data(0, far), one.data(1, far)
    ones.append(talk(Tcp, lan.client, lan.server))
    for one in ones[2:]:
        it.walks(one, one.handshake(), [])
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    for one in ones:
        it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.ack(0))], [TWO_ARMED, "ids"])
    for one in ones:
        it.walks(one, one.goodbye(), [TWO_ARMED, "ids"])
    it.none()
    return "hops added, taken out and turned; another chain; none; again"


@case("chains: a port that a chain names goes and comes", presets=BOTH)
def port_goes():
    with chained(nfs=("ids0", "ids1")) as it:
        lan = it.lan
        it.chain("inspect", [(["ids0"], "open")])
        one = talk(Tcp, lan.client, lan.server)
        it.walks(one, one.handshake(), ["ids0"])
        # Its socket has another mode: it is opened anew, and up when its guest is.
        lan.document["ports"]["ids0"]["vhost-user"]["mode"] = "0777"
        lan.apply()
        it.walks(one, [(0, one.data()), (1, one.data(1))], [])
        lan.attach("ids0", address=mac(40))
        it.wait_state("ids0", "in-service")
        it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids0"])
        del lan.document["ports"]["ids0"]
        it.chain("inspect", [["ids1"]])
        it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids1"])
        return "skipped, visited again, another one"


# -- health

@case("chains: a function that takes no packets is out of service within a second, and back when it does", needs=spread,
      presets=BOTH)
def stalled(it):
    lan = it.lan
    it.chain("inspect", [(["ids0"], "open")])
    one = talk(Udp, lan.client, lan.server)
    it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids0"])
    # Idle for longer than that: healthy. A few packets may wait: drivers keep some buffers.
    put_all(lan.client, [one.data()] * 20)
    time.sleep(slow(1.5))
    check(it.state("ids0") == "in-service", f"with 20 packets waiting: {it.state('ids0')}")
    lan.ids0.got()
    time.sleep(slow(1.5))
    check(it.state("ids0") == "in-service", f"idle: {it.state('ids0')}")
    put_all(lan.client, [one.data()] * 100)
    begun = time.monotonic()
    it.wait_state("ids0", "stalled", 3)
    took = time.monotonic() - begun
    # What is in its ring stays there, unread; the next one goes past it.
    frame = one.data()
    lan.client.put(frame)
    lan.client.wait_sent()
    check(lan.server.got() == [frame], f"not past it; drops: {lan.lost()}")
    check(len(lan.ids0.got()) == 100, "packets in the ring are lost")
    it.wait_state("ids0", "in-service")
    it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids0"])
    it.none()
    return f"after {took:.1f} s"


# -- inside the switch

@case("chains: groups as a hop", needs=bare, presets=BOTH)
def inside(it):
    lan = it.lan
    lan.group("web", to_vm=[{"allow": "tcp", "dport": 80}], from_vm=[{"deny": "any", "to": "10.8.0.99/32"}])
    firewall = {"nf": "weir-firewall", "groups": ["web"]}

    def chain(*hops):
        lan.document["chains"] = {"inspect": {"match": {"from": {"port": "client"}}, "hops": list(hops)}}
        lan.apply()
    ids = {"nf": "ids", "instances": [{"port": "ids"}]}
    for hops, way in (([firewall], []), ([firewall, ids], ["ids"]), ([ids, firewall], ["ids"])):
        chain(*hops)
        for version in (4, 6):
            one = talk(Tcp, lan.client, lan.server, version=version)
            it.walks(one, one.handshake(), way)
            it.walks(one, [(0, one.data()), (1, one.data(1))], way)
            lan.denied("client", talk(Udp, lan.client, lan.server, version=version).data())
            lan.denied("client", talk(Tcp, lan.client, lan.server, dport=81, version=version).handshake()[0][1])
        lan.denied("client", talk(Tcp, lan.client, lan.server, ips=(host(lan.client), "10.8.0.99")).handshake()[0][1])
        # Who is not in the chain is not asked.
        one = talk(Udp, lan.server, lan.client)
        it.walks(one, [(0, one.data()), (1, one.data(1))], [])
        # What runs is asked again when rules change.
        one = talk(Tcp, lan.client, lan.server)
        it.walks(one, one.handshake(), way)
        lan.group("web", to_vm=[{"allow": "udp"}])
        frame = one.data()
        lan.denied("client", frame)
        lan.group("web", to_vm=[{"allow": "tcp", "dport": 80}], from_vm=[{"deny": "any", "to": "10.8.0.99/32"}])
        it.walks(one, [(0, frame), (1, one.data(1))], way)
    it.none()
    del lan.document["groups"]["web"]
    return "allowed, denied, asked again"


# -- beside policy

@case("chains: rules are asked at the ends, before a function sees anything", needs=grouped, presets=BOTH)
def rules(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]], **{"from": {"group": "shut"}, "to": {"group": "open"}})
    one = talk(Tcp, lan.client, lan.server)
    it.walks(one, one.handshake(), [TWO_ARMED, "ids"])
    # Nobody may begin towards the client; what no state allows goes nowhere either.
    lan.denied("server", talk(Udp, lan.server, lan.client).data(), at="client")
    lan.denied("client", talk(Tcp, lan.client, lan.server).data(), reason="connection-invalid")
    lan.denied("server", one.segment(1, packets.ACK, seq=one.seq[1] + 10_000_000), reason="tcp-out-of-window")
    # In other groups it is no match, and another policy: the connection leaves the chain.
    lan.set("server", groups=["open", "mute"])
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED, "ids"])
    lan.set("client", groups=["open"])
    it.walks(one, [(0, one.data()), (1, one.data(1))], [])
    lan.set("client", groups=["shut"])
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED, "ids"])
    lan.set("server", groups=["open"])
    it.walks(one, one.goodbye(), [TWO_ARMED, "ids"])
    lan.check_one(one)
    it.none()
    return "group-deny, connection-invalid, tcp-out-of-window: seen by no function"


@case("chains: the server moves to another port", needs=bare, presets=BOTH)
def moves(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]], to={"cidr": f"{host(lan.server)}/32"})
    one = talk(Tcp, lan.client, lan.server)
    it.walks(one, one.handshake(), [TWO_ARMED, "ids"])
    lan.announce(lan.mon_l, lan.server.mac)
    lan.drain()
    frame = one.data()
    for name, then in (("client", "fw-l"), ("fw-r", "ids"), ("ids", "mon-l")):
        got = lan.send(name, frame)
        check(got == {then: [frame]}, f"from {name} to {set(got)}; drops: {lan.lost()}")
    lan.announce(lan.server)
    lan.drain()
    it.walks(one, [(1, one.data(1)), (0, one.data())], [TWO_ARMED, "ids"])
    it.none()
    return "behind the last hop to its new port"


@case("chains: headers that cannot be told do not get past it", needs=bare, presets=BOTH)
def opaque(it):
    lan = it.lan
    it.chain("inspect", [["ids"]], **{"from": {"port": "client"}, "to": {"port": "server"}, "proto": "tcp", "dport": 80})
    one = talk(Tcp, lan.client, lan.server)
    ends = one.addresses(0)
    cut = one.frame(0, packets.ip(*ends, packets.TCP, bytes(8)))
    lan.denied("client", cut, reason="connection-invalid")
    six = talk(Tcp, lan.client, lan.server, version=6)
    # Nine extension headers: more than are followed.
    options = b"".join(bytes([following]) + bytes(7) for following in [60] * 8 + [packets.TCP]) + bytes(20)
    lan.denied("client", six.frame(0, packets.ip(*six.addresses(0), 60, options)), reason="headers-too-long")
    # Nor by a flood, since nobody knows where the receiver is.
    lan.switch.ctl("fdb", "flush")
    lan.denied("client", cut, reason="connection-invalid")
    lan.denied("client", six.frame(0, packets.ip(*six.addresses(0), 60, options)), reason="headers-too-long")
    lan.learned()
    # To others, and from others, they go as they are.
    other = talk(Tcp, lan.server, lan.client)
    got = lan.send("server", frame := other.frame(0, packets.ip(*other.addresses(0), packets.TCP, bytes(8))))
    check(got == {"client": [frame]}, f"from the server to {set(got)}; drops: {lan.lost()}")
    it.none()
    return "connection-invalid, headers-too-long"


@case("chains: a frame to a group of MAC addresses does not get an IP packet for one receiver past it", needs=bare,
      presets=BOTH)
def to_group(it):
    lan, everybody = it.lan, bytes.fromhex(BROADCAST.replace(":", ""))
    it.chain("inspect", [["ids"]], **{"from": {"port": "client"}, "to": {"port": "server"}, "proto": "udp"})
    for version in (4, 6):
        one = talk(Udp, lan.client, lan.server, version=version)
        frame = everybody + one.data()[6:]
        lan.denied("client", frame, reason="chain-bypass")
        # The server has not been asked, and nobody takes what it says for an answer.
        it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids"])
        # What is for a group goes to the group; so does what no chain can take, and ARP.
        everyone = {"server", "mon-l", "mon-r", "fw-l", "fw-r"}
        tcp = talk(Tcp, lan.client, lan.server, version=version)
        groups = talk(Udp, lan.client, lan.server, version=version, ips=(
            (host(lan.client), "224.0.0.5") if version == 4 else (one.addresses(0)[0], "ff02::5")))
        for frame in (everybody + tcp.data()[6:], everybody + groups.data()[6:], everybody + talk(
                Udp, lan.client, lan.server, ips=(host(lan.client), "255.255.255.255")).data()[6:]):
            got = lan.send("client", frame)
            check(set(got) == everyone, f"to {set(got)}; drops: {lan.lost()}")
    it.none()
    return "chain-bypass"


@case("chains: a conversation of which the answer is seen first is the chain's", needs=bare, presets=BOTH)
def answers(it):
    lan = it.lan
    ones = [talk(kind, lan.client, lan.server, version=version, dport=443) for kind in (Tcp, Udp) for version in (4, 6)]
    for one in ones:
        frames = one.handshake() if isinstance(one, Tcp) else [(0, one.data()), (1, one.data(1))]
        it.walks(one, frames, [])
    it.chain("inspect", [[TWO_ARMED], ["ids"]], **{"from": {"port": "client"}, "dport": 443, "proto": "udp"})
    it.chain("web", [[TWO_ARMED], ["ids"]], **{"from": {"port": "client"}, "proto": "tcp"})
    for one in ones:
        it.walks(one, [(1, one.data(1)), (0, one.data()), (1, one.data(1))], [TWO_ARMED, "ids"])
        shown, = lan.switch.json("conn", "list", "--sport", one.l4[0])
        check((shown["from"], shown["to"]) == ("client", "server"), shown)
    # As behind a restart: nobody knows where the client is.
    for one in ones:
        for end in ("--sport", "--dport"):
            lan.switch.ctl("conn", "flush", end, one.l4[0])
        lan.switch.ctl("fdb", "flush")
        lan.announce(lan.server)
        lan.drain()
        got = lan.send("server", one.data(1))
        check(set(got) == {"client", "mon-l", "mon-r"}, f"flooded to {set(got)}")
        it.walks(one, [(0, one.data()), (1, one.data(1)), (0, one.data())], [TWO_ARMED, "ids"])
    it.none()
    return "TCP, and UDP by its port; to where the client was, and where it is not known to be"


@case("chains: nothing gets past a closed hop while its port is opened anew", needs=bare, presets=BOTH)
def reopened(it):
    lan = it.lan
    with chained(nfs=("nf",)) as other:
        lan = other.lan
        other.chain("inspect", [["nf"]])
        lan.nf.stop()
        other.wait_state("nf", "down")
        one = talk(Tcp, lan.client, lan.server)
        for mode in ("0777", "0770") * 5:
            lan.document["ports"]["nf"]["vhost-user"]["mode"] = mode
            sent = [talk(Udp, lan.client, lan.server).data() for _ in range(100)]
            apply = threading.Thread(target=lan.apply)
            apply.start()
            while apply.is_alive():
                put_all(lan.client, [one.handshake()[0][1], *sent])
                lan.client.wait_sent()
                check(not lan.server.got(), "the server got what a closed hop had to keep")
            apply.join()
        lan.drain()
        lan.denied("client", one.handshake()[0][1], reason="chain-closed")
    return "10 times"


@case("chains: two hops of one name keep their instances when something else changes", needs=bare, presets=BOTH)
def named_alike(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"], [("mon-l", "mon-r")]])
    for hop in lan.document["chains"]["inspect"]["hops"]:
        hop["nf"] = "firewall"
    lan.apply()
    one, way = talk(Tcp, lan.client, lan.server), [TWO_ARMED, "ids", ("mon-l", "mon-r")]
    it.walks(one, one.handshake(), way)
    before = lan.switch.json("chain", "show", "inspect")["hops"]
    check([hop["instances"][0]["connections"] for hop in before] == [1, 1, 1], before)
    lan.document["bridges"]["another"] = {}
    lan.apply()
    del lan.document["bridges"]["another"]
    lan.apply()
    after = lan.switch.json("chain", "show", "inspect")["hops"]
    check(after == before, f"{before} became {after}")
    it.walks(one, [(0, one.data()), (1, one.data(1))], way)
    it.none()
    return "3 of one name"


@case("chains: counts of connections and packets", needs=bare, presets=BOTH)
def counts(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    ones = [talk(Udp, lan.client, lan.server) for _ in range(3)]
    for one in ones:
        it.walks(one, [(0, one.data()), (0, one.data()), (1, one.data(1))], [TWO_ARMED, "ids"])
    chain = lan.switch.json("chain", "show", "inspect")
    check((chain["connections"], chain["begun"]) == (3, 3), f"chain: {chain}")
    for hop in chain["hops"]:
        one = hop["instances"][0]
        check((one["connections"], one["original"]["packets"], one["reply"]["packets"]) == (3, 6, 3), f"{hop}")
        check(one["reply"]["bytes"] == 3 * 60, f"{hop}")
    for one in ones:
        lan.switch.ctl("conn", "flush", "--sport", one.l4[0])
    chain = lan.switch.json("chain", "show", "inspect")
    check((chain["connections"], chain["begun"]) == (0, 3), f"after they were flushed: {chain}")
    it.none()
    return "3 connections, 6 and 3 packets at each hop"


@case("chains: two workers", presets=BOTH)
def two_workers():
    """Each port's packets belong to one of them, so a connection is handled by both."""
    with chained(nfs=("fw-l", "fw-r", "ids"), switch={"workers": [0, 1]}) as it:
        it.chain("inspect", [[TWO_ARMED], ["ids"]])
        for version in (4, 6):
            for _ in range(10):
                one = talk(Tcp, it.lan.client, it.lan.server, version=version)
                it.walks(one, one.handshake(), [TWO_ARMED, "ids"])
                it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED, "ids"])
                it.walks(one, one.goodbye(), [TWO_ARMED, "ids"])
        return "20 conversations"
