"""PCI network cards: weir-switchd inside a guest of ours drives an emulated e1000e through vfio and an
emulated IOMMU, and has the guest's own kernel behind a net_tap port. Another guest is at the other end of
the wire. Two more cards have what that one lacks, with interfaces of a namespace at their other end: a
vmxnet3 that inserts VLAN tags, and a virtio card with several queues and RSS."""
import contextlib
import glob
import json
import os
import re
import shutil
import socket
import struct
from dataclasses import dataclass

from cases import case, check, fixture, slow
from lab import ROOT, Failure, Guest, Workdir, image, wait_until
from lab.switch import LEVEL
from lab.wire import Namespaces, Tap
from traffic import pings, plain, send_file, settled
from weirvm.overlay import Overlay

CARD = "0000:01:00.0"
KIND = "8086 10d3"
DEVICE = {"id": "card", "netdev": "wire", "bus": "slot0", "mac": "52:54:00:00:66:01", "romfile": ""}
USER = 65534
TAP = "weir0"       # what the guest's kernel sees of the switch
ADDRESSES = {"box": ["10.6.0.1/24", "fd06::1/64"], "peer": ["10.6.0.2/24", "fd06::2/64"]}
CONFIG = {
    "switch": {"workers": [0, 1], "memory": "128MiB", "hugepages": "off"},
    "ports": {"uplink": {"dpdk": {"device": CARD}},
              "host": {"dpdk": {"device": f"net_tap0,iface={TAP}"}}},
}
MORE = {        # name: address, properties, queues; each alone behind its port of the bus
    "vmx": ("0000:02:00.0", "vmxnet3,mac=52:54:00:00:66:03", 1),
    # Behind an IOMMU a virtio card must be told that it is there.
    "wide": ("0000:03:00.0", "virtio-net-pci,mac=52:54:00:00:66:04,mq=on,vectors=6,rss=on,iommu_platform=on,"
                             "disable-legacy=on", 2),
}
PLUGINS = ("bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_tap", "net_virtio", "net_vmxnet3")
FORESEEN = re.compile(rf"port uplink: faulted: .*PCI device {CARD}")
# vfio looks for the first when it is used, and DPDK for both when it starts.
MODULES = "vfio_iommu_type1,vfio-pci,tun,sch_multiq"


def switch_image(folder):
    """The image with the switch in it, and those of DPDK's drivers that it uses here. Busybox' setpriv
    cannot change the user."""
    programs = os.path.join(ROOT, "build", os.environ.get("WEIR_PRESET", "release"), "bin")
    plugins, = glob.glob("/usr/lib/*/dpdk/pmds-*")
    overlay = Overlay(folder)
    for name in ("weir-switchd", "weirctl", "weir-load"):
        overlay.add_program(os.path.join(programs, name), f"/usr/bin/{name}")
    overlay.add_program(shutil.which("setpriv"), "/usr/bin/setpriv")
    for name in PLUGINS:
        overlay.add_program(os.path.join(plugins, f"librte_{name}.so"))
    return overlay.over(image())


class Inside:
    """The switch in the guest, as a user who may make a tap, and lock as much memory as the card uses."""

    def __init__(self, guest):
        self.guest = guest
        guest.ok(f"cat >/etc/weir.yaml <<'END'\n{json.dumps(CONFIG)}\nEND\n"
                 f"mkdir -p /run/weir && chown {USER} /run/weir && chmod 666 /dev/net/tun")
        self.job = guest.start_job(
            f"ulimit -l {160 << 10}; exec setpriv --reuid {USER} --regid {USER} --clear-groups "
            "--inh-caps -all,+net_admin --ambient-caps -all,+net_admin "
            "weir-switchd --config /etc/weir.yaml --run-dir /run/weir")
        ready = guest.sh("until weirctl status; do usleep 100000; done", slow(30))
        if ready.status:
            raise Failure(f"weir-switchd did not start in the guest:\n{self.log()}")

    def log(self):
        return self.job.output()

    def ctl(self, words, timeout=30):
        return self.guest.ok(f"weirctl {words}", timeout)

    def json(self, *words):
        return json.loads(self.ctl(f"-o json {' '.join(words)}"))

    def port(self, name):
        return self.json("port", "show", name)

    def wait_port(self, name, state, timeout=20):
        self.ctl(f"port wait {name} {state} --timeout {timeout}s", timeout + 10)

    def stop(self):
        """SIGTERM; its log must tell of nothing that was not foreseen."""
        status = self.job.stop("TERM", slow(15)).status
        check(status == 0, f"weir-switchd ended with {status} on SIGTERM; its log:\n{self.log()[-3000:]}")
        bad = [line for line in self.log().splitlines() if LEVEL.search(line) and not FORESEEN.search(line)]
        check(not bad, "weir-switchd logged what the test does not expect:\n" + "\n".join(bad))


