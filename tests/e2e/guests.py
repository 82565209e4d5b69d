"""Pairs of guests: each variant of a card against a peer in the default configuration."""
import itertools
import re
import time
from dataclasses import dataclass, field
from typing import Callable

from cases import BOTH, RELEASE, case, check, fixture, slow
from lab import Guest, Nic, Switch, wait_until
from traffic import (Drops, iperf, iperf_both, iperf_udp, pings, plain, send_file, settled, too_large,
                     traffic)

USER = "nobody"     # any unprivileged user

# What a default card negotiates; a variant is told from it by what it lacks.
GUEST_OFFLOADS = {"GUEST_CSUM", "GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN"}
HOST_OFFLOADS = {"CSUM", "HOST_TSO4", "HOST_TSO6", "HOST_ECN"}
DEFAULT = GUEST_OFFLOADS | HOST_OFFLOADS | {"MRG_RXBUF", "STATUS", "INDIRECT_DESC", "EVENT_IDX", "VERSION_1"}
NEVER = {"RING_PACKED", "IN_ORDER", "ACCESS_PLATFORM"}
OFF = {"guest": "guest_csum guest_tso4 guest_tso6 guest_ecn guest_ufo",
       "host": "csum gso host_tso4 host_tso6 host_ecn host_ufo"}

# no-receiver: a guest's first words (neighbour and router discovery) while it is alone.
# to-vm-ring-full: iperf3 sends faster than an emulated guest receives.
# queue-disabled: sent on a queue pair just enabled, before the switch was told.
EXPLAINED = ("no-receiver", "to-vm-ring-full")

_numbers = itertools.count()


def off(*names):
    """Properties of a virtio-net device that are switched off."""
    return {name: "off" for word in names for name in OFF.get(word, word).split()}


@dataclass
class Variant:
    name: str
    lacks: set = field(default_factory=set)     # of DEFAULT
    has: set = field(default_factory=set)       # beyond DEFAULT
    options: dict = field(default_factory=dict)
    queues: int = 1
    listens: str = "vmm"
    tune: Callable = None                       # done in the guest before all else
    presets: tuple = RELEASE


@dataclass
class Pair:
    """A guest of a variant and its peer; `one` is the variant."""
    switch: Switch
    one: Guest
    two: Guest
    port: str
    peer_port: str
    variant: Variant
    drops: Drops

    def address(self, guest, version=4):
        return plain(guest.addresses[0 if version == 4 else 1])


def start_guest(switch, name, listens=None, queues=1, mtu=1500, options=None, **how):
    """Adds a port and starts its guest, without waiting for it."""
    keys = {"mtu": mtu} if mtu != 1500 else {}
    if queues > 1:
        keys["vhost_user__queues"] = queues
    switch.add_port(name, listens, **keys)
    nic = Nic(switch.socket(name), listens or "vmm", queues=queues, mtu=mtu if mtu != 1500 else 0,
              options=options or {})
    number = 10 + next(_numbers) % 240
    addresses = [f"10.1.0.{number}/24", f"fd01::{number}/64"]
    guest = Guest(name, [nic], ip=addresses, cpus=queues, mtu=mtu if mtu != 1500 else None, **how)
    guest.addresses = addresses
    return guest


@fixture(name="a switch and a peer")
def base():
    """The switch and the peer of all variants; the peer goes on booting while the variant's guest does."""
    with Switch({"switch": {"hugepages": "off"}}, user=USER) as switch, start_guest(switch, "peer") as peer:
        yield switch, peer


def wait_running(switch, port, count):
    """Wait until so many queue pairs run. The VMM tells the guest that it is done when it has told the
    switch, not when that has acted; what is sent in between is discarded, as virtio wants it."""
    def running():
        return [one["running"] for one in switch.json("port", "show", port)["queue_list"]]
    switch.wait_port(port, "up", slow(20))
    wait_until(lambda: running() == [number < count for number in range(len(running()))], slow(10),
               lambda: f"{count} running queues of {port}: {running()}")


def variant_fixture(variant):
    def make(net):
        switch, peer = net
        port = re.sub(r"[^a-z0-9]+", "-", variant.name)[:24]
        with start_guest(switch, port, variant.listens, variant.queues, options=variant.options) as guest:
            before = Drops(switch)
            for one in (peer, guest):
                one.wait_ready(slow(60))
            if peer.sh("pidof iperf3").status:
                peer.iperf3_server()
            wait_running(switch, port, variant.queues)
            if variant.tune:
                variant.tune(guest)
            yield Pair(switch, guest, peer, port, "peer", variant, before)
        switch.ctl("port", "remove", port)
    return fixture(base, f"guest: {variant.name}")(make)


