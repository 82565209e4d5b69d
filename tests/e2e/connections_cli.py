"""Connections and groups as weirctl shows them: lists and their filters, counts, flushing, hits."""
import itertools
import re
import time

from cases import BOTH, case, check, fixture, slow
from lab.packets import Tcp, Udp
from lans import ground, put_all, talk
from rpc import Client, Refused

SERVER = {"to-vm": [{"allow": "tcp", "dport": [80, "8000-8080"]}, {"allow": "udp", "from": "10.8.0.0/16"},
                    {"allow": "any", "from": {"group": "asks"}}],
          "from-vm": [{"deny": "tcp", "dport": 25}]}


@fixture(name="ports whose connections are listed")
def town():
    groups = {"asks": {"to-vm": []}, "serves": SERVER, "idle": {"to-vm": [{"deny": "any"}]}}
    with ground(groups=groups) as one:
        one.port("a", ["asks"])
        one.port("b", ["serves"])
        one.port("c", ["serves"], vlan={"access": 10})
        one.port("d", ["asks"], vlan={"access": 10})
        one.learned()
        yield one


def listed(lan, *words):
    return lan.switch.json("conn", "list", *words)


def fresh(lan):
    """One of TCP to L4 port 80 and one of UDP, both answered, in a table without others."""
    lan.switch.ctl("conn", "flush")
    tcp, udp = talk(Tcp, lan.a, lan.b, dport=80), talk(Udp, lan.a, lan.b, dport=53)
    lan.all_pass(tcp, tcp.handshake())
    lan.all_pass(udp, [(0, udp.data()), (1, udp.data(1))])
    return tcp, udp


@case("connections: listed and shown with both directions", needs=town, presets=BOTH)
def shown(lan):
    tcp, udp = fresh(lan)
    rows = {row["protocol"]: row for row in listed(lan)}
    check(set(rows) == {"tcp", "udp"}, rows)
    row = rows["tcp"]
    check((row["state"], row["from"], row["to"], row["bridge"], row["vlan"]) ==
          ("tcp-established", "a", "b", "default", 0), row)
    original, reply = row["original"], row["reply"]
    check(original["dport"] == 80 and original["packets"] == 2 and reply["packets"] == 1, row)
    check(0 < row["expires_s"] <= 86400 and row["idle_s"] <= row["age_s"] <= slow(10), row)
    one = lan.switch.json("conn", "show", row["number"])
    check({key: one[key] for key in ("number", "state", "from")} ==
          {key: row[key] for key in ("number", "state", "from")}, one)
    reply = one["reply"]
    check(original["sport"] == reply["dport"] and original["source"] == reply["destination"] and
          reply["sport"] == 80 and reply["packets"] == 1, one)
    check(one["answered"] and not one["picked_up"] and one["owner"] == "a" and one["sctp_tags"] is None, one)
    check(one["tcp"]["original"]["window"] and one["tcp"]["reply"]["end"], one["tcp"])
    check([(rule["group"], rule["direction"], rule["position"], rule["rule"]) for rule in one["rules"]] ==
          [("serves", "to-vm", 1, "{allow: tcp, dport: [80, 8000-8080]}")], one["rules"])
    table = lan.switch.ctl("conn", "show", row["number"])
    check(re.search(r"serves +to-vm +1 +\{allow: tcp", table), table)
    lines = lan.switch.ctl("conn", "list").splitlines()
    check(len(lines) == 3 and lines[0].split()[:3] == ["NUMBER", "BRIDGE", "VLAN"], lines)
    check(any(f"{original['source']}:{original['sport']}" in line for line in lines), lines)