@dataclass
class Lab:
    box: Guest
    peer: Guest
    switch: Inside
    faults: list
    spaces: Namespaces

    def both_ways(self):
        return ((self.box, ADDRESSES["peer"]), (self.peer, ADDRESSES["box"]))


def wire(work, here, there):
    """One end of the wire between two guests. Datagrams: either may be there first."""
    return ["-netdev", f"dgram,id=wire,local.type=unix,local.path={work.file(here)},"
                       f"remote.type=unix,remote.path={work.file(there)}"]


# What an udev rule does elsewhere.
OWN = f"until chown {USER} /dev/vfio/[0-9]*; do usleep 20000; done 2>/dev/null"


def faulted(switch, pattern):
    """What the card's port says, once it is `pattern`."""
    return wait_until(lambda: re.search(pattern, switch.port("uplink")["text"]), slow(20),
                      lambda: f"{pattern}: {switch.port('uplink')}")[0]


def bind(box, switch):
    """Gives the card to the switch, step by step; returns what each missing step was called."""
    said = [faulted(switch, f"{CARD} has no driver; bind it: .* vfio-pci")]
    # Each card of the kind, so that this one is bound again when it comes back.
    box.ok(f"echo {KIND} >/sys/bus/pci/drivers/vfio-pci/new_id")
    said.append(faulted(switch, "/dev/vfio/[0-9]+: Permission denied"))
    box.ok(OWN)
    for port in ("uplink", "host"):
        switch.wait_port(port, "up", slow(30))
    for address in ADDRESSES["box"]:
        box.add_ip(address, TAP)
    return said


def more_cards(spaces):
    """The words for QEMU, and the descriptors of their taps."""
    words, fds = [], []
    for slot, (name, (_, device, queues)) in enumerate(MORE.items(), 1):
        own = spaces.tap("far", name, queues)
        fds += own
        words += ["-device", f"pcie-root-port,id=slot{slot},chassis={slot + 1},slot={slot + 1}",
                  "-netdev", f"tap,id={name},fds={':'.join(map(str, own))}",
                  "-device", f"{device},netdev={name},bus=slot{slot},romfile="]
    return words, fds


@fixture(name="a switch in a guest, PCI cards and a peer")
def laboratory():
    with Workdir("weir-pci-") as work, contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("far"))
        words, fds = more_cards(spaces)
        # With an IOMMU the card uses the process' own addresses, so that neither huge pages are needed nor
        # the right to ask where memory lies.
        machine = ["-device", "intel-iommu", *wire(work, "box", "peer"),
                   "-device", "pcie-root-port,id=slot0,chassis=1,slot=1",
                   "-device", "e1000e," + ",".join(f"{key}={value}" for key, value in DEVICE.items()), *words]
        peer = stack.enter_context(Guest("peer", ip=ADDRESSES["peer"], extra=[
            *wire(work, "peer", "box"), "-device", "virtio-net-pci,netdev=wire,mac=52:54:00:00:66:02,romfile="]))
        box = stack.enter_context(Guest(
            "box", found=switch_image(work.sub("image")), cpus=2, megabytes=640, fds=fds,
            words=f"intel_iommu=on weir.modules={MODULES}", extra=machine))
        for fd in fds:
            os.close(fd)
        for guest in (box, peer):
            guest.wait_ready(slow(90))
        switch = Inside(box)
        try:
            yield Lab(box, peer, switch, bind(box, switch), spaces)
            switch.stop()
        except Exception as error:
            with contextlib.suppress(Failure):
                error.add_note(f"log of weir-switchd in the guest:\n{switch.log()[-4000:]}")
            raise


