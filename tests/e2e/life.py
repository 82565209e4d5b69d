"""Guests, their drivers and the switch end and come back; traffic flows again by itself."""
from dataclasses import dataclass

from cases import BOTH, RELEASE, case, check, fixture, slow
from guests import USER
from lab import Guest, Nic, Switch, wait_until
from traffic import Stream, Transfer, gap, iperf, pings, plain

ADDRESSES = {"a": ["10.2.0.1/24", "fd02::1/64"], "b": ["10.2.0.2/24", "fd02::2/64"]}

# Seconds until traffic flows, about ten times what was seen.
REBOOT = 60
RELOAD = 20
RESTART = 20


@dataclass
class Lab:
    switch: Switch
    a: Guest        # pings
    b: Guest        # what happens, happens to it

    def address(self, guest, version=4):
        return plain(ADDRESSES[guest.name][0 if version == 4 else 1])

    def gap(self, action, deadline, recovered=lambda: None):
        """The gap that action() leaves in a's ping of b, and whether v6 came back, too."""
        seen = gap(self.a, self.address(self.b), action, deadline, recovered)
        pings(self.a, self.address(self.b, 6), 2)
        return str(seen)

    def up(self):
        self.switch.wait_port("b", "up", slow(20))


def laboratory(listens):
    def make():
        ports = {name: {"vhost-user": {"socket": f"{name}.sock", "listens": listens, "queues": 2}}
                 for name in ADDRESSES}
        # From a file: a switch that is started again has its ports from there.
        with Switch({"switch": {"hugepages": "off"}, "ports": ports}, user=USER) as switch:
            cards = {name: Nic(switch.socket(name), listens, queues=2) for name in ADDRESSES}
            with Guest("a", [cards["a"]], ip=ADDRESSES["a"], cpus=2) as a, \
                    Guest("b", [cards["b"]], ip=ADDRESSES["b"], cpus=2, spare_slots=2) as b:
                for guest in (a, b):
                    guest.wait_ready(slow(60))
                    switch.wait_port(guest.name, "up", slow(20))
                a.wait_ping(plain(ADDRESSES["b"][0]))
                yield Lab(switch, a, b)
    return fixture(name=f"two guests, listens: {listens}")(make)


# -- the driver

def queues_change(lab):
    """Queue pairs come and go under traffic."""
    stream = Stream(lab.a, lab.address(lab.b), interval=0.05)
    try:
        for count in (1, 2, 1, 2):
            lab.b.set_queues(count)
            wait_until(lambda: lab.switch.json("port", "show", "b")["pairs"] == count, slow(10),
                       lambda: f"{count} pairs: {lab.switch.json('port', 'show', 'b')}")
            stream.wait(slow(10))
    except BaseException:
        stream.cancel()
        raise
    return f"4 changes, {stream.stop()}"


def driver_reload(lab):
    def reload():
        lab.b.reload_driver()
        for address in ADDRESSES["b"]:
            lab.b.add_ip(address)
    return lab.gap(reload, RELOAD, lab.up)


def driver_rebind(lab):
    def rebind():
        lab.b.ok("cd /sys/class/net/eth0/device/driver && name=$(basename $(readlink ../eth0/device "
                 "|| readlink /sys/class/net/eth0/device)) && echo $name >unbind && echo $name >bind\n"
                 "while [ ! -e /sys/class/net/eth0 ]; do usleep 20000; done", timeout=slow(10))
        for address in ADDRESSES["b"]:
            lab.b.add_ip(address)
    return lab.gap(rebind, RELOAD, lab.up)


def link_down_up(lab):
    """The guest sets its card down and up; the switch sees nothing of it but silence."""
    def down_up():
        lab.b.ok("ip link set eth0 down")
        for address in ADDRESSES["b"]:
            lab.b.add_ip(address)
    return lab.gap(down_up, RELOAD)


# -- memory

