"""Chains of real guests: client and server, and network functions of vm-images/ between them."""
import contextlib
import itertools
import re
from dataclasses import dataclass, field

from cases import case, check, fixture, slow
from guests import checksum_errors
from lab import Failure, Guest, Nic, Switch, Workdir, wait_until
from traffic import Drops, Stream, Transfer, gap, new_port, pings, plain, send_file
from weirvm.nf import nf_image, route_words

USER = "nobody"
ENDS = {"client": ("10.2.0.1/24", "fd02::1/64"), "server": ("10.2.0.2/24", "fd02::2/64")}
OUT = r"chain .* is out of service"
BLOCKED, REFUSED = 8080, 8081
ONE, TWO = 8091, 8092
NAT, BALANCER = ("10.2.0.210", "fd02::210"), ("10.2.0.220", "fd02::220")
RULES = f"""
table bridge filter {{
	chain enter {{
		type filter hook prerouting priority 0
		tcp dport {REFUSED} reject with tcp reset
	}}
	chain pass {{
		type filter hook forward priority 0
		tcp dport {BLOCKED} counter drop
	}}
}}
"""
SIGNATURES = "# of this test\nevil[0-9]{4}\n/EXPLOIT/i\n"
ECHO = 8082


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
        self.document["chains"] = {}
        self.apply()

    def apply(self):
        self.switch.ctl("apply", self.switch.write_config(self.document))

    def begin(self, name, kind, arms=2, routes=(), macs=(), **how):
        """Starts a function's guest without waiting for it; files as for nf_image."""
        ports = (name,) if arms == 1 else (f"{name}-l", f"{name}-r")
        for port, mac in itertools.zip_longest(ports, macs):
            self.document["ports"][port] = {"vhost-user": {"socket": f"{port}.sock"},
                                            **({"addresses": {"mac": mac}} if mac else {})}
        function = self.functions[name] = Function(name, ports)
        self.park()
        files = {key: self.write(f"{name}.{key}", how.pop(key)) for key in ("rules", "config", "signatures") if key in how}
        nics = [Nic(self.switch.socket(port), mac=mac or "") for port, mac in itertools.zip_longest(ports, macs)]
        guest = Guest(name, nics, found=nf_image(kind, self.work.sub(name), **files),
                      words=route_words(routes), **how)
        function.guest = self.stack.enter_context(guest)

    def park(self):
        """A chain that nobody matches names all functions: between two ports of a bridge, theirs would be a loop."""
        nobody = {"from": {"cidr": "255.255.255.255/32"}}
        self.document["chains"] = {"parked": {"match": nobody, "hops": [
            {"nf": "any", "instances": [one.instance for one in self.functions.values()]}]}}
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


@fixture(ends, name="two firewalls, a monitor and an IDS")
def bridging(net):
    """All that change no address. The monitor has one card."""
    with contextlib.ExitStack() as stack:
        net.stack = stack
        net.begin("fw", "firewall", rules=RULES)
        net.begin("fw2", "firewall", rules=RULES)
        net.begin("mon", "monitor", arms=1)
        net.begin("ids", "ids", signatures=SIGNATURES)
        net.begun()
        net.ready()
        # The cards' own words at their start are past: what these machines say from now on is the chain's.
        lost = Drops(net.switch)
        for port in (ECHO, BLOCKED, REFUSED):
            net.echo(port)
        yield net
        net.park()
        lost.only("no-receiver", "to-vm-ring-full", "to-vm-not-up", "chain-closed", "chain-stray")
    net.forget()


# -- order

REQUEST, REPLY = 0, 1


class Capture:
    """tcpdump in a guest: what its cards got, and what they sent."""

    def __init__(self, guest, packets, words=""):
        self.guest = guest
        # Of whole packets only a few would fit its buffer.
        self.job = guest.start_job(f"exec tcpdump -i any -n -l -s 128 --immediate-mode {words} '{packets}'")
        self.wait("listening on")

    def wait(self, pattern, timeout=15):
        done = self.guest.sh(f"until grep -Eq '{pattern}' {self.job.base}.out; do usleep 20000; done", slow(timeout))
        if done.status:
            raise Failure(f"{self.guest.name}: no {pattern!r} in the capture:\n{self.job.output()[-2000:]}")

    def stop(self):
        """The lines that are about packets: "TIME CARD DIRECTION ..."."""
        return [line for line in self.job.stop().output.splitlines() if re.match(r"[\d:.]+ \w+ +\w+ ", line)]


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


