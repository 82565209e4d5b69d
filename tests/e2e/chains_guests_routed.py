"""Chains of real guests whose network functions route, or change addresses: a router, a NAT, a proxy."""
import contextlib
import itertools
import re

from cases import case, check, fixture, slow
from chains_net import ENDS, EXPLAINED, REPLY, REQUEST, Capture, captures, ends, fetch_file, large
from traffic import Drops, new_port, plain, send_file

ONE, TWO = 8091, 8092
# The NAT's addresses at its right, without a tag and with each: what its cards have behind their names.
NAT = {"": ("10.2.0.210", "fd02::210"), ".100": ("10.2.0.211", "fd02::211"), ".200": ("10.2.0.212", "fd02::212")}
BALANCER = ("10.2.0.220", "fd02::220")
TO_SERVER = ["eth1:10.2.0.2/32", "eth1:fd02::2/128"]


def to_client(card="eth0"):
    return [f"{card}:{plain(address)}" for address in ENDS["client"]]


def at_right(addresses, card="eth1"):
    return [f"{card}:{addresses[0]}/24", f"{card}:{addresses[1]}/64"]


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
        net.begin("rt", "router", routes=to_client() + TO_SERVER, macs=macs(1), ip=["eth0:10.2.0.201/32", "eth1:10.2.0.202/32"])
        net.begin("nat", "nat", macs=macs(2), routes=[one for tag in NAT for one in to_client(f"eth0{tag}")],
                  ip=[one for tag, own in NAT.items() for one in (f"eth0{tag}:10.2.0.203/32", *at_right(own, f"eth1{tag}"))])
        net.begin("proxy", "proxy", config=PROXY, routes=to_client(), macs=macs(3),
                  ip=["eth0:10.2.0.204/32", "eth0:fd02::204/128", *at_right(BALANCER)])
        net.begin("mon", "monitor", arms=1)
        net.begun()
        net.ready()
        lost = Drops(net.switch)
        yield net
        net.unchain()
        # The last: the NAT's cards with tags talk while no chain has those.
        lost.only(*EXPLAINED, "vlan-not-member")
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


@case("chain guests: probes of a router and a NAT, which forward them without a word of their own", needs=routing)
def probes(net):
    """Until the kernel forwards nothing any more."""
    ways = [dict(zip(("from", "to"), map(plain, pair))) for pair in zip(ENDS["client"], ENDS["server"])]
    for way in ways:
        net.chain({"nfs": "rt", "mode": "routed", "probe": way}, {"nfs": "nat", **CHANGES, "probe": way})
        for name in ("rt", "nat"):
            net.wait_state(name, "in-service", 10)
    for name in ("rt", "nat"):
        net.guest(name).ok("sysctl -qw net.ipv6.conf.all.forwarding=0")
        net.wait_state(name, "silent", 3)
        net.guest(name).ok("sysctl -qw net.ipv6.conf.all.forwarding=1")
        net.wait_state(name, "in-service", 3)
    for address in net.addresses():
        net.client.wait_ping(address, slow(20))
    return "v4 and v6; silent while it does not forward"


def peers(net, port):
    """A service of the server's that says who asks it."""
    job = net.server.start_job(f"exec nc -ll -p {port} -e sh -c 'netstat -tn | grep :{port}'")
    net.server.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
    return job


CHANGES = {"mode": "routed", "recognise-by": "port"}
TAGGED = {"mode": "routed", "recognise-by": "vlan"}


@case("chain guests: a NAT in the chain: the server sees its address, files arrive unchanged", needs=routing)
def nat(net):
    net.chain({"nfs": "nat", **CHANGES}, "mon")
    port = new_port()
    service = peers(net, port)
    for address, own, nats in zip(net.addresses(), ENDS["client"], NAT[""]):
        net.client.wait_ping(address, slow(20))
        said = net.ask(address, port)
        check(said and nats in said and plain(own) + ":" not in said, f"the server at {address} was asked by {said}")
    service.signal("KILL")
    there = send_file(net.client, net.server, net.addresses()[0], 4)
    back = fetch_file(net, net.addresses()[1])
    behind = net.instances()["mon"]
    check(behind["original"]["packets"] and behind["reply"]["packets"], f"the monitor behind it: {behind}")
    return f"there {there}; back over v6 {back}"


