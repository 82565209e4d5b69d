"""NIC ports: guests and raw front-ends beside what stands at the other end of a veth."""
import contextlib
import struct
import time

from cases import BOTH, case, check, fixture, slow
from lab import Guest, Nic, Switch, wait_until
from lab.frontend import F_CSUM, F_GUEST_CSUM, F_MRG_RXBUF, Frontend
from lab.wire import Namespaces, Taker, Tap, give

HOST4, HOST6, VM4, VM6 = "10.4.0.1", "fd04::1", "10.4.0.2", "fd04::2"
TSO = {"HOST_TSO4", "HOST_TSO6"}
TSO_CARD = F_MRG_RXBUF | F_CSUM | F_GUEST_CSUM | 1 << 7 | 1 << 11      # and GUEST_TSO4, HOST_TSO4
# A driver may find out before anybody else that its interface is gone.
DOWN = r"port up: (faulted|its member)|No such device"


def nic_port(switch, name, device, **keys):
    switch.ctl("port", "add", name, f"dpdk.device={device}",
               *(f"{key.replace('__', '.')}={value}" for key, value in keys.items()))
    switch.wait_port(name, "up", slow(10))


@contextlib.contextmanager
def nic_switch(spaces, workers=(1,), **how):
    """A switch as root in the namespace `switch`: sockets of AF_PACKET and AF_XDP need that."""
    with Switch({"switch": {"hugepages": "off", "workers": list(workers)}}, prefix=spaces.prefix("switch"), **how) as one:
        yield one


# -- a guest beside a namespace

class Wired:
    def __init__(self, spaces, switch, guest):
        self.spaces, self.switch, self.guest = spaces, switch, guest


@fixture()
def wired():
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("switch", "host"))
        spaces.veth("switch", "v0", "host", "e0")
        spaces.address("host", "e0", f"{HOST4}/24", f"{HOST6}/64")
        switch = stack.enter_context(nic_switch(spaces, expected=[DOWN]))
        switch.add_port("vm")
        guest = stack.enter_context(Guest("vm", [Nic(switch.socket("vm"))], ip=[f"{VM4}/24", f"{VM6}/64"]))
        guest.wait_ready(slow(60))
        switch.wait_port("vm", "up", slow(20))
        yield Wired(spaces, switch, guest)


def transfers(net, port, megabytes=4):
    """A file each way, v4 there and v6 back; their checksums are right."""
    spaces, guest = net.spaces, net.guest
    taker = Taker(spaces, "host", port)
    guest.ok(f"dd if=/dev/urandom of=/tmp/noise bs=1M count={megabytes} 2>/dev/null")
    guest.ok(f"nc {HOST4} {port} -e /bin/sh -c 'cat /tmp/noise'", timeout=slow(90))
    sent = guest.ok("sha256sum /tmp/noise").split()[0]
    check(taker.checksum(slow(30)) == sent, "what the host got over v4 is not what the guest sent")
    job = guest.start_job(f"nc -l -p {port} -e /bin/sh -c 'sha256sum >/tmp/sum'")
    guest.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
    sent = give(spaces, "host", VM6, port, megabytes)
    job.wait(slow(60))
    check(guest.ok("cat /tmp/sum").split()[0] == sent, "what the guest got over v6 is not what the host sent")


def both_ways(net, port):
    spaces, guest, switch = net.spaces, net.guest, net.switch
    for address in (HOST4, HOST6):
        guest.wait_ping(address, slow(20))
        ping = guest.ping(address, count=3, interval=0.1, patience=10)
        check(not ping.lost, f"{ping.lost} pings of {address} lost:\n{ping.output}")
    for address in (VM4, VM6):
        lost = spaces.ping("host", address, 3)
        check(not lost, f"{lost} pings of {address} lost")
    check(TSO <= guest.features(), "the guest has no TSO")
    before = switch.ports()
    start = time.monotonic()
    transfers(net, port)
    took = time.monotonic() - start
    after = switch.ports()
    taken, sent = (after["vm"]["from_vm"]["packets"] - before["vm"]["from_vm"]["packets"],
                   after["up"]["to_vm"]["packets"] - before["up"]["to_vm"]["packets"])
    check(sent > taken, f"{taken} frames of the guest became {sent} at the NIC: none was cut")
    return f"2 × 4 MiB in {took:.1f} s; {taken} frames of the guest became {sent}"


