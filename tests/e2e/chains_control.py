"""Chains as weirctl and the protocol show and change them. No packet passes here."""
import re

from cases import BOTH, case, check, fixture, slow
from lab import Switch, wait_until
from lab.frontend import Frontend
from rpc import Client, Refused

PORT = {"listens": "switch", "mode": "0666"}
CONFIG = {"switch": {"hugepages": "off"}, "ports": {
    **{name: {"vhost-user": {"socket": f"{name}.sock", **PORT}} for name in ("server", "fw-a", "fw-b", "ids1", "ids2")},
    "client": {"vhost-user": {"socket": "client.sock", **PORT}, "groups": ["web"]},
}, "groups": {"web": {}}, "chains": {
    "inspect": {
        "match": {"from": {"port": "client"}, "to": {"cidr": "10.0.0.2"}, "proto": "tcp", "dport": [80, "1000-2000"]},
        "hops": [{"nf": "firewall", "instances": [{"left": "fw-a", "right": "fw-b"}], "on-failure": "closed"},
                 {"nf": "ids", "instances": [{"port": "ids1"}, {"port": "ids2"}], "on-failure": "open"}]},
    "all": {"match": {"to": {"group": "web"}}, "hops": [{"nf": "ids", "instances": [{"port": "ids1"}]}]},
}}
# Nobody is behind the ports at first.
OUT = r"warning> switch: chain \w+: \w+ is out of service: port \S+ is not up"
MATCH = "{from: {port: client}, to: {cidr: 10.0.0.2/32}, proto: tcp, dport: [80, 1000-2000]}"
KEYS = {"name", "position", "match", "nfs", "instances", "in_service", "connections", "begun"}
HOP_KEYS = {"nf", "groups", "on_failure", "mode", "recognise_by", "tag", "path", "probe", "skipped", "closed", "time_ns", "instances"}
INSTANCE_KEYS = {"port", "left", "right", "state", "text", "connections", "original", "reply", "time_ns"}


@fixture(name="a switch with two chains")
def chained():
    with Switch(CONFIG, user="nobody", expected=[OUT]) as switch:
        yield switch


def instances(switch, name="inspect"):
    return [one for hop in switch.json("chain", "show", name)["hops"] for one in hop["instances"]]


@case("chains: listed and shown, in words and with stable keys", needs=chained, presets=BOTH)
def shown(switch):
    chains = switch.json("chain", "list")
    check(all(set(chain) == KEYS for chain in chains), chains)
    check([(chain["name"], chain["position"]) for chain in chains] == [("inspect", 1), ("all", 2)], chains)
    check(chains[0]["match"] == MATCH and chains[1]["match"] == "{to: {group: web}}", chains)
    check([chain["nfs"] for chain in chains] == [["firewall", "ids"], ["ids"]], chains)
    check([chain["instances"] for chain in chains] == [3, 1], chains)
    one = switch.json("chain", "show", "inspect")
    check(set(one) == KEYS | {"hops"}, one)
    check(all(set(hop) == HOP_KEYS for hop in one["hops"]), one)
    check([(hop["nf"], hop["on_failure"], hop["mode"]) for hop in one["hops"]] ==
          [("firewall", "closed", "transparent"), ("ids", "open", "transparent")], one)
    found = instances(switch)
    check(all(set(each) == INSTANCE_KEYS and set(each["original"]) == set(each["reply"]) == {"packets", "bytes"}
              for each in found), found)
    check([(each["port"], each["left"], each["right"]) for each in found] ==
          [(None, "fw-a", "fw-b"), ("ids1", None, None), ("ids2", None, None)], found)
    lines = switch.ctl("chain", "list").splitlines()
    check(lines[0].split() == "NAME MATCH HOPS IN SERVICE CONNECTIONS BEGUN".split(), lines)
    check(re.search(rf"^inspect +{re.escape(MATCH)} +firewall > ids +0/3 +0 +0$", lines[1]), lines)
    text = switch.ctl("chain", "show", "inspect")
    check(re.search(r"^ +2 ids +transparent open +0 +0 *$", text, re.M), text)
    check(re.search(r"^ +1 fw-a > fw-b +down( +0){5} +port fw-a: waiting for the VMM$", text, re.M), text)
    done = switch.weirctl("chain", "show", "nobody")
    check(done.returncode == 1 and "chain nobody: there is no such chain" in done.stderr, done)
    return f"{len(chains)} chains"


