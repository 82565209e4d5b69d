"""Chains of real guests whose network functions are as bridges: firewalls, a monitor, an IDS."""
import contextlib
import re

from cases import case, check, fixture, slow
from chains_net import ECHO, EXPLAINED, REPLY, REQUEST, Capture, Talks, captures, ends, fetch_file, large
from guests import checksum_errors
from lab import wait_until
from traffic import Drops, Stream, Transfer, gap, pings, send_file, traffic

BLOCKED, REFUSED = 8080, 8081
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
# Of an NF that speaks NSH: where it gets it, and room for that before a frame of 1500.
IDS_MACS, IDS_MTU = ("52:54:00:99:00:01", "52:54:00:99:00:02"), 1522
SIGNATURES = "# of this test\nevil[0-9]{4}\n/EXPLOIT/i\n"


@fixture(ends, name="two firewalls, a monitor and an IDS")
def bridging(net):
    """All that change no address. The monitor has one card."""
    with contextlib.ExitStack() as stack:
        net.stack = stack
        net.begin("fw", "firewall", rules=RULES)
        net.begin("fw2", "firewall", rules=RULES)
        net.begin("mon", "monitor", arms=1)
        net.begin("ids", "ids", signatures=SIGNATURES, macs=IDS_MACS, mtu=IDS_MTU)
        net.begun()
        net.ready()
        # The cards' own words at their start are past: what these machines say from now on is the chain's.
        lost = Drops(net.switch)
        for port in (ECHO, BLOCKED, REFUSED):
            net.echo(port)
        yield net
        net.unchain()
        lost.only(*EXPLAINED)
    net.forget()


# -- order

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
    net.unchain()
    for port in (ECHO, BLOCKED, REFUSED):
        check(net.ask(net.addresses()[0], port) == "hello", f"without a chain port {port} does not answer")
    return "v4 and v6; by a RST in the server's name"


def stopped(net):
    """{what: packets} that the IDS has dropped: "line N" of a signature, or a kind of NSH."""
    said = net.guest("ids").ok("weir-ids --show")
    return {what: int(count) for count, what in re.findall(r"dropped (\d+) (line \d+|\S+)", said)}


@case("chain guests: the IDS drops what has a signature in it", needs=bridging)
def signatures(net):
    net.chain("ids")
    for address in net.addresses():
        for text, answers in (("harmless", 1), ("evil1234", 0), ("eXploiT!", 0), ("evil12x4", 1)):
            pattern = "".join(f"{byte:02x}" for byte in text.encode())
            ping = net.client.sh(f"ping -n -c 1 -W {5 if answers else 1} -s 64 -p {pattern} {address}")
            check((ping.status == 0) == bool(answers), f"{text!r} to {address}: {ping.output}")
        check(net.ask(address, text="harmless") == "harmless", f"no answer from {address}")
        check(net.ask(address, text="an Exploit", seconds=1) is None, f"{address} got it")
    found = stopped(net)
    check(found.get("line 2") == 2 and found.get("line 3", 0) >= 4, f"the IDS says: {found}")
    return f"dropped by line: {found}"


# -- tags

@case("chain guests: two chains share a firewall, which sees each one's packets with its own tag", needs=bridging)
def tags(net):
    """Its bridge sends on what it gets, as it is."""
    shared = {"nfs": "fw", "recognise-by": "vlan"}
    net.chain({**shared, "tag": 100}, "mon", apply=False, **{"from": {"port": "client"}, "proto": "tcp"})
    net.chain({**shared, "tag": 200}, name="rest", **{"from": {"port": "client"}})
    made = [Capture(net.guest("fw"), "vlan", "-e -c 2000", card) for card in ("eth0", "eth1")]
    for address in net.addresses():
        check(net.ask(address) == "hello", f"the allowed service at {address} does not answer")
        check(net.ask(address, BLOCKED, seconds=1) is None, f"the blocked service at {address} answers")
        pings(net.client, address)
    figure = send_file(net.client, net.server, net.addresses()[0], 2)
    for capture in made:
        capture.tags({r"10\.2\.0\.1\.\d+ > .*Flags": 100, r"10\.2\.0\.2\.\d+ > .*Flags": 100,
                      r"fd02::1\.\d+ > .*Flags": 100, r"fd02::2\.\d+ > .*Flags": 100,
                      "ICMP echo request": 200, "ICMP echo reply": 200, "ICMP6, echo request": 200, "ICMP6, echo reply": 200})
    net.unchain()
    return f"TCP in 100, ping in 200, v4 and v6; {figure}"


# -- NSH

def paths(lines, pattern):
    """{(card, direction, path, index)} of the packets in NSH that match."""
    found = [re.match(r"\S+ (\w+) +(\w+) .*service-path-id (\w+), service-index (\w+)", line)
             for line in lines if re.search(pattern, line)]
    return {(one[1], one[2], int(one[3], 16), int(one[4], 16)) if one else None for one in found}