@case("nic: af_packet on a veth, v4 and v6, TSO in the guest", needs=wired)
def af_packet(net):
    nic_port(net.switch, "up", "net_af_packet0,iface=v0")
    figure = both_ways(net, 7101)
    said = net.switch.json("port", "show", "up")
    check(said["statistics"].get("rx_good_packets"), f"no statistics of the device: {said['statistics']}")
    return figure


@case("nic: af_packet, MTU 9000", needs=wired)
def jumbo(net):
    spaces, guest, switch = net.spaces, net.guest, net.switch
    if "up" in switch.ports():
        switch.ctl("port", "remove", "up")
    for name, interface in (("switch", "v0"), ("host", "e0")):
        spaces.ip(name, "link", "set", interface, "mtu", "9000")
    guest.ok("ip link set eth0 mtu 9000")
    switch.ctl("port", "set", "vm", "mtu=9000")
    nic_port(switch, "up", "net_af_packet0,iface=v0", mtu=9000)
    try:
        for address, size in ((HOST4, 8972), (HOST6, 8952)):
            guest.wait_ping(address, slow(20))
            ping = guest.ping(address, count=3, size=size, interval=0.1, fragment=False, patience=10)
            check(not ping.lost, f"{ping.lost} pings of {size} bytes lost:\n{ping.output}")
            lost = spaces.ping("host", VM4 if ":" not in address else VM6, 3, size, fragment=False)
            check(not lost, f"{lost} pings of {size} bytes from the host lost")
        transfers(net, 7102)
    finally:
        guest.ok("ip link set eth0 mtu 1500")
        for name, interface in (("switch", "v0"), ("host", "e0")):
            spaces.ip(name, "link", "set", interface, "mtu", "1500")
        switch.ctl("port", "set", "vm", "mtu=1500")
        switch.ctl("port", "remove", "up")
    return "8972 bytes unfragmented both ways, two files"


@case("nic: af_xdp on a veth, v4 and v6, TSO in the guest", needs=wired)
def af_xdp(net):
    if "up" in net.switch.ports():
        net.switch.ctl("port", "remove", "up")
    nic_port(net.switch, "up", "net_af_xdp0,iface=v0")
    try:
        return both_ways(net, 7103)
    finally:
        net.switch.ctl("port", "remove", "up")


@case("nic: a veth is deleted and made again under load", needs=wired)
def deleted(net):
    spaces, guest, switch = net.spaces, net.guest, net.switch
    if "up" not in switch.ports():
        nic_port(switch, "up", "net_af_packet0,iface=v0")
    guest.wait_ping(HOST4, slow(20))
    load = guest.start_job(f"ping -n -f {HOST4} >/dev/null 2>&1")
    spaces.ip("switch", "link", "set", "v0", "down")
    wait_until(lambda: switch.port("up")["text"] == "link down", slow(5),
               lambda: f"link down; it is {switch.port('up')['text']}")
    spaces.ip("switch", "link", "set", "v0", "up")
    switch.wait_port("up", "up", slow(5))
    guest.wait_ping(HOST4, slow(20))
    spaces.ip("switch", "link", "del", "v0")
    wait_until(lambda: "no interface v0" in switch.port("up")["text"], slow(5),
               lambda: f"a port that says its interface is gone; it is {switch.port('up')['text']}")
    start = time.monotonic()
    spaces.veth("switch", "v0", "host", "e0")
    spaces.address("host", "e0", f"{HOST4}/24", f"{HOST6}/64")
    switch.wait_port("up", "up", slow(5))
    came = time.monotonic() - start
    guest.wait_ping(HOST4, slow(20))
    load.stop("KILL")
    check(came < slow(20), f"it took {came:.1f} s")
    return f"up again after {came:.1f} s, without a word of anybody"


# -- VLANs, with raw frames at both ends

def mac(number):
    return f"52:54:00:00:04:{number:02x}"


def tag(vlan, kind=0x8100):
    return struct.pack(">HH", kind, vlan)


class Trunk:
    def __init__(self, tap, ends, switch):
        self.tap, self.ends, self.switch = tap, ends, switch

    def to_host(self, name, frame):
        """What the host gets of a frame from a VM."""
        self.tap.got()
        end = self.ends[name]
        end.put(frame)
        end.wait_sent(slow(5))
        return self.tap.got(lambda got: got[6:12] == frame[6:12], slow(2))

    def to_vms(self, frame):
        """{name: frames} of a frame from the host. A last frame to all of them in the native VLAN shows that
        it has come as far as it goes."""
        for end in self.ends.values():
            end.seen_since()
        self.tap.put(frame)
        self.tap.put(untagged(mac(9), b"the end"))
        self.ends["native"].wait_frames(1, slow(5), lambda got: b"the end" in got)
        return {name: frames for name, end in self.ends.items()
                if (frames := [got for got in end.seen_since()
                               if got[6:12] == frame[6:12] and b"the end" not in got])}