@case("connections: each filter, and what filters refuse", needs=town, presets=BOTH)
def filters(lan):
    tcp, udp = fresh(lan)
    six = talk(Udp, lan.a, lan.b, version=6, dport=53)
    lan.passes(six, 0, six.data())
    away = talk(Udp, lan.d, lan.c, dport=53)
    lan.passes(away, 0, away.data())
    row = next(row for row in listed(lan) if row["protocol"] == "tcp")
    source, sport = row["original"]["source"], row["original"]["sport"]
    for words, count in ((["--port", "a"], 3), (["--port", "c"], 1), (["--vlan", 10], 1), (["--vlan", 0], 3),
                         (["--protocol", "tcp"], 1), (["--protocol", 17], 3), (["--state", "udp-answered"], 1),
                         (["--state", "udp-unanswered", "--port", "b"], 1), (["--source", source], 2),
                         (["--destination", source], 0), (["--address", source], 2), (["--address", "10.0.0.0/8"], 3),
                         (["--address", "::/0"], 1), (["--dport", 80], 1), (["--sport", 80], 0),
                         (["--sport", sport, "--dport", 80], 1), (["default"], 4)):
        rows = listed(lan, *words)
        check(len(rows) == count, f"{words}: {len(rows)}, not {count}: {rows}")
        check(lan.connections(*words) == count, f"counted by {words}: {lan.connections(*words)}")
    for words, text in ((["--port", "nobody"], "port nobody"), (["none"], "bridge none"),
                        (["--state", "happy"], "'state'.*happy"), (["--protocol", "tpc"], "'protocol'.*tpc"),
                        (["--protocol", 256], "'protocol'.*256"), (["--source", "10.0.0.1/8"], "'source'.*10.0.0.1/8"),
                        (["--address", "here"], "'address'.*here")):
        for verb in ("list", "count", "flush"):
            done = lan.switch.weirctl("conn", verb, *words)
            check(done.returncode == 1 and re.search(text, done.stderr), f"{verb} {words}: {done}")
    for words in (["--vlan", 4095], ["--sport", "http"], ["--dport", 65536]):
        check(lan.switch.weirctl("conn", "list", *words).returncode == 2, words)
    done = lan.switch.weirctl("conn", "show", 4000000000)
    check(done.returncode == 1 and "connection 4000000000" in done.stderr, done)
    check(lan.switch.weirctl("conn", "show", "one").returncode == 2, "conn show one")
    check(len(listed(lan)) == 4, "a refused flush has flushed")
    return "17 filters, 10 refused"


@case("connections: counted by protocol and state, in status too", needs=town, presets=BOTH)
def counted(lan):
    fresh(lan)
    count = lan.switch.json("conn", "count")
    check(count["connections"] == 2 and {(row["protocol"], row["state"]): row["connections"] for row in count["items"]} ==
          {("tcp", "tcp-established"): 1, ("udp", "udp-answered"): 1}, count)
    check(sum(row["packets"] for row in count["items"]) == 5, count)
    status = lan.switch.json("status")["connections"]
    check(status["used"] >= 2 and status["max"] == 262144 and status["created"] >= status["used"], status)
    check(status["tracked"] > 0 and status["lookups"] > 0, status)
    check("lookups per tracked packet" in lan.switch.ctl("status"), "status in words")


@case("connections: what is flushed is decided anew", needs=town, presets=BOTH)
def flushed(lan):
    tcp, udp = fresh(lan)
    check(lan.switch.ctl("conn", "flush", "--protocol", "tcp").split() == ["forgot", "1"], "one of TCP")
    check([row["protocol"] for row in listed(lan)] == ["udp"], "the other stays")
    # A segment in the middle begins none; a datagram goes on, and its reply was asked for no more.
    lan.denied("a", tcp.data(), reason="connection-invalid")
    before = lan.switch.json("group", "show", "serves")["rules"][1]["hits"]
    lan.passes(udp, 0, udp.data())
    check(lan.switch.json("group", "show", "serves")["rules"][1]["hits"] == before, "a known one asked for a rule")
    check(lan.switch.ctl("conn", "flush", "--port", "b").split() == ["forgot", "1"], "one of UDP")
    lan.passes(udp, 0, udp.data())
    check(lan.switch.json("group", "show", "serves")["rules"][1]["hits"] == before + 1, "it was not decided anew")
    lan.switch.wait_log(r"conn flush: protocol tcp: 1")
    lan.switch.wait_log(r"conn flush: port b: 1")


