"""Weir itself, through its control socket."""
import json
import os
import select
import shlex
import socket

from switch import Switch
from weirvm.procs import Deadline, Failure, run, tail, wait_until

from . import ROOT, Side
from ..chaining import weir_chains, weir_ports
from ..tracking import weir_groups, weir_timeouts

PROTOCOL = 1
PORT_MACS = 1024        # the default of limits.macs
RULES_SHOWN = 20


class Control:
    """One connection to the control socket for the whole run: a weirctl would take CPU time beside the
    generator for every count."""

    def __init__(self, path):
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.connect(path)
        self.rest = b""
        self.number = 0
        self.call("hello", protocol=PROTOCOL)

    def call(self, method, timeout=10, **params):
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.stream.sendall(json.dumps(request).encode() + b"\n")
        deadline = Deadline(timeout)
        while True:
            answer = self.line(deadline)
            if answer.get("id") == self.number:
                break
        if "error" in answer:
            raise Failure(f"weir-switchd: {method}: {answer['error']['message']}")
        return answer["result"]

    def line(self, deadline):
        while b"\n" not in self.rest:
            if not select.select([self.stream], [], [], deadline.left())[0]:
                raise Failure(f"weir-switchd said nothing for {deadline.seconds} s")
            data = self.stream.recv(1 << 20)
            if not data:
                raise Failure("weir-switchd closed the connection")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def items(self, method):
        """All items of a list, which comes in pages."""
        found, cursor = [], {}
        while True:
            page = self.call(method, limit=1000, **cursor)
            found += page["items"]
            if not page["cursor"]:
                return found
            cursor = {"cursor": page["cursor"]}

    def close(self):
        self.stream.close()