def untagged(source, text, to="ff:ff:ff:ff:ff:ff"):
    return bytes.fromhex(to.replace(":", "") + source.replace(":", "")) + b"\x88\xb5" + text.ljust(46, b"\0")


def tagged(source, tags, text):
    frame = untagged(source, text)
    return frame[:12] + b"".join(tags) + frame[12:]


class End(Frontend):
    """A front-end that remembers what wait_frames has read."""

    def got(self, vring=None):
        frames = super().got(vring)
        self.all = getattr(self, "all", []) + frames
        return frames

    def seen_since(self):
        self.got()
        frames, self.all = self.all, []
        return frames


@fixture()
def trunk():
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("switch", "host"))
        spaces.veth("switch", "v0", "host", "e0")
        switch = stack.enter_context(nic_switch(spaces))
        ends = {}
        for number, (name, vlan) in enumerate({"ten": "{access: 10}", "twenty": "{access: 20}",
                                               "native": "{access: 1}", "all": "{trunk: all}"}.items(), 1):
            path = switch.add_port(name, "switch", vhost_user__mode="0666", vlan=vlan)
            ends[name] = stack.enter_context(End(path, "switch", mac=mac(number))).start()
            switch.wait_port(name, "up", slow(10))
        nic_port(switch, "up", "net_af_packet0,iface=v0", vlan="{trunk: [10, 20], native: 1}")
        yield Trunk(stack.enter_context(Tap(spaces, "host", "e0")), ends, switch)


@case("nic: VLAN trunk, access, native and QinQ", needs=trunk, presets=BOTH)
def vlans(net):
    hello = b"to the host"
    for name, number, tags in (("ten", 1, [tag(10)]), ("twenty", 2, [tag(20)]), ("native", 3, [])):
        got = net.to_host(name, untagged(mac(number), hello))
        check(got == [tagged(mac(number), tags, hello)], f"{name}: the host got {got}")
    got = net.to_host("ten", tagged(mac(1), [tag(7)], hello))
    check(not got, f"a tagged frame from an access port went out as {got}")
    for tags in ([tag(10)], [tag(10), tag(77)], [tag(20, 0x88a8), tag(77)]):
        got = net.to_host("all", tagged(mac(4), tags, hello))
        # The kernel takes the outer tag off and keeps its kind.
        check(got == [tagged(mac(4), tags, hello)], f"{tags}: the host got {got}")
    got = net.to_host("all", tagged(mac(4), [tag(30)], hello))
    check(not got, f"VLAN 30, which the trunk has not, went out as {got}")
    leaks = 0
    for tags, expected in (([tag(10)], {"ten": [], "all": [tag(10)]}), ([tag(20)], {"twenty": [], "all": [tag(20)]}),
                           ([], {"native": [], "all": [tag(1)]}), ([tag(30)], {}),
                           ([tag(10), tag(77)], {"ten": [tag(77)], "all": [tag(10), tag(77)]})):
        got = net.to_vms(tagged(mac(9), tags, b"to the VMs"))
        wanted = {name: [tagged(mac(9), rest, b"to the VMs")] for name, rest in expected.items()}
        check(got == wanted, f"{tags}: {got}, not {wanted}")
        leaks += len(set(got) - set(wanted))
    drops = net.switch.json("port", "show", "up")["drop_reasons"]
    check(drops.get("vlan-not-member") == 1, f"VLAN 30 from the host is dropped as {drops}")
    return f"{leaks} leaks"


@case("nic: partial checksums and TSO are completed for a device without them", needs=trunk, presets=BOTH)
def completed(net):
    """A UDP frame whose checksum the VM has left to the card."""
    end = net.ends["native"]
    udp = bytes.fromhex("4500002e00004000401126bd0a0000010a000002" "03e807d0001a0000") + bytes(18)
    frame = end.frame("ff:ff:ff:ff:ff:ff", udp, 0x0800)
    net.tap.got()
    end.put(frame, struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 6, 0))
    end.wait_sent(slow(5))
    got = net.tap.got(lambda one: one[12:14] == b"\x08\x00", slow(2))
    check(len(got) == 1, f"{len(got)} frames came")
    words = struct.unpack(">4H", got[0][26:34]) + struct.unpack(">13H", got[0][34:60]) + (17, 26)
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    check(total == 0xffff, f"the checksum is wrong by {total:#x}: {got[0].hex()}")
    return "right"