@case("PCI: bound to vfio while the switch runs", needs=laboratory)
def bound(lab):
    """What the card lacked was a fault that said what to do; doing it was enough."""
    return "; ".join(lab.faults)


@case("PCI: ping v4 and v6", needs=laboratory)
def ping_both(lab):
    figures = [pings(guest, plain(address), 3)
               for guest, addresses in lab.both_ways() for address in addresses]
    return "; ".join(figures)


@case("PCI: a file with the same checksum", needs=laboratory)
def files(lab):
    there = send_file(lab.box, lab.peer, plain(ADDRESSES["peer"][0]), 1)
    back = send_file(lab.peer, lab.box, plain(ADDRESSES["box"][1]), 1)
    return f"there {there}; back over v6 {back}"


@case("PCI: the link goes down and comes back", needs=laboratory)
def link(lab):
    """The card says so, the port's state does, and traffic flows again by itself."""
    lab.box.qmp.call("set_link", name="card", up=False)
    lab.switch.wait_port("uplink", "link-down", slow(20))
    said = lab.switch.port("uplink")["text"]
    lab.box.qmp.call("set_link", name="card", up=True)
    lab.switch.wait_port("uplink", "up", slow(20))
    return f"{said!r}, then {pings(lab.peer, plain(ADDRESSES['box'][0]))}"


@case("PCI: the card is pulled out and comes back", needs=laboratory)
def pulled(lab):
    """The kernel waits until the switch has let go of it; the port comes back by itself."""
    qmp = lab.box.qmp
    qmp.call("device_del", id="card")
    qmp.wait_event("DEVICE_DELETED", slow(20))
    # For a moment the kernel has a device without a driver.
    said = faulted(lab.switch, f"there is no PCI device {CARD}")
    qmp.call("device_add", driver="e1000e", **DEVICE)
    lab.box.ok(OWN, timeout=slow(20))
    lab.switch.wait_port("uplink", "up", slow(30))
    return f"{said}; then {pings(lab.peer, plain(ADDRESSES['box'][0]))}"


@case("PCI: the card and the switch count the same", needs=laboratory)
def statistics(lab):
    """In a quiet network the card's own registers and the port's counters grow alike."""
    def counts():
        port = lab.switch.port("uplink")
        card = port["statistics"]
        return ((port["from_vm"]["packets"], port["to_vm"]["packets"]),
                (card.get("rx_good_packets", 0), card.get("tx_good_packets", 0)))
    before = settled(counts, slow(20), 1.0)
    ping = lab.box.ping(plain(ADDRESSES["peer"][0]), count=20, interval=0.05, patience=10)
    after = settled(counts, slow(20), 1.0)
    ours, cards = ([new - old for old, new in zip(*pair)] for pair in zip(before, after))
    figure = f"received and sent: port {ours}, card {cards}"
    check(not ping.lost, f"{ping.lost} of 20 pings lost:\n{ping.output}")
    check(ours == cards and min(ours) >= 20, figure)
    drops = lab.switch.port("uplink")["drops"]
    return f"{figure}; {drops} drops"


# -- cards with more: VLAN tags, several queues

ETHER = "52:54:00:00:67:{:02x}"
ANYONE = "ff:ff:ff:ff:ff:ff"


def raw(to, source, kind, payload, tags=b""):
    addresses = bytes.fromhex((to + source).replace(":", ""))
    return (addresses + tags + struct.pack(">H", kind) + payload).ljust(60 + len(tags), b"\0")


