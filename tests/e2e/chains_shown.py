"""What is told of chains while packets pass: counts of hops and instances, and a connection's way."""
import re
import time

from cases import BOTH, case, check, slow
from chains import TWO_ARMED, bare
from lab import Failure
from lab.packets import Tcp, Udp
from lans import talk


def hops(it, name):
    return it.lan.switch.json("chain", "show", name)["hops"]


@case("chains: packets, bytes and connections of each hop and instance", needs=bare, presets=BOTH)
def counted(it):
    it.chain("counted", [[TWO_ARMED], ["ids"]])
    switch, way = it.lan.switch, [TWO_ARMED, "ids"]
    one, other = (talk(Tcp, it.lan.client, it.lan.server) for _ in range(2))
    frames = [*one.handshake(), (0, one.data()), (1, one.data(1)), (0, one.data())]
    it.walks(one, frames, way)
    it.walks(other, other.handshake(), way)
    frames += other.handshake()
    sums = [{"packets": len(sent), "bytes": sum(map(len, sent))}
            for sent in ([frame for way, frame in frames if way == side] for side in (0, 1))]
    for hop in hops(it, "counted"):
        check(len(hop["instances"]) == 1 and (hop["skipped"], hop["closed"]) == (0, 0), hop)
        instance = hop["instances"][0]
        check([instance["original"], instance["reply"]] == sums, f"{instance}, not {sums}")
        check((instance["connections"], instance["state"]) == (2, "in-service"), instance)
    chain = switch.json("chain", "list")[0]
    check((chain["connections"], chain["begun"], chain["in_service"]) == (2, 2, 2), chain)
    check(re.search(r"^counted .* nf0 > nf1 +2/2 +2 +2$", switch.ctl("chain", "list"), re.M), switch.ctl("chain", "list"))
    switch.ctl("conn", "flush")
    chain = switch.json("chain", "show", "counted")
    check((chain["connections"], chain["begun"]) == (0, 2), chain)
    check([hop["instances"][0]["connections"] for hop in chain["hops"]] == [0, 0], chain)
    # Counts go on while the instance stays, whatever else of the chain changes.
    it.chain("counted", [[TWO_ARMED, "mon-l"], (["ids"], "open")])
    first = hops(it, "counted")[0]["instances"]
    check([first[0]["original"], first[1]["original"]] == [sums[0], {"packets": 0, "bytes": 0}], first)
    it.none()
    check(switch.json("chain", "list") == [], "they went")
    return f"{len(frames)} packets"


@case("chains: a connection's way is shown", needs=bare, presets=BOTH)
def way(it):
    switch = it.lan.switch
    switch.ctl("conn", "flush")
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    one = talk(Udp, it.lan.client, it.lan.server)
    it.walks(one, [(0, one.data()), (1, one.data(1))], [TWO_ARMED, "ids"])
    row, = switch.json("conn", "list", "--protocol", "udp")
    shown = switch.json("conn", "show", row["number"])
    check(shown["chain"] == {"name": "inspect", "hops": [
        {"nf": "nf0", "groups": [], "port": None, "left": "fw-l", "right": "fw-r"},
        {"nf": "nf1", "groups": [], "port": "ids", "left": None, "right": None}]}, shown["chain"])
    text = switch.ctl("conn", "show", row["number"])
    check(re.search(r"^visits chain +inspect$", text, re.M) and re.search(r"^nf0 +fw-l > fw-r$", text, re.M) and
          re.search(r"^nf1 +ids$", text, re.M), text)
    # By chain: not those that visit another one, or none.
    it.chain("other", [["mon-l"]], **{"from": {"port": "server"}})
    tcp = talk(Tcp, it.lan.server, it.lan.client)
    it.walks(tcp, tcp.handshake(), ["mon-l"])
    for name, number in (("inspect", row["number"]), ("other", switch.json("conn", "list", "--sport", tcp.l4[0])[0]["number"])):
        rows = switch.json("conn", "list", "--chain", name)
        check([one["number"] for one in rows] == [number], f"in {name}: {rows}")
        check(switch.json("conn", "count", "--chain", name)["connections"] == 1, f"count of {name}")
    check(switch.json("conn", "list", "--chain", "other", "--protocol", "udp") == [], "with another filter")
    for verb in ("list", "count", "flush"):
        done = switch.weirctl("conn", verb, "--chain", "nothing")
        check(done.returncode == 1 and "chain nothing: there is no such chain" in done.stderr, done)
    check(switch.ctl("conn", "flush", "--chain", "other").split() == ["forgot", "1"], "one flushed")
    del it.lan.document["chains"]["other"]
    it.lan.apply()
    # Of a chain that is gone nothing is left.
    it.none()
    shown = switch.json("conn", "show", row["number"])
    check(shown["chain"] is None, shown)
    check("visits" not in switch.ctl("conn", "show", row["number"]).lower(), "still in words")


