"""VLANs, MAC addresses and changes of the running switch, between three guests."""
import time
from dataclasses import dataclass

from cases import case, check, fixture, slow
from guests import USER
from lab import Guest, Nic, Switch, wait_until
from traffic import Drops, Stream, items, pings, send_file, settled, traffic

NAMES = ("a", "b", "c")
SPARE_MAC = "02:00:00:00:00:77"     # none of the guests' own


@dataclass
class Lab:
    switch: Switch
    a: Guest
    b: Guest
    c: Guest

    def configure(self, ageing="300s", **ports):
        """Makes the running switch so; ports that are not named have no VLAN."""
        document = {"switch": {"hugepages": "off"}, "bridges": {"default": {"ageing": ageing}, "other": {}},
                    "ports": {name: {"vhost-user": {"socket": f"{name}.sock"}, **ports.get(name, {})}
                              for name in NAMES}}
        self.switch.ctl("apply", self.switch.write_config(document))

    def fdb(self):
        """{(MAC, VLAN): entry}."""
        return {(one["mac"], one["vlan"]): one for one in items(self.switch.json("fdb", "list"))}

    def bridge(self):
        return next(one for one in items(self.switch.json("bridge", "list")) if one["name"] == "default")

    def tagged(self, vlan, address):
        """A card of guest c that sends with this tag."""
        self.c.ok(f"ip link add link eth0 name eth0.{vlan} type vlan id {vlan}")
        self.c.add_ip(address, f"eth0.{vlan}")

    def untagged(self):
        self.c.ok("for path in /sys/class/net/eth0.*; do [ ! -e $path ] || ip link delete ${path##*/}; done")


def silent(guest, address, count=3):
    """No answer may come; ARP must have asked anew, or an old entry would hide a flood."""
    guest.ok("ip neighbour flush all")
    ping = guest.ping(address, count=count)
    check(not ping.received, f"{guest.name} reached {address}:\n{ping.output}")


@fixture(name="three guests")
def three():
    config = {"switch": {"hugepages": "off"},
              "ports": {name: {"vhost-user": {"socket": f"{name}.sock"}} for name in NAMES}}
    with Switch(config, user=USER) as switch:
        cards = {name: Nic(switch.socket(name)) for name in NAMES}
        with Guest("a", [cards["a"]], ip="10.3.0.1/24") as a, \
                Guest("b", [cards["b"]], ip="10.3.0.2/24") as b, \
                Guest("c", [cards["c"]], ip="10.3.0.3/24") as c:
            for guest in (a, b, c):
                guest.wait_ready(slow(60))
                switch.wait_port(guest.name, "up", slow(20))
            yield Lab(switch, a, b, c)


# -- VLANs

@case("VLAN: access ports of one VLAN talk, of two do not", needs=three)
def access(lab):
    lab.configure(a={"vlan": {"access": 10}}, b={"vlan": {"access": 10}}, c={"vlan": {"access": 20}})
    figure = pings(lab.a, "10.3.0.2")
    before = settled(lambda: traffic(lab.switch, "c", "to_vm"))
    silent(lab.a, "10.3.0.3")
    silent(lab.c, "10.3.0.1")
    after = traffic(lab.switch, "c", "to_vm")
    check(after == before, f"{after - before} packets of VLAN 10 reached a port of VLAN 20")
    vlans = {vlan for _, vlan in lab.fdb()}
    check({10, 20} <= vlans, f"VLANs of the addresses: {vlans}")
    return f"10 to 10: {figure}; 10 to 20: silence"