@contextlib.contextmanager
def gate(function, way, mac):
    """The function takes what comes from that address, and sends none of it on."""
    card = f"eth{len(function.ports) - 1 if way == REQUEST else 0}"
    function.guest.ok(f"tc qdisc replace dev {card} clsact && tc filter add dev {card} egress prio {way + 1} protocol all "
                      f"flower src_mac {mac} action drop")
    yield
    function.guest.ok(f"tc filter del dev {card} egress prio {way + 1}")


class Probe:
    """A ping and a connection, each of IPv4 or IPv6, that captures can tell from others by size and port."""

    def __init__(self, net, number):
        self.net, self.size, self.port = net, 200 + number, 9100 + number

    def send(self):
        """Without waiting for answers."""
        self.net.client.ok("".join(f"ping -n -c 1 -W 1 -s {self.size} {address} >/dev/null 2>&1 &\n"
                                   f"timeout 2 nc {address} {self.port} >/dev/null 2>&1 &\n"
                                   for address in self.net.addresses()))

    def patterns(self, way):
        """What a capture says of its packets of one direction: ping and SYN, v4 and v6."""
        kind = ("request", "reply")[way]
        tcp = rf"\.{self.port}: Flags \[S\]" if way == REQUEST else rf"\.{self.port} > .*: Flags \[S\.\]"
        return [rf"{ip} .*{what}" for ip in ("IP", "IP6") for what in (rf"echo {kind}, .*length {self.size + 8}$", tcp)]

    def seen(self, lines, way):
        """How many of the four a capture has."""
        return sum(any(re.search(pattern, line) for line in lines) for pattern in self.patterns(way))


@case("chain guests: captures in every guest show the order, both ways, v4 and v6", needs=bridging)
def order(net):
    """Each function in turn takes packets and sends none on: who is before it sees them, who is behind it does not.
    Those that do so go on doing it, and each is before the last: what is sent again gets no further."""
    names = ("fw", "mon", "ids")
    net.chain(*names)
    way_there = ("client", *names, "server")
    steps = [(REPLY, None)] + [(REPLY, name) for name in names] + [(REQUEST, name) for name in reversed(names)]
    probes = [Probe(net, number) for number in range(len(steps))]
    services = [net.echo(probe.port) for probe in probes]
    macs = (net.client.mac(), net.server.mac())
    with contextlib.ExitStack() as gates, captures(net, names, "icmp or icmp6 or tcp") as made:
        for probe, (way, name) in zip(probes, steps):
            if name:
                gates.enter_context(gate(net.functions[name], way, macs[way]))
            probe.send()
            for pattern in probe.patterns(way):
                made[name or "client"].wait(pattern)
        lines = {name: capture.stop() for name, capture in made.items()}
    for job in services:
        job.signal("KILL")
    for probe, (way, name) in zip(probes, steps):
        for direction, order_seen in ((REQUEST, way_there), (REPLY, way_there[::-1])):
            last = order_seen.index(name) if name and direction == way else len(order_seen) - 1
            wanted = [4 if direction <= way and place <= last else 0 for place in range(len(order_seen))]
            seen = [probe.seen(lines[one], direction) for one in order_seen]
            check(seen == wanted, f"{('requests', 'replies')[direction]} stopped at {name or 'nobody'}: "
                                  f"{dict(zip(order_seen, seen))}, not {wanted}")
    # Once in and once out, in at the left and out at the right, replies the other way.
    for name in names:
        right = f"eth{len(net.functions[name].ports) - 1}"
        for way, cards in ((REQUEST, ("eth0", right)), (REPLY, (right, "eth0"))):
            for pattern in probes[0].patterns(way):
                passed = [line.split()[1:3] for line in lines[name] if re.search(pattern, line)]
                check(passed == [[cards[0], "P"], [cards[1], "Out"]], f"{name}: {pattern}: {passed}")
    return " > ".join(way_there) + " and back, ping and TCP"


# -- what passes

def large(lines):
    """How many frames of a capture are longer than a packet on a wire."""
    return sum(int(found[1]) > 2000 for line in lines if (found := re.search(r"length (\d+)", line)))