# -- what is shown of each pair

def negotiated(pair):
    """The variant is one: read inside the guest, and the switch says the same."""
    variant = pair.variant
    features = pair.one.features()
    check(not features & NEVER, f"negotiated though not implemented: {sorted(features & NEVER)}")
    missing = (DEFAULT - variant.lacks | variant.has) - features
    check(not missing, f"not negotiated: {sorted(missing)}")
    check(not features & variant.lacks, f"negotiated all the same: {sorted(features & variant.lacks)}")
    said = {name.upper() for name in pair.switch.port(pair.port)["feature_names"]}
    # The link's status is a matter between QEMU and the guest.
    wanted = DEFAULT - {"STATUS"}
    check(wanted & said == wanted & features,
          f"guest and switch disagree: {sorted((wanted & said) ^ (wanted & features))}")
    return f"without {', '.join(sorted(variant.lacks))}" if variant.lacks else "all offloads"


def ping_both(pair):
    figures = []
    for version, largest in ((4, 1472), (6, 1452)):
        for guest, other in ((pair.one, pair.two), (pair.two, pair.one)):
            address = pair.address(other, version)
            figures.append(pings(guest, address, 3, (None, largest), fragment=False))
        # In pieces, so that fragments are seen.
        pings(pair.one, pair.address(pair.two, version), 2, (4000,))
    too_large(pair.one, pair.address(pair.two), 1473)
    return f"v4 {figures[0]}; v6 {figures[2]}"


def streams(pair, words=""):
    figures = []
    for version in (4, 6):
        figures.append(f"TCP v{version} {iperf_both(pair.one, pair.address(pair.two, version), words=words)}")
    figures.append(f"UDP {iperf_udp(pair.one, pair.address(pair.two))}")
    wrong = [f"{guest.name}: {count}" for guest in (pair.one, pair.two) if (count := checksum_errors(guest))]
    check(not wrong, f"checksum errors: {', '.join(wrong)}")
    return "; ".join(figures)


def checksum_errors(guest):
    """TCP and UDP packets that the guest's kernel found to be damaged."""
    lines = guest.ok("cat /proc/net/snmp /proc/net/snmp6").splitlines()
    errors = sum(int(line.split()[1]) for line in lines if re.match(r"(Udp6|Ip6)InCsumErrors", line))
    for names, values in zip(lines, lines[1:]):
        if re.match(r"(Tcp|Udp): [A-Z]", names):
            errors += int(dict(zip(names.split(), values.split())).get("InCsumErrors", 0))
    return errors


def files(pair):
    there = send_file(pair.one, pair.two, pair.address(pair.two))
    back = send_file(pair.two, pair.one, pair.address(pair.one, 6))
    return f"there {there}; back over v6 {back}"


def dropped(pair):
    return pair.drops.only(*EXPLAINED, *(["queue-disabled"] if pair.variant.queues > 1 else []))


# -- what is special in one variant

def ethtool_off(guest):
    guest.set_offloads(tx=False, tso=False, gso=False, gro=False, rx=False)


def software_off(pair):
    """The driver has the offload and does not use it: every frame comes whole and summed."""
    now = pair.one.offloads()
    on = [name for name in ("tx-checksumming", "tcp-segmentation-offload", "generic-segmentation-offload",
                            "generic-receive-offload") if now[name]]
    check(not on, f"still on: {on}")
    return "tx, tso, gso, gro off"


def cut(pair):
    """The peer's TSO frames are cut for a receiver without TSO: more leave the switch than enter it."""
    def counts():
        return traffic(pair.switch, pair.peer_port, "from_vm"), traffic(pair.switch, pair.port, "to_vm")
    figures = []
    for version in (4, 6):
        before = settled(counts)
        rate = iperf(pair.one, pair.address(pair.two, version), "-t 1 -R")
        after = settled(counts)
        entered, left = after[0] - before[0], after[1] - before[1]
        check(left > 2 * entered, f"v{version}: {entered} frames entered, {left} left: nothing was cut")
        figures.append(f"v{version} {entered} into {left} at {rate:.0f} Mbit/s")
    return "; ".join(figures)


