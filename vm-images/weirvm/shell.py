"""What a test does inside a guest, whatever carries the commands there."""
import json
import itertools
import re
import shlex
from typing import NamedTuple

from .procs import Failure

# Feature bits of virtio-net that tests look at, by their names in the specification.
FEATURES = {
    0: "CSUM", 1: "GUEST_CSUM", 2: "CTRL_GUEST_OFFLOADS", 3: "MTU", 5: "MAC", 7: "GUEST_TSO4", 8: "GUEST_TSO6",
    9: "GUEST_ECN", 10: "GUEST_UFO", 11: "HOST_TSO4", 12: "HOST_TSO6", 13: "HOST_ECN",
    14: "HOST_UFO", 15: "MRG_RXBUF", 16: "STATUS", 17: "CTRL_VQ", 18: "CTRL_RX", 19: "CTRL_VLAN",
    21: "GUEST_ANNOUNCE", 22: "MQ", 23: "CTRL_MAC_ADDR", 24: "NOTIFY_ON_EMPTY", 27: "ANY_LAYOUT",
    28: "INDIRECT_DESC", 29: "EVENT_IDX", 32: "VERSION_1", 33: "ACCESS_PLATFORM", 34: "RING_PACKED",
    35: "IN_ORDER",
}


class Result(NamedTuple):
    output: str
    status: int


class Job:
    """A command that goes on in the guest while the test does other things."""

    def __init__(self, guest, number, command):
        self.guest = guest
        self.command = command
        self.base = f"/tmp/job{number}"
        script = f"echo $$ >{self.base}.pid; exec sh -c {shlex.quote(command)}"
        guest.ok(f"( setsid /bin/sh -c {shlex.quote(script)} >{self.base}.out 2>&1 </dev/null; "
                 f"echo $? >{self.base}.tmp; mv {self.base}.tmp {self.base}.status ) "
                 f">/dev/null 2>&1 &\n"
                 f"while [ ! -s {self.base}.pid ]; do usleep 5000; done")

    def running(self):
        return self.guest.sh(f"test -e {self.base}.status").status != 0

    def output(self):
        return self.guest.ok(f"cat {self.base}.out")

    def wait(self, timeout=60):
        """The output and status, once it has ended."""
        wait = self.guest.sh(f"while [ ! -e {self.base}.status ]; do usleep 50000; done", timeout)
        if wait.status:
            raise Failure(f"{self.guest.name}: no end after {timeout} s: {self.command}\n{self.output()}")
        return Result(self.output(), int(self.guest.ok(f"cat {self.base}.status")))

    def signal(self, name="TERM"):
        """Signal the command and all it started: it leads a session of its own."""
        self.guest.sh(f"kill -{name} -$(cat {self.base}.pid)")

    def stop(self, name="INT", timeout=10):
        """End it, e.g. ping, which prints its summary on INT. The output and status."""
        self.signal(name)
        return self.wait(timeout)


class Ping(NamedTuple):
    sent: int
    received: int
    output: str

    @property
    def lost(self):
        return self.sent - self.received