@fixture(needs=laboratory, name="all cards")
def cards(lab):
    for name, (address, _, queues) in MORE.items():
        device = f"/sys/bus/pci/devices/{address}"
        lab.box.ok(f"[ ! -e {device}/driver ] || echo {address} >{device}/driver/unbind\n"
                   f"echo vfio-pci >{device}/driver_override && echo {address} >/sys/bus/pci/drivers_probe\n{OWN}")
        lab.switch.ctl(f"port add {name} dpdk.device={address} dpdk.queues={queues}")
    for name in MORE:
        lab.switch.wait_port(name, "up", slow(20))
    yield lab


def queues(lab):
    """Packets that have come on each queue of the card with several."""
    return [one["from_vm"]["packets"] for one in lab.switch.port("wide")["queue_list"]]


# What the driver gives the card for its hash, and the other queue for each other value of it.
RSS_KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")


def queue_of(frame):
    """Where RSS puts a datagram: by a sum of windows of the key, one for each bit of addresses and L4 ports."""
    key, words = int.from_bytes(RSS_KEY, "big"), int.from_bytes(frame[26:38], "big")
    hashed = 0
    for bit in range(96):
        if words >> 95 - bit & 1:
            hashed ^= key >> 320 - 32 - bit & 0xffffffff
    return hashed & 1


