"""Rates as weirctl and the protocol show and change them. They are so high that nothing ever waits."""
import re

from cases import BOTH, case, check, fixture, slow
from connections_cli import fresh, town
from lab import Switch, wait_until
from lab.frontend import Frontend
from rpc import Client, Refused

HIGH = 400 * 10**9
PORT = {"listens": "switch", "mode": "0666"}
CONFIG = {"switch": {"hugepages": "off"}, "ports": {
    "a": {"vhost-user": {"socket": "a.sock", **PORT}, "rate": {"from-vm": {"bits": "400Gbit"}}},
    "b": {"vhost-user": {"socket": "b.sock", **PORT}, "rate": {
        "from-vm": {"packets": "100Mpps", "burst": "1MiB", "layer": "wire"},
        "to-vm": {"bits": "400Gbit", "packets": "100Mpps", "scheduler": "fq-codel", "queue": "64KiB"}}},
    "c": {"vhost-user": {"socket": "c.sock", **PORT}},
}, "rates": {"tenant": {"bits": "400Gbit", "ports": {"a": 1, "c": 2}}, "b": {"packets": "100Mpps", "ports": {"c": 5}}}}

KEYS = {"kind", "name", "bits", "packets", "burst", "layer", "police", "scheduler", "queue", "actual_1s", "actual_10s",
        "passed", "held", "wait_ns", "marks", "drops", "limited_by"}
EXPECTED = [("from-vm", "a", HIGH, None), ("from-vm", "b", None, 10**8), ("to-vm", "b", HIGH, 10**8),
            ("shared", "b", None, 10**8), ("shared", "tenant", HIGH, None)]