@case("chain guests: files arrive unchanged, in TSO frames, through three functions", needs=bridging)
def files(net):
    names = ("fw", "mon", "ids")
    net.chain(*names)
    four, six = net.addresses()
    before = [checksum_errors(guest) for guest in (net.client, net.server)]
    with captures(net, names, "tcp and greater 2000", "-c 50") as made:
        there = send_file(net.client, net.server, four, 4)
        back = fetch_file(net, six)
        lines = {name: capture.stop() for name, capture in made.items()}
    whole = {name: large(lines[name]) for name in names}
    check(all(whole.values()), f"frames of TSO in the first 50: {whole}")
    after = [checksum_errors(guest) for guest in (net.client, net.server)]
    check(before == after, f"checksum errors: {before}, then {after}")
    return f"there {there}; back over v6 {back}; in frames of TSO"


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


@case("chain guests: the firewall lets a service pass, drops one and refuses one", needs=bridging)
def firewall(net):
    net.chain("fw", "mon")
    for address in net.addresses():
        check(net.ask(address) == "hello", f"the allowed service at {address} does not answer")
        check(net.ask(address, BLOCKED, seconds=2) is None, f"the blocked service at {address} answers")
        refused = net.client.sh(f"echo hello | timeout 5 nc {address} {REFUSED}")
        check("refused" in refused.output, f"the refused service at {address}: {refused}")
    counted = net.guest("mon").ok("nft list counter bridge count ipv6")
    check(int(re.search(r"packets (\d+)", counted)[1]) > 0, f"the monitor counted {counted}")
    # Without the chain all of them answer.
    net.park()
    for port in (ECHO, BLOCKED, REFUSED):
        check(net.ask(net.addresses()[0], port) == "hello", f"without a chain port {port} does not answer")
    return "v4 and v6; by a RST in the server's name"


@case("chain guests: the IDS drops what has a signature in it", needs=bridging)
def signatures(net):
    net.chain("ids")
    guest = net.guest("ids")
    for address in net.addresses():
        for text, answers in (("harmless", 1), ("evil1234", 0), ("eXploiT!", 0), ("evil12x4", 1)):
            pattern = "".join(f"{byte:02x}" for byte in text.encode())
            ping = net.client.sh(f"ping -n -c 1 -W {5 if answers else 1} -s 64 -p {pattern} {address}")
            check((ping.status == 0) == bool(answers), f"{text!r} to {address}: {ping.output}")
        check(net.ask(address, text="harmless") == "harmless", f"no answer from {address}")
        check(net.ask(address, text="an Exploit", seconds=1) is None, f"{address} got it")
    said = guest.ok("weir-ids --show")
    found = {line: int(count) for count, line in re.findall(r"dropped (\d+) line (\d+)", said)}
    check(found.get("2") == 2 and found.get("3", 0) >= 4, f"the IDS says: {said}")
    return f"dropped by line: {found}"


# -- instances

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


def talkers(lines, service):
    """{the client's port: its directions} of a capture."""
    found = {}
    for line in lines:
        one = re.search(r"IP6? \S+\.(\d+) > \S+\.(\d+): Flags", line)
        if one and str(service) in one.groups():
            source, target = map(int, one.groups())
            port, way = (source, REQUEST) if target == service else (target, REPLY)
            found.setdefault(port, set()).add(way)
    return found


@case("chain guests: connections spread over two firewalls and keep to theirs", needs=bridging)
def spread(net):
    net.chain(["fw", "fw2"], "mon")
    with captures(net, ("fw", "fw2", "mon"), "tcp") as made:
        talks = Talks(net, count=16, lines=3, pause_ms=200)
        figure = talks.finish()
        lines = {name: capture.stop() for name, capture in made.items()}
    seen = {name: talkers(lines[name], talks.port) for name in lines}
    check(not set(seen["fw"]) & set(seen["fw2"]), f"at both: {set(seen['fw']) & set(seen['fw2'])}")
    check({**seen["fw"], **seen["fw2"]} == seen["mon"] == seen["client"], f"not the same connections: {seen}")
    check(all(ways == {REQUEST, REPLY} for ways in seen["mon"].values()), f"one way only: {seen['mon']}")
    check(seen["fw"] and seen["fw2"], f"all at one: {seen}")
    return f"{figure}: {len(seen['fw'])} and {len(seen['fw2'])}"