class Shell:
    """Mixed into what can run a command in a guest; sh() is the one thing it needs."""

    name = "guest"

    def sh(self, command, timeout=60):
        """Run a shell command; Result(output, status), output being stdout and stderr."""
        raise NotImplementedError

    def ok(self, command, timeout=60):
        """Run a shell command that must succeed; its output."""
        result = self.sh(command, timeout)
        if result.status:
            raise Failure(f"{self.name}: {command}\n  exit {result.status}: {result.output[-2000:]}")
        return result.output

    def start_job(self, command):
        """Start a command in the background; a Job."""
        if not hasattr(self, "_jobs"):
            self._jobs = itertools.count(1)
        return Job(self, next(self._jobs), command)

    # -- the network card

    def features(self, nic="eth0"):
        """Names of the feature bits that driver and device agreed on; unknown ones as numbers."""
        bits = self.ok(f"cat /sys/class/net/{nic}/device/features").strip()
        return {FEATURES.get(bit, str(bit)) for bit, value in enumerate(bits) if value == "1"}

    def offloads(self, nic="eth0"):
        """What ethtool -k says: {"tx-checksumming": True, ...}."""
        lines = self.ok(f"ethtool -k {nic}").splitlines()[1:]
        pairs = (line.strip().split(": ") for line in lines if ": " in line)
        return {key: value.startswith("on") for key, value in pairs}

    def set_offloads(self, nic="eth0", **switches):
        """set_offloads(tx=False, tso=False, ...): ethtool -K."""
        words = " ".join(f"{key.replace('_', '-')} {'on' if value else 'off'}"
                         for key, value in switches.items())
        return self.ok(f"ethtool -K {nic} {words}")

    def set_queues(self, pairs, nic="eth0"):
        return self.ok(f"ethtool -L {nic} combined {pairs}")

    def queues(self, nic="eth0"):
        """Queue pairs in use and on offer."""
        numbers = re.findall(r"^Combined:\s+(\d+)", self.ok(f"ethtool -l {nic}"), re.M)
        return int(numbers[1]), int(numbers[0])

    def add_ip(self, address, nic="eth0", mtu=None):
        nodad = " nodad" if ":" in address else ""
        if mtu:
            self.ok(f"ip link set {nic} mtu {mtu}")
        self.ok(f"ip link set {nic} up && ip address replace {address} dev {nic}{nodad}")

    def mac(self, nic="eth0"):
        return self.ok(f"cat /sys/class/net/{nic}/address").strip()

    def carrier(self, nic="eth0"):
        """Whether the link is up; False also for a card that is down or gone."""
        return self.sh(f"cat /sys/class/net/{nic}/carrier").output.strip() == "1"

    def wait_carrier(self, up=True, timeout=10, nic="eth0"):
        wanted = "1" if up else "0"
        wait = self.sh(f'while [ "$(cat /sys/class/net/{nic}/carrier 2>/dev/null)" != {wanted} ]; '
                       "do usleep 20000; done", timeout)
        if wait.status:
            raise Failure(f"{self.name}: {nic} has carrier {'down' if up else 'up'} after {timeout} s")

    def reload_driver(self, nic="eth0"):
        """Unload virtio_net and load it again; addresses are gone afterwards."""
        self.ok("rmmod virtio_net && modprobe virtio_net")
        self.ok(f"while [ ! -e /sys/class/net/{nic} ]; do usleep 20000; done", timeout=10)

    # -- traffic

    def ping(self, address, count=3, size=None, interval=0.2, fragment=True, timeout=None, patience=None):
        """Ping; replies are counted, not demanded. fragment=False: one packet or none.

        ping leaves two round trips after its last packet, which a busy machine can make too soon.
        patience: seconds within which the replies may come, in any order; it ends when all are there.
        """
        words = f"ping -n -i {interval}"
        words += f" -s {size}" if size is not None else ""
        words += f"{'' if fragment else ' -M do'} {address}"
        if not patience:
            result = self.sh(f"{words} -c {count} -W 2", timeout or count * max(1, interval) + 15)
            counts = re.search(r"(\d+) packets transmitted, (\d+) received", result.output)
            if not counts:
                raise Failure(f"{self.name}: {words}: {result.output[-500:]}")
            return Ping(int(counts[1]), int(counts[2]), result.output)
        number = "|".join(map(str, range(1, count + 1)))
        result = self.sh(f"file=/tmp/ping.$$; {words} >$file 2>&1 & ping=$!\n"
                         f"end=$(( $(cut -d. -f1 /proc/uptime) + {patience} ))\n"
                         f"until [ $(grep -cE 'icmp_seq=({number}) .*time=' $file) -ge {count} ]; do\n"
                         f"kill -0 $ping && [ $(cut -d. -f1 /proc/uptime) -le $end ] || break; usleep 20000; done\n"
                         f"kill -INT $ping; wait $ping; cat $file; rm $file", timeout or patience + 15)
        seen = set(re.findall(rf"icmp_seq=({number}) .*time=", result.output))
        return Ping(count, len(seen), result.output)

    def wait_ping(self, address, timeout=20):
        """Wait for the first answer; returns its output. The wait is in the guest, so it ends at once."""
        result = self.sh(f"until ping -n -c 1 -W 1 {address}; do usleep 50000; done", timeout)
        if result.status:
            raise Failure(f"{self.name}: no answer from {address} within {timeout} s: "
                          f"{result.output[-300:]}")
        return result.output

    def iperf3_server(self, port=5201):
        """Start an iperf3 server; returns when it listens."""
        self.ok(f"iperf3 -s -D -p {port} >/dev/null 2>&1")
        self.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=30)

    def iperf3(self, address, words="-t 2", timeout=60):
        """Run an iperf3 client; its JSON. words: any of its options, e.g. "-u -b 50M -t 2"."""
        result = self.sh(f"iperf3 -J -c {address} {words}", timeout)
        try:
            # A warning may stand before it, as of datagrams that are cut into fragments.
            answer = json.loads(result.output[result.output.find("{"):])
        except ValueError:
            raise Failure(f"{self.name}: iperf3 {address} {words}: {result.output[-500:]}") from None
        if "error" in answer or result.status:
            raise Failure(f"{self.name}: iperf3 {address} {words}: {answer.get('error')}")
        return answer
