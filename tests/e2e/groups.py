"""Security groups between real guests: a server, a client and one beside them."""
import re
from dataclasses import dataclass

from cases import BOTH, case, check, fixture, slow
from guests import EXPLAINED, USER
from lab import Guest, Nic, Switch, wait_until
from traffic import Drops, Transfer, items, new_port, pings, send_file, settled

NAMES = ("server", "client", "beside")
ADDRESSES = {name: (f"10.7.0.{number}", f"fd07::{number}") for number, name in enumerate(NAMES, 1)}
DENIED = 9000       # an L4 port that no rule allows
FORBIDDEN = 7925    # one that the client's from-vm list denies

# Transfers listen on L4 ports from 7001 on.
SERVER = {"to-vm": [{"allow": "tcp", "dport": "7000-7999"}, {"allow": "udp", "dport": [53, 67]},
                    {"allow": "icmp"}, {"allow": "icmpv6"}]}
CLIENT = {"to-vm": [], "from-vm": [{"deny": "tcp", "dport": FORBIDDEN, "to": "any"}]}


@dataclass
class Lab:
    switch: Switch
    server: Guest
    client: Guest
    beside: Guest

    def configure(self, server=SERVER, client=CLIENT, built_in=None, **ports):
        """Makes the running switch so. The server is in `server`, the client in `client`, and who stands
        beside in no group, unless a port is named."""
        words = {"hugepages": "off", **({"built-in-rules": built_in} if built_in else {})}
        own = {"server": {"groups": ["server"]}, "client": {"groups": ["client"]}, **ports}
        document = {"switch": words, "groups": {"server": server, "client": client},
                    "ports": {name: {"vhost-user": {"socket": f"{name}.sock"}, **own.get(name, {})}
                              for name in NAMES}}
        self.switch.ctl("apply", self.switch.write_config(document))

    def expect_denied(self, port, act):
        """What act() sends is denied, at this port and at no other; how many times."""
        before = Drops(self.switch)
        act()
        new = before.new()
        denied = {name: count for (name, reason), count in new.items() if reason == "group-deny"}
        check(set(denied) == {port}, f"group-deny at {denied}, not at {port}; all drops: {new}")
        before.only("group-deny", *EXPLAINED)
        return denied[port]


@fixture(name="three guests with groups")
def three():
    with Switch({"switch": {"hugepages": "off"}}, user=USER) as switch:
        cards = {name: Nic(switch.add_port(name)) for name in NAMES}
        ips = {name: [f"{v4}/24", f"{v6}/64"] for name, (v4, v6) in ADDRESSES.items()}
        with Guest("server", [cards["server"]], ip=ips["server"]) as server, \
                Guest("client", [cards["client"]], ip=ips["client"]) as client, \
                Guest("beside", [cards["beside"]], ip=ips["beside"]) as beside:
            for guest in (server, client, beside):
                guest.wait_ready(slow(60))
                switch.wait_port(guest.name, "up", slow(20))
            yield Lab(switch, server, client, beside)


def serve(guest, port, command):
    """A command that listens at a TCP port; its job."""
    job = guest.start_job(command)
    guest.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
    return job


def listen(guest, port, command):
    """A TCP server that runs a command for the first connection; its job."""
    return serve(guest, port, f"nc -l -p {port} -e /bin/sh -c {command!r}")


def refused(guest, address, port):
    """No connection within two seconds."""
    result = guest.sh(f"nc -w 2 {address} {port} </dev/null")
    check(result.status, f"{guest.name} was connected to {address} port {port}")


# -- services

@case("groups: a service that is allowed, and one that is not", needs=three, presets=BOTH)
def services(lab):
    lab.configure()
    before = Drops(lab.switch)
    figure = send_file(lab.client, lab.server, ADDRESSES["server"][0])
    send_file(lab.client, lab.server, ADDRESSES["server"][1])
    before.only(*EXPLAINED)
    denied = []
    jobs = [listen(lab.server, port, "true") for port in (DENIED, FORBIDDEN)]
    try:
        for address in ADDRESSES["server"]:
            denied.append(lab.expect_denied("server", lambda: refused(lab.client, address, DENIED)))
            # Here it is the sender's own list that denies, though the server's would allow it.
            denied.append(lab.expect_denied("client", lambda: refused(lab.client, address, FORBIDDEN)))
        # The service is there: for the server itself nothing is between.
        lab.server.ok(f"nc -w 2 127.0.0.1 {DENIED} </dev/null")
    finally:
        for job in jobs:
            job.signal("KILL")
    return f"{figure}; denied {denied}"


