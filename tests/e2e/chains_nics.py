"""Chains between what is behind a NIC and a VM: a veth's far end, and raw rings, which are every function, too."""
import contextlib
import struct

from cases import BOTH, case, check, fixture, slow
from chains import Chained
from chains_nsh import nsh
from chains_routed import WEIR
from chains_tags import tagged
from lab import Switch, wait_until
from lab.packets import Tcp, Udp
from lab.wire import Namespaces, Tap
from lans import Ground, mac, talk

NFS = ("nf-l", "nf-r")
NUMBER = 100    # the tag, or the path
# Of each kind: more keys of the hop, what the function gets of a frame at a port, and what it sends on.
KINDS = {
    "transparent": ({}, lambda _port, frame: frame, lambda _port, frame: frame),
    "routed": ({"mode": "routed"}, lambda port, frame: port.mac + WEIR + frame[12:],
               lambda port, frame: WEIR + port.mac + frame[12:]),
    "tag": ({"recognise-by": "vlan", "tag": NUMBER}, lambda _port, frame: tagged(frame, NUMBER),
            lambda _port, frame: tagged(frame, NUMBER)),
    "NSH": ({"recognise-by": "nsh", "path": NUMBER}, lambda port, frame: nsh(port.mac, WEIR, NUMBER, 255) + frame,
            lambda port, frame: nsh(WEIR, port.mac, NUMBER, 254) + frame),
}


class Far:
    """The veth's far end; in its VLAN, if it has one, frames have the tag there and nowhere else."""
    mac, vlan = bytes.fromhex(mac(0x77).replace(":", "")), 0

    def __init__(self, tap):
        self.tap = tap

    def frame(self, to, payload, kind):
        return (to + self.mac + struct.pack(">H", kind) + payload).ljust(60, b"\0")

    def put(self, frame):
        self.tap.put(tagged(frame, self.vlan) if self.vlan else frame)

    def got(self, wanted):
        wanted = tagged(wanted, self.vlan) if self.vlan else wanted
        return [one for one in self.tap.got() if one == wanted]


class Near:
    """A front-end, likewise."""

    def __init__(self, end):
        self.end, self.mac, self.frame, self.put = end, end.mac, end.frame, end.put

    def got(self, wanted):
        return [one for one in self.end.got() if one == wanted]


class Wired(Chained):
    def __init__(self, lan, far):
        super().__init__(lan)
        self.ends = {"far": far, **{name: Near(end) for name, end in lan.ends.items()}}

    def through(self, kind, port):
        """What begins at this port visits a function of that kind."""
        keys, *self.forms = KINDS[kind]
        self.chain("inspect", [([NFS], keys)], **{"from": {"port": port}})
        # Its ports may have come up in this moment.
        self.wait_state_of(NFS[0], "in-service", 5)

    def expect(self, at, frame, to, wanted):
        """Once: what got past the function would be there before."""
        self.ends[at].put(frame)
        found = wait_until(lambda: self.ends[to].got(wanted), slow(5),
                           lambda: f"{wanted.hex()} at {to} after {frame.hex()} at {at}; drops: {self.lan.lost()}, "
                                   f"{self.lan.drops('up')}", 0.001)
        check(len(found) == 1, f"{len(found)} times at {to}: {wanted.hex()}")

    def passes(self, one, way, frame):
        names = [name for end in one.ends for name in self.ends if self.ends[name] is end]
        arrives, leaves = NFS[::-1] if way else NFS
        as_arrives, as_leaves = self.forms
        self.expect(names[way], frame, arrives, as_arrives(self.ends[arrives], frame))
        self.expect(leaves, as_leaves(self.ends[leaves], frame), names[1 - way], frame)


@fixture(name="a NIC, a VM and a function")
def wired():
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("switch", "host"))
        spaces.veth("switch", "v0", "host", "e0")
        settings = {"switch": {"hugepages": "off", "workers": [1]}}
        switch = stack.enter_context(Switch(settings, prefix=spaces.prefix("switch")))
        lan = Ground(switch, stack, settings)
        lan.document["ports"]["up"] = {"dpdk": {"device": "net_af_packet0,iface=v0"}}
        lan.port("vm")
        for number, name in enumerate(NFS, 2):
            lan.port(name, addresses={"mac": mac(number)}, nf=True)
        switch.wait_port("up", "up", slow(10))
        yield Wired(lan, Far(stack.enter_context(Tap(spaces, "host", "e0"))))


def learn(it):
    """Who is behind the NIC, and who is the VM."""
    far, vm = it.ends["far"], it.ends["vm"]
    it.lan.switch.ctl("fdb", "flush")
    vm.put(vm.frame(b"\xff" * 6, b"here I am"))
    far.put(far.frame(vm.mac, b"here I am", 0x88b5))
    wait_until(lambda: {"up", "vm"} <= {row["port"] for row in it.lan.switch.json("fdb", "list")}, slow(5), "both to be learned")


@case("chains: from a NIC to a VM and back, untagged and in a trunk's VLAN", needs=wired, presets=BOTH)
def both_ways(it):
    far, vm, done = it.ends["far"], it.ends["vm"], 0
    for vlan in (0, 10):
        far.vlan = vlan
        it.none()
        for name, keys in (("up", {"trunk": [vlan]}), ("vm", {"access": vlan}), *((name, {"access": vlan}) for name in NFS)):
            it.lan.set(name, vlan=keys if vlan else None)
        learn(it)
        for kind in KINDS:
            for begins, other, port in ((far, vm, "up"), (vm, far, "vm")):
                it.through(kind, port)
                for version in (4, 6):
                    one = talk(Tcp, begins, other, version=version)
                    for way, frame in [*one.handshake(), (0, one.data()), (1, one.data(1)), *one.goodbye()]:
                        it.passes(one, way, frame)
                    one = talk(Udp, begins, other, version=version)
                    for way in (0, 1, 0, 1):
                        it.passes(one, way, one.data(way))
                    done += 1
    lost = it.lan.lost() | {"up": it.lan.drops("up")}
    # The kernel says something of its own at the far end.
    strays = {name: reason for name, drops in lost.items() for reason in drops
              if reason not in ("no-receiver", "own-port", "vlan-not-member")}
    check(not strays, f"dropped: {strays}")
    return f"{', '.join(KINDS)}: {done} times TCP and UDP"
