"""Probes of network functions: the test is the function, which forwards or not."""
import contextlib
import threading
import time

from cases import BOTH, case, check, slow
from chains import TWO_ARMED, bare, chained
from lab import packets, wait_until
from lab.packets import Udp
from lans import put_all, tag, talk

PROBE = b"\x88\xb5Weir probe"
NUMBER = 30     # where it stands in the frame


@contextlib.contextmanager
def forwarding(left, right, change=bytes):
    """A function between two ports, or at one: yields a switch that turns it on and off. change: what it makes of a frame."""
    on, done, seen = threading.Event(), threading.Event(), []

    def run():
        while not done.is_set():
            for frame in left.got():
                seen.append(frame)
                if on.is_set():
                    right.put(change(frame))
            time.sleep(0.001)
    thread = threading.Thread(target=run)
    thread.start()
    on.seen = seen
    try:
        yield on
    finally:
        done.set()
        thread.join()


def probed(it, instances, probe, **keys):
    """A chain of one hop, made with its probe."""
    it.lan.document["chains"] = {"inspect": {"match": {"from": {"port": "client"}, "to": {"port": "server"}}, "hops": [
        {"nf": "nf", **keys, **({"probe": probe} if probe is not None else {}),
         "instances": [{"port": one} if isinstance(one, str) else {"left": one[0], "right": one[1]} for one in instances]}]}}
    it.lan.apply()


def hop(it):
    return it.lan.switch.json("chain", "show", "inspect")["hops"][0]


def state(it):
    return hop(it)["instances"][0]["state"]


def wait_state(it, wanted, timeout=2):
    wait_until(lambda: state(it) == wanted, slow(timeout), lambda: f"{state(it)}, not {wanted}")


class Strays:
    """What ports lost as such, from now on."""

    def __init__(self, lan, *names):
        self.lan = lan
        self.before = {name: self.count(name) for name in names}

    def count(self, name):
        return self.lan.drops(name).get("chain-stray", 0)

    def check_none(self):
        grown = {name: self.count(name) - before for name, before in self.before.items()}
        check(not any(grown.values()), f"strays: {grown}")


def falls_silent(it, nf, port, packets):
    """A function in service that got so many packets of connections, and then none: it stays in service until it
    answers no more, and comes back when it does. Returns after how many seconds it was found."""
    probes = len(nf.seen)
    wait_until(lambda: len(nf.seen) > probes + 5, slow(5), "six probes")
    check(state(it) == "in-service", "idle")
    check(not it.lan.client.got() and not it.lan.server.got(), "a probe reached an end")
    check(hop(it)["instances"][0]["original"]["packets"] == packets, "probes are counted as packets of connections")
    nf.clear()
    begun = time.monotonic()
    wait_state(it, "silent")
    took = time.monotonic() - begun
    it.lan.switch.wait_log(rf"chain inspect: nf is out of service: port {port}: no answer to its probe")
    nf.set()
    wait_state(it, "in-service")
    return took


def told(took):
    check(max(took) < slow(1.2), f"after {took} s")
    return "silent after " + " and ".join(f"{seconds:.1f} s" for seconds in took)


def next_probe(end):
    return end.wait_frames(1, wanted=lambda frame: PROBE in frame)[-1]


@case("chains: a function that does not answer its probe is out of service within a second, until it does", needs=bare,
      presets=BOTH)
def unanswered(it):
    lan, took = it.lan, []
    for instance, (left, right) in ((TWO_ARMED, (lan.fw_l, lan.fw_r)), ("ids", (lan.ids, lan.ids))):
        one = talk(Udp, lan.client, lan.server)
        lan.drain()
        strays = Strays(lan, "fw-l", "fw-r", "ids")
        with forwarding(left, right) as nf:
            # Nobody has seen it forward yet.
            probed(it, [instance], {})
            port = lan.name(left)
            wait_state(it, "silent")
            row = hop(it)["instances"][0]
            check(row["text"] == f"port {port}: no answer to its probe", row)
            check(hop(it)["probe"] == {"interval_ns": 200_000_000, "failures": 3}, hop(it))
            lan.expect_drop("client", "chain-closed", lambda: (lan.client.put(one.data()), lan.client.wait_sent(slow(5))))
            nf.set()
            wait_state(it, "in-service")
            for way, end in ((0, lan.server), (0, lan.server)):
                frame = one.data(way)
                lan.client.put(frame)
                check(end.wait_frames(1, slow(5)) == [frame], "another frame")
            took.append(falls_silent(it, nf, port, 2))
        strays.check_none()
        lan.drain()
    it.none()
    return told(took)


@case("chains: a probe that comes out elsewhere, twice, or with another number, is a stray and no answer", needs=bare,
      presets=BOTH)