@case("chain guests: two chains share a NAT: in it each has its tag, and an address of its own", needs=routing)
def shared(net):
    net.unchain()
    net.chain({"nfs": "nat", **TAGGED, "tag": 100}, "mon", name="tcp", apply=False, **{"from": {"port": "client"}, "proto": "tcp"})
    net.chain({"nfs": "nat", **TAGGED, "tag": 200}, name="ping", **{"from": {"port": "client"}})
    port = new_port()
    service = peers(net, port)
    cards = [Capture(net.guest("nat"), "vlan", "-e -c 200", card) for card in ("eth0", "eth1")]
    for address, nats in zip(net.addresses(), NAT[".100"]):
        net.client.wait_ping(address, slow(20))
        said = net.ask(address, port)
        check(said and nats in said, f"the server at {address} was asked by {said}")
    service.signal("KILL")
    there = send_file(net.client, net.server, net.addresses()[0], 1)
    back = fetch_file(net, net.addresses()[1], 1)
    own = [plain(address) for address in ENDS["client"]]
    for capture, asks, pings in zip(cards, (own, NAT[".100"]), (own, NAT[".200"])):
        wanted = {}
        for server, tcp, ping in zip(net.addresses(), asks, pings):
            wanted |= {rf" {tcp}\.\d+ > {server}\.\d+: Flags": 100, rf" {server}\.\d+ > {tcp}\.\d+: Flags": 100,
                       f" {ping} > {server}: .* echo request": 200, f" {server} > {ping}: .* echo reply": 200}
        check(large(capture.tags(wanted)), "no frame of TSO")
    passed = {name: net.instances(name)["nat-l"] for name in ("tcp", "ping")}
    sizes = {name: [one[way]["bytes"] for way in ("original", "reply")] for name, one in passed.items()}
    check(min(sizes["tcp"]) > 1 << 20 and 0 < min(sizes["ping"]) and max(sizes["ping"]) < 1 << 16, f"bytes there and back: {sizes}")
    net.unchain()
    return f"TCP in 100, ping in 200, v4 and v6; there {there}; back over v6 {back}"


# (card, direction, TTL or hop limit) at each guest: who routes takes one off.
LIVES = {
    REQUEST: {"client": {("eth0", "Out", 64)}, "mon": {("eth0", "P", 64), ("eth0", "Out", 64)},
              "rt": {("eth0", "In", 64), ("eth1", "Out", 63)}, "nat": {("eth0", "In", 63), ("eth1", "Out", 62)},
              "server": {("eth0", "In", 62)}},
    REPLY: {"server": {("eth0", "Out", 64)}, "nat": {("eth1", "In", 64), ("eth0", "Out", 63)},
            "rt": {("eth1", "In", 63), ("eth0", "Out", 62)}, "mon": {("eth0", "P", 62), ("eth0", "Out", 62)},
            "client": {("eth0", "In", 62)}},
}


def lives(lines, ip, pattern):
    """As in LIVES, of the packets in a capture with -v that look so."""
    head = rf"[\d:.]+ (\w+) +(\w+) +{ip} \(.*?(?:ttl|hlim) (\d+),.*{pattern}"
    return {(found[1], found[2], int(found[3])) for line in lines if (found := re.match(head, line))}


@case("chain guests: a monitor, a router and a NAT: captures in every guest show the order, both ways, v4 and v6",
      needs=routing)
def mixed(net):
    net.chain("mon", {"nfs": "rt", "mode": "routed"}, {"nfs": "nat", **CHANGES})
    for address in net.addresses():
        net.client.wait_ping(address, slow(20))
        check(ttl(net, address) == 2, f"the answer from {address} has passed {ttl(net, address)} routers")
    port = new_port()
    service = net.echo(port)
    patterns = {REQUEST: ["echo request", rf"\.{port}: Flags \[S\]"],
                REPLY: ["echo reply", rf"\.{port} > .*Flags \[S\.\]"]}
    with captures(net, ("mon", "rt", "nat"), "icmp or icmp6 or tcp", "-v") as made:
        for address in net.addresses():
            net.client.ok(f"ping -n -c 1 -W 5 {address}")
            check(net.ask(address, port) == "hello", f"the service at {address} does not answer")
        for pattern in patterns[REPLY]:
            made["client"].wait(pattern)
        # Of IPv4 there are two lines for a packet.
        lines = {name: re.sub(r"\n\s+", " ", one.job.stop().output).splitlines() for name, one in made.items()}
    service.signal("KILL")
    for way, looks in patterns.items():
        for ip, pattern in itertools.product(("IP", "IP6"), looks):
            seen = {name: lives(lines[name], ip, pattern) for name in made}
            check(seen == LIVES[way], f"{ip} {pattern}: {seen}, not {LIVES[way]}")
    there = send_file(net.client, net.server, net.addresses()[1], 2)
    back = fetch_file(net, net.addresses()[0], 2)
    return f"client > mon > rt > nat > server and back, ping and TCP; there over v6 {there}; back {back}"


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