@case("chains: a hop inside the switch is shown beside those that are VMs", needs=bare, presets=BOTH)
def inside(it):
    lan = it.lan
    lan.group("web", to_vm=[{"allow": "udp"}])
    it.chain("inspect", [["ids"]])
    lan.document["chains"]["inspect"]["hops"].insert(0, {"nf": "weir-firewall", "groups": ["web"]})
    lan.apply()
    one = talk(Udp, lan.client, lan.server)
    it.walks(one, [(0, one.data()), (1, one.data(1))], ["ids"])
    row, = lan.switch.json("conn", "list", "--sport", one.l4[0])
    shown = lan.switch.json("conn", "show", row["number"])["chain"]["hops"]
    none = {"port": None, "left": None, "right": None}
    check(shown == [{"nf": "weir-firewall", "groups": ["web"], **none},
                    {"nf": "nf0", "groups": [], **none, "port": "ids"}], shown)
    text = lan.switch.ctl("conn", "show", row["number"])
    check(re.search(r"^weir-firewall +groups web$", text, re.M), text)
    check([hop["groups"] for hop in hops(it, "inspect")] == [["web"], []], hops(it, "inspect"))
    text = lan.switch.ctl("chain", "show", "inspect")
    check(re.search(r"^ *1 +groups web *$", text, re.M), text)
    it.none()
    del lan.document["groups"]["web"]
    lan.apply()


@case("chains: the time that packets spend in a function", needs=bare, presets=BOTH)
def times(it):
    lan = it.lan
    it.chain("inspect", [[TWO_ARMED], ["ids"]])
    check([one["time_ns"] for one in lan.switch.json("chain", "show", "inspect")["hops"]] == [None, None], "before")
    way = {"client": ("fw-l", 0), "fw-r": ("ids", 0.02), "ids": ("server", 0)}
    for kind in (Tcp, Udp):
        one = talk(kind, lan.client, lan.server)
        for side, frame in one.handshake() if kind is Tcp else [(0, one.data()), (1, one.data(1))]:
            it.walk(one, side, frame, [TWO_ARMED, "ids"] if not side else ["ids", TWO_ARMED[::-1]])
        for _ in range(64):
            frame = one.data()
            for at, (to, pause) in way.items():
                time.sleep(pause)
                got = lan.send(at, frame)
                if got != {to: [frame]}:
                    raise Failure(f"from {at} to {set(got)}; drops: {lan.lost()}")
    first, second = lan.switch.json("chain", "show", "inspect")["hops"]
    time_ns = first["instances"][0]["time_ns"]
    check(time_ns["samples"] >= 4, f"samples: {time_ns}")
    check(20_000_000 <= time_ns["p50"] <= time_ns["p99"] <= time_ns["max"] < slow(1) * 1_000_000_000, time_ns)
    check(first["time_ns"] == time_ns, first)
    quick = second["instances"][0]["time_ns"]
    check(quick and quick["p50"] < time_ns["p50"], f"{quick}, {time_ns}")
    table = lan.switch.ctl("chain", "show", "inspect")
    check("TIME P50" in table and "P99" in table, table)
    it.none()
    return f"20 ms: {time_ns['p50'] / 1e6:.1f} ms of {time_ns['samples']}; the next: {quick['p50'] / 1e6:.2f} ms"