@case("groups: listed with hits, and the built-in rules", needs=town, presets=BOTH)
def hits(lan):
    groups = {row["name"]: row for row in lan.switch.json("group", "list")}
    check({"asks", "serves", "idle"} <= set(groups) and list(groups) == sorted(groups), groups)
    check((groups["serves"]["to_vm"], groups["serves"]["from_vm"], groups["serves"]["ports"]) == (3, 1, 2), groups)
    check(groups["idle"]["hits"] == 0 and groups["idle"]["ports"] == 0, groups)
    fresh(lan)
    more = next(row for row in lan.switch.json("group", "list") if row["name"] == "serves")["hits"]
    check(more == groups["serves"]["hits"] + 2, f"hits: {groups['serves']['hits']}, then {more}")
    one = lan.switch.json("group", "show", "serves")
    check(one["ports"] == ["b", "c"] and [rule["position"] for rule in one["rules"]] == [1, 2, 3, 1], one)
    check([rule["rule"] for rule in one["rules"]] ==
          ["{allow: tcp, dport: [80, 8000-8080]}", "{allow: udp, from: 10.8.0.0/16}",
           "{allow: any, from: {group: asks}}", "{deny: tcp, dport: 25}"], one)
    built_in = lan.switch.json("group", "show")
    arp = [rule for rule in built_in["rules"] if rule["rule"] == "arp" and rule["direction"] == "to-vm"]
    check(built_in["name"] is None and arp and arp[0]["hits"] > 0, built_in)
    done = lan.switch.weirctl("group", "show", "none")
    check(done.returncode == 1 and "group none" in done.stderr, done)


@case("connections: a list that is cut off has each once", needs=town, presets=BOTH)
def pages(lan):
    """While others come and go."""
    lan.switch.ctl("conn", "flush")
    talks = [talk(Udp, lan.a, lan.b) for _ in range(300)]
    put_all(lan.a, [one.data() for one in talks])
    lan.drain()
    with Client(lan.switch.control) as client:
        numbers, cursor = [], {}
        for page in itertools.count():
            answer = client.call("conn.list", limit=7, port="a", **cursor)
            numbers += [row["number"] for row in answer["items"]]
            if page % 5 == 0:
                other = talk(Udp, lan.d, lan.c)
                lan.passes(other, 0, other.data())
            if page % 10 == 5:
                client.call("conn.flush", port="d")
            if answer["cursor"] is None:
                break
            cursor = {"cursor": answer["cursor"]}
        check(len(numbers) == len(set(numbers)) == 300, f"{len(numbers)} rows, {len(set(numbers))} connections")
        try:
            client.call("conn.list", cursor="somewhere")
            raise AssertionError("an invented cursor was taken")
        except Refused as error:
            check(error.code == -32602 and "cursor" in error.text, str(error))
    return f"300 in {page + 1} pages"


@case("groups: those that no port is in are listed, and a long one is shown at once", presets=BOTH, alone=True)
def without_ports():
    rules = [{"deny": "tcp", "dport": port + 1} for port in range(10000)]
    many = {"to-vm": rules[:5000], "from-vm": rules[5000:]}
    with ground(groups={"idle": {"to-vm": [{"deny": "any"}]}, "many": many}) as one:
        one.apply()
        rows = {row["name"]: (row["to_vm"], row["from_vm"], row["ports"]) for row in one.switch.json("group", "list")}
        check(rows == {"idle": (1, 0, 0), "many": (5000, 5000, 0)}, rows)
        begin = time.monotonic()
        shown = one.switch.json("group", "show", "many")["rules"]
        took = time.monotonic() - begin
        check([(rule["direction"], rule["position"]) for rule in shown] ==
              [(direction, number + 1) for direction in ("to-vm", "from-vm") for number in range(5000)], len(shown))
        check(took < slow(1), f"10,000 rules took {took:.1f} s")
        return f"10,000 rules in {took:.2f} s"