def elsewhere(it):
    lan = it.lan
    lan.document["chains"] = {"other": {"match": {"from": {"port": "server"}}, "hops": [
        {"nf": "nf", "instances": [{"port": "ids"}]}]}}
    probed(it, [TWO_ARMED], {"interval": "10s", "failures": 1})
    lan.document["chains"]["other"] = {"match": {"from": {"port": "server"}}, "hops": [
        {"nf": "nf", "instances": [{"port": "ids"}]}]}
    lan.apply()
    frame = next_probe(lan.fw_l)
    # Other cases' last probes are still in the rings.
    lan.drain()
    forged = frame[:NUMBER] + bytes([frame[NUMBER] ^ 1]) + frame[NUMBER + 1:]
    for name, sent in (("fw-l", frame), ("ids", frame), ("fw-r", forged), ("fw-r", frame[:NUMBER + 4])):
        lan.denied(name, sent.ljust(60, b"\0"), reason="chain-stray")
    check(state(it) == "silent", "what is no answer was one")
    check(lan.send("fw-r", frame) == {}, "it goes on")
    wait_state(it, "in-service")
    lan.denied("fw-r", frame, reason="chain-stray")
    # From a client it is a frame as any, and answers nothing.
    got = lan.send("client", frame)
    check("fw-l" not in got and "fw-r" not in got and "ids" not in got, f"a client's went to {set(got)}")
    it.none()
    return "4 strays, 1 answer"


@case("chains: a probe does not wait behind what a rate holds back of the function's port", presets=BOTH)
def held_back():
    with chained(nfs=("nf-r",)) as it:
        lan = it.lan
        # Two seconds' worth may wait there.
        lan.port("nf-l", rate={"to-vm": {"bits": "1Mbit"}})
        with forwarding(lan.nf_l, lan.nf_r) as nf:
            nf.set()
            probed(it, [("nf-l", "nf-r")], {})
            wait_state(it, "in-service")
            one = talk(Udp, lan.client, lan.server)
            frame = one.frame(0, packets.udp(*one.addresses(0), *one.ports(0), bytes(1200)))
            put_all(lan.client, [frame] * 190)
            wait_until(lambda: frame in nf.seen, slow(5), "the first frame")
            first = len(nf.seen)
            wait_until(lambda: sum(PROBE in seen for seen in nf.seen[first:]) > 5, slow(5), "six probes")
            passed = nf.seen.count(frame)
            check(passed < 190, "nothing waited any more")
            check(state(it) == "in-service", "what waits in the switch took it out of service")
        return f"6 probes before {190 - passed} of 190 frames"


@case("chains: probes begin and end while connections run", needs=bare, presets=BOTH)
def live(it):
    lan = it.lan
    probed(it, [TWO_ARMED], None)
    one = talk(Udp, lan.client, lan.server)
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED])
    check(hop(it)["probe"] is None, hop(it))
    # What serves goes on until it has failed to answer.
    probed(it, [TWO_ARMED], {"interval": "1s", "failures": 2})
    check(state(it) == "in-service", "at once")
    next_probe(lan.fw_l)
    check(state(it) == "in-service", "with the first probe")
    probed(it, [TWO_ARMED], {"interval": "100ms", "failures": 2})
    wait_state(it, "silent")
    probed(it, [TWO_ARMED], None)
    check(state(it) == "in-service", "without a probe")
    lan.drain()
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED])
    it.none()
    return "no packet lost"


@case("chains: probes in VLANs, and by two workers", presets=BOTH)
def vlans():
    with chained(switch={"workers": [0, 1]}) as it:
        lan = it.lan
        for name in ("nf-l", "nf-r"):
            lan.port(name, vlan={"trunk": [10, 20]})
        for vlan, before in ({"trunk": [20, 30]}, tag(20)), ({"trunk": [20], "native": 10}, tag(10)), ({"access": 10}, tag(10)):
            lan.set("nf-r", vlan=vlan)
            with forwarding(lan.nf_l, lan.nf_r) as nf:
                probed(it, [("nf-l", "nf-r")], {})
                wait_until(lambda: nf.seen, slow(5), "a probe")
                check(nf.seen[0][12:16] == before and PROBE in nf.seen[0], f"{vlan}: {nf.seen[0].hex()}")
                nf.set()
                # The other side's tag is another function's work.
                if "trunk" in vlan and "native" not in vlan:
                    wait_state(it, "in-service", 5)
            it.none()
            lan.drain()
        # In no VLAN together it serves nobody, and is not asked.
        lan.set("nf-r", vlan={"access": 40})
        lan.drain()
        probed(it, [("nf-l", "nf-r")], {})
        time.sleep(slow(0.6))
        check(not lan.nf_l.got(), "a probe where no answer can come")
        it.none()
        return "tagged in a VLAN of both"