# -- bonds

@case("nic: a bond of two veths loses one under load and gets it back", presets=BOTH)
def active_backup():
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("switch", "host"))
        spaces.ip("host", "link", "add", "br0", "address", "02:00:00:00:00:01", "type", "bridge")
        def leg(number):
            spaces.veth("switch", f"v{number}", "host", f"e{number}", mtu=9000)
            spaces.ip("host", "link", "set", f"e{number}", "master", "br0")
        leg(0)
        spaces.ip("host", "link", "set", "br0", "up")
        spaces.address("host", "br0", "10.4.0.1/24")
        spaces.veth("switch", "w0", "host", "f0")
        switch = stack.enter_context(nic_switch(spaces, workers=(0, 1), expected=[DOWN]))
        other = stack.enter_context(Namespaces("other"))
        run_in = other.names["other"]
        spaces.ip("host", "link", "set", "f0", "netns", run_in)
        other.ip("other", "link", "set", "f0", "up")
        other.address("other", "f0", "10.4.0.2/24")
        nic_port(switch, "vm", "net_af_packet9,iface=w0")
        switch.ctl("port", "add", "up", "mtu=9000", "dpdk.device=net_bonding0,mode=1,slave=net_af_packet0,slave=net_af_packet1",
                   "dpdk.members=['net_af_packet0,iface=v0', 'net_af_packet1,iface=v1']")
        switch.wait_port("up", "up", slow(10))
        other.wait_ping("other", "10.4.0.1", slow(20))
        # One of them was not there yet.
        check("1 of its 2 members" in switch.port("up")["mend"], switch.port("up")["mend"])
        leg(1)
        wait_until(lambda: not switch.port("up")["mend"], slow(10), "the second member")
        other.wait_ping("other", "10.4.0.1", slow(20))
        load = other.spawn("other", ["ping", "-n", "-i", "0.01", "-w", "60", "10.4.0.1"], stdout=-3)
        spaces.ip("switch", "link", "set", "v0", "down")
        switch.wait_log("its member v0 is down", slow(5))
        start = time.monotonic()
        other.wait_ping("other", "10.4.0.1", slow(20))
        gap = time.monotonic() - start
        check(switch.port("up")["text"] == "up", f"the bond is {switch.port('up')['text']}")
        check("1 of its 2 members" in switch.port("up")["mend"], switch.port("up")["mend"])
        spaces.ip("switch", "link", "set", "v0", "up")
        wait_until(lambda: not switch.port("up")["mend"], slow(10), "the member to be back")
        other.wait_ping("other", "10.4.0.1", slow(20))
        # Both again: now the other one goes.
        spaces.ip("switch", "link", "del", "v1")
        switch.wait_log("its member v1 is down", slow(5))
        other.wait_ping("other", "10.4.0.1", slow(20))
        load.terminate()
        check(gap < slow(10), f"traffic went on after {gap:.1f} s")
        return f"traffic goes on after {gap:.2f} s"


@case("nic: LACP between two switches, a link lost and back")
def lacp():
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("switch", "second", "host", "other"))
        for number in (0, 1):
            spaces.veth("switch", f"v{number}", "second", f"v{number}")
        switches = []
        for name, host, address in (("switch", "host", HOST4), ("second", "other", VM4)):
            spaces.veth(name, "w0", host, "f0")
            spaces.address(host, "f0", f"{address}/24")
            switch = stack.enter_context(Switch(
                {"switch": {"hugepages": "off", "workers": [len(switches) % 2]}}, prefix=spaces.prefix(name),
                expected=[DOWN, "Using mode 4", "failed to enable allmulti"]))
            nic_port(switch, "vm", "net_af_packet9,iface=w0")
            nic_port(switch, "up", "net_bonding0,mode=4,slave=net_af_packet0,slave=net_af_packet1",
                     dpdk__members="['net_af_packet0,iface=v0', 'net_af_packet1,iface=v1']")
            switches.append(switch)
        start = time.monotonic()
        spaces.wait_ping("host", VM4, slow(30))
        took = time.monotonic() - start
        spaces.ip("switch", "link", "set", "v0", "down")
        for switch in switches:
            wait_until(lambda: "1 of its 2 members" in switch.port("up")["mend"], slow(5), "a lost member")
        spaces.wait_ping("host", VM4, slow(20))
        spaces.ip("switch", "link", "set", "v0", "up")
        for switch in switches:
            wait_until(lambda: not switch.port("up")["mend"], slow(10), "the member to be back")
        spaces.wait_ping("host", VM4, slow(30))
        return f"agreed after {took:.1f} s; one link lost and back"