def check_paths(lines, path, index, *kinds):
    """In with the index, out with one less. kinds: patterns of requests, and of their replies."""
    for number, pattern in enumerate(kinds):
        cards = ("eth0", "eth1")[::-1 if number % 2 else 1]
        wanted = {(cards[0], "In", path, index), (cards[1], "Out", path, index - 1)}
        check(paths(lines, pattern) == wanted, f"{pattern}: {paths(lines, pattern)}, not {wanted}")


def answers(net, seconds, *texts):
    """What comes back in time of texts, as pings and sent to the service, all at once, v4 and v6: sorted lines."""
    return sorted(net.client.ok("".join(
        f"ping -n -c 1 -W {seconds} -s 64 -p {text.encode().hex()} {address} >/dev/null && echo '{text} pinged' &\n"
        f"echo '{text}' | timeout {seconds} nc {address} {ECHO} &\n" for text in texts for address in net.addresses())
        + "wait").splitlines())


def cut(net, sender, port, send):
    """What send() says of that sender's file, whose frames of TSO come to the port in pieces."""
    def counts():
        return traffic(net.switch, sender, "from_vm"), traffic(net.switch, port, "to_vm")
    before = counts()
    figure = send()
    made, came = (now - then for now, then in zip(counts(), before))
    check(came >= made + 100, f"{sender} has sent {made} frames, {came} came to {port}: none of TSO")
    return f"{figure}, {made} frames in {came}"


@case("chain guests: two chains share an IDS that speaks NSH, and each has its own path", needs=bridging)
def nsh(net):
    """In the second chain it stands behind a function that knows nothing of NSH."""
    shared, lost, before = {"nfs": "ids", "recognise-by": "nsh"}, Drops(net.switch), stopped(net)
    net.chain({**shared, "path": 100}, apply=False, **{"from": {"port": "client"}, "proto": "tcp"})
    net.chain("fw", {**shared, "path": 200}, name="rest", **{"from": {"port": "client"}})
    capture = Capture(net.guest("ids"), "ether proto 0x894f")
    harmless = answers(net, 5, "harmless")
    check(harmless == ["harmless"] * 2 + ["harmless pinged"] * 2, f"harmless: {harmless}")
    evil = answers(net, 1, "evil1234", "an Exploit")
    check(not evil, f"with a signature: {evil}")
    lines = capture.stop()
    check_paths(lines, 100, 255, *(rf"{address}\.\d+ > .*: Flags \[S" for address in
                                   (r"10\.2\.0\.1", r"10\.2\.0\.2", "fd02::1", "fd02::2")))
    check_paths(lines, 200, 254, *(f"{ip} echo {kind}," for ip in ("ICMP", "ICMP6,") for kind in ("request", "reply")))
    found = {what: count - before.get(what, 0) for what, count in stopped(net).items() if count != before.get(what)}
    check(set(found) == {"line 2", "line 3"} and min(found.values()) >= 4, f"the IDS has dropped {found}")
    ends_of = (net.client, net.server)
    errors, (four, six) = [checksum_errors(guest) for guest in ends_of], net.addresses()
    figures = [cut(net, "client", "ids-l", lambda: send_file(net.client, net.server, four, 1)),
               cut(net, "server", "ids-r", lambda: fetch_file(net, six, 1))]
    now = [checksum_errors(guest) for guest in ends_of]
    check(errors == now, f"checksum errors: {errors}, then {now}")
    counted = {name: [net.instances(name)["ids-l"][way]["packets"] for way in ("original", "reply")]
               for name in ("inspect", "rest")}
    check(min(counted["inspect"]) > 100 and counted["rest"] == [6, 2], f"packets of the chains: {counted}")
    strays = {key: count for key, count in lost.new().items() if key[1] in ("chain-stray", "to-vm-mtu", "bad-offload")}
    check(not strays, f"the switch has dropped {strays}")
    net.unchain()
    return f"there {figures[0]}; back over v6 {figures[1]}; packets {counted}, dropped {found}"


# -- instances

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
        net.unchain()
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


@case("chain guests: kill -9 of one of two firewalls moves its connections to the other", needs=bridging)
def kill_one(net):
    """The last one with these functions: nobody boots that one again."""
    net.chain(["fw", "fw2"])
    talks = Talks(net)
    talks.wait_lines(2)
    shares = {name: one["connections"] for name, one in net.instances().items()}
    check(all(shares.values()), f"all at one: {shares}")
    net.guest("fw2").kill()
    net.wait_state("fw2", "down")
    figure = talks.finish()
    return f"{figure}, of {shares}"