class Weir(Side):
    name = "weir"
    thread = r"weir-worker-0$"

    def __init__(self, preset="release"):
        super().__init__(preset)
        self.switch = None
        self.control = None
        self.rates = {}
        self.shared = {}
        self.without = ()       # instances of the chain that are left out

    def program(self):
        return os.path.join(ROOT, "build", self.preset, "bin", "weir-switchd")

    def absent(self):
        if not os.path.exists(self.program()):
            return (f"build/{self.preset}/bin/weir-switchd is not there; build it: "
                    f"cmake --preset {self.preset} && cmake --build build/{self.preset}")
        return None

    def version(self):
        version = run([self.program(), "--version"]).stdout.strip()
        commit = run(["git", "-c", "safe.directory=*", "-C", ROOT, "describe", "--always", "--dirty"],
                     check=False).stdout.strip()
        built = [commit] if commit else []
        return f"{version} ({', '.join([*built, f'preset {self.preset}'])})"

    # -- life

    def start(self, setup):
        self.switch = Switch(self.document(setup, setup.ports), preset=self.preset, start=False,
                             prefix=setup.prefix)
        self.begin(setup, self.switch.work.path)
        self.switch.start()
        self.children = [self.switch.child]
        self.control = Control(self.switch.control)

    def document(self, setup, paths):
        document = {"switch": {"workers": [setup.cpu]},
                    "ports": {f"vm{number}": self.port(setup, path) for number, path in enumerate(paths)}}
        if setup.hugepages:
            document["switch"]["hugepages"] = setup.hugepages
        if setup.tracking:
            room = setup.tracking.connections
            document["groups"], own = weir_groups(setup.tracking)
            document["switch"].update(connections=room, timeouts=weir_timeouts())
            document["ports"]["vm1"].update(groups=own, limits={"connections": room})
        if setup.chain:
            document["chains"], groups = weir_chains(setup.chain, len(setup.sockets), self.without)
            document["groups"].update(groups)
            for name, own in weir_ports(setup.chain, len(setup.sockets)).items():
                document["ports"][name].update(own)
        for number, rate in self.rates.items():
            document["ports"][f"vm{number}"]["rate"] = rate
        if self.shared:
            document["rates"] = self.shared
        return document

    def apply(self, rules):
        """What `weirctl apply` asks for: the document with further rules of the first group. Without its
        process, which would take CPU time beside the generator."""
        document = self.document(self.setup, self.setup.ports)
        document["groups"]["group0"]["to-vm"] += rules
        self.control.call("config.apply", text=json.dumps(document))

    def leave_out(self, instances):
        """The chain without these instances, by their places, from now on."""
        self.without = instances
        self.control.call("config.apply", text=json.dumps(self.document(self.setup, self.setup.ports)))

    def forget_connections(self):
        at = {}
        while at is not None:
            cursor = self.control.call("conn.flush", **at)["cursor"]
            at = {"cursor": cursor} if cursor else None

    def set_rates(self, rates, shared=None):
        """{number of a port: its `rate`} and the document's `rates`, from now on. The others have none."""
        self.rates, self.shared = rates, shared or {}
        self.control.call("config.apply", text=json.dumps(self.document(self.setup, self.setup.ports)))

    def shown(self):
        """The document, without thousands of rules."""
        document = self.document(self.setup, self.setup.busy)
        groups = document.get("groups", {})
        rules = sum(len(group["to-vm"]) for group in groups.values())
        if rules > RULES_SHOWN:
            document["groups"] = f"{len(groups)} with {rules} rules"
        return document

    @staticmethod
    def port(setup, path):
        if path.startswith("iface="):
            return {"dpdk": {"device": f"net_af_packet0,{path}"}}
        port = {"vhost-user": {"socket": path, "listens": "vmm"}}
        if setup.queues > 1:
            port["vhost-user"]["queues"] = setup.queues
        if setup.jumbo:
            port["mtu"] = 9000
        if setup.macs > PORT_MACS:
            port["limits"] = {"macs": setup.macs}
        return port

    def ready(self, timeout=30):
        def states():
            self.check_alive()
            return {port["name"]: port["text"] for port in self.control.items("port.list")
                    if port["state"] != "up"}
        wait_until(lambda: not states(), timeout, lambda: f"ports of Weir to be up: {states()}")
        self.check_pages()

    def check_pages(self):
        """The connection table takes ordinary pages where it finds no huge ones."""
        table = self.control.call("status")["connections"]
        if self.setup.hugepages and table and table["hugepages"] != (self.setup.hugepages == "required"):
            raise Failure(f"hugepages: {self.setup.hugepages}, and the connection table's are "
                          f"{'huge' if table['hugepages'] else 'ordinary'}")

    def end(self):
        if self.control:
            self.control.close()
            self.control = None
        if self.switch:
            switch, self.switch = self.switch, None
            switch.close()      # fails on a warning in its log

    # -- what it says

    def counts(self):
        workers = self.control.call("status")["workers"]

        def total(key):
            return sum(worker[key] for worker in workers)
        drops = {}
        for item in self.control.items("drop.list"):
            drops[item["reason"]] = drops.get(item["reason"], 0) + item["count"]
        # A switch of another version may not count its bursts.
        bursts = total("bursts") if all("bursts" in worker for worker in workers) else None
        return {"packets": total("packets"), "busy_cycles": total("busy_cycles"),
                "tsc_hz": workers[0]["tsc_hz"], "bursts": bursts, "drops": drops}

    def connections(self):
        """(entries in use, evicted before their time)."""
        table = self.control.call("status")["connections"]
        return table["used"], table["evicted"]

    def describe(self):
        lines = [self.plain(shlex.join(self.switch.command())),
                 f"configuration: {self.plain(json.dumps(self.shown()))}",
                 *self.setup.others]
        if self.setup.jumbo:
            lines.append("mtu: raised for frames of 9000 bytes")
        if self.setup.macs > PORT_MACS:
            lines.append(f"limits.macs: raised for {self.setup.macs} MACs behind one port")
        return lines

    def log_tail(self):
        return tail(self.switch.log) if self.switch else ""
