"""PCI cards with what the first one (pci.py) lacks, in the same guest: a vmxnet3 that inserts VLAN tags and
checks checksums, and a virtio card with several queues, RSS and TSO. A namespace has their other ends."""
import json
import socket
import struct

from cases import case, check, fixture, slow
from lab import wait_until
from lab.wire import Tap
from pci import MORE, OWN, TAP, laboratory
from traffic import pings, settled

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
    load = Load(lab)
    yield load
    load.close()


@case("PCI: TSO of a card is used", needs=offloads)
def tso(load):
    """What a VM gives in one piece leaves in one piece."""
    lab, seen = load.lab, {}
    load.say(do="start", frame="tso", proto="tcp", rate=10)
    for name in MORE:
        with Tap(lab.spaces, "far", name) as tap:
            lab.switch.ctl(f"port set {name} vlan.access=31")
            whole = tap.got(lambda one: len(one) == TSO_FRAME, slow(10))
            lab.switch.ctl(f"port set {name} vlan.access=")
            seen[name] = (len(whole), lab.switch.port(name)["drop_reasons"], lab.switch.port(name)["statistics"])
    load.say(do="stop")
    check(all(whole for whole, *_ in seen.values()), f"frames of {TSO_FRAME} bytes: {seen}")
    return f"frames of {TSO_FRAME} bytes leave whole: {', '.join(seen)}"


@case("PCI: what a card found right, a VM need not check", needs=offloads)
def checked(load):
    """The kernel leaves the checksum to the card, and vmxnet3 then calls it right. Of raw frames it knows nothing."""
    lab, spaces, count = load.lab, load.lab.spaces, 20
    lab.switch.ctl("port set vmx vlan.access=31")
    spaces.address("far", "vmx", "10.7.0.9/24")
    spaces.ip("far", "neigh", "replace", "10.7.0.1", "lladdr", VM, "dev", "vmx", "nud", "permanent")
    load.say(do="start", frame="tso", proto="tcp", rate=1)
    with spaces.inside("far"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(count):
            out.sendto(bytes(100), ("10.7.0.1", 9))
    with Tap(spaces, "far", "vmx") as tap:
        for _ in range(count):
            tap.put(flow(1, VM))
    wait_until(lambda: lab.switch.port("a")["to_vm"]["packets"] >= 2 * count, slow(20),
               lambda: f"{2 * count} frames at the VM: {lab.switch.port('a')}")
    after = load.say(do="stop")
    lab.switch.ctl("port set vmx vlan.access=")
    spaces.ip("far", "addr", "flush", "dev", "vmx")
    check(after["checked"] == count, f"{after['checked']} of {count} came as checked: {after}")
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