@case("chains: ports that are not up yet at the start are no warning", presets=BOTH)
def started():
    # What is logged as a warning fails a switch that does not expect it.
    with Switch(CONFIG, user="nobody") as switch:
        switch.wait_log(r"info> switch: chain inspect: ids is not in service yet: port ids2 is not up")
        switch.wait_log(r"info> switch: chain all: ids is not in service yet: port ids1 is not up")


@case("chains: an instance is in service when its ports are up", needs=chained, presets=BOTH)
def serves(switch):
    def service():
        return [each["state"] for each in instances(switch)]

    check(service() == ["down"] * 3, service())
    with Frontend(switch.socket("fw-a"), "switch", mac="52:54:00:00:0c:01") as left:
        left.start()
        switch.wait_port("fw-a")
        # One arm is not enough.
        wait_until(lambda: instances(switch)[0]["text"].startswith("port fw-b: "), slow(5),
                   lambda: instances(switch)[0])
        with Frontend(switch.socket("fw-b"), "switch", mac="52:54:00:00:0c:02") as right, \
                Frontend(switch.socket("ids2"), "switch", mac="52:54:00:00:0c:03") as ids:
            for end, name in ((right, "fw-b"), (ids, "ids2")):
                end.start()
                switch.wait_port(name)
            wait_until(lambda: service() == ["in-service", "down", "in-service"], slow(5), service)
            check(instances(switch)[0]["text"] == "", instances(switch)[0])
            check(switch.json("chain", "list")[0]["in_service"] == 2, switch.json("chain", "list"))
    wait_until(lambda: service() == ["down"] * 3, slow(5), service)


@case("chains: watch tells who comes into service, and who goes", needs=chained, presets=BOTH)
def watched(switch):
    told = []

    def see(client, chain, state):
        def seen():
            message = client.line()
            check(message["method"] == "chain.state", message)
            told.append(message["params"])
            return (told[-1]["chain"], told[-1]["state"]) == (chain, state)
        wait_until(seen, slow(10), lambda: f"{chain} {state}: {told}")
        return told[-1]

    with Client(switch.control) as client:
        client.call("watch", topics=["chains"])
        with Frontend(switch.socket("ids1"), "switch", mac="52:54:00:00:0c:01") as ids:
            ids.start()
            entry = see(client, "all", "in-service")
            check(entry == {"chain": "all", "hop": 1, "nf": "ids", "port": "ids1", "left": None, "right": None,
                            "state": "in-service", "text": ""}, entry)
        entry = see(client, "all", "down")
        check(entry["text"].startswith("port ids1: waiting for"), entry)
        # It serves in both chains.
        check({(each["chain"], each["hop"], each["state"]) for each in told} >=
              {("inspect", 2, "in-service"), ("inspect", 2, "down")}, told)
        try:
            client.call("watch", topics=["chain"])
            raise AssertionError("a topic that is none")
        except Refused as error:
            check(error.code == -32602 and '"chains"' in error.text, str(error))
    return f"{len(told)} told"


@case("chains: listed in pages, by name", needs=chained, presets=BOTH)
def pages(switch):
    with Client(switch.control) as client:
        found, cursor = [], {}
        while True:
            answer = client.call("chain.list", limit=1, **cursor)
            found += [(chain["name"], chain["position"]) for chain in answer["items"]]
            if answer["cursor"] is None:
                break
            cursor = {"cursor": answer["cursor"]}
        check(found == [("all", 2), ("inspect", 1)], found)
        try:
            client.call("chain.list", limit=0)
            raise AssertionError("a page of nothing was asked for")
        except Refused as error:
            check(error.code == -32602, str(error))


# What is written in the place of a part of the exported document, and why it is refused.
WRONG = [
    ("from: {port: client}", "from: {port: nobody}", r"chains\.inspect\.match\.from: expected a port that exists"),
    ("from: {port: client}", "from: {port: ids1}", r"chains\.inspect\.match\.from: expected a port that is no chain's NF"),
    ("from: {port: client}", "from: client", r"chains\.inspect\.match\.from: expected any, \{port: NAME\}"),
    ("{port: ids2}", "{port: nobody}", r"chains\.inspect\.hops\.2\.instances\.2\.port: expected a port that exists"),
    ("{port: ids2}", "{port: fw-b}", r"hops\.2\.instances\.2\.port: expected each port once in a chain, found fw-b"),
    ("{port: ids2}", "{port: client}", r"hops\.2\.instances\.2\.port: expected a port without groups, found client"),
    ("on-failure: open", "mode: routed", r"hops\.2\.instances\.1\.port: expected a port with addresses\.mac"),
    ("proto: tcp", "proto: icmp", r"chains\.inspect\.match\.dport: expected tcp, udp or sctp beside it"),
]