def flow(number, to):
    """A datagram of one of many flows, for nobody."""
    udp = struct.pack(">HHHH", 5000 + number * 7919 % 60000, 9, 26, 0) + bytes(18)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 46, 0, 0x4000, 64, 17, 0, b"\x0a\7\0\1", b"\x0a\7\0\2")
    total = sum(struct.unpack(">10H", ip))
    ip = ip[:10] + struct.pack(">H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + ip[12:]
    return raw(to, ETHER.format(1), 0x0800, ip + udp)


@case("PCI: RSS spreads flows over two queues, and each keeps to its own", needs=cards)
def spread(lab):
    """Each queue is polled by another worker."""
    flows, each = 64, 4
    with Tap(lab.spaces, "far", "wide") as tap:
        to = lab.box.mac(TAP)

        def send(frames):
            """How many more of them came on each queue."""
            before = settled(lambda: queues(lab), slow(20))
            for frame in frames:
                tap.put(frame)
            wait_until(lambda: sum(queues(lab)) >= sum(before) + len(frames), slow(20),
                       lambda: f"{len(frames)} frames; {before} became {queues(lab)}")
            return [new - old for old, new in zip(before, queues(lab))]
        workers = {one["worker_cpu"] for one in lab.switch.port("wide")["queue_list"]}
        check(workers == {0, 1}, f"the queues are polled by {workers}")
        frames = [flow(number % flows, to) for number in range(flows * each)]
        wanted = sum(map(queue_of, frames))
        spread_over = send(frames)
        check(spread_over == [len(frames) - wanted, wanted] and min(spread_over) >= flows,
              f"on the queues: {spread_over}, not {wanted} on the second")
        kept = []
        for queue in (0, 1, 0, 1):
            one = next(frame for frame in frames[len(kept):] if queue_of(frame) == queue)
            kept.append(send([one] * 20))
            check(kept[-1][queue] == 20 and sum(kept[-1]) == 20, f"20 frames of a flow came as {kept}")
    return f"{flows} flows of {each}: {spread_over}; four flows of 20: {kept}"


VM = "02:57:00:00:00:00"        # weir-load's first
TSO_FRAME = 65214


class Load:
    """weir-load in the box plays two VMs that take and give checksums and segments unfinished."""

    def __init__(self, lab):
        self.lab = lab
        self.box = lab.box
        self.box.ok("mkdir -p /tmp/load && : >/tmp/load/say")
        self.job = self.box.start_job("tail -n +1 -f /tmp/load/say | weir-load --cpu 1 --tso --mergeable --ring 128 "
                                      "--memory 128 /tmp/load/a /tmp/load/b")
        for name in "ab":       # it makes one when the one before it is connected
            made = self.box.sh(f"until chmod 666 /tmp/load/{name} 2>/dev/null; do usleep 100000; done", slow(30))
            check(not made.status, f"weir-load made no socket {name}:\n{self.job.output()}")
            lab.switch.ctl(f"port add {name} vhost-user.socket=/tmp/load/{name} vlan.access={31 + (name == 'b')}")
        self.count = 0
        self.answer()

    def answer(self):
        """Its next answer."""
        self.count += 1
        lines = f"grep -c '^{{' {self.job.base}.out"
        self.box.ok(f"until [ $({lines}) -ge {self.count} ]; do usleep 100000; done", slow(40))
        return json.loads([line for line in self.job.output().splitlines() if line.startswith("{")][self.count - 1])

    def say(self, **words):
        self.box.ok(f"echo '{json.dumps(words)}' >>/tmp/load/say")
        return self.answer()

    def close(self):
        for name in "ab":
            self.lab.switch.ctl(f"port remove {name}")
        self.job.stop("TERM")


@fixture(needs=cards, name="VMs beside the cards")
def offloads(lab):
    lab.load = Load(lab)
    yield lab
    lab.load.close()


@case("PCI: TSO of a card is used", needs=offloads)
def tso(lab):
    """What a VM gives in one piece leaves in one piece."""
    seen = {}
    lab.load.say(do="start", frame="tso", proto="tcp", rate=10)
    for name in MORE:
        with Tap(lab.spaces, "far", name) as tap:
            lab.switch.ctl(f"port set {name} vlan.access=31")
            whole = tap.got(lambda one: len(one) == TSO_FRAME, slow(10))
            lab.switch.ctl(f"port set {name} vlan.access=")
            seen[name] = (len(whole), lab.switch.port(name)["drop_reasons"], lab.switch.port(name)["statistics"])
    lab.load.say(do="stop")
    check(all(whole for whole, *_ in seen.values()), f"frames of {TSO_FRAME} bytes: {seen}")
    return f"frames of {TSO_FRAME} bytes leave whole: {', '.join(seen)}"


@case("PCI: what a card found right, a VM need not check", needs=offloads)
def checked(lab):
    """The kernel leaves the checksum to the card, and vmxnet3 then calls it right. Of raw frames it knows nothing."""
    spaces, count = lab.spaces, 20
    lab.switch.ctl("port set vmx vlan.access=31")
    spaces.address("far", "vmx", "10.7.0.9/24")
    spaces.ip("far", "neigh", "replace", "10.7.0.1", "lladdr", VM, "dev", "vmx", "nud", "permanent")
    lab.load.say(do="start", frame="tso", proto="tcp", rate=1)
    before = lab.load.say(do="mark")
    with spaces.inside("far"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(count):
            out.sendto(bytes(100), ("10.7.0.1", 9))
    with Tap(spaces, "far", "vmx") as tap:
        for _ in range(count):
            tap.put(flow(1, VM))
    wait_until(lambda: lab.switch.port("a")["to_vm"]["packets"] >= 2 * count, slow(20),
               lambda: f"{2 * count} frames at the VM: {lab.switch.port('a')}")
    after = lab.load.say(do="stop")
    lab.switch.ctl("port set vmx vlan.access=")
    spaces.ip("far", "addr", "flush", "dev", "vmx")
    check(after["checked"] == count, f"{after['checked']} of {count} came as checked; {before} {after}")
    return f"{count} of {count}, and none of {count} raw ones"


@fixture(needs=cards, name="a trunk")
def trunk(lab):
    """Both cards of trunks, the peer with interfaces of VLANs, all with a priority of 5."""
    lab.box.add_ip("10.6.10.1/24", TAP)
    lab.box.add_ip("fd06:10::1/64", TAP)
    for under, name, vlan, addresses in (("eth0", "v10", 10, ["10.6.10.2/24", "fd06:10::2/64"]),
                                         ("eth0", "v20", 20, ["10.6.20.2/24"]), ("v10", "inner", 77, ["10.6.77.2/24"])):
        lab.peer.ok(f"ip link add link {under} name {name} type vlan id {vlan} egress-qos-map 0:5 6:5 7:5")
        for address in addresses:
            lab.peer.add_ip(address, name)
    lab.spaces.address("far", "wide", "10.6.20.9/24")
    ports = {"uplink": "trunk=[10, 20]", "vmx": "trunk=[10, 20]", "host": "access=10", "wide": "access=20"}
    for port, vlan in ports.items():
        lab.switch.ctl(f"port set {port} 'vlan.{vlan}'")
    yield lab
    for port, vlan in ports.items():
        lab.switch.ctl(f"port set {port} vlan.{vlan.split('=')[0]}=")
    lab.peer.ok("ip link del v10 && ip link del v20")


def arp(source, asks, of):
    """A request of one address for another, without a tag; what makes one is its payload."""
    words = [bytes(map(int, address.split("."))) for address in (asks, of)]
    return struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, bytes.fromhex(source.replace(":", "")), words[0],
                       bytes(6), words[1])


def tag(tci, kind=0x8100):
    return struct.pack(">HH", kind, tci)


@case("PCI: VLAN access and trunk, a guest with VLAN interfaces", needs=trunk)
def vlans(lab):
    """The card of the trunk to the peer has its tags in the frames; VLAN 20 goes from one card to the other."""
    figures = [pings(guest, address) for guest, address in (
        (lab.box, "10.6.10.2"), (lab.box, "fd06:10::2"), (lab.peer, "10.6.10.1"))]
    lab.spaces.wait_ping("far", "10.6.20.2", slow(20))
    lost = lab.spaces.ping("far", "10.6.20.2", 3)
    check(not lost, f"{lost} pings from the card in VLAN 20 lost")
    figures.append(pings(lab.peer, "10.6.20.9"))
    other = lab.box.sh("ping -n -c 1 -W 2 10.6.20.2")
    check(other.status, f"VLAN 10 reaches VLAN 20:\n{other.output}")
    return "; ".join(figures)


@case("PCI: a card inserts VLAN tags, the priority and inner tags stay", needs=trunk)
def inserted(lab):
    me = ETHER.format(2)
    with Tap(lab.spaces, "far", "vmx") as tap:
        def expect(what, start, source=None):
            got = tap.got(lambda one: one[12:].startswith(start) and (not source or one[6:12] == source), slow(10))
            check(got, f"{what}: no frame with {start.hex()} came")
            return got[0]
        # From an access port as it came, in its buffer; the address is known by then.
        tap.put(raw(ANYONE, me, 0x0806, arp(me, "10.6.10.9", "10.6.10.1"), tag(0x600a)))
        answer = expect("the answer of VLAN 10", tag(10) + b"\x08\x06")
        check(answer[:6].hex(":") == me, f"it is for {answer[:6].hex(':')}")
        # A flood from an access port: copied, and each trunk's tag in its own way.
        lab.box.sh("ping -n -c 1 -W 1 10.6.10.99")
        expect("a flood of VLAN 10", tag(10) + b"\x08\x06", bytes.fromhex(lab.box.mac(TAP).replace(":", "")))
        # From a trunk to two trunks and an access port.
        lab.peer.sh("ping -n -c 1 -W 1 10.6.10.98")
        expect("a flood of VLAN 10 with priority", tag(0xa00a) + b"\x08\x06")
        tap.put(raw(ANYONE, me, 0x0806, arp(me, "10.6.20.8", "10.6.20.2"), tag(20)))
        expect("the answer of VLAN 20", tag(0xa014) + b"\x08\x06")
        # The peer's inner tag has a priority too.
        tap.put(raw(ANYONE, me, 0x0806, arp(me, "10.6.77.9", "10.6.77.2"), tag(10) + tag(77)))
        expect("the answer with two tags", tag(0xa00a) + tag(0xa04d) + b"\x08\x06")
        tap.put(raw(ANYONE, me, 0x88b5, b"nowhere", tag(30)))
    wait_until(lambda: lab.switch.port("vmx")["drop_reasons"].get("vlan-not-member"), slow(10),
               lambda: f"VLAN 30 to be dropped: {lab.switch.port('vmx')['drop_reasons']}")
    return "access to trunk, flood, trunk to trunk, QinQ; VLAN 30 dropped"
