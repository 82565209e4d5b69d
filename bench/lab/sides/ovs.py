"""Open vSwitch with DPDK, as Debian packages it: a learning switch (NORMAL), port to port, and that with
connection tracking.

Everything it has lies in a folder of its own, and it runs in a network namespace of its own: its bridge
makes a network interface of the bridge's name, and another Open vSwitch may run on the machine.
"""
import json
import math
import os
import re
import shlex
import shutil
import socket

from weirvm.procs import Deadline, Failure, Workdir, end, run, spawn, tail, wait_until

from . import ROOT, Side
from ..chaining import Chain
from ..tracking import ovs_timeouts

DAEMONS = ("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "ovs-vswitchd")
TOOLS = ("ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl")
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
BRIDGE = "br0"
MEMORY = 2048           # MiB for packet buffers, without huge pages: it takes 262144 of them or none
SWEEP_MAX = 60          # seconds, twice what a full table was seen to take
MACS = 8192             # the default of mac-table-size


def daemon():
    """The path of an ovs-vswitchd that was built with DPDK; None if there is none."""
    for name in DAEMONS:
        path = shutil.which(name)
        if path and re.search(r"^DPDK ", run([path, "--version"], check=False).stdout, re.M):
            return path
    return None


class Socket:
    """A daemon's control socket, as ovs-appctl speaks to it, or the database's. The former is held open,
    since a program for each count would take CPU time beside the generator."""

    def __init__(self, path):
        self.name = os.path.basename(path)
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.connect(path)
        self.decoder = json.JSONDecoder()

    def call(self, method, *words, timeout=10):
        self.stream.settimeout(timeout)
        try:
            self.stream.sendall(json.dumps({"id": 0, "method": method, "params": words}).encode())
            answer = self.answer()
        except TimeoutError:
            raise Failure(f"{self.name}: {method}: no answer after {timeout} s") from None
        if answer["error"]:
            raise Failure(f"{self.name}: {method}: {answer['error']}")
        return answer["result"]

    def answer(self):
        """One object; nothing marks its end but itself."""
        text = b""
        while True:
            data = self.stream.recv(1 << 20)
            if not data:
                raise Failure(f"{self.name} was closed")
            text += data
            if data.rstrip().endswith(b"}"):
                try:
                    return self.decoder.decode(text.decode(errors="replace"))
                except ValueError:
                    pass

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Ovs(Side):
    """What both ways to switch have in common; each names its file of flows."""
    thread = r"pmd-c\d+"
    flows = None
    fail_mode = "standalone"

    def __init__(self, preset="release"):
        super().__init__(preset)
        self.program = daemon()
        self.work = None
        self.control = None
        self.env = None
        self.hertz = 0
        self.rules = []

    def absent(self):
        if not self.program:
            return "no ovs-vswitchd with DPDK is installed; scripts/setup bench installs it"
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        return f"{missing[0]} is not installed; scripts/setup bench installs it" if missing else None

    def version(self):
        lines = run([self.program, "--version"]).stdout.strip().split("\n")
        return ", ".join(line.replace("ovs-vswitchd-dpdk (Open vSwitch)", "Open vSwitch") for line in lines)

    # -- life

    def start(self, setup):
        self.work = Workdir(f"weir-{self.name}-")
        folder = self.work.path
        self.begin(setup, folder)
        self.env = dict(os.environ, OVS_RUNDIR=folder, OVS_LOGDIR=folder, OVS_DBDIR=folder,
                        OVS_SYSCONFDIR=folder, RUNTIME_DIRECTORY=self.work.sub("dpdk"))
        run(["ovsdb-tool", "create", self.work.file("conf.db"), SCHEMA], env=self.env)
        database = self.work.file("db.sock")
        self.spawn("ovsdb-server", [self.work.file("conf.db"), f"--remote=punix:{database}"])
        # All of the configuration is there when the daemon reads it first: DPDK starts with it.
        wait_until(lambda: self.check_alive() and os.path.exists(database), 10, "ovsdb-server")
        words = [word for command in self.settings(setup.ports) for word in ["--", *command]]
        run(["ovs-vsctl", f"--db=unix:{database}", "--no-wait", *words[1:]], env=self.env)
        self.spawn(self.program, [f"unix:{database}"], before=["unshare", "--net", "--"])

    def spawn(self, program, words, before=()):
        name = os.path.basename(program)
        argv = [*before, program, *words, f"--unixctl={self.work.file(name + '.ctl')}",
                f"--pidfile={self.work.file(name + '.pid')}", f"--log-file={self.work.file(name + '.log')}",
                "-vconsole:off", "-vsyslog:off"]
        with open(self.work.file(f"{name}.out"), "w") as out:
            self.children.append(spawn(argv, env=self.env, stdout=out, stderr=out))

    def settings(self, paths):
        """Commands of ovs-vsctl, as lists of words."""
        setup = self.setup

        def other(key, value):
            return ["set", "Open_vSwitch", ".", f'other_config:{key}="{value}"']
        commands = [["init"], other("dpdk-init", "true"), other("pmd-cpu-mask", hex(1 << setup.cpu)),
                    other("dpdk-extra", f"--no-huge --legacy-mem --no-pci --no-telemetry -m {MEMORY}")]
        if setup.tso:
            commands.append(other("userspace-tso-enable", "true"))
        commands += [["add-br", BRIDGE],
                     ["set", "Bridge", BRIDGE, "datapath_type=netdev", f"fail_mode={self.fail_mode}"]]
        if self.macs() > MACS:
            commands.append(["set", "Bridge", BRIDGE, f"other_config:mac-table-size={self.macs()}"])
        for number, path in enumerate(paths):
            commands += [["add-port", BRIDGE, f"vm{number}"],
                         ["set", "Interface", f"vm{number}", "type=dpdkvhostuserclient",
                          f"options:vhost-server-path={path}", f"ofport_request={number + 1}",
                          *(["mtu_request=9000"] if setup.jumbo else [])]]
        return commands

    def macs(self):
        """Addresses in the MAC table: those of all ports, and some room."""
        return self.setup.macs * len(self.setup.sockets) + len(self.setup.ports) + 1024

    def ready(self, timeout=60):
        deadline = Deadline(timeout)
        path = self.work.file(f"{os.path.basename(self.program)}.ctl")
        wait_until(lambda: self.check_alive() and os.path.exists(path), deadline.left(),
                   lambda: f"ovs-vswitchd:\n{self.log_tail()}")
        self.control = Socket(path)
        wait_until(lambda: self.check_alive() and os.path.exists(self.work.file(f"{BRIDGE}.mgmt")),
                   deadline.left(), lambda: f"the bridge of ovs-vswitchd:\n{self.log_tail()}")
        self.load_flows(deadline)
        wait_until(lambda: self.check_alive() and not self.down(), deadline.left(),
                   lambda: f"ports of ovs-vswitchd {self.down()}:\n{self.log_tail()}", 0.02, 0.1)
        self.hertz = self.tsc_hz()

    def load_flows(self, deadline):
        self.rules = self.rule_lines()
        path = self.work.file("flows")
        with open(path, "w") as file:
            file.write("\n".join(self.rules) + "\n")
        run(["ovs-ofctl", "-O", "OpenFlow13", "replace-flows", f"unix:{self.work.file(BRIDGE + '.mgmt')}", path],
            env=self.env, timeout=deadline.left())

    def rule_lines(self):
        with open(os.path.join(ROOT, "bench", "ovs", self.flows)) as file:
            lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        if not any("@" in line for line in lines):
            return lines
        return [line.replace("@LEFT@", str(left + 1)).replace("@RIGHT@", str(right + 1))
                for left, right in self.setup.partners for line in lines]

    def police(self, number, bits, largest):
        """Drop what a port's VM sends beyond so many bits a second; 0: nothing. The burst is a tenth of the
        rate, and never less than two of the largest frames (bytes): one that exceeds it would never pass."""
        burst = max(bits / 10, 16 * largest)
        run(["ovs-vsctl", f"--db=unix:{self.work.file('db.sock')}", "set", "Interface", f"vm{number}",
             f"ingress_policing_rate={bits // 1000}", f"ingress_policing_burst={math.ceil(burst / 1000)}"],
            env=self.env)

    def down(self):
        """The ports without a link, or whose queues the switching thread does not poll yet."""
        polled = re.findall(r"port: (\S+)\s+queue-id:\s+\d+ \(enabled\)",
                            self.control.call("dpif-netdev/pmd-rxq-show"))
        with Socket(self.work.file("db.sock")) as database:
            answer = database.call("transact", "Open_vSwitch", {
                "op": "select", "table": "Interface", "columns": ["name"],
                "where": [["link_state", "==", "up"]]})
        up = {row["name"] for row in answer[0]["rows"]}.intersection(polled)
        return [f"vm{number}" for number in range(len(self.setup.ports)) if f"vm{number}" not in up]

    def end(self):
        if self.control:
            self.control.close()
            self.control = None
        for child in reversed(self.children):
            end(child)
        if self.work:
            self.work.remove()

    # -- what it says

    def tsc_hz(self):
        with open(self.work.file(f"{os.path.basename(self.program)}.log"), errors="replace") as file:
            found = re.search(r"(?:DPDK provided|Estimated) TSC frequency: (\d+) KHz", file.read())
        if not found:
            raise Failure("ovs-vswitchd did not say the frequency of its cycles")
        return int(found[1]) * 1000

    def counts(self):
        rounds = self.control.call("dpif-netdev/pmd-perf-show")
        stats = self.control.call("dpif-netdev/pmd-stats-show")
        # A burst that came in leaves as one batch for each port that it goes to: one here. An iteration
        # takes a burst from every port.
        bursts = sum(map(int, re.findall(r"Tx batches:\s+(\d+)", rounds)))
        # The main thread has a paragraph of its own, without packets.
        stats = stats.split("main thread:")[0]

        def total(key):
            return sum(map(int, re.findall(rf"{key}:\s+(\d+)", stats)))
        return {"packets": total("packets received"), "busy_cycles": total("processing cycles"),
                "tsc_hz": self.hertz, "bursts": bursts, "drops": self.drops(),
                "misses": total("miss with success upcall") + total("miss with failed upcall")}

    def drops(self):
        """Of the VMs' ports. The bridge's own interface is down and drops its copy of every flood."""
        drops = {}
        for port in self.control.call("dpctl/show", "-s").split("\n  port ")[1:]:
            if re.match(r"\d+: vm\d+ ", port):
                for direction, count in re.findall(r"([RT]X) packets:\d+ errors:\S+ dropped:(\d+)", port):
                    name = {"RX": "from-vm-dropped", "TX": "to-vm-ring-full"}[direction]
                    drops[name] = drops.get(name, 0) + int(count)
        return drops

    def describe(self):
        # The words before "--" see to it that nothing outlives the bench.
        lines = [self.plain(shlex.join(child.args[child.args.index("--") + 1:])) for child in self.children]
        lines += [f"ovs-vsctl {self.plain(shlex.join(command))}"
                  for command in self.settings(self.setup.busy)]
        lines += self.setup.others
        lines += [f"flow: {rule}" for rule in self.rules]
        lines.append(f"memory: {MEMORY} MiB without huge pages")
        if self.macs() > MACS:
            lines.append(f"mac-table-size: raised for {self.setup.macs} MACs behind one port")
        if self.setup.jumbo:
            lines.append("mtu_request: raised for frames of 9000 bytes")
        if self.setup.tso:
            lines.append("userspace-tso-enable: else it does not pass TSO frames on")
        lines.append("its bursts are the batches that it sent")
        return lines

    def log_tail(self):
        return tail(self.work.file(f"{os.path.basename(self.program)}.log")) if self.work else ""


class OvsNormal(Ovs):
    name = "ovs-normal"
    flows = "normal.flows"


class OvsPort(Ovs):
    name = "ovs-port"
    flows = "port.flows"
    fail_mode = "secure"


class OvsCt(Ovs):
    """Its connection tracking, with Weir's room and time-outs."""
    name = "ovs-ct"
    flows = "ct.flows"
    fail_mode = "secure"

    def refuses(self, setup):
        return None if setup.tracking else "it is to track connections"

    def settings(self, paths):
        return [*super().settings(paths),
                ["--id=@datapath", "create", "Datapath", "datapath_version=0"],
                ["set", "Open_vSwitch", ".", "datapaths:netdev=@datapath"],
                ["add-zone-tp", "netdev", "zone=0", *ovs_timeouts()]]

    def load_flows(self, deadline):
        super().load_flows(deadline)
        self.control.call("dpctl/ct-set-maxconns", str(self.setup.tracking.connections))

    def connections(self):
        """As Weir's; it evicts none."""
        return int(self.control.call("dpctl/ct-get-nconns")), 0

    def drops(self):
        full = int(self.control.call("coverage/read-counter", "conntrack_full"))
        return super().drops() | {"connection-table-full": full}

    def make_room(self):
        """It looks for entries that are over three times a minute, and not while it is stopped; a table that
        is full lets no conversation begin."""
        room = self.setup.tracking.connections
        wait_until(lambda: self.connections()[0] < room // 2, SWEEP_MAX,
                   lambda: f"{self.name} to remove what is over of {self.connections()[0]} connections; "
                   f"it has room for {room}", 0.05, 0.5)

    def describe(self):
        return [*super().describe(), f"dpctl/ct-set-maxconns {self.setup.tracking.connections}"]


class OvsChain(OvsCt):
    """A chain of network functions, by a flow for each way between two of them."""
    name = "ovs-chain"
    flows = "chain-4.flows"
    chain = Chain(4)

    def refuses(self, setup):
        return super().refuses(setup) or (None if setup.chain == self.chain
                                          else f"its flows are those of a {self.chain.text()}")
