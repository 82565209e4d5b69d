"""The demos: two virtual machines talk through Weir, or through a chain of two more (demo_chain.py).
scripts/demo builds what it needs and runs one of them."""
import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

from lab import Failure, Guest, Libvirt, Nic, Switch, Workdir, accelerator, image, run
from weirvm.nf import nf_image


@dataclass
class Machine:
    """One of those that are booted: a card for each port. nf: the kind of network function that it is."""
    name: str
    ports: list
    ip: list = field(default_factory=list)
    nf: str = ""
    files: dict = field(default_factory=dict)


PAIR = [Machine("vm1", ["vm1"], ["10.77.0.1/24", "fd77::1/64"]), Machine("vm2", ["vm2"], ["10.77.0.2/24", "fd77::2/64"])]
COUNTS = {2: "two", 4: "four"}


def say(text=""):
    print(text, flush=True)


def huge_pages():
    """Every count of huge pages the machine has, to compare before and after."""
    counts = {}
    for path in glob.glob("/sys/kernel/mm/hugepages/*/nr_hugepages"):
        with open(path) as file:
            counts[path.split("/")[-2]] = int(file.read())
    return counts


def unprivileged_user():
    """Who the switch runs as: the packaged user if it is there, else nobody; None without root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("weir").pw_name
    return "nobody"


class SwitchEnded(BaseException):
    """The switch ended under the demo. Not a Failure: a wait that tries again must not swallow it."""


class Ended(BaseException):
    """A signal asks the demo to end."""


class Demo:
    machines = PAIR

    def __init__(self, with_libvirt):
        self.with_libvirt = with_libvirt
        self.step_name = "starting"
        self.switch = None
        self.libvirt = None
        self.guests = {}
        self.pages = huge_pages()
        self.stack = contextlib.ExitStack()
        self.work = self.stack.enter_context(Workdir("weir-demo-"))
        self.watching = False
        self.left = []

    def step(self, text):
        self.step_name = text
        say(f"\n== {text}")

    def watch(self):
        """Fail at once when the switch ends, whatever the main thread is waiting for."""
        self.watching = True

        def raise_failure(*_):
            if self.watching:
                raise SwitchEnded(f"weir-switchd has ended by itself, with status {self.switch.child.poll()}")

        def wait():
            with contextlib.suppress(ChildProcessError):
                # WNOWAIT leaves the status to whoever asks the Popen for it.
                os.waitid(os.P_PID, self.switch.pid, os.WEXITED | os.WNOWAIT)
            if self.watching:
                os.kill(os.getpid(), signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, raise_failure)
        threading.Thread(target=wait, daemon=True).start()

    # -- the steps

    def start_switch(self):
        user = unprivileged_user()
        self.step(f"starting weir-switchd as user {user or pwd.getpwuid(os.geteuid()).pw_name}, "
                  "without huge pages and without a NIC")
        self.switch = Switch({"switch": {"hugepages": "off"}}, preset="release", user=user)
        self.watch()
        say(f"weir-switchd runs as process {self.switch.pid}, its control socket is {self.switch.control}")

    def ctl(self, *words):
        """Runs weirctl and shows it as somebody would type it."""
        say(f"$ weirctl {' '.join(words)}")
        said = self.switch.ctl(*words).rstrip()
        if said:
            say(said + "\n")

    def add_ports(self):
        self.step("adding a port for each machine")
        for machine in self.machines:
            for port in machine.ports:
                say(f"$ weirctl port add {port} vhost-user.socket={port}.sock")
                self.switch.add_port(port)

    def image(self, machine):
        """What it boots, where QEMU's user can read it."""
        base = self.libvirt.image() if self.with_libvirt else image()
        if not machine.nf:
            return base
        made = nf_image(machine.nf, self.work.sub(machine.name), base, **machine.files)
        os.chmod(made.initrd, 0o644)
        return made

    def boot(self):
        count = COUNTS[len(self.machines)]
        if self.with_libvirt:
            self.libvirt = self.stack.enter_context(Libvirt())
            whose = "a private libvirtd, as none answers here" if self.libvirt.private else \
                "this machine's libvirtd"
            self.step(f"booting {count} machines through {whose} ({self.libvirt.version()}, "
                      f"{self.libvirt.accel.upper()})")
        else:
            self.step(f"booting {count} machines with plain QEMU ({accelerator().upper()})")
        for machine in self.machines:
            self.guests[machine.name] = self.with_cards(machine)
        start = time.monotonic()
        for guest in self.guests.values():
            guest.wait_ready(120)
        say(f"all are up after {time.monotonic() - start:.0f} s")

    def with_cards(self, machine):
        """Starts it."""
        if not self.with_libvirt:
            cards = [Nic(self.switch.socket(port)) for port in machine.ports]
            return self.stack.enter_context(Guest(machine.name, cards, ip=machine.ip, found=self.image(machine)))
        memory, cards = "", []
        for port in machine.ports:
            memory, card = self.switch.libvirt_xml(port)
            cards.append(card)
            if port == self.machines[0].ports[0]:
                say(f"$ weirctl port libvirt {port}")
                say(f"{memory}\n{card}")
        return self.libvirt.guest(machine.name, cards, memory=memory, ip=machine.ip, found=self.image(machine))

    def plugged(self):
        self.step("waiting for the ports")
        for machine in self.machines:
            for port in machine.ports:
                say(f"$ weirctl port wait {port} up")
                self.switch.wait_port(port, "up", 30)
        for name, guest in self.guests.items():
            who = "?"
            with contextlib.suppress(OSError, TypeError, KeyError):
                who = pwd.getpwuid(os.stat(f"/proc/{guest.pid}").st_uid).pw_name
            if not self.with_libvirt:
                say(f"plugged by QEMU: {name}, QEMU runs as {who}")
                continue
            xml = self.libvirt.virsh("dumpxml", guest.domain).stdout
            cards = re.findall(r"<interface type='vhostuser'>.*?</interface>", xml, re.S)
            if not cards:
                raise Failure(f"libvirt's domain {guest.domain} has no vhostuser interface")
            for card in cards:
                source = re.search(r"<source type='unix' path='([^']*)' mode='([^']*)'", card)
                say(f"plugged by libvirt: {name}, domain {guest.domain}, vhostuser {source[1]} "
                    f"mode {source[2]}, QEMU runs as {who}")

    def traffic(self):
        one, two = self.guests["vm1"], self.guests["vm2"]
        for address in ("10.77.0.2", "fd77::2"):
            self.step(f"vm1 pings vm2, {'IPv6' if ':' in address else 'IPv4'}")
            one.wait_ping(address)
            ping = one.ping(address, count=5, interval=1)
            say(ping.output)
            if ping.lost:
                raise Failure(f"{ping.lost} of {ping.sent} pings of {address} got no answer")
        two.iperf3_server()
        for kind, words in (("TCP", "-t 5"), ("UDP", "-u -b 20M -t 5")):
            self.step(f"vm1 sends to vm2 with iperf3, {kind}")
            output = one.ok(f"iperf3 -c 10.77.0.2 -i 0 -f m {words}", timeout=60)
            # The first table is one of intervals, of which there is one; the second is the summary.
            say(output[output.rindex("[ ID]"):].split("\n\n")[0])
            rate = re.search(r"([\d.]+) Mbits/sec.*receiver", output)
            if not rate or float(rate[1]) <= 0:
                raise Failure(f"iperf3 received nothing:\n{output}")

    def tables(self):
        self.step("what the switch says")
        for words in (["port", "list"], ["fdb", "list"], ["drops"]):
            self.ctl(*words)

    # -- the end

    def keep_logs(self):
        """Copies of all logs, as the folders they lie in are about to go."""
        folder = tempfile.mkdtemp(prefix="weir-demo-log.", dir="/tmp")
        found = {}
        if self.switch is not None:
            found["weir-switchd.log"] = self.switch.log
        if self.libvirt is not None:
            found["libvirtd.log"] = self.libvirt.work.file("libvirtd.log")
            for path in glob.glob(self.libvirt.work.file("log/qemu/*.log")):
                found["qemu-" + os.path.basename(path)] = path
        for name, guest in self.guests.items():
            found[f"{name}.console"] = guest.console if self.with_libvirt else guest.file("console")
            if not self.with_libvirt:
                found[f"{name}.qemu"] = guest.file("stderr")
        for name, path in found.items():
            with contextlib.suppress(OSError):
                shutil.copyfile(path, os.path.join(folder, name))
        return folder

    def remove(self, check):
        """Remove all that was made; with check, say so and look whether anything is left."""
        self.watching = False
        domains = [guest.domain for guest in self.guests.values()] if self.libvirt else []
        shared = self.libvirt if self.libvirt and not self.libvirt.private else None
        folders = [part.work.path for part in [self, self.switch, self.libvirt, *self.guests.values()]
                   if hasattr(part, "work")]
        try:
            self.stack.close()
        finally:
            if self.switch is not None:
                self.switch.close(check=check)
        if not check:
            return
        if shared is not None:
            known = run(["virsh", "-q", "-c", shared.uri, "list", "--all", "--name"]).stdout.split()
            self.left += [f"domain {name}" for name in set(domains) & set(known)]
        self.left += [f"folder {path}" for path in folders if os.path.exists(path)]
        with open("/proc/self/mountinfo") as file:
            mounts = file.read()
        self.left += [f"mount of {path}" for path in folders if path in mounts]
        self.left += [f"process {pid}" for pid in processes(folders)]
        if huge_pages() != self.pages:
            self.left.append(f"huge pages: {self.pages} before, {huge_pages()} after")
        if self.left:
            raise Failure(f"not removed: {', '.join(self.left)}")
        say("processes, domains, mounts and sockets are gone; "
            f"huge pages as before: {sum(self.pages.values())}")

    def play(self):
        self.start_switch()
        self.add_ports()
        self.boot()
        self.plugged()
        self.traffic()
        self.tables()
        self.step("removing what was made")
        self.remove(check=True)


