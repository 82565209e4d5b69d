"""PCI network cards: weir-switchd inside a guest of ours drives an emulated e1000e through vfio and an
emulated IOMMU, and has the guest's own kernel behind a net_tap port. Another guest is at the other end of
the wire. Two more cards lie beside it, with interfaces of a namespace at their other end (pci_cards.py)."""
import contextlib
import glob
import json
import os
import re
import shutil
from dataclasses import dataclass

from cases import case, check, fixture, slow
from lab import ROOT, Failure, Guest, Workdir, image, wait_until
from lab.switch import LEVEL
from lab.wire import Namespaces
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
            guest.wait_ready(slow(140))
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