@case("chains: what is refused changes nothing", needs=chained, presets=BOTH)
def refused(switch):
    text, before = switch.ctl("export"), switch.json("chain", "show", "inspect")
    for old, new, error in WRONG:
        check(old in text, f"{old!r} does not stand in\n{text}")
        path = switch.work.file("new.yaml")
        with open(path, "w") as file:
            file.write(text.replace(old, new, 1))
        done = switch.weirctl("apply", path)
        check(done.returncode == 1 and re.search(rf"new\.yaml:\d+: .*{error}|new\.yaml:\d+: {error}", done.stderr),
              f"{new}: {done}")
    # A port that a chain names stays, and gets no groups.
    done = switch.weirctl("port", "remove", "ids1")
    check(done.returncode == 1 and "chains.inspect.hops.2.instances.1.port: expected a port that exists" in done.stderr, done)
    done = switch.weirctl("port", "set", "fw-b", "groups=web")
    check(done.returncode == 1 and "instances.1.right: expected a port without groups, found fw-b" in done.stderr, done)
    check((switch.ctl("export"), switch.json("chain", "show", "inspect")) == (text, before), "something changed")
    return f"{len(WRONG) + 2} refused"


@case("chains: come, change, change places and go live", needs=chained, presets=BOTH)
def live(switch):
    text = switch.ctl("export")
    ports = switch.json("port", "list")
    start = text.index("\nchains:\n") + len("\nchains:\n")
    parts = re.split(r"(?m)^(?=  \S)", text[start:])
    check(len(parts) == 3 and not parts[0], parts)
    head, (inspect, rest) = text[:start], parts[1:]

    def changes(client, document):
        return [(change["path"], change["effect"]) for change in client.call("config.apply", text=document)["changes"]]

    def listed():
        return [(chain["name"], len(chain["nfs"]), chain["instances"]) for chain in switch.json("chain", "list")]

    with Client(switch.control) as client:
        answer = client.call("config.apply", text=head + rest + inspect)
        check([(c["path"], c["old"], c["new"], c["effect"]) for c in answer["changes"]] ==
              [("chains", "[inspect, all]", "[all, inspect]", "live")] and answer["unsaved_changes"], answer)
        check([chain[0] for chain in listed()] == ["all", "inspect"], listed())
        check(switch.ctl("export") == head + rest + inspect, "exported in another order")
        found = changes(client, head + inspect.replace("- {port: ids2}", "- {port: ids2}\n      - {port: server}") + rest)
        check(found == [("chains.inspect.hops.2", "live"), ("chains", "live")], found)
        check(listed() == [("inspect", 2, 4), ("all", 1, 1)], listed())
        found = changes(client, head + rest)
        check(found == [("chains.inspect", "live")] and listed() == [("all", 1, 1)], (found, listed()))
        found = changes(client, head.replace("\nchains:\n", "\n"))
        check(found == [("chains.all", "live")] and listed() == [], (found, listed()))
        check(switch.ctl("chain", "list").split()[:2] == ["NAME", "MATCH"], "an empty table")
        found = changes(client, text)
        check(sorted(found) == [("chains.all", "live"), ("chains.inspect", "live")], found)
        check(listed() == [("inspect", 2, 3), ("all", 1, 1)], listed())
    check([(port["name"], port["id"], port["state"]) for port in switch.json("port", "list")] ==
          [(port["name"], port["id"], port["state"]) for port in ports], "a port was opened anew")


@case("chains: exported as they stand, and started with", presets=BOTH)
def started():
    with Switch(CONFIG, user="nobody", expected=[OUT]) as switch:
        chains, text = switch.json("chain", "list"), switch.ctl("export")
        switch.stop()
        switch.write_config(text)
        switch.start()
        check((switch.json("chain", "list"), switch.ctl("export")) == (chains, text), "another after the start")