# -- other devices

@case("nic: net_tap gives the host an address; net_pcap; two queues", presets=BOTH)
def tap_and_pcap():
    with contextlib.ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("switch", "host", "other"))
        spaces.veth("switch", "v0", "host", "e0")
        spaces.veth("switch", "v1", "other", "e1")
        spaces.address("host", "e0", f"{HOST4}/24", f"{HOST6}/64")
        spaces.address("other", "e1", "10.4.0.3/24")
        # Where the kernel has no multiq, the driver of taps says so, and goes on.
        switch = stack.enter_context(nic_switch(spaces, workers=(0, 1), expected=["qdisc", "rte flow support"]))
        nic_port(switch, "up", "net_af_packet0,iface=v0", dpdk__queues=2)
        nic_port(switch, "pcap", "net_pcap0,iface=v1")
        nic_port(switch, "host", "net_tap0,iface=weir0")
        spaces.address("switch", "weir0", f"{VM4}/24", f"{VM6}/64")
        spaces.ip("switch", "link", "set", "weir0", "up")
        for name, address in (("host", VM4), ("host", VM6), ("switch", HOST4), ("other", VM4), ("host", "10.4.0.3")):
            spaces.wait_ping(name, address, slow(20))
        taker = Taker(spaces, "switch", 7104)
        sent = give(spaces, "host", VM4, 7104, 4)
        check(taker.checksum(slow(30)) == sent, "the host got something else than was sent")
        queues = switch.json("port", "show", "up")["queue_list"]
        check([one["running"] for one in queues] == [True, True], f"the queues are {queues}")
        spaces.ip("switch", "link", "set", "weir0", "down")
        wait_until(lambda: switch.port("host")["text"] == "link down", slow(5), "link down")
        spaces.ip("switch", "link", "set", "weir0", "up")
        switch.wait_port("host", "up", slow(5))
    return "v4, v6 and a file"


@case("nic: a device's own checksums and TSO are used", presets=BOTH)
def offloaded():
    """The device is a virtio card that another switch serves: what it is given unfinished stays so."""
    with contextlib.ExitStack() as stack:
        far = stack.enter_context(Switch({"switch": {"hugepages": "off"}}))
        near = stack.enter_context(Switch({"switch": {"hugepages": "off", "workers": [0]}}))
        path = far.add_port("card", "switch", vhost_user__mode="0666")
        nic_port(near, "up", f"net_virtio_user0,path={path},queue_size=256,mac=52:54:00:00:04:99")
        far.wait_port("card", "up", slow(10))
        ends = []
        for number, switch in enumerate((near, far), 1):
            path = switch.add_port("vm", "switch", vhost_user__mode="0666")
            ends.append(stack.enter_context(Frontend(path, "switch", mac=mac(number), features=TSO_CARD)).start())
            switch.wait_port("vm", "up", slow(10))
        one, two = ends
        check({"GUEST_TSO4", "GUEST_CSUM"} <= {name.upper() for name in near.port("up")["feature_names"]},
              f"the device does nothing by itself: {near.port('up')['feature_names']}")
        two.put(two.frame("ff:ff:ff:ff:ff:ff"))
        one.wait_frames(1, slow(5), lambda frame: frame[6:12] == two.frame("ff:ff:ff:ff:ff:ff")[6:12])
        payload = bytes(range(256)) * 12
        tcp = struct.pack(">HHIIBBHHH", 1000, 2000, 1, 0, 0x50, 0x18, 1000, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0x4000, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
        total = sum(struct.unpack(">10H", ip))
        total = (total & 0xffff) + (total >> 16)
        ip = ip[:10] + struct.pack(">H", ~total & 0xffff) + ip[12:]
        one.put(one.frame(mac(2), ip + tcp + payload, 0x0800), struct.pack("<BBHHHHH", 1, 1, 54, 1448, 34, 16, 0))
        got = two.wait_frames(1, slow(5), lambda frame: frame[12:14] == b"\x08\x00")
        check(len(got) == 1 and got[0][54:] == payload, f"{[len(frame) for frame in got]} bytes came, not {54 + 3072}")
        return "a TSO frame crossed the device in one piece"
