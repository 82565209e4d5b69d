"""Guests that libvirt plugs in by the XML that weirctl prints: traffic, hot plug, and whatever ends and comes
back. One private libvirtd and one unprivileged switch for all of them."""
import os
import pwd
import re
import signal
import time
from dataclasses import dataclass

from cases import case, check, fixture, slow
from lab import Libvirt, Switch, wait_until
from traffic import Drops, Transfer, gap, iperf_both, iperf_udp, pings, plain, send_file
from weirvm.libvirt import QEMU_USER

USER = "nobody"
# Each mode has one guest, so that all traffic passes both; the third port of each mode is for hot plug.
PORTS = {"vm1": "vmm", "vm2": "switch", "hot1": "vmm", "hot2": "switch"}
ADDRESSES = {"vm1": ["10.4.0.1/24", "fd04::1/64"], "vm2": ["10.4.0.2/24", "fd04::2/64"]}

# Seconds until traffic flows, about ten times what was seen.
REBOOT = 60
RESTART = 20


@dataclass
class Lab:
    switch: Switch
    libvirt: Libvirt
    guests: dict    # by port

    def address(self, port, version=4):
        return plain(ADDRESSES[port][0 if version == 4 else 1])

    def start(self, port, name=None):
        """A domain with the port's XML, as printed; it boots meanwhile."""
        memory, card = self.switch.libvirt_xml(port)
        self.guests[port] = self.libvirt.guest(name or port, [card], memory=memory, ip=ADDRESSES[port])

    def wait(self, *ports):
        for port in ports:
            self.guests[port].wait_ready(slow(90))
            self.switch.wait_port(port, "up", slow(20))

    def plugged(self, guest, port):
        """libvirt's XML of the card that uses the port's socket; None: there is none."""
        xml = self.libvirt.virsh("dumpxml", guest.domain).stdout
        cards = re.findall(r"<interface type='vhostuser'>.*?</interface>", xml, re.S)
        return next((card for card in cards if f"path='{self.switch.socket(port)}'" in card), None)

    def listing(self, port):
        return self.switch.json("port", "show", port)


@fixture(name="two domains")
def two():
    ports = {name: {"vhost-user": {"socket": f"{name}.sock", "listens": listens}}
             for name, listens in PORTS.items()}
    # From a file: a switch that is started again has its ports from there.
    with Switch({"switch": {"hugepages": "off"}, "ports": ports}, user=USER) as switch, \
            Libvirt(private=True) as libvirt:
        lab = Lab(switch, libvirt, {})
        for port in ADDRESSES:
            lab.start(port)
        lab.wait(*ADDRESSES)
        lab.guests["vm2"].iperf3_server()
        yield lab


# -- traffic

@case("libvirt: the XML of `weirctl port libvirt`", needs=two)
def printed(lab):
    """It is nothing but the two elements, and the domain has what they say."""
    figures = []
    for port, listens in PORTS.items():
        text = lab.switch.ctl("port", "libvirt", port)
        memory, card = lab.switch.libvirt_xml(port)
        check(text.strip() == f"{memory}\n{card}", f"there is more to it than two elements:\n{text}")
        if port not in lab.guests:
            continue
        guest = lab.guests[port]
        mode = {"vmm": "server", "switch": "client"}[listens]
        now = lab.plugged(guest, port)
        check(now and f"mode='{mode}'" in now, f"{port}: {now}")
        check(("<reconnect enabled='yes'" in now) == (mode == "client"), f"{port}: {now}")
        owner = pwd.getpwuid(os.stat(f"/proc/{guest.pid}").st_uid).pw_name
        check(owner == QEMU_USER, f"QEMU runs as {owner}")
        check(lab.listing(port)["peer_pid"] == guest.pid, f"{port}: QEMU is {guest.pid}: {lab.listing(port)}")
        figures.append(f"{port} mode {mode}, QEMU of {owner}")
    return f"{lab.libvirt.version()}; {'; '.join(figures)}"


@case("libvirt: ping v4 and v6", needs=two)
def ping(lab):
    figures = []
    for one, other in (("vm1", "vm2"), ("vm2", "vm1")):
        for version in (4, 6):
            figures.append(pings(lab.guests[one], lab.address(other, version)))
    return "; ".join(figures)


@case("libvirt: TCP and UDP both ways", needs=two)
def streams(lab):
    one, address = lab.guests["vm1"], lab.address("vm2")
    lost = Drops(lab.switch)
    figure = f"TCP {iperf_both(one, address)}; UDP {iperf_udp(one, address)}"
    # An emulated guest may receive slower than another one sends.
    return f"{figure}; drops {lost.only('to-vm-ring-full')}"


@case("libvirt: a file with the same checksum", needs=two)
def files(lab):
    one, two = lab.guests["vm1"], lab.guests["vm2"]
    there = send_file(one, two, lab.address("vm2"), megabytes=8)
    back = send_file(two, one, lab.address("vm1", 6), megabytes=8)
    return f"there {there}; back over v6 {back}"


# -- hot plug

