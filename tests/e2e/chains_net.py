"""What cases of chains with real guests share: a client, a server, and network functions between them."""
import contextlib
import itertools
import re
from dataclasses import dataclass, field

from cases import check, fixture, slow
from lab import Failure, Guest, Nic, Switch, Workdir, wait_until
from traffic import new_port, plain
from weirvm.nf import nf_image, route_words

USER = "nobody"
ENDS = {"client": ("10.2.0.1/24", "fd02::1/64"), "server": ("10.2.0.2/24", "fd02::2/64")}
OUT = r"chain .* is out of service"
ECHO = 8082
# At the end of a fixture these are explained.
EXPLAINED = ("no-receiver", "to-vm-ring-full", "to-vm-not-up", "chain-closed", "chain-stray")


@dataclass
class Function:
    """A network function: its ports, and the guest that hosts it."""
    name: str
    ports: tuple
    guest: Guest = None

    @property
    def instance(self):
        return {"port": self.ports[0]} if len(self.ports) == 1 else dict(zip(("left", "right"), self.ports))


@dataclass
class Net:
    """The switch, its two ends and the functions. Chains are what chain() last said."""
    switch: Switch
    work: Workdir
    stack: contextlib.ExitStack
    client: Guest
    server: Guest
    document: dict
    functions: dict = field(default_factory=dict)

    def begun(self):
        """Client and server know each other's addresses."""
        for guest in (self.client, self.server):
            guest.wait_ready(slow(90))
        for address in self.addresses():
            self.client.wait_ping(address, slow(20))

    def forget(self):
        """The functions' machines have ended."""
        for one in self.functions.values():
            for port in one.ports:
                del self.document["ports"][port]
        self.functions.clear()
        self.unchain()

    def apply(self):
        self.switch.ctl("apply", self.switch.write_config(self.document))

    def begin(self, name, kind, arms=2, routes=(), macs=(), mtu=0, **how):
        """Starts a function's guest without waiting for it; files as for nf_image. mtu: of its ports and cards."""
        ports = (name,) if arms == 1 else (f"{name}-l", f"{name}-r")
        for port, mac in itertools.zip_longest(ports, macs):
            self.document["ports"][port] = {"vhost-user": {"socket": f"{port}.sock"}, "nf": True,
                                            **({"addresses": {"mac": mac}} if mac else {}),
                                            **({"mtu": mtu} if mtu else {})}
        function = self.functions[name] = Function(name, ports)
        self.apply()
        files = {key: self.write(f"{name}.{key}", how.pop(key)) for key in ("rules", "config", "signatures") if key in how}
        nics = [Nic(self.switch.socket(port), mac=mac or "", mtu=mtu) for port, mac in itertools.zip_longest(ports, macs)]
        guest = Guest(name, nics, found=nf_image(kind, self.work.sub(name), **files),
                      words=route_words(routes), **how)
        function.guest = self.stack.enter_context(guest)

    def unchain(self):
        self.document["chains"] = {}
        self.apply()

    def write(self, name, text):
        with open(self.work.file(name), "w") as file:
            file.write(text)
        return file.name

    def ready(self):
        for name, one in self.functions.items():
            one.guest.wait_ready(slow(90))
            said = one.guest.ok("cat /run/nf.log 2>/dev/null || true")
            check(not said, f"{name}: {said}")
            for port in one.ports:
                self.switch.wait_port(port, "up", slow(20))

    def chain(self, *hops, name="inspect", apply=True, **match):
        """A hop is a function's name, a list of such names (instances), or a dict of more keys with `nfs`."""
        document = []
        for number, hop in enumerate(hops):
            keys = dict(hop) if isinstance(hop, dict) else {"nfs": hop}
            names = keys.pop("nfs")
            names = [names] if isinstance(names, str) else names
            document.append({"nf": f"nf{number}", "instances": [self.functions[one].instance for one in names], **keys})
        match = match or {"from": {"port": "client"}}
        self.document["chains"][name] = {"match": match, "hops": document}
        if apply:
            self.apply()

    def instances(self, name="inspect"):
        """{port at its left: what `chain show` says of the instance}."""
        hops = self.switch.json("chain", "show", name)["hops"]
        return {one["port"] or one["left"]: one for hop in hops for one in hop["instances"]}

    def wait_state(self, function, state, timeout=5):
        port = self.functions[function].ports[0]
        wait_until(lambda: self.instances()[port]["state"] == state, slow(timeout),
                   lambda: f"{function} to be {state}: {self.instances()[port]}")

    def addresses(self):
        return [plain(address) for address in ENDS["server"]]

    def guest(self, name):
        return self.functions[name].guest

    def echo(self, port=ECHO):
        """A service of the server's: what it gets it sends back."""
        job = self.server.start_job(f"exec nc -ll -p {port} -e cat")
        self.server.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
        return job

    def ask(self, address, port=ECHO, text="hello", seconds=3):
        """What the service answers to the text; None if there is no answer within the time."""
        done = self.client.sh(f"echo {text} | timeout {seconds} nc {address} {port}", slow(seconds + 10))
        return done.output.strip() if done.status == 0 else None


