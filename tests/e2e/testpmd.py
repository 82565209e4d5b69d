"""dpdk-testpmd plays both VMs at full speed (net_virtio_user): every packet that one sends is received by
the other or counted under a named drop."""
import contextlib
import os
import re

from cases import BOTH, RELEASE, case, check, fixture, slow
from lab import Failure, Switch, Workdir, spawn, wait_until
from weirvm.procs import end, tail

USER = "nobody"


class Testpmd:
    """One testpmd with one port; driven through its prompt. It shares CPU 0 with its own main thread."""

    def __init__(self, name, path, mac, mode, listens, queues=1, mtu=1500):
        self.name = name
        self.work = Workdir(f"weir-{name}-")
        self.log = self.work.file("log")
        reader, self.stdin = os.pipe()
        server = 1 if listens == "vmm" else 0
        device = f"net_virtio_user0,mac={mac},path={path},queues={queues},queue_size=256,server={server}"
        # Its output goes to a file, which the C library would write in blocks.
        argv = ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-huge", "-m", "192", "--no-pci",
                "--no-telemetry", f"--file-prefix={os.path.basename(self.work.path)}", "--vdev", device, "--",
                "-i", f"--forward-mode={mode}", f"--rxq={queues}", f"--txq={queues}", "--txd=256", "--rxd=256",
                "--total-num-mbufs=8192", "--no-mlockall", "--no-lsc-interrupt", "--disable-device-start",
                "--disable-link-check",
                f"--max-pkt-len={mtu + 18}", "--mbuf-size=10240"]
        with open(self.log, "w") as log:
            self.child = spawn(argv, stdin=reader, stdout=log, stderr=log)
        os.close(reader)

    def say(self, command):
        os.write(self.stdin, (command + "\n").encode())

    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def wait(self, pattern, timeout=20, after=0):
        """Wait until it prints what matches, behind the first `after` characters; the match."""
        def look():
            if self.child.poll() is not None:
                raise Failure(f"testpmd {self.name} ended with {self.child.returncode}:\n{tail(self.log)}")
            return re.search(pattern, self.text()[after:])
        return wait_until(look, slow(timeout), lambda: f"{pattern!r} from testpmd {self.name}:\n{tail(self.log)}")

    def counters(self):
        """(received, sent) so far."""
        after = len(self.text())
        self.say("show port stats 0")
        match = self.wait(r"RX-packets: (\d+)[\s\S]*?TX-packets: (\d+)[\s\S]*?TX-bytes", after=after)
        return int(match[1]), int(match[2])

    def close(self):
        # Stopped before it ends: EAL wipes the rings as it goes, and the switch would rightly complain.
        with contextlib.suppress(Failure, OSError):
            self.say("stop")
            self.say("port stop all")
            self.say("quit")
            self.child.wait(slow(10))
        os.close(self.stdin)
        end(self.child)
        self.work.remove()


def exchange(listens, queues, size):
    """One sends for a while, the other receives; the books must balance."""
    mtu = max(size - 14, 1500)
    keys = {"vhost_user__queues": queues, "mtu": max(mtu, 1500)}
    if listens == "switch":
        keys["vhost_user__mode"] = "0666"
    with Switch(user=USER) as switch, contextlib.ExitStack() as stack:
        def peer(name, mac, mode):
            path = switch.add_port(name, listens, **keys)
            if listens == "vmm":
                os.chmod(os.path.dirname(path), 0o777)
            one = Testpmd(name, path, mac, mode, listens, queues, mtu)
            stack.callback(one.close)
            return one
        sender = peer("sender", "52:54:00:00:0e:01", "txonly")
        receiver = peer("receiver", "52:54:00:00:0e:02", "rxonly")
        if listens == "vmm":        # a server's socket grants what its umask left
            for name in ("sender", "receiver"):
                wait_until(lambda name=name: os.path.exists(switch.socket(name)), slow(20), f"socket of {name}")
                os.chmod(switch.socket(name), 0o777)
        for one in (sender, receiver):
            one.wait("testpmd> ")
            one.say("port start all")
        sender.say(f"set txpkts {size}")
        sender.say("set eth-peer 0 52:54:00:00:0e:02")
        for name in ("sender", "receiver"):
            switch.wait_port(name, "up")
        receiver.say("start")
        receiver.wait("rxonly packet forwarding|packet forwarding - ports=1")
        sender.say("start")
        wait_until(lambda: switch.port("receiver")["to_vm"]["packets"] > 20000, slow(30),
                   lambda: f"20000 packets; {switch.port('receiver')}")
        sender.say("stop")
        sender.wait("Done\\.")
        # What must become equal may take a moment: the rings hold some, and CPUs are shared.
        sent = sender.counters()[1]

        def books():
            one, other = switch.port("sender"), switch.port("receiver")
            return one["from_vm"]["packets"], other["to_vm"]["packets"], one["drops"] + other["drops"]

        def balanced():
            taken, given, drops = books()
            return taken == sent and taken == given + drops and (taken, given, drops)
        taken, given, drops = wait_until(balanced, slow(10), lambda: (
            f"{sent} packets sent to be taken, and all taken to be delivered or dropped; {books()}"), 0.1)
        wait_until(lambda: receiver.counters()[0] == given, slow(10), lambda: (
            f"{given} packets to be received; {receiver.counters()[0]} are"), 0.1)
        size_seen = switch.port("receiver")["to_vm"]["bytes"] / max(given, 1)
        check(size_seen == size, f"frames of {size_seen} bytes were delivered, not {size}")
        return f"{taken} taken = {given} delivered + {drops} dropped by name"


def add_cases():
    matrix = [(listens, queues, size) for listens in ("vmm", "switch") for queues in (1, 2)
              for size in (64, 1500, 9000)]
    for listens, queues, size in matrix:
        @case(f"testpmd: {size} B, {queues} queue{'s' * (queues > 1)}, listens {listens}",
              presets=BOTH if (queues, size) == (2, 1500) else RELEASE)
        def run(listens=listens, queues=queues, size=size):
            return exchange(listens, queues, size)


add_cases()
