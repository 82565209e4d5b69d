"""The demo of chains: client, firewall, monitor, server. Started as scripts/demo chain."""
import os
import re
import signal

from lab import Failure, wait_until
from lab.demo import Demo, Machine, say

RULES = """table bridge filter {
	chain pass {
		type filter hook forward priority filter
		tcp dport 8080 counter drop
	}
}
"""
DOCUMENT = """switch: {hugepages: off}
ports:
  client: {vhost-user: {socket: client.sock}}
  server: {vhost-user: {socket: server.sock}}
  fw-a:   {vhost-user: {socket: fw-a.sock}}      # the firewall has two cards
  fw-b:   {vhost-user: {socket: fw-b.sock}}
  mon-a:  {vhost-user: {socket: mon-a.sock}}     # the monitor too
  mon-b:  {vhost-user: {socket: mon-b.sock}}
chains:
  inspect:
    match: {from: {port: client}, to: {cidr: 10.77.0.2/32}}
    hops:
      - {nf: firewall, instances: [{left: fw-a, right: fw-b}], on-failure: closed}
      - {nf: monitor, instances: [{left: mon-a, right: mon-b}], on-failure: open}
"""
SERVER = "10.77.0.2"
ALLOWED, BLOCKED = 80, 8080


class ChainDemo(Demo):
    machines = [Machine("client", ["client"], ["10.77.0.1/24"]),
                Machine("firewall", ["fw-a", "fw-b"], nf="firewall"),
                Machine("monitor", ["mon-a", "mon-b"], nf="monitor"),
                Machine("server", ["server"], [f"{SERVER}/24"])]

    def write(self, name, text):
        path = self.work.file(name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def apply(self, text):
        say("$ weirctl apply chain.yaml")
        # The last line: before it stands the difference, in long lines.
        say(self.switch.ctl("apply", self.write("chain.yaml", text)).rstrip().split("\n")[-1])

    def add_ports(self):
        self.step("a chain: what the client sends to the server visits a firewall and a monitor")
        say("$ cat chain.yaml")
        say(DOCUMENT)
        self.apply(DOCUMENT)
        self.switch.expect(r"chain inspect: .* is out of service")
        say("\n$ cat rules.nft     # of the firewall")
        say(RULES)
        self.machines[1].files["rules"] = self.write("rules.nft", RULES)

    # -- the steps

    def ask(self, port, answers):
        """The client asks the server's service; whether it gets an answer must be as it is said."""
        words = f"timeout 3 nc {SERVER} {port} </dev/null"
        done = self.guests["client"].sh(words, timeout=30)
        say(f"client$ {words}")
        say(done.output.strip() if done.status == 0 else "(no answer)")
        if (done.status == 0) != answers:
            raise Failure(f"port {port} of the server {'does not answer' if answers else 'answers'}: {done.output}")

    def services(self):
        self.step("an allowed service and a blocked one")
        server = self.guests["server"]
        for port in (ALLOWED, BLOCKED):
            server.start_job(f"exec nc -ll -p {port} -e echo This is port {port}.")
            server.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done")
        self.guests["client"].wait_ping(SERVER)
        self.ask(ALLOWED, True)
        self.ask(BLOCKED, False)
        for name, words in (("firewall", "nft list chain bridge filter pass"), ("monitor", "nft list counters")):
            say(f"\n{name}$ {words}")
            said = self.guests[name].ok(words)
            say(said)
            if not re.search(r"packets [1-9]", said):
                raise Failure(f"the {name} counted nothing")

    def shown(self):
        self.step("what the switch says")
        self.ctl("chain", "list")
        self.ctl("chain", "show", "inspect")

    def state(self):
        return self.switch.json("chain", "show", "inspect")["hops"][0]["instances"][0]["state"]

    def kill(self):
        firewall = self.guests["firewall"]
        pid = firewall.pid
        self.step("the firewall's machine dies; its hop is closed")
        say(f"$ kill -9 {pid}     # its QEMU")
        if self.with_libvirt:
            os.kill(pid, signal.SIGKILL)
        else:
            firewall.kill()
        wait_until(lambda: self.state() == "down", 10, "the switch to notice")
        self.ask(ALLOWED, False)
        self.ctl("chain", "show", "inspect")
        self.ctl("drops", "client")
        if not any(one["reason"] == "chain-closed" for one in self.switch.json("drops", "client")):
            raise Failure("no drop by the name chain-closed")

    def open(self):
        self.step("the hop is opened: without a firewall in service it is skipped")
        say("$ sed -i s/closed/open/ chain.yaml")
        self.apply(DOCUMENT.replace("closed", "open"))
        self.ask(ALLOWED, True)
        self.ctl("chain", "show", "inspect")
        if not self.switch.json("chain", "show", "inspect")["hops"][0]["skipped"]:
            raise Failure("nothing skipped the firewall")

    def play(self):
        self.start_switch()
        self.add_ports()
        self.boot()
        self.plugged()
        self.services()
        self.shown()
        self.kill()
        self.open()
        self.step("removing what was made")
        self.remove(check=True)