@case("VLAN: a trunk's tags reach access ports", needs=three)
def trunk(lab):
    lab.configure(a={"vlan": {"access": 10}}, b={"vlan": {"access": 20}}, c={"vlan": {"trunk": [10, 20]}})
    try:
        lab.tagged(10, "10.4.0.3/24")
        lab.tagged(20, "10.5.0.3/24")
        lab.a.add_ip("10.4.0.1/24")
        lab.b.add_ip("10.5.0.2/24")
        ten = pings(lab.c, "10.4.0.1", sizes=(None, 1472), fragment=False)
        twenty = pings(lab.b, "10.5.0.3", sizes=(None, 1472), fragment=False)
        lost = Drops(lab.switch)
        # Without a native VLAN the trunk takes no frame without a tag.
        silent(lab.c, "10.3.0.1")
        check(lost.new().get(("c", "vlan-not-member"), 0) > 0, f"drops: {lost.new()}")
        own = lab.c.mac()
        check({(own, 10), (own, 20)} <= set(lab.fdb()), f"the trunk's address is not in both: {lab.fdb()}")
    finally:
        lab.untagged()
    return f"VLAN 10: {ten}; VLAN 20: {twenty}; untagged: vlan-not-member"


@case("VLAN: a trunk's native VLAN, and a tag that it lacks", needs=three)
def native(lab):
    lab.configure(a={"vlan": {"access": 10}}, b={"vlan": {"access": 20}},
                  c={"vlan": {"trunk": [20], "native": 10}})
    try:
        figure = pings(lab.c, "10.3.0.1")
        lab.tagged(20, "10.5.0.3/24")
        lab.tagged(30, "10.6.0.3/24")
        lab.b.add_ip("10.5.0.2/24")
        pings(lab.c, "10.5.0.2")
        lost = Drops(lab.switch)
        silent(lab.c, "10.6.0.1")
        count = lost.new().get(("c", "vlan-not-member"), 0)
        check(count > 0, f"a tag that is not one of the trunk's: drops {lost.new()}")
    finally:
        lab.untagged()
    return f"native: {figure}; tag 30: {count} vlan-not-member"


@case("VLAN: TCP over a tag", needs=three)
def tagged_tcp(lab):
    """Offloads survive that a tag is taken off on the way and put on again."""
    lab.configure(a={"vlan": {"access": 10}}, c={"vlan": {"trunk": "all"}})
    try:
        lab.tagged(10, "10.4.0.3/24")
        lab.a.add_ip("10.4.0.1/24")
        off = send_file(lab.c, lab.a, "10.4.0.1")
        on = send_file(lab.a, lab.c, "10.4.0.3")
    finally:
        lab.untagged()
    return f"from the trunk {off}; to it {on}"


@case("bridges: ports of two bridges do not talk", needs=three)
def two_bridges(lab):
    lab.configure(c={"bridge": "other"})
    figure = pings(lab.a, "10.3.0.2")
    silent(lab.a, "10.3.0.3")
    return f"one bridge: {figure}; two: silence"


# -- addresses

@case("fdb: an address moves", needs=three)
def moves(lab):
    lab.configure()
    moved = lab.bridge()["moved"]
    places = []
    for guest in (lab.b, lab.c, lab.b):
        own = guest.mac()
        guest.ok(f"ip link set eth0 address {SPARE_MAC}")
        lab.a.ok("ip neighbour flush all")
        try:
            guest.wait_ping("10.3.0.1", slow(20))
            places.append(lab.fdb()[SPARE_MAC, 0]["port"])
        finally:
            guest.ok(f"ip link set eth0 address {own}")
            guest.wait_ping("10.3.0.1", slow(20))
    check(places == ["b", "c", "b"], f"the address was seen behind {places}")
    count = lab.bridge()["moved"] - moved
    check(count == 2, f"{count} moves counted")
    return "behind b, c, b; 2 moves counted"


@case("fdb: list and flush", needs=three)
def flush(lab):
    lab.configure()
    pings(lab.a, "10.3.0.2")
    macs = {guest.name: guest.mac() for guest in (lab.a, lab.b)}
    for name, mac in macs.items():
        entry = lab.fdb().get((mac, 0))
        check(entry and entry["port"] == name and entry["age_s"] <= 5, f"{mac} is behind {name}: {lab.fdb()}")
        check(lab.switch.port(name)["macs"] >= 1, f"{name} has learned nothing")
    # Quiet, so that what was flushed does not come back at once.
    settled(lambda: [port["from_vm"]["packets"] for port in lab.switch.ports().values()], slow(20))
    lab.switch.ctl("fdb", "flush", "--port", "a")
    left = {entry["port"] for entry in lab.fdb().values()}
    check("a" not in left and "b" in left, f"after a flush of port a: {left}")
    lab.switch.ctl("fdb", "flush")
    check(not lab.fdb(), f"after a flush of all: {lab.fdb()}")
    figure = pings(lab.a, "10.3.0.2")
    check((macs["a"], 0) in lab.fdb(), "not learned again")
    return f"flushed and learned again; {figure}"