def memory_plugged(lab):
    """The memory table grows under a transfer that ends up in the new memory."""
    stream = Stream(lab.a, lab.address(lab.b))
    try:
        transfer = Transfer(lab.a, lab.b, lab.address(lab.b), times=8)
        lab.b.plug_memory(128)
        figure = transfer.finish(90)
        # What goes on behind it uses the new memory for its buffers.
        back = Transfer(lab.b, lab.a, lab.address(lab.a)).finish()
        stream.wait(slow(10))
    except BaseException:
        stream.cancel()
        raise
    return f"{stream.stop()}; {figure} under way, {back} back"


# -- the guest

def reboot(lab):
    return lab.gap(lambda: lab.b.reboot(slow(60)), REBOOT, lab.up)


def qemu_killed(lab):
    def kill():
        lab.b.kill()
        lab.switch.wait_port("b", "waiting for the VMM", slow(10))
        lab.b.restart().wait_ready(slow(60))
    return lab.gap(kill, REBOOT, lab.up)


# -- the switch

def across(lab, end):
    """A transfer that is under way while the switch ends and starts again arrives whole."""
    under_way = []

    def restart():
        under_way.append(Transfer(lab.b, lab.a, lab.address(lab.a), times=12))
        end()
        lab.switch.start()
    try:
        figure = lab.gap(restart, RESTART, lambda: both_up(lab))
    except BaseException:
        for transfer in under_way:
            transfer.cancel()
        raise
    return f"{figure}; {under_way[0].finish(90)} across it"


def both_up(lab):
    for name in ADDRESSES:
        lab.switch.wait_port(name, "up", slow(20))


def switch_stopped(lab):
    return across(lab, lab.switch.stop)


def switch_killed(lab):
    return across(lab, lab.switch.kill)


def guest_before_switch(lab):
    """QEMU is there before the switch is, which it then waits for."""
    def late():
        lab.switch.stop()
        lab.b.kill()
        lab.b.restart()
        lab.switch.start()
        lab.b.wait_ready(slow(60))
    return lab.gap(late, REBOOT, lambda: both_up(lab))


def port_removed(lab):
    """A port is removed under a running guest and added again."""
    listens = lab.switch.json("port", "show", "b")["listens"]

    def again():
        lab.switch.ctl("port", "remove", "b")
        lab.switch.add_port("b", listens, vhost_user__queues=2)
    return lab.gap(again, RESTART, lab.up)


def still_well(lab):
    """After all of it: speed, and no state that stayed behind."""
    if lab.b.sh("pidof iperf3").status:
        lab.b.iperf3_server()
    rate = iperf(lab.a, lab.address(lab.b))
    for name in ADDRESSES:
        port = lab.switch.port(name)
        check(port["state"] == "up" and not port["mend"], f"{name}: {port['text']}; {port['mend']}")
    return f"TCP {rate:.0f} Mbit/s"


EVENTS = {
    "queue pairs change": queues_change,
    "link down and up": link_down_up,
    "driver unloaded and loaded": driver_reload,
    "driver unbound and bound": driver_rebind,
    "memory plugged under traffic": memory_plugged,
    "guest rebooted": reboot,
    "kill -9 of QEMU": qemu_killed,
    "port removed and added": port_removed,
    "SIGTERM of the switch": switch_stopped,
    "kill -9 of the switch": switch_killed,
    "guest started before the switch": guest_before_switch,
    "traffic as before": still_well,
}
# What the mode has no part in is shown once.
ONCE = {"link down and up", "driver unbound and bound"}
# Where rings and memory go away under the workers: also with what finds their late use.
SANITIZED = {"queue pairs change", "driver unloaded and loaded", "memory plugged under traffic",
             "guest rebooted", "kill -9 of QEMU", "port removed and added", "SIGTERM of the switch"}
for _listens in ("vmm", "switch"):
    _lab = laboratory(_listens)
    for _what, _show in EVENTS.items():
        if _listens == "vmm" or _what not in ONCE:
            _presets = BOTH if _listens == "vmm" and _what in SANITIZED else RELEASE
            case(f"life, {_listens} listens: {_what}", needs=_lab, presets=_presets)(_show)