class Rated:
    def __init__(self, switch, a, b):
        self.switch, self.a, self.b = switch, a, b

    def rate(self, name, kind):
        return next(rate for rate in self.switch.json("rate", "list") if (rate["name"], rate["kind"]) == (name, kind))

    def send(self, count, size):
        """From a to b, all of which arrive."""
        for _ in range(count // 100):
            for _ in range(100):
                self.a.put(self.a.frame(self.b.mac, bytes(size - 14)))
            self.b.wait_frames(100, slow(5), lambda frame: frame[12:14] == b"\x88\xb5")
            self.a.wait_sent(slow(5))


@fixture(name="two ports with rates")
def rated():
    with Switch(CONFIG, user="nobody") as switch:
        with Frontend(switch.socket("a"), "switch", mac="52:54:00:00:0f:01") as a, \
                Frontend(switch.socket("b"), "switch", mac="52:54:00:00:0f:02") as b:
            for end, name in ((a, "a"), (b, "b")):
                end.start()
                switch.wait_port(name)
            # So that both addresses are known.
            b.put(b.frame("ff:ff:ff:ff:ff:ff"))
            b.wait_sent(slow(5))
            yield Rated(switch, a, b)


@case("rates: listed and shown, in words and with stable keys", needs=rated, presets=BOTH)
def shown(lan):
    rates = lan.switch.json("rate", "list")
    check([(rate["kind"], rate["name"], rate["bits"], rate["packets"]) for rate in rates] == EXPECTED, rates)
    for rate in rates:
        check(set(rate) == KEYS, f"{KEYS ^ set(rate)} of {rate}")
        check(set(rate["passed"]) == set(rate["held"]) == {"packets", "bytes"}, rate)
    from_vm, to_vm = rates[1], rates[2]
    check((from_vm["burst"], from_vm["layer"], from_vm["police"], from_vm["scheduler"]) == (1 << 20, "wire", False, None),
          from_vm)
    check((to_vm["scheduler"], to_vm["queue"], to_vm["police"], to_vm["burst"]) == ("fq-codel", 65536, None, None), to_vm)
    # What is called so, and what a port shares.
    for name, kinds in (("a", "from-vm shared"), ("b", "from-vm to-vm shared"), ("c", "shared shared"),
                        ("tenant", "shared")):
        one = lan.switch.json("rate", "show", name)
        check(one["name"] == name and [rate["kind"] for rate in one["rates"]] == kinds.split(), one)
        check(all(set(rate) == KEYS | {"ports"} for rate in one["rates"]), one)
    members = one["rates"][0]["ports"]
    check([(member["port"], member["weight"]) for member in members] == [("a", 1), ("c", 2)], members)
    check(all(set(member) == {"port", "weight", "actual_1s", "actual_10s", "passed"} for member in members), members)
    lines = lan.switch.ctl("rate", "list").splitlines()
    check(lines[0].split() == "NAME KIND TARGET 1 S 10 S HELD WAIT MARKS DROPS LIMITED-BY".split(), lines)
    check(re.search(r"^b +to-vm +400Gbit 100Mpps ", lines[3]), lines)
    text = lan.switch.ctl("rate", "show", "tenant")
    check(re.search(r"target +400Gbit\n", text) and re.search(r"^c +2 ", text, re.M), text)
    done = lan.switch.weirctl("rate", "show", "nobody")
    check(done.returncode == 1 and "rate nobody" in done.stderr, done)
    return f"{len(rates)} rates"


@case("rates: the actual one is what passes", needs=rated, presets=BOTH)
def actual(lan):
    count, size = 2000, 1000
    before = {key: lan.rate(*key)["passed"] for key in (("a", "from-vm"), ("b", "to-vm"), ("tenant", "shared"))}
    lan.send(count, size)
    for key, was in before.items():
        rate = lan.rate(*key)
        passed = {unit: rate["passed"][unit] - was[unit] for unit in was}
        check(passed == {"packets": count, "bytes": count * size}, f"{key}: {passed}")
        speed = rate["actual_10s"]
        # Within the last 10 s and a little, or since the start.
        check(speed["packets"] >= count / slow(11) and
              abs(speed["bits"] / speed["packets"] / (8 * size) - 1) < 0.01, f"{key}: {speed}")
        check(rate["limited_by"] == "guest" and not rate["held"]["packets"], rate)
    wait_until(lambda: lan.rate("a", "from-vm")["actual_1s"] == {"bits": 0, "packets": 0}, slow(5),
               lambda: f"a: {lan.rate('a', 'from-vm')}")
    # 24 bytes of a wire for each packet.
    lan.switch.ctl("port", "set", "a", "rate.from-vm.layer=wire")
    rate = lan.rate("a", "from-vm")
    check(abs(rate["actual_10s"]["bits"] / rate["actual_10s"]["packets"] / (8 * (size + 24)) - 1) < 0.01, rate)
    lan.switch.ctl("port", "set", "a", "rate.from-vm.layer=")
    members = {member["port"]: member for member in lan.switch.json("rate", "show", "tenant")["rates"][0]["ports"]}
    check(members["a"]["passed"]["packets"] >= count and members["c"]["passed"]["packets"] == 0, members)
    return f"{speed['packets']} pps over 10 s"


@case("rates: listed in pages", needs=rated, presets=BOTH)
def pages(lan):
    with Client(lan.switch.control) as client:
        found, cursor = [], {}
        while True:
            answer = client.call("rate.list", limit=1, **cursor)
            found += [(rate["kind"], rate["name"]) for rate in answer["items"]]
            if answer["cursor"] is None:
                break
            cursor = {"cursor": answer["cursor"]}
        check(found == [row[:2] for row in EXPECTED], found)
        try:
            client.call("rate.list", cursor="somewhere")
            raise AssertionError("an invented cursor was taken")
        except Refused as error:
            check(error.code == -32602 and "cursor" in error.text, str(error))


WRONG = {
    "rate.from-vm.bits=1000": r"ports\.c\.rate\.from-vm\.bits: expected a bit rate such as",
    "rate.from-vm.burst=64KiB": r"ports\.c\.rate\.from-vm: expected bits or packets, found neither",
    "rate.to-vm={scheduler: drr}": r"ports\.c\.rate\.to-vm: expected bits or packets",
    "rate.from-vm={police: true, packets: 1kpps}": r"rate\.from-vm\.police: expected bits beside it",
    "rate.to-vm={bits: 1Gbit, police: true}": r"rate\.to-vm\.police: unknown key",
    "dpdk={device: net_null9}": r"expected either vhost-user or dpdk",
}


@case("rates: changed live, and what is refused", needs=rated, presets=BOTH)
def changed(lan):
    before = lan.switch.json("port", "show", "a")
    lan.switch.ctl("port", "set", "a", "rate.from-vm.bits=200Gbit", "rate.to-vm={packets: 10Mpps, scheduler: drr}")
    check((lan.rate("a", "from-vm")["bits"], lan.rate("a", "to-vm")["scheduler"]) == (200 * 10**9, "drr"), "set")
    lan.send(100, 500)
    lan.switch.ctl("port", "set", "a", "rate.to-vm=")
    lan.switch.ctl("port", "set", "a", "rate.from-vm=")
    check([rate["name"] for rate in lan.switch.json("rate", "list")] == ["b", "b", "b", "tenant"], "taken away")
    lan.send(100, 500)
    lan.switch.ctl("port", "set", "a", "rate.from-vm.bits=400Gbit")
    after = lan.switch.json("port", "show", "a")
    check(all(after[key] == before[key] for key in ("state", "reconnects", "id", "peer_pid")), after)
    check(not re.search(r"port a: (?!up)", lan.switch.log_text().partition("port a: up")[2]), "the port was opened anew")
    for word, error in WRONG.items():
        done = lan.switch.weirctl("port", "set", "c", word)
        check(done.returncode == 1 and re.search(error, done.stderr), f"{word}: {done}")
    done = lan.switch.weirctl("port", "remove", "c")
    check(done.returncode == 1 and "rates.tenant.ports.c: expected a port that exists" in done.stderr, done)
    done = lan.switch.weirctl("port", "add", "nic", "dpdk.device=net_null0", "rate.from-vm.bits=1Gbit")
    check(done.returncode == 1 and "expected vhost-user beside it, found dpdk" in done.stderr, done)
    return f"{len(WRONG) + 2} refused"


@case("rates: shared ones come, change and go live", needs=rated, presets=BOTH)
def shared(lan):
    text = lan.switch.ctl("export")
    with Client(lan.switch.control) as client:
        changes = client.call("config.apply", text=text.replace("{a: 1, c: 2}", "{a: 7, b: 3}").replace(
            "rates:\n", "rates:\n  new: {bits: 1Gbit, ports: {c: 1}}\n"))["changes"]
        check({change["path"]: change["effect"] for change in changes} ==
              {"rates.new": "live", "rates.tenant.ports": "live"}, changes)
        lan.send(100, 500)
        one = lan.switch.json("rate", "show", "tenant")["rates"][0]
        check([(member["port"], member["weight"]) for member in one["ports"]] == [("a", 7), ("b", 3)], one)
        client.call("config.apply", text=re.sub(r"\nrates:\n(  .*\n)+", "\n", text))
        check({rate["kind"] for rate in lan.switch.json("rate", "list")} == {"from-vm", "to-vm"}, "they went")
        lan.send(100, 500)
        client.call("config.apply", text=text)
    check(len(lan.switch.json("rate", "list")) == len(EXPECTED), "they came back")


@case("rates: a change decides no connection anew", needs=town, presets=BOTH)
def epoch(lan):
    _, udp = fresh(lan)
    hits = lan.switch.json("group", "show", "serves")["rules"]
    lan.switch.ctl("port", "set", "b", "rate={from-vm: {bits: 400Gbit}, to-vm: {bits: 400Gbit}}")
    lan.all_pass(udp, [(0, udp.data()), (1, udp.data(1))])
    lan.switch.ctl("port", "set", "b", "rate.to-vm.bits=300Gbit")
    lan.all_pass(udp, [(0, udp.data()), (1, udp.data(1))])
    lan.switch.ctl("port", "set", "b", "rate=")
    lan.passes(udp, 0, udp.data())
    check(lan.switch.json("group", "show", "serves")["rules"] == hits, "a known connection asked for a rule")
    # That it would be seen: new addresses do.
    lan.switch.ctl("port", "set", "b", "addresses.ip=[0.0.0.0/0]")
    lan.passes(udp, 0, udp.data())
    check(lan.switch.json("group", "show", "serves")["rules"] != hits, "an address changed and nobody asked")
    lan.switch.ctl("port", "set", "b", "addresses=")