@case("groups: replies need no rule, the way back has none", needs=three)
def replies(lab):
    """The client's to-vm list is empty: it gets what it asked for, and nobody connects to it."""
    lab.configure()
    figures = []
    for address in ADDRESSES["server"]:
        port = new_port()
        lab.server.ok("dd if=/dev/urandom of=/tmp/page bs=1M count=4 2>/dev/null")
        job = listen(lab.server, port, "cat /tmp/page")
        try:
            got = lab.client.ok(f"nc {address} {port} </dev/null | sha256sum", timeout=slow(40)).split()[0]
        finally:
            job.signal("KILL")
        check(got == lab.server.ok("sha256sum </tmp/page").split()[0], f"what came from {address} differs")
        figures.append("4 MiB came back")
    job = listen(lab.client, DENIED, "true")
    try:
        count = lab.expect_denied("client", lambda: refused(lab.server, ADDRESSES["client"][0], DENIED))
    finally:
        job.signal("KILL")
    return f"v4 and v6: {figures[0]}; to the client: {count} group-deny"


@case("groups: a rule goes under a running connection and comes back", needs=three, presets=BOTH)
def rule_removed(lab):
    """It stops at its next packet, in both directions, and goes on where it was."""
    lab.configure()
    without = {"to-vm": [rule for rule in SERVER["to-vm"] if rule["allow"] != "tcp"]}

    def received():
        return lab.switch.port("server")["to_vm"]["bytes"]
    start = received()
    transfer = Transfer(lab.client, lab.server, ADDRESSES["server"][0], megabytes=1, times=24, pause_ms=100)
    try:
        wait_until(lambda: received() - start > 4 << 20, slow(20), "the transfer to run")
        before = Drops(lab.switch)
        lab.configure(server=without)
        at_once = received()
        wait_until(lambda: before.new().get(("server", "group-deny")), slow(10),
                   lambda: f"group-deny at the server: {before.new()}")
        later = settled(received, slow(10))
        # ARP may pass, TCP's next segment would be larger.
        check(later - at_once < 1000, f"{later - at_once} bytes passed behind the change")
        check(transfer.running(), "the transfer has ended before the rule went")
        denied = before.new()[("server", "group-deny")]
        lab.configure()
        figure = transfer.finish(90)
    except BaseException:
        transfer.cancel()
        raise
    before.only("group-deny", *EXPLAINED)
    return f"stopped with {denied} group-deny, then {figure} whole"


@case("groups: a group as the other end of a rule", needs=three)
def group_peer(lab):
    """From the client's group only; a VM that joins it is let in at once."""
    rules = {"to-vm": [{"allow": "any", "from": {"group": "client"}}]}
    lab.configure(server=rules)
    pings(lab.client, ADDRESSES["server"][0])
    pings(lab.client, ADDRESSES["server"][1])
    def silent():
        ping = lab.beside.ping(ADDRESSES["server"][0], count=3)
        check(not ping.received, f"from no group it came through:\n{ping.output}")
    count = lab.expect_denied("server", silent)
    lab.configure(server=rules, beside={"groups": ["client"]})
    figure = pings(lab.beside, ADDRESSES["server"][0])
    lab.configure(server=rules)
    lab.expect_denied("server", silent)
    return f"outside: {count} group-deny; inside: {figure}"


# -- ICMP

@case("groups: ping v4 and v6", needs=three)
def ping(lab):
    lab.configure()
    before = Drops(lab.switch)
    figures = [pings(lab.client, address, 3, (None, 1452)) for address in ADDRESSES["server"]]
    before.only(*EXPLAINED)
    count = 0
    for address in ADDRESSES["client"]:
        def silent():
            ping = lab.server.ping(address, count=3)
            check(not ping.received, f"{address} answered:\n{ping.output}")
        count += lab.expect_denied("client", silent)
    return f"v4 {figures[0]}; v6 {figures[1]}; to the client {count} group-deny"