def processes(folders):
    """Processes whose command line names one of the folders; none of anybody else's can."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace")
                if any(path in words for path in folders):
                    found.append(entry)
    return found


def stop_on_signal(number, _):
    # Cleaning up takes a while; asking twice does not make it quicker, only incomplete.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise Ended(number)


def main():
    start = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_on_signal)
    kind = Demo
    if "chain" in sys.argv[1:]:
        from lab.demo_chain import ChainDemo as kind
    demo = kind("--no-libvirt" not in sys.argv[1:])
    try:
        demo.play()
    except Ended as signal_seen:
        print(f"\ndemo: stopped by {signal.Signals(signal_seen.args[0]).name}; removing what was made",
              file=sys.stderr)
        demo.remove(check=False)
        return 128 + signal_seen.args[0]
    except (Failure, SwitchEnded) as error:
        demo.watching = False
        logs = demo.keep_logs()
        demo.remove(check=False)
        print(f"\ndemo: failed: {demo.step_name}\nwhy: {error}\nlogs: {logs}", file=sys.stderr)
        return 1
    except BaseException:
        demo.remove(check=False)
        raise
    say(f"\nThe demo took {time.monotonic() - start:.0f} s. Weir works here.")
    return 0


if __name__ == "__main__":
    # The module's own main(), whose exceptions are those that demo_chain.py gets from here.
    from lab import demo as this
    sys.exit(this.main())