@case("fdb: ageing", needs=three)
def ageing(lab):
    """What is silent is forgotten, what talks stays."""
    lab.configure(ageing="2s")
    aged = lab.bridge()["aged"]
    stream = Stream(lab.a, "10.3.0.2", 0.2)
    try:
        own = lab.c.mac()
        lab.c.ok(f"ip link set eth0 address {SPARE_MAC}")
        lab.c.wait_ping("10.3.0.1", slow(20))
        check((SPARE_MAC, 0) in lab.fdb(), "the address was not learned")
        start = time.monotonic()
        lab.c.ok(f"ip link set eth0 address {own}")
        wait_until(lambda: (SPARE_MAC, 0) not in lab.fdb(), slow(20),
                   lambda: f"{SPARE_MAC} to age: {lab.fdb()}")
        seconds = time.monotonic() - start
        check(seconds >= 1, f"forgotten after {seconds:.1f} s")
        check({(lab.a.mac(), 0), (lab.b.mac(), 0)} <= set(lab.fdb()),
              f"what talks was forgotten: {lab.fdb()}")
    except BaseException:
        stream.cancel()
        raise
    seen = stream.stop()
    check(not seen.lost, f"meanwhile {seen}")
    check(lab.bridge()["aged"] > aged, "not counted")
    lab.configure()
    return f"forgotten after {seconds:.1f} s with ageing: 2s"


# -- changes of the running switch

@case("live: adding, changing and removing ports disturbs no other", needs=three)
def changes(lab):
    lab.configure()
    reconnects = lab.switch.json("port", "show", "c")["reconnects"]
    stream = Stream(lab.a, "10.3.0.2", interval=0.01)
    steps = 0
    try:
        for turn in range(4):
            for words in (["add", "d", "vhost-user.socket=d.sock"], ["set", "d", "mtu=4000"],
                          ["set", "d", "vlan.access=30"], ["set", "c", f"mtu={1400 + turn}"],
                          ["set", "c", f"vlan.access={40 + turn}"], ["remove", "d"]):
                lab.switch.ctl("port", *words)
                steps += 1
        lab.switch.ctl("port", "remove", "c")
        lab.switch.ctl("port", "add", "c", "vhost-user.socket=c.sock")
        lab.switch.wait_port("c", "up", slow(20))
        stream.wait(slow(10), more=50)
    except BaseException:
        stream.cancel()
        raise
    seen = stream.stop()
    check(not seen.lost, f"{steps + 2} changes, {seen}")
    check(lab.switch.json("port", "show", "a")["reconnects"] == 0, "port a was connected again")
    check(reconnects == 0, f"port c was connected again by a live change: {reconnects}")
    pings(lab.c, "10.3.0.1")
    return f"{steps + 2} changes, {seen}"


@case("live: a new MTU is in force at once", needs=three)
def mtu(lab):
    lab.configure()
    pings(lab.a, "10.3.0.3", sizes=(1472,), fragment=False)
    lab.switch.ctl("port", "set", "c", "mtu=1400")
    lost = Drops(lab.switch)
    ping = lab.a.ping("10.3.0.3", count=3, size=1472, fragment=False)
    check(not ping.received, f"larger than the port's MTU:\n{ping.output}")
    check(lost.new().get(("c", "to-vm-mtu")) == 3, f"drops: {lost.new()}")
    pings(lab.a, "10.3.0.3", sizes=(1372,), fragment=False)
    return "3 frames of 1500 bytes dropped as to-vm-mtu"
