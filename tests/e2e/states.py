"""A port's state says what it waits for and how to mend it; what is mended comes up by itself."""
import contextlib
import errno
import os
import re
import socket
import time

from cases import BOTH, case, check, fixture, slow
from lab import Guest, Nic, Switch, Workdir, run, wait_until
from lab.frontend import Frontend

USER = "nobody"
LIBVIRT = "libvirt-qemu"
MARK = 2.0      # seconds until a mistake is told


@fixture(name="a switch")
def plain():
    with Switch({"switch": {"hugepages": "off"}}, user=USER) as switch:
        yield switch


class Watched:
    """A port whose states are timed."""

    def __init__(self, switch, name, listens, **keys):
        self.switch, self.name = switch, name
        self.path = switch.add_port(name, listens, **keys)
        self.mark()

    def mark(self):
        """What follows is timed from now on."""
        self.since = time.monotonic()

    def show(self):
        return self.switch.json("port", "show", self.name)

    def shows(self, text, mend="", seconds=10.0):
        """Waits until the state and its mend match; seconds since the mark."""
        def look():
            port = self.show()
            self.seen = port
            return re.search(text, port["text"]) and re.search(mend, port["mend"], re.S)
        wait_until(look, slow(seconds), lambda: f"port {self.name}: {text!r} and {mend!r}; it says "
                                                f"{self.seen['text']!r}: {self.seen['mend']!r}", 0.005)
        return time.monotonic() - self.since

    def do_mend(self):
        """Does what the mend says, where that is a command."""
        commands = re.findall(r"setfacl (?:-d )?-m \S+ [^\s,;]+", self.show()["mend"])
        check(commands, f"no command in the mend: {self.show()['mend']}")
        for command in commands:
            run(command.split())
        return commands

    def remove(self):
        self.switch.ctl("port", "remove", self.name)


# -- memory

def uptime_clock(guest):
    """What to add to the guest's uptime to get our time."""
    before = time.monotonic()
    uptime = float(guest.ok("cut -d' ' -f1 /proc/uptime"))
    return (before + time.monotonic()) / 2 - uptime


SHARE_MEND = r"<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>.*share=on"


@case("state: memory not shared", needs=plain, presets=BOTH)
def not_shared(switch):
    """Two ways not to share, told within 2 s of the driver's start, which is when its card appears."""
    figures = []
    with contextlib.ExitStack() as stack:
        guests = []
        for memory, listens in (("ram", "vmm"), ("private", "switch")):
            guest = stack.enter_context(Guest(f"memory-{memory}", [], memory=memory, spare_cards=1))
            guests.append((guest, memory, listens))
        for guest, memory, listens in guests:
            keys = {"vhost_user__mode": "0666"} if listens == "switch" else {}
            port = Watched(switch, guest.name, listens, **keys)
            guest.wait_ready(slow(60))
            driver = guest.start_job("until [ -e /sys/class/net/eth0 ]; do usleep 5000; done; "
                                     "cut -d' ' -f1 /proc/uptime; ip link set eth0 up")
            index = guest.plug(Nic(port.path, listens))
            port.shows("^memory not shared$", SHARE_MEND, 20)
            told = time.monotonic()
            started = float(driver.wait(slow(10)).output) + uptime_clock(guest)
            seconds = told - started
            check(seconds <= slow(MARK), f"{memory}: told {seconds:.2f} s after the driver's start")
            check(port.show()["state"] == "memory not shared", port.show()["state"])
            figures.append(f"{memory}, {listens} listens: {max(0.0, seconds):.2f} s")
            guest.unplug(index)
            port.shows("^waiting for the VMM$")
            port.remove()
    return "; ".join(figures)


# -- the way to up