def revive(net, name):
    """A new QEMU for a function that was killed; it is in service again by itself."""
    one = net.functions[name]
    one.guest.restart()
    net.ready()
    net.wait_state(name, "in-service")


@case("chain guests: kill -9 of one of two firewalls moves its connections to the other", needs=bridging)
def kill_one(net):
    net.chain(["fw", "fw2"])
    talks = Talks(net)
    talks.wait_lines(2)
    shares = {name: one["connections"] for name, one in net.instances().items()}
    net.guest("fw2").kill()
    net.wait_state("fw2", "down")
    figure = talks.finish()
    revive(net, "fw2")
    return f"{figure}, of {shares}"


@case("chain guests: kill -9 in an open hop: it is skipped, until there is a new one", needs=bridging)
def kill_open(net):
    net.chain({"nfs": "fw", "on-failure": "open"}, "mon")
    pause = gap(net.client, net.addresses()[0], net.guest("fw").kill, 10)
    net.wait_state("fw", "down")
    check(pause.seconds <= slow(2), f"{pause}")
    hop = net.switch.json("chain", "show", "inspect")["hops"][0]
    check(hop["skipped"] > 0, f"nothing was skipped: {hop}")
    revive(net, "fw")
    before = net.instances()["fw-l"]["original"]["packets"]
    pings(net.client, net.addresses()[0])
    after = net.instances()["fw-l"]["original"]["packets"]
    check(after >= before + 3, f"the new one got {after - before} of 3 pings")
    return f"{pause}, {hop['skipped']} skipped"


@case("chain guests: kill -9 in a closed hop: nothing passes, until there is a new one", needs=bridging)
def kill_closed(net):
    net.chain("fw", "fw2")
    lost = Drops(net.switch)
    stream = Stream(net.client, net.addresses()[1])
    try:
        net.guest("fw2").kill()
        net.wait_state("fw2", "down")
        # Counted where it came from: the hop before.
        wait_until(lambda: lost.new().get(("fw-r", "chain-closed"), 0) >= 10, slow(10), "10 pings to be dropped")
        revive(net, "fw2")
        stream.wait(slow(10))
    except BaseException:
        stream.cancel()
        raise
    pause = stream.stop()
    return f"{pause}, dropped: {lost.only('chain-closed', 'to-vm-not-up', 'to-vm-ring-full')}"


# -- change

@case("chain guests: the chain changes while a file passes", needs=bridging)
def change(net):
    chains = [("fw",), ("fw", "mon"), ("ids", "mon", "fw"), ("mon", "fw2"), (["fw", "fw2"], "ids", "mon")]
    net.chain(*chains[0])
    transfer = Transfer(net.client, net.server, net.addresses()[0], megabytes=1, times=20, pause_ms=300)
    try:
        for hops in chains:
            net.chain(*hops)
            through(net)
        net.park()
        check(transfer.running(), "it had ended before the last change")
    except BaseException:
        transfer.cancel()
        raise
    return f"{len(chains) + 1} chains, {transfer.finish(90)}"


def through(net, bytes_each=500_000):
    """Wait until so much has passed each hop."""
    def passed():
        hops = net.switch.json("chain", "show", "inspect")["hops"]
        return [sum(one["original"]["bytes"] for one in hop["instances"]) for hop in hops]
    before = passed()
    wait_until(lambda: all(now - then >= bytes_each for now, then in zip(passed(), before)), slow(30),
               lambda: f"traffic through every hop: {before}, now {passed()}")


# -- functions that route

TO_CLIENT = ["eth0:10.2.0.1/32", "eth0:fd02::1/128"]
TO_SERVER = ["eth1:10.2.0.2/32", "eth1:fd02::2/128"]


def at_right(addresses):
    return [f"eth1:{addresses[0]}/24", f"eth1:{addresses[1]}/64"]


def macs(number):
    return [f"52:54:00:02:{number:02x}:{side:02x}" for side in (1, 2)]


PROXY = f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend enter
    bind :::8080 v4v6
    default_backend both
backend both
    balance roundrobin
    server one 10.2.0.2:{ONE}
    server two [fd02::2]:{TWO}