def hot_plug(port, guest_port, subnet, times):
    def show(lab):
        """attach-device and detach-device, once or again: what was detached can come back."""
        guest = lab.guests[guest_port]
        other = "vm2" if guest_port == "vm1" else "vm1"
        lab.guests[other].add_ip(f"10.4.{subnet}.2/24")
        figures = []
        for _ in range(times):
            check(lab.listing(port)["text"] == "waiting for the VMM", lab.listing(port)["text"])
            start = time.monotonic()
            guest.attach(lab.switch.libvirt_xml(port)[1])
            nic = wait_until(lambda: new_nic(guest), slow(20), f"a second card in {guest.name}")
            lab.switch.wait_port(port, "up", slow(20))
            attached = time.monotonic() - start
            guest.add_ip(f"10.4.{subnet}.1/24", nic)
            # A card that comes again has another MAC, and ARP believes in the old one for half a minute.
            lab.guests[other].ok("ip neigh flush all")
            pings(lab.guests[other], f"10.4.{subnet}.1")
            check(lab.listing(port)["from_vm"]["packets"], f"nothing came through {port}")
            start = time.monotonic()
            guest.detach(lab.plugged(guest, port))
            lab.switch.wait_port(port, "waiting for the VMM", slow(20))
            wait_until(lambda: not lab.plugged(guest, port), slow(20), "libvirt to forget the card")
            wait_until(lambda: not new_nic(guest), slow(20), f"the card to leave {guest.name}")
            figures.append(f"attached {attached:.1f} s, detached {time.monotonic() - start:.1f} s")
        # The card that stayed has not noticed.
        pings(lab.guests[other], lab.address(guest_port))
        return "; ".join(figures)
    return show


def new_nic(guest):
    """The guest's name of the card that is not its first one."""
    names = guest.ok("ls /sys/class/net").split()
    return next((name for name in names if name.startswith("eth") and name != "eth0"), None)


case("libvirt: attach-device and detach-device, the VMM listens", needs=two)(hot_plug("hot1", "vm1", 1, 2))
case("libvirt: attach-device and detach-device, the switch listens", needs=two)(hot_plug("hot2", "vm2", 2, 1))


# -- what ends and comes back

@case("libvirt: guests reboot", needs=two)
def reboot(lab):
    figures = []
    for port, other in (("vm1", "vm2"), ("vm2", "vm1")):
        figure = gap(lab.guests[other], lab.address(port), lambda: lab.guests[port].reboot(slow(60)),
                         REBOOT, lambda: lab.wait(port))
        pings(lab.guests[other], lab.address(port, 6), 1)
        figures.append(f"{port}, {PORTS[port]} listens: {figure}")
    return "; ".join(figures)


@case("libvirt: SIGTERM of the switch", needs=two)
def stopped(lab):
    def restart():
        lab.switch.stop()
        lab.switch.start()
    return gap(lab.guests["vm1"], lab.address("vm2"), restart, RESTART, lambda: lab.wait("vm1", "vm2"))


@case("libvirt: kill -9 of the switch", needs=two)
def killed(lab):
    """Traffic flows again by itself, and a transfer that was under way arrives whole."""
    def restart():
        check(transfer.running(), "the transfer was over too soon")
        lab.switch.kill()
        lab.switch.start()
    one, two = lab.guests["vm1"], lab.guests["vm2"]
    transfer = Transfer(two, one, lab.address("vm1"), times=12)
    try:
        figure = gap(one, lab.address("vm2"), restart, RESTART, lambda: lab.wait("vm1", "vm2"))
    except BaseException:
        transfer.cancel()
        raise
    pings(one, lab.address("vm2", 6), 1)
    return f"{figure}; {transfer.finish(90)} across it"


@case("libvirt: kill -9 of QEMU, another domain takes the socket", needs=two)
def taken_over(lab):
    """Both at once; of each mode."""
    figures = []
    for port in ADDRESSES:
        guest = lab.guests.pop(port)
        start = time.monotonic()
        os.kill(guest.pid, signal.SIGKILL)
        lab.switch.wait_port(port, "waiting for the VMM", slow(10))
        figures.append(f"{port} told in {time.monotonic() - start:.2f} s")
        wait_until(lambda: not guest.running(), slow(10), "libvirt to see that QEMU is gone")
        guest.close()
        lab.start(port, f"{port}-again")
    start = time.monotonic()
    lab.wait(*ADDRESSES)
    figures.append(f"other domains are up {time.monotonic() - start:.1f} s later")
    for version in (4, 6):
        pings(lab.guests["vm1"], lab.address("vm2", version))
    lab.guests["vm2"].iperf3_server()
    figures.append(f"TCP {iperf_both(lab.guests['vm1'], lab.address('vm2'))}")
    return "; ".join(figures)


@case("libvirt: a domain without <memoryBacking>", needs=two)
def without_memory(lab):
    """What the XML's first element is for: its port says so, and the others do not notice."""
    with lab.libvirt.guest("bare", [lab.switch.libvirt_xml("hot1")[1]], memory="ram") as guest:
        start = time.monotonic()
        lab.switch.wait_port("hot1", "memory not shared", slow(60))
        said = time.monotonic() - start
        port = lab.listing("hot1")
        check("add <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking> to the domain"
              in port["mend"], port["mend"])
        guest.wait_ready(slow(90))
        check(lab.listing("hot1")["text"] == "memory not shared", lab.listing("hot1")["text"])
        pings(lab.guests["vm1"], lab.address("vm2"))
    lab.switch.wait_port("hot1", "waiting for the VMM", slow(10))
    return f"told {said:.1f} s behind libvirt's start, most of which is the boot"