def icmp_errors(guest):
    """ICMP and ICMPv6 messages "destination unreachable" that the guest's kernel has got."""
    text = guest.ok("cat /proc/net/snmp /proc/net/snmp6")
    names, values = [line.split()[1:] for line in text.splitlines() if line.startswith("Icmp:")]
    v6 = re.search(r"^Icmp6InDestUnreachs\s+(\d+)", text, re.M)
    return int(dict(zip(names, values))["InDestUnreachs"]), int(v6[1])


@case("groups: an ICMP error reaches who caused it", needs=three)
def port_unreachable(lab):
    """A datagram to an L4 port where nobody listens: the error comes without a rule for it."""
    lab.configure(server={"to-vm": [{"allow": "udp", "dport": 53}]})
    said = []
    for version, address in enumerate(ADDRESSES["server"]):
        before, lost = icmp_errors(lab.client), Drops(lab.switch)
        result = lab.client.sh(f"nslookup -type=a weir.example {address}", timeout=slow(20))
        after = icmp_errors(lab.client)
        check("refused" in result.output, f"{address}: the sender was not told:\n{result.output}\n{lost.new()}")
        check(after[version] > before[version], f"{address}: no ICMP error came: {before}, then {after}")
        lost.only(*EXPLAINED)
        said.append(after[version] - before[version])
    return f"refused; errors: v4 {said[0]}, v6 {said[1]}"


# -- DHCP

def lease(lab, address):
    """The client asks for an address; what udhcpc said."""
    lab.server.ok(f"printf 'start {address}\\nend {address}\\ninterface eth0\\nlease_file /tmp/leases\\n"
                  "pidfile /tmp/udhcpd.pid\\noption subnet 255.255.255.0\\n' >/tmp/udhcpd.conf; >/tmp/leases")
    lab.client.ok("ip -4 addr flush dev eth0; printf '#!/bin/sh\\n[ \"$1\" = bound ] && "
                  "ip addr add $ip/24 dev eth0 || true\\n' >/tmp/dhcp; chmod +x /tmp/dhcp")
    server = lab.server.start_job("udhcpd -f /tmp/udhcpd.conf")
    try:
        return lab.client.sh("udhcpc -i eth0 -n -q -a500 -t 3 -T 1 -s /tmp/dhcp", timeout=slow(40)).output
    finally:
        server.stop("TERM")
        lab.client.ok("ip -4 addr flush dev eth0")
        lab.client.add_ip(f"{ADDRESSES['client'][0]}/24")


@case("groups: a client VM gets its address of a server VM", needs=three)
def dhcp(lab):
    """The server's port has a rule for it. The client's has none: the built-in one does it, and it can be
    switched off."""
    lab.configure()
    before = Drops(lab.switch)
    said = lease(lab, "10.7.0.77")
    obtained = re.search(r"lease of 10\.7\.0\.77 obtained.*", said)
    check(obtained, f"no lease: {said}\ndropped: {before.new()}")
    before.only(*EXPLAINED)
    lab.configure(built_in=["arp", "nd", "ra"])
    before = Drops(lab.switch)
    said = lease(lab, "10.7.0.78")
    check("obtained" not in said, f"without the built-in rule: {said}")
    check(before.new().get(("client", "group-deny")), f"dropped: {before.new()}")
    lab.configure()
    return obtained[0]


# -- the bytes themselves

@case("groups: half closes", needs=three, presets=BOTH)
def half_close(lab):
    """The client has said all, and the server answers afterwards over the same connection."""
    lab.configure()
    before = Drops(lab.switch)
    lab.client.ok("dd if=/dev/urandom of=/tmp/half bs=64k count=16 2>/dev/null")
    sent = lab.client.ok("sha256sum </tmp/half").split()[0]
    for address in ADDRESSES["server"]:
        port = new_port()
        # It says something only when the client's half has long been closed, and then in two goes.
        job = listen(lab.server, port, "sha256sum >/tmp/sum; usleep 300000; cat /tmp/sum; usleep 300000; cat /tmp/sum")
        try:
            got = lab.client.ok(f"nc {address} {port} </tmp/half", timeout=slow(40)).split()
        finally:
            job.signal("KILL")
        check(got[0::2] == [sent, sent], f"{address}: sent {sent}, the answer was {got}")
    before.only(*EXPLAINED)
    return "v4 and v6: the answer came twice behind the client's FIN"


