"""Chains of network functions seen from raw rings: the test is client, server and every function."""
import contextlib

from cases import BOTH, case, fixture
from lab import Failure
from lab.packets import Tcp, Udp
from lans import ground, talk


class Chained:
    """A lan with a client, a server and some ports for functions; chains between them come and go."""

    def __init__(self, lan):
        self.lan = lan

    def chain(self, name, hops, **match):
        """hops: each a list of instances, ("left", "right") or "port"; open if it is a tuple (list, "open")."""
        document = []
        for number, hop in enumerate(hops):
            instances, rule = hop if isinstance(hop, tuple) else (hop, "closed")
            document.append({"nf": f"nf{number}", "on-failure": rule,
                             "instances": [{"port": one} if isinstance(one, str) else
                                           {"left": one[0], "right": one[1]} for one in instances]})
        match = match or {"from": {"port": "client"}, "to": {"port": "server"}}
        self.lan.document.setdefault("chains", {})[name] = {"match": match, "hops": document}
        self.lan.apply()

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
        lan.port("client", groups and groups[0])
        lan.port("server", groups and groups[1])
        for name in nfs:
            lan.port(name)
        lan.learned()
        yield Chained(lan)


TWO_ARMED = ("fw-l", "fw-r")


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