@case("state: waiting for the VMM, for the guest driver, up", needs=plain)
def way_up(switch):
    figures = []
    port = Watched(switch, "way", "vmm")
    port.shows("^waiting for the VMM$", f"start the VM whose card uses {re.escape(port.path)}", MARK)
    with Guest("way", [Nic(port.path)], ip="10.5.0.1/24", extra=["-S"]) as guest:
        # Connected, and its processors have not begun.
        figures.append(f"connected {port.shows('^waiting for the guest driver$'):.2f} s")
        check(guest.qmp.call("query-status")["status"] == "prelaunch", "QEMU runs in spite of -S")
        port.mark()
        guest.qmp.call("cont")
        figures.append(f"up {port.shows('^up$', '^$', 60):.1f} s behind the start")
        guest.wait_ready(slow(60))
        for action, text in (("rmmod virtio_net", "^waiting for the guest driver$"),
                             ("modprobe virtio_net", "^up$")):
            port.mark()
            guest.ok(action)
            figures.append(f"{action} {port.shows(text):.2f} s")
        port.mark()
        guest.kill()
        figures.append(f"kill -9 {port.shows('^waiting for the VMM$', 'start the VM'):.2f} s")
    port.remove()
    return "; ".join(figures)


# -- rights

@case("state: a socket of the switch that libvirt's user may not use", needs=plain)
def switch_socket(switch):
    port = Watched(switch, "shut", "switch", vhost_user__mode="0600")
    told = port.shows(f"^permission denied on {re.escape(port.path)} for user {LIBVIRT}$",
                      "vhost-user.mode to 0660, or the mode to 0666", MARK)
    os.chmod(port.path, 0o666)
    port.shows("^waiting for the VMM$")
    os.chmod(port.path, 0o600)
    port.shows("^permission denied")
    # It waits in its own start, as libvirt's would, and gets on when the mend is done.
    with Guest("shut", [Nic(port.path, "switch")], user=LIBVIRT, ip="10.5.0.1/24") as guest:
        wait_until(lambda: os.path.exists(guest.file("qmp")), slow(10), "QEMU to start")
        port.shows("^permission denied")
        port.mark()
        switch.ctl("port", "set", "shut", "vhost-user.mode=0666")
        port.shows("^(waiting for|up)")
        guest.wait_ready(slow(60))
        up = port.shows("^up$", "^$")
    port.remove()
    return f"told in {told:.2f} s; up {up:.1f} s behind the mend, which the guest spends booting"


@case("state: a VMM's socket that the switch may not use", needs=plain)
def vmm_socket(switch):
    """QEMU made it in a folder of its own, where nothing lets the switch in."""
    with Workdir("weir-vms-") as work:
        folder = work.sub("vms", LIBVIRT)
        path = os.path.join(folder, "vm.sock")
        port = Watched(switch, "own", None, vhost_user__socket=path)
        port.shows("^waiting for the VMM$")
        with Guest("own", [Nic(path)], user=LIBVIRT, ip="10.5.0.1/24") as guest:
            wait_until(lambda: os.path.exists(path), slow(10), f"QEMU to make {path}", 0.001)
            port.mark()
            told = port.shows(f"^permission denied on {re.escape(path)}$",
                              rf"runs as user {USER}; the socket: {LIBVIRT}:\S+, mode \d+", MARK)
            port.mark()
            commands = port.do_mend()
            connected = port.shows("^(waiting for the guest driver|up)$")
            guest.wait_ready(slow(60))
            port.shows("^up$", "^$")
            # The second command of the mend was for sockets to come.
            check(len(commands) == 2, f"mend: {commands}")
            guest.restart()
            port.shows("^waiting for the VMM$")
            port.shows("^(waiting for the guest driver|up)$")
            guest.wait_ready(slow(60))
            port.shows("^up$", "^$")
        port.remove()
    return f"told in {told:.2f} s; connected {connected:.2f} s behind the mend; so was the next socket"