def queue_counts(pair):
    """(from-vm packets, to-vm packets) of each queue pair."""
    return [(one["from_vm"]["packets"], one["to_vm"]["packets"])
            for one in pair.switch.json("port", "show", pair.port)["queue_list"]]


def queues_in_use(count):
    def show(pair):
        """As many as the guest enabled run, and several flows are spread over them."""
        pair.one.set_queues(count)
        used, offered = pair.one.queues()
        check((used, offered) == (count, pair.variant.queues), f"the guest uses {used} of {offered} queues")
        wait_running(pair.switch, pair.port, count)
        before = settled(lambda: queue_counts(pair))
        there = iperf(pair.one, pair.address(pair.two), f"-t 1 -P {2 * count}")
        back = iperf(pair.one, pair.address(pair.two), f"-t 1 -P {2 * count} -R")
        after = settled(lambda: queue_counts(pair))
        moved = [(new[0] - old[0], new[1] - old[1]) for old, new in zip(before, after)]
        check(not any(one[0] or one[1] for one in moved[count:]), f"traffic on a queue that is off: {moved}")
        for direction, name in ((0, "from-vm"), (1, "to-vm")):
            busy = sum(one[direction] > 20 for one in moved[:count])
            check(busy >= 2, f"{name}: only {busy} queues moved anything: {moved}")
        return f"{there:.0f} and {back:.0f} Mbit/s; packets {', '.join(f'{a}/{b}' for a, b in moved)}"
    return show


def counters(pair):
    """In a quiet network nothing gets lost between the counters."""
    def counts():
        return tuple(traffic(pair.switch, port, way) for port in (pair.port, pair.peer_port)
                     for way in ("from_vm", "to_vm"))
    before, lost = settled(counts, slow(20)), Drops(pair.switch)
    pair.one.ping(pair.address(pair.two), count=50, interval=0.02)
    after = settled(counts, slow(20))
    one_out, one_in, two_out, two_in = (new - old for old, new in zip(before, after))
    new = lost.new()

    def at(port):
        return sum(count for (name, _), count in new.items() if name == port)
    figure = (f"{pair.port} sent {one_out}, {pair.peer_port} got {two_in}; "
              f"{pair.peer_port} sent {two_out}, {pair.port} got {one_in}; drops {new or 'none'}")
    check(one_out == two_in + at(pair.peer_port) and two_out == one_in + at(pair.port), figure)
    check(50 <= one_out <= 80 and 50 <= two_out <= 80, f"not the 50 pings alone: {figure}")
    return figure


def idle(pair):
    """Quiet guests cost the switch next to nothing, and the first packet wakes it."""
    settled(lambda: [port["from_vm"]["packets"] for port in pair.switch.ports().values()], slow(20))
    workers = len(pair.switch.json("status")["workers"])
    start, used = time.monotonic(), pair.switch.cpu_seconds()
    # Not a wait for something: five seconds are what is measured.
    time.sleep(5)
    share = (pair.switch.cpu_seconds() - used) / (time.monotonic() - start) * 100 / workers
    ping = pair.one.ping(pair.address(pair.two), count=1, patience=5)
    check(not ping.lost, f"the first packet after idle got lost:\n{ping.output}")
    check(share <= 5, f"{share:.1f} % of a CPU for each worker")
    first = re.search(r"time=([\d.]+)", ping.output)
    return f"{share:.1f} % of a CPU, first ping {first[1]} ms"


# -- the table