@case("groups: a file's checksum with offloads on and off", needs=three, presets=BOTH)
def checksums(lab):
    lab.configure()
    before, figures = Drops(lab.switch), []
    for on in (True, False):
        for guest in (lab.client, lab.server):
            guest.set_offloads(tx=on, tso=on, gso=on, gro=on)
        figures += [send_file(lab.client, lab.server, address, 4) for address in ADDRESSES["server"]]
    for guest in (lab.client, lab.server):
        guest.set_offloads(tx=True, tso=True, gso=True, gro=True)
    before.only(*EXPLAINED)
    return f"on: v4 {figures[0]}, v6 {figures[1]}; off: v4 {figures[2]}, v6 {figures[3]}"


def datagrams(client, server, address, words=""):
    """12 datagrams of 6 fragments each. So many fit the receiver's socket, however long its program waits
    for a CPU. The server is for this once: one that goes on may be busy with the last client, and refuse."""
    port = new_port()
    job = serve(server, port, f"iperf3 -s -1 -p {port}")
    try:
        end = client.iperf3(address, f"-p {port} -u -b 2M -l 8000 -k 12 {words}", timeout=slow(40))["end"]["sum"]
    finally:
        job.signal("KILL")
    check(end["packets"] >= 12 and end["lost_percent"] < 50, f"{address}: datagrams of 8000 bytes {words}: {end}")


@case("groups: pings and datagrams in fragments", needs=three, presets=BOTH)
def fragments(lab):
    """Rules with L4 ports decide over fragments, too: those behind the first have none of their own."""
    lab.configure(server={"to-vm": [*SERVER["to-vm"], {"allow": "udp", "dport": "7000-7999"}]})
    before, figures = Drops(lab.switch), []
    for address in ADDRESSES["server"]:
        figures.append(pings(lab.client, address, 3, (4000, 20000)))
    for address in ADDRESSES["server"]:
        datagrams(lab.client, lab.server, address)
        datagrams(lab.client, lab.server, address, "-R")
    before.only(*EXPLAINED)

    # What is behind a denied first goes with it, and is counted where that is.
    # Both ends know each other's MAC address by then, so no ping waits for ARP until it is too old to be sent.
    lab.client.wait_ping(ADDRESSES["beside"][0], slow(20))
    before = Drops(lab.switch)
    ping = lab.beside.ping(ADDRESSES["client"][0], count=2, size=4000)
    check(not ping.received, f"the client answered:\n{ping.output}")
    wait_until(lambda: before.new().get(("client", "group-deny")) == 2 * 3, slow(5),
               lambda: f"2 pings of 3 fragments to be denied at the client: {before.new()}")
    check(("beside", "group-deny") not in before.new(), f"counted at the sender, too: {before.new()}")
    before.only("group-deny", *EXPLAINED)
    return f"v4 {figures[0]}; v6 {figures[1]}; denied {2 * 3}"


@case("groups: counted, and nothing else lost", needs=three)
def counted(lab):
    """Hits of rules, and connections as weirctl shows them."""
    lab.configure()
    hits = rule_hits(lab.switch, "server")
    pings(lab.client, ADDRESSES["server"][0], 3)
    send_file(lab.client, lab.server, ADDRESSES["server"][0], 1)
    now = rule_hits(lab.switch, "server")
    check(len(now) == len(SERVER["to-vm"]) and now[0] == hits[0] + 1 and now[2] > hits[2],
          f"hits were {hits} and are {now}")
    listed = {(one["protocol"], one["from"], one["to"]) for one in items(lab.switch.json("conn", "list"))}
    check({("tcp", "client", "server"), ("icmp", "client", "server")} <= listed, f"listed: {listed}")
    return f"hits {now}"


def rule_hits(switch, group):
    """Of its to-vm list, in order."""
    rules = switch.json("group", "show", group)["rules"]
    return [rule["hits"] for rule in rules if rule["direction"] == "to-vm"]