@case("state: a folder where libvirt's user may not make sockets", needs=plain)
def folder_closed(switch):
    """Whoever else starts the VM may be allowed to, so the state waits and the mend says it."""
    with Workdir("weir-vms-") as work:
        folder = work.sub("closed")
        path = os.path.join(folder, "vm.sock")
        port = Watched(switch, "closed", None, vhost_user__socket=path)
        told = port.shows("^waiting for the VMM$", f"{re.escape(folder)} is closed to its user: setfacl",
                          MARK)
        port.do_mend()
        port.shows("^waiting for the VMM$", f"^start the VM whose card uses {re.escape(path)}$")
        # A folder on the way that only its owner may pass.
        os.chmod(work.path, 0o700)
        port.mark()
        port.shows("^permission denied on", f"let user {USER} into the folder: setfacl", MARK)
        port.do_mend()
        port.shows("^waiting for the VMM$", f"{re.escape(work.path)} is closed to its user: setfacl")
        port.do_mend()
        port.shows("^waiting for the VMM$", f"^start the VM whose card uses {re.escape(path)}$")
        port.remove()
    return f"told in {told:.2f} s, mended by the commands it names"


# -- sockets that cannot be made

@fixture(name="a switch with ports that fail")
def failing():
    with Switch({"switch": {"hugepages": "off"}}, user=USER,
                expected=[r"warning> switch: port fails: faulted: "]) as switch:
        yield switch


def recovers(switch, port, path):
    """It is tried again each second; and the port works."""
    seconds = port.shows("^(waiting for the VMM|permission denied)")
    with Frontend(path, "switch") as peer:
        peer.start()
        port.shows("^up$", "^$")
    return seconds


@case("state: a socket that cannot be made faults the port until it can", needs=failing, presets=BOTH)
def cannot_bind(switch):
    figures = []
    with Workdir("weir-vms-") as work, contextlib.ExitStack() as stack:
        folder = work.sub("sockets", USER)
        path = os.path.join(folder, "vm.sock")

        def faulted(text, mend):
            """The port is added while it cannot have its socket, and what is in the way goes."""
            port = Watched(switch, "fails", "switch", vhost_user__socket=path, vhost_user__mode="0666")
            told = port.shows("^faulted: " + text, "tried again", MARK)
            sound = switch.add_port("sound", "switch", vhost_user__mode="0666")
            with Frontend(sound, "switch") as peer:     # which harms no other
                peer.start()
                switch.wait_port("sound")
            switch.ctl("port", "remove", "sound")
            port.mark()
            mend()
            figures.append(f"{told:.2f}/{recovers(switch, port, path):.2f}")
            port.remove()
            check(not os.path.exists(path), f"{path} is left behind")
        os.rename(folder, folder + ".away")
        faulted(f"folder {re.escape(folder)} of the socket: No such file",
                lambda: os.rename(folder + ".away", folder))
        os.chmod(folder, 0o555)
        faulted(f"cannot create a socket in {re.escape(folder)}: Permission denied",
                lambda: os.chmod(folder, 0o755))
        with open(path, "w") as file:
            file.write("kept")
        faulted(f"{re.escape(path)} is there and is no socket", lambda: os.unlink(path))
        other = stack.enter_context(socket.socket(socket.AF_UNIX))
        other.bind(path)
        os.chmod(path, 0o666)
        other.listen(1)
        faulted(f"another process listens on {re.escape(path)}", other.close)
    return f"seconds until told/recovered: {', '.join(figures)}"


@case("state: a stale socket is replaced", needs=plain)
def stale(switch):
    path = os.path.join(switch.run_dir, "vm", "stale.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen(1)
    os.chown(path, os.stat(switch.run_dir).st_uid, -1)
    with socket.socket(socket.AF_UNIX) as one:
        check(one.connect_ex(path) == errno.ECONNREFUSED, "somebody listens on the stale socket")
    port = Watched(switch, "stale", "switch", vhost_user__mode="0666")
    seconds = recovers(switch, port, path)
    port.remove()
    return f"ready in {seconds:.2f} s"