VARIANTS = [
    Variant("smoke", presets=BOTH),
    Variant("ethtool -K off", tune=ethtool_off),
    Variant("mrg_rxbuf=off", lacks={"MRG_RXBUF"}, options=off("mrg_rxbuf"), presets=BOTH),
    Variant("indirect_desc=off", lacks={"INDIRECT_DESC"}, options=off("indirect_desc")),
    Variant("event_idx=off", lacks={"EVENT_IDX"}, options=off("event_idx")),
    Variant("guest offloads off", lacks=GUEST_OFFLOADS, options=off("guest"), presets=BOTH),
    Variant("guest TSO off", lacks=GUEST_OFFLOADS - {"GUEST_CSUM"},
            options=off("guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo")),
    Variant("host offloads off", lacks=HOST_OFFLOADS, options=off("host")),
    Variant("small buffers, no offloads",
            lacks=GUEST_OFFLOADS | HOST_OFFLOADS | {"MRG_RXBUF", "INDIRECT_DESC"},
            options=off("guest", "host", "mrg_rxbuf", "indirect_desc")),
    Variant("4 queues", has={"MQ"}, queues=4),
    Variant("switch listens", listens="switch"),
]
COMMON = {
    "negotiated features": negotiated,
    "ping v4 and v6": ping_both,
    "TCP and UDP both ways": streams,
    "a file with the same checksum": files,
}
SPECIAL = {
    "smoke": {"counters agree": counters, "idle costs nothing": idle},
    "ethtool -K off": {"offloads are off": software_off},
    "guest offloads off": {"TSO frames are cut": cut},
    "guest TSO off": {"TSO frames are cut": cut},
    "small buffers, no offloads": {"TSO frames are cut": cut},
    "4 queues": {"two of four in use": queues_in_use(2), "four in use": queues_in_use(4)},
}
for _variant in VARIANTS:
    _pair = variant_fixture(_variant)
    for _what, _show in {**COMMON, **SPECIAL.get(_variant.name, {}), "drops have reasons": dropped}.items():
        # Time means nothing under a sanitizer.
        _presets = RELEASE if _show is idle else _variant.presets
        case(f"{_variant.name}: {_what}", needs=_pair, presets=_presets)(_show)


# -- MTU 9000: both guests

@fixture(base, "two guests with MTU 9000")
def jumbo(net):
    switch, peer = net
    with start_guest(switch, "jumbo1", mtu=9000) as one, start_guest(switch, "jumbo2", mtu=9000) as two:
        before = Drops(switch)
        for guest in (peer, one, two):
            guest.wait_ready(slow(60))
        if peer.sh("pidof iperf3").status:
            peer.iperf3_server()
        two.iperf3_server()
        for port in ("jumbo1", "jumbo2"):
            switch.wait_port(port, "up", slow(20))
        pair = Pair(switch, one, two, "jumbo1", "jumbo2", Variant("MTU 9000", has={"MTU"}), before)
        pair.peer = peer
        yield pair
    for port in ("jumbo1", "jumbo2"):
        switch.ctl("port", "remove", port)


@case("MTU 9000: negotiated features", needs=jumbo)
def jumbo_negotiated(pair):
    for guest in (pair.one, pair.two):
        mtu = guest.ok("cat /sys/class/net/eth0/mtu").strip()
        check(mtu == "9000", f"{guest.name} has MTU {mtu}")
    return negotiated(pair)


@case("MTU 9000: ping v4 and v6", needs=jumbo)
def jumbo_ping(pair):
    figures = []
    for version, largest in ((4, 8972), (6, 8952)):
        for guest, other in ((pair.one, pair.two), (pair.two, pair.one)):
            figures.append(pings(guest, pair.address(other, version), 3, (None, largest), fragment=False))
    too_large(pair.one, pair.address(pair.two), 8973)
    return f"v4 {figures[0]}; v6 {figures[2]}"


case("MTU 9000: TCP and UDP both ways", needs=jumbo)(streams)
case("MTU 9000: a file with the same checksum", needs=jumbo)(files)


@case("MTU 9000: frames without offloads", needs=jumbo)
def jumbo_frames(pair):
    """Without TSO the guest itself sends frames of 9000 bytes."""
    pair.one.set_offloads(tx=False, tso=False, gso=False, gro=False)
    before = pair.switch.port(pair.port)["from_vm"]
    rate = iperf(pair.one, pair.address(pair.two), "-t 1")
    after = pair.switch.port(pair.port)["from_vm"]
    size = (after["bytes"] - before["bytes"]) / (after["packets"] - before["packets"])
    check(1514 < size <= 9014, f"frames have {size:.0f} bytes on average")
    return f"{rate:.0f} Mbit/s in frames of {size:.0f} bytes on average"


case("MTU 9000: drops have reasons", needs=jumbo)(dropped)


@case("MTU 9000: too large for a port with MTU 1500", needs=jumbo)
def jumbo_to_small(pair):
    """What the receiving port's MTU forbids is a named drop; TCP agrees on less and gets through."""
    address = plain(pair.peer.addresses[0])
    pings(pair.one, address)
    lost = Drops(pair.switch)
    ping = pair.one.ping(address, count=3, size=8972, fragment=False)
    check(ping.lost == 3, f"large pings passed a port with MTU 1500:\n{ping.output}")
    new = lost.new()
    check(new.get(("peer", "to-vm-mtu")) == 3, f"3 large pings dropped as {new}")
    return f"3 pings dropped as to-vm-mtu; TCP {iperf_both(pair.one, address)}"