@fixture(name="a switch, a client and a server")
def ends():
    document = {"switch": {"hugepages": "off"}, "chains": {},
                "ports": {name: {"vhost-user": {"socket": f"{name}.sock"}} for name in ENDS}}
    work = Workdir("weir-chains-")
    try:
        with Switch(document, user=USER, expected=[OUT]) as switch, contextlib.ExitStack() as stack:
            guests = [stack.enter_context(Guest(name, [Nic(switch.socket(name))], ip=list(addresses)))
                      for name, addresses in ENDS.items()]
            yield Net(switch, work, stack, *guests, document)
    finally:
        work.remove()


def fetch_file(net, address, megabytes=4):
    """From server to client over a connection that the client began."""
    port = new_port()
    net.server.ok(f"dd if=/dev/urandom of=/tmp/noise bs=1M count={megabytes} 2>/dev/null")
    job = net.server.start_job(f"exec nc -l -p {port} -e cat /tmp/noise")
    net.server.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
    got = net.client.ok(f"nc {address} {port} </dev/null | sha256sum", slow(60)).split()[0]
    job.wait(slow(10))
    sent = net.server.ok("sha256sum /tmp/noise; rm /tmp/noise").split()[0]
    check(got == sent, f"{megabytes} MiB from the server: sent {sent}, received {got}")
    return f"{megabytes} MiB"


# -- captures

REQUEST, REPLY = 0, 1


class Capture:
    """tcpdump in a guest: what its cards got, and what they sent."""

    def __init__(self, guest, packets, words="", card="any"):
        self.guest = guest
        # Of whole packets only a few would fit its buffer.
        self.job = guest.start_job(f"exec tcpdump -i {card} -n -l -s 128 --immediate-mode {words} '{packets}'")
        self.wait("listening on")

    def wait(self, pattern, timeout=15):
        done = self.guest.sh(f"until grep -Eq '{pattern}' {self.job.base}.out; do usleep 20000; done", slow(timeout))
        if done.status:
            raise Failure(f"{self.guest.name}: no {pattern!r} in the capture:\n{self.job.output()[-2000:]}")

    def stop(self):
        """The lines that are about packets: "TIME CARD DIRECTION ..."."""
        return [line for line in self.job.stop().output.splitlines() if re.match(r"[\d:.]+ \w+ +\w+ ", line)]

    def tags(self, wanted):
        """{pattern: the tag of all packets that match}, of which there must be some. Stops it; its lines."""
        lines = self.job.stop().output.splitlines()
        for pattern, tag in wanted.items():
            found = {re.search(r"vlan (\d+),|$", line)[1] for line in lines if re.search(pattern, line)}
            check(found == {str(tag)}, f"{self.guest.name}: {pattern}: in {found}, not {tag}")
        return lines


def large(lines):
    """How many frames of a capture are longer than a packet on a wire."""
    return sum(int(found[1]) > 2000 for line in lines if (found := re.search(r"length (\d+)", line)))


@contextlib.contextmanager
def captures(net, names, packets, words=""):
    """{name: Capture} of these functions, and of client and server."""
    guests = {"client": net.client, **{name: net.guest(name) for name in names}, "server": net.server}
    made = {name: Capture(guest, packets, words) for name, guest in guests.items()}
    try:
        yield made
    except BaseException:
        for one in made.values():
            one.job.signal("KILL")
        raise


# -- connections that go on

class Talks:
    """Connections that go on: each sends a line now and then, and gets it back."""

    def __init__(self, net, count=12, lines=20, pause_ms=250):
        self.net, self.count, self.lines, self.port = net, count, lines, new_port()
        self.service = net.echo(self.port)
        say = f"for i in $(seq {lines}); do echo $i; usleep {pause_ms * 1000}; done"
        self.job = net.client.start_job("".join(
            f"({say}) | nc {net.addresses()[number % 2]} {self.port} >/tmp/talk.{number} 2>&1 &\n" for number in range(count))
            + "wait")

    def wait_lines(self, count):
        """Until every one has got so many lines back."""
        self.net.client.ok("".join(f"until [ $(wc -l </tmp/talk.{number}) -ge {count} ]; do usleep 50000; done\n"
                                   for number in range(self.count)), timeout=slow(40))

    def finish(self):
        self.job.wait(slow(90))
        self.service.signal("KILL")
        for number in range(self.count):
            got = self.net.client.ok(f"cat /tmp/talk.{number}; rm /tmp/talk.{number}").split()
            check(got == [str(line + 1) for line in range(self.lines)], f"connection {number} got back {got}")
        return f"{self.count} connections, {self.lines} lines each"