"""


@fixture(ends, name="a router, a NAT, a proxy and a monitor")
def routing(net):
    """All that have addresses. On their right the NAT and the proxy are hosts of the network."""
    with contextlib.ExitStack() as stack:
        net.stack = stack
        net.begin("rt", "router", routes=TO_CLIENT + TO_SERVER, macs=macs(1), ip=["eth0:10.2.0.201/32", "eth1:10.2.0.202/32"])
        net.begin("nat", "nat", routes=TO_CLIENT, macs=macs(2), ip=["eth0:10.2.0.203/32", *at_right(NAT)])
        net.begin("proxy", "proxy", config=PROXY, routes=TO_CLIENT, macs=macs(3),
                  ip=["eth0:10.2.0.204/32", "eth0:fd02::204/128", *at_right(BALANCER)])
        net.begin("mon", "monitor", arms=1)
        net.begun()
        net.ready()
        lost = Drops(net.switch)
        yield net
        net.park()
        lost.only("no-receiver", "to-vm-ring-full", "to-vm-not-up", "chain-stray")
    net.forget()


def ttl(net, address):
    """How many routers a ping's answer has passed, of 64."""
    ping = net.client.ping(address, count=1, patience=10)
    return 64 - int(re.search(r"(?:ttl|hlim)=(\d+)", ping.output)[1])


@case("chain guests: a router in the chain: client and server see each other as neighbours", needs=routing)
def router(net):
    net.chain({"nfs": "rt", "mode": "routed"}, "mon")
    for address in net.addresses():
        net.client.wait_ping(address, slow(20))
        check(ttl(net, address) == 1, f"the answer from {address} has passed {ttl(net, address)} routers")
    seen = net.client.ok("ip neigh show to 10.2.0.2")
    check(net.server.mac() in seen, f"the client's neighbour is {seen}, not {net.server.mac()}")
    there = send_file(net.client, net.server, net.addresses()[0], 4)
    back = fetch_file(net, net.addresses()[1])
    return f"there {there}; back over v6 {back}"


def peers(net, port):
    """A service of the server's that says who asks it."""
    job = net.server.start_job(f"exec nc -ll -p {port} -e sh -c 'netstat -tn | grep :{port}'")
    net.server.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
    return job


CHANGES = {"mode": "routed", "recognise-by": "port"}


@case("chain guests: a NAT in the chain: the server sees its address, files arrive unchanged", needs=routing)
def nat(net):
    net.chain({"nfs": "nat", **CHANGES}, "mon")
    port = new_port()
    service = peers(net, port)
    for address, own, nats in zip(net.addresses(), ENDS["client"], NAT):
        net.client.wait_ping(address, slow(20))
        said = net.ask(address, port)
        check(said and nats in said and plain(own) + ":" not in said, f"the server at {address} was asked by {said}")
    service.signal("KILL")
    there = send_file(net.client, net.server, net.addresses()[0], 4)
    back = fetch_file(net, net.addresses()[1])
    behind = net.instances()["mon"]
    check(behind["original"]["packets"] and behind["reply"]["packets"], f"the monitor behind it: {behind}")
    return f"there {there}; back over v6 {back}"


@case("chain guests: a router, a NAT and a monitor, one after the other", needs=routing)
def mixed(net):
    net.chain("mon", {"nfs": "rt", "mode": "routed"}, {"nfs": "nat", **CHANGES})
    for address in net.addresses():
        net.client.wait_ping(address, slow(20))
        check(ttl(net, address) == 2, f"the answer from {address} has passed {ttl(net, address)} routers")
    there = send_file(net.client, net.server, net.addresses()[1], 2)
    back = fetch_file(net, net.addresses()[0], 2)
    return f"there over v6 {there}; back {back}"


@case("chain guests: a proxy in the chain: haproxy spreads the connections over its servers", needs=routing)
def proxy(net):
    """Whatever address the client asks for, and of whichever version: the proxy has servers of its own."""
    net.chain({"nfs": "proxy", **CHANGES}, "mon", **{"from": {"port": "client"}, "proto": "tcp", "dport": 80})
    services = [peers(net, port) for port in (ONE, TWO)]
    answers = [net.ask(address, 80) for address in net.addresses() for _ in range(3)]
    check(all(answers), f"answers: {answers}")
    for port, own in zip((ONE, TWO), BALANCER):
        found = [said for said in answers if f":{port} " in said]
        check(len(found) == 3, f"{len(found)} of 6 by the server at {port}: {answers}")
        check(all(own in said for said in found), f"asked by {found}, not by {own}")
    for job in services:
        job.signal("KILL")
    return "six connections, three to each of two servers, one of them over the other version of IP"
