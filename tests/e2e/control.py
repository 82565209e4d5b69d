"""The control plane of the real daemon: documents, edits, rights, clients that are slow or mad, and what a
start refuses."""
import contextlib
import json
import os
import pwd
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from subprocess import DEVNULL

from cases import BOTH, case, check, fixture, slow
from lab import Failure, Switch, Workdir, run, wait_until
from lab.frontend import Frontend
from rpc import Client, Refused
from weirvm.procs import as_user, spawn

USER = "nobody"
BASE = """\
# What every case starts from.
switch: {hugepages: "off"}
bridges:
  default: {ageing: 300s}
ports:
  vm1:
    vhost-user: {socket: vm1.sock}
  vm2:
    vhost-user: {socket: vm2.sock, listens: switch}
    vlan: {access: 10}
"""
MIB = 1 << 20
PROMPT = 1.0        # seconds until another client is answered, about ten times the usual


@dataclass
class Daemon:
    switch: Switch
    folder: str     # where the switch may write its configuration
    slow: list = field(default_factory=list)

    def document(self, text, name="new.yaml"):
        """A file with the document; its path."""
        path = self.switch.work.file(name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def base(self):
        """Back to what every case starts from."""
        self.switch.ctl("apply", self.document(BASE, "base.yaml"))
        return self

    def refused(self, *words, status=1):
        """What weirctl says on standard error when it must fail."""
        done = self.switch.weirctl(*words)
        check(done.returncode == status and not done.stdout and done.stderr.startswith("weirctl: "),
              f"weirctl {' '.join(map(str, words))}: exit {done.returncode}, not {status}: "
              f"{done.stdout}{done.stderr}")
        return done.stderr.strip()

    def state(self):
        """All that a refused change must leave as it is."""
        ports = {name: (port["id"], port["text"]) for name, port in self.switch.ports().items()}
        return self.switch.ctl("export"), ports, self.switch.json("status")["unsaved_changes"]

    def client(self, hello=True):
        return Client(self.switch.control, hello)

    def prompt(self):
        """Seconds that a new client waits for its status."""
        start = time.monotonic()
        self.switch.ctl("status")
        return time.monotonic() - start


@fixture(name="a daemon")
def daemon():
    switch = Switch(user=USER, start=False)
    try:
        folder = switch.work.sub("etc", USER)
        switch.config = os.path.join(folder, "weir.yaml")
        with open(switch.config, "w") as file:
            file.write(BASE)
        # As packaged: root's file in a folder that is the switch's.
        os.chmod(switch.config, 0o640)
        os.chown(switch.config, 0, pwd.getpwnam(USER).pw_gid)
        switch.start()
    except BaseException:
        switch.close(check=False)
        raise
    with switch:
        one = Daemon(switch, folder)
        # They are closed for being slow, which takes the switch half a minute: the last case looks.
        half = one.client()
        half.send('{"jsonrpc": "2.0", "id": 7, "method": "sta')
        one.slow.append((time.monotonic(), half))
        yield one
        half.close()


def rss(pid):
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# -- documents

# (what is added to the base, the line and key that the error names, and what it expects)
BAD = [
    ("  vm3: {vhost-user: {socket: vm3.sock}, mtu: 1}\n", 11, "ports.vm3.mtu", "68"),
    ("  vm3: {vhost-user: {socket: vm3.sock}, mtuu: 1}\n", 11, "ports.vm3.mtuu",
     "nearest known one is mtu"),
    ("  vm3:\n    vhost-user: {socket: vm3.sock}\n    bridge: other\n", 13, "ports.vm3.bridge",
     "a bridge that exists, found other"),
    ("  vm3:\n    vhost-user:\n      socket: vm1.sock\n", 13, "ports.vm3.vhost-user.socket",
     "that of port vm1"),
    ("  vm3:\n    vhost-user: {socket: vm3.sock, listens: both}\n", 12, "ports.vm3.vhost-user.listens",
     "vmm or switch"),
    ("  vm3:\n    mtu: 1500\n", 11, "ports.vm3", "what the port is"),
    ("  vm3:\n    vhost-user: {socket: vm3.sock}\n    vlan: {access: 10, trunk: all}\n", 13,
     "ports.vm3.vlan.access", "either access or trunk"),
    ("  vm.3: {vhost-user: {socket: vm3.sock}}\n", 11, "ports.vm.3", "a name"),
    ("  vm1: {vhost-user: {socket: vm3.sock}}\n", 11, "vm1", "twice|already|duplicate|again"),
    ("bridges: {default: {ageing: 300}}\n", 11, "bridges", "twice|already|duplicate|again"),
    ("  vm3: {vhost-user: {socket: vm3.sock}\n", None, "", ""),      # not closed: no YAML
    ("  vm3: [1, 2]\n", 11, "ports.vm3", "a map of keys, found a list of 2"),
]


@case("control: apply is all or nothing", needs=daemon, presets=BOTH)
def all_or_nothing(one):
    """An error names file, line and key; what stands before it in the document has not happened either."""
    before = one.base().state()
    # Changes that are sound by themselves stand above the error.
    text = BASE.replace("ageing: 300s", "ageing: 10s").replace("access: 10", "access: 11")
    for more, line, key, expected in BAD:
        path = one.document(text + more)
        for words in (("apply", path), ("apply", "--dry-run", path), ("diff", path)):
            said = one.refused(*words)
            place = re.escape(f"{path}:{line}: ") if line else re.escape(path) + r":\d+"
            check(re.search(place, said) and key in said and re.search(expected, said),
                  f"{more!r}: no {path}:{line}, {key} and {expected!r} in: {said}")
    path = one.document(text.replace("300s", "10s").replace("10s", "10"))
    said = one.refused("apply", path)
    check(f"{path}:4: bridges.default.ageing: expected" in said and "found 10" in said, said)
    check("No such file" in one.refused("apply", one.switch.work.file("missing.yaml")), "a missing file")
    after = one.state()
    check(after == before, f"refused documents changed something:\n{before}\n{after}")
    return f"{len(BAD) + 2} documents refused by line and key, nothing changed"


@case("control: keys of later issues are not supported yet", needs=daemon)
def later(one):
    documents = {key: BASE + f"{key}: {{}}\n" for key in ("gateways", "nat")}
    before = one.base().state()
    for key, text in documents.items():
        said = one.refused("apply", one.document(text))
        check(f"{key}: not supported yet" in said and re.search(r"new\.yaml:\d+: ", said), said)
    check(one.state() == before, "something changed")
    return f"{len(documents)} keys"


CHANGED = BASE.replace("ageing: 300s", "ageing: 60s").replace("access: 10", "access: 20") + """\
  vm3: {vhost-user: {socket: vm3.sock}, mtu: 9000}
"""


@case("control: diff, --dry-run and apply agree", needs=daemon)
def dry_run(one):
    before = one.base().state()
    path = one.document(CHANGED)
    wanted = {"bridges.default.ageing": "60s", "ports.vm2.vlan.access": "20"}
    differences = {entry["path"]: entry for entry in one.switch.json("diff", path)}
    for key, value in wanted.items():
        check(differences.get(key, {}).get("new") == value, f"diff lacks {key}: {differences}")
    check(any(key.startswith("ports.vm3") for key in differences) and
          all({"path", "old", "new", "effect"} <= set(entry) for entry in differences.values()), differences)
    dry = one.switch.ctl("apply", "--dry-run", path)
    check("nothing was changed" in dry and one.state() == before, f"a dry run changed something: {dry}")
    applied = one.switch.ctl("apply", path)
    check(re.findall(r"\d+ changes", applied) == re.findall(r"\d+ changes", dry), f"{dry}\n{applied}")
    check(one.switch.ctl("diff", path).strip() == "no differences", "differences behind the apply")
    check(one.switch.json("diff", path) == [], "differences behind the apply")
    ports = one.switch.ports()
    check(ports["vm3"]["mtu"] == 9000 and ports["vm2"]["vlan"] == "access 20", ports)
    check(ports["vm1"]["id"] == before[1]["vm1"][0], "vm1, which did not change, is another one")
    # From standard input, as JSON, which is YAML.
    document = {"switch": {"hugepages": "off"}, "ports": {"vm1": {"vhost-user": {"socket": "vm1.sock"}}}}
    done = run(one.switch.ctl_argv("apply", "-"), stdin=None, input=json.dumps(document), check=False)
    check(done.returncode == 0 and set(one.switch.ports()) == {"vm1"}, f"apply -: {done.stdout}{done.stderr}")
    return f"{len(differences)} differences"


@case("control: export and apply are a round trip", needs=daemon, presets=BOTH)
def round_trip(one):
    one.base().switch.ctl("apply", one.document(CHANGED))
    figures = []
    for words in (["export"], ["export", "--defaults"]):
        text = one.switch.ctl(*words)
        path = one.document(text, "export.yaml")
        check(one.switch.ctl("diff", path).strip() == "no differences", one.switch.ctl("diff", path))
        said = one.switch.ctl("apply", path)
        check("applied: 0 changes" in said, said)
        check(one.switch.ctl(*words) == text, f"{words} differs after it was applied")
        as_json = one.switch.json(*words)
        check(as_json["text"] == text, f"-o json {words}: {as_json}")
        figures.append(f"{len(text.splitlines())} lines")
    # And from nothing, which is what a start makes of it.
    one.switch.ctl("apply", one.document("{}\n", "nothing.yaml"))
    check(not one.switch.ports(), "ports of an empty document")
    one.switch.ctl("apply", path)
    check(one.switch.ctl("export", "--defaults") == text, "another document from nothing")
    return ", with defaults ".join(figures)


@case("control: save writes the file", needs=daemon)
def save(one):
    def unsaved():
        return one.switch.json("status")["unsaved_changes"]
    with open(one.switch.config) as file:
        original = file.read()
    one.base()
    check(not unsaved(), "the file's own document counts as a change")
    one.switch.ctl("port", "add", "vm3")
    check(unsaved() and "unsaved changes" in one.switch.ctl("status"), "a port more, and nothing is unsaved")
    with open(one.switch.config) as file:
        check(file.read() == original, "the file changed without save")
    one.switch.ctl("port", "remove", "vm3")
    check(not unsaved(), "it is as in the file again, and counts as changed")
    one.switch.ctl("port", "add", "vm3", "mtu=9000")
    said = one.switch.ctl("save")
    check(one.switch.config in said and not unsaved(), said)
    with open(one.switch.config) as file:
        check(file.read() == one.switch.ctl("export"), "the file is not what export prints")
    info = os.stat(one.switch.config)
    check(info.st_mode & 0o777 == 0o640, f"the file's mode became {info.st_mode & 0o777:o}")
    check(os.listdir(one.folder) == ["weir.yaml"], f"left beside it: {os.listdir(one.folder)}")
    # Where it cannot be written nothing is lost, and it stays unsaved.
    one.switch.ctl("port", "add", "vm4")
    os.chown(one.folder, 0, 0)
    try:
        said = one.refused("save")
    finally:
        os.chown(one.folder, pwd.getpwnam(USER).pw_uid, -1)
    check(f"cannot write {one.switch.config}: Permission denied" in said and unsaved(), said)
    one.base().switch.ctl("save")
    check(not unsaved(), "unsaved behind save")
    return "unsaved changes come and go"


# -- edits

@case("control: ports change live, others do not notice", needs=daemon, presets=BOTH)
def edits(one):
    switch = one.base().switch
    with Frontend(switch.add_port("peer", "switch", vhost_user__mode="0666"), "switch") as peer:
        peer.start()
        switch.wait_port("peer")

        def same(what):
            port = switch.json("port", "show", "peer")
            now = port["id"], port["text"], port["reconnects"], port["pairs"]
            check(now == before, f"{what}: peer was {before} and is {now}")
        port = switch.json("port", "show", "peer")
        before = port["id"], port["text"], port["reconnects"], port["pairs"]
        switch.ctl("port", "add", "vm3", "vhost-user.socket=three.sock", "vhost-user.listens=switch",
                   "mtu=2000")
        same("add")
        check(os.path.exists(switch.socket("three")), "no socket three.sock")
        said = one.refused("port", "add", "vm3")
        check("port vm3: there is such a port already" in said, said)
        switch.ctl("port", "set", "vm3", "mtu=3000", "vlan.trunk=[10, 20]", "vlan.native=10")
        port = switch.port("vm3")
        check(port["mtu"] == 3000 and port["vlan"] == "trunk 10,20 native 10", port)
        switch.ctl("port", "set", "vm3", "vlan=", "mtu=")
        port = switch.port("vm3")
        check(port["mtu"] == 1500 and port["vlan"] == "untagged", port)
        same("set")
        # All settings of one command or none.
        said = one.refused("port", "set", "vm3", "mtu=4000", "vlan.access=5000")
        check("ports.vm3.vlan.access" in said and switch.port("vm3")["mtu"] == 1500, said)
        said = one.refused("port", "add", "vm4", "mtu=99999")
        check("ports.vm4.mtu" in said and "vm4" not in switch.ports(), said)
        # What concerns its own socket opens a port anew, and only that one.
        switch.ctl("port", "set", "vm3", "vhost-user.socket=3.sock")
        check(os.path.exists(switch.socket("3")) and not os.path.exists(switch.socket("three")),
              os.listdir(os.path.join(switch.run_dir, "vm")))
        # And what does not, leaves even the port itself connected.
        switch.ctl("port", "set", "peer", "vlan.access=30", "mtu=9000", "limits.macs=5")
        same("its own live keys")
        switch.ctl("port", "remove", "vm3")
        check("vm3" not in switch.ports() and not os.path.exists(switch.socket("3")), "vm3 is still there")
        said = one.refused("port", "remove", "vm3")
        check("port vm3: there is no such port" in said, said)
        same("remove")
    switch.ctl("port", "remove", "peer")
    return "add, set, remove; a connected port stayed as it was"


@case("control: what waits for a restart is named", needs=daemon)
def restart_only(one):
    switch = one.base().switch
    path = one.document(BASE.replace('hugepages: "off"', 'hugepages: "off", workers: [0], memory: 300MiB, poll: busy'))
    effects = {entry["path"]: entry["effect"] for entry in switch.json("diff", path)}
    check(effects == {"switch.workers": "restart", "switch.memory": "restart", "switch.poll": "live"}, effects)
    said = switch.ctl("apply", path)
    waits = [f"takes effect when weir-switchd is started again: {key}" for key in ("switch.workers", "switch.memory")]
    check(all(line in said for line in waits) and "poll" not in said.split("started again", 1)[1], said)
    check(switch.json("status")["restart"] == ["switch.workers", "switch.memory"], switch.json("status")["restart"])
    one.base()
    check(switch.json("status")["restart"] == [], switch.json("status")["restart"])
    return "switch.workers, switch.memory; switch.poll is live"


@case("control: a client that never reads", needs=daemon)
def deaf(one):
    """It watches and never reads: it costs a bounded backlog, and is closed in the end. Here so that the
    end comes while other cases run."""
    one.base()
    before = rss(one.switch.pid)
    client = one.client()
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.call("watch", topics=["ports", "config"])
    with one.client() as writer:
        start, count, worst = time.monotonic(), 0, 0.0
        while count < 3000:
            lines = "".join(writer.request("port.set", {"name": "vm1", "settings": [
                {"path": "mtu", "value": str(1500 + (count + number) % 2)}]}) for number in range(100))
            writer.send(lines)
            for _ in range(100):
                check("result" in writer.answer(), "a change was refused")
            count += 100
            if count % 1000 == 0:
                worst = max(worst, one.prompt())
        took = time.monotonic() - start
    grown = rss(one.switch.pid) - before
    check(grown < 16 * MIB, f"{grown / MIB:.1f} MiB more resident memory")
    check(worst < slow(PROMPT), f"another client waited {worst:.2f} s")
    one.slow.append((time.monotonic(), client))
    return (f"{count} changes told to nobody at {count / took:.0f}/s, {grown / MIB:+.1f} MiB resident, "
            f"others waited {worst * 1000:.0f} ms")


@case("control: 200 ports by one apply", needs=daemon)
def two_hundred(one):
    switch = one.base().switch
    more = "".join(f"  p{number}: {{vhost-user: {{socket: p{number}.sock, listens: "
                   f"{('vmm', 'switch')[number % 2]}}}}}\n" for number in range(200))
    vm = os.path.join(switch.run_dir, "vm")
    figures = []
    for text, count in ((BASE + more, 202), (BASE, 2)):
        path = one.document(text)
        start = time.monotonic()
        switch.ctl("apply", path)
        figures.append(time.monotonic() - start)
        check(len(switch.ports()) == count and switch.json("status")["ports"]["total"] == count,
              f"{len(switch.ports())} ports")
        sockets = len(os.listdir(vm))
        check(sockets == 1 + (100 if count > 2 else 0), f"{sockets} sockets of {count} ports")
        check(one.prompt() < slow(PROMPT), "status is slow")
    check(max(figures) < slow(10), f"it took {figures}")
    return f"added in {figures[0]:.2f} s, removed in {figures[1]:.2f} s"


@case("control: 1,000 ports take the place of 1,000 others", needs=daemon)
def replaced(one):
    switch = one.base().switch
    for turn in "ab":
        ports = {f"{turn}{number}": {"vhost-user": {"socket": f"{turn}{number}.sock"}}
                 for number in range(1000)}
        switch.ctl("apply", one.document(json.dumps({"switch": {"hugepages": "off"}, "ports": ports})))
        ids = {port["id"] for port in switch.ports().values()}
        check(len(ids) == 1000, f"1,000 ports share {len(ids)} ids")
    one.base()
    return "each has an id of its own"


@case("control: nothing is left of ports that came and went", needs=daemon)
def footprint(one):
    """Each with a peer that was connected, as its rings, memory and descriptors are what could stay."""
    switch = one.base().switch

    def peer(number, peers):
        name, listens = f"leak{number}", ("switch", "vmm")[number % 2]
        keys = {"vhost_user__mode": "0666"} if listens == "switch" else {}
        peers.append(Frontend(switch.add_port(name, listens, **keys), listens))
        peers[-1].start()
        switch.wait_port(name)
        switch.ctl("port", "remove", name)

    def round_of_ten():
        # At once, since the vhost library looks at a new socket within a second only.
        peers = []
        threads = [threading.Thread(target=peer, args=(number, peers)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in peers:
            one.close()
        check(len(peers) == 10 and len(switch.ports()) == 2, f"{len(peers)} peers; {list(switch.ports())}")
    round_of_ten()
    before, grown = descriptors(switch.pid), []
    # A heap takes a while until it has what it needs; a leak grows by the same each time.
    while not grown or (grown[-1] >= 100 and len(grown) < 3):
        resident = rss(switch.pid)
        for _ in range(10):
            round_of_ten()
        # The janitor frees behind a grace period.
        wait_until(lambda: descriptors(switch.pid) <= before, 5,
                   lambda: f"{before} descriptors, {descriptors(switch.pid)} now")
        grown.append((rss(switch.pid) - resident) // 1024)
    check(grown[-1] < 100, f"KiB more resident memory with each 100 ports: {grown}")
    return (f"{before} descriptors, {rss(switch.pid) / MIB:.1f} MiB resident; KiB more with each 100 ports: "
            f"{', '.join(f'{more:+d}' for more in grown)}")


# -- weirctl

@case("control: exit codes and -o json", needs=daemon)
def exit_codes(one):
    switch = one.base().switch
    for words in (["status"], ["port", "list"], ["port", "show", "vm1"], ["bridge", "list"], ["fdb", "list"],
                  ["drops"], ["log", "list"], ["export"], ["diff", one.document(BASE)]):
        lines = (["-o", "json", *words], [*words, "-o", "json"], [words[0], "-o", "json", *words[1:]],
                 ["-ojson", *words], [*words, "--output=json"])
        outputs = [switch.weirctl(*line) for line in lines]
        check(not any(done.returncode for done in outputs), [done.stderr for done in outputs])
        values = [json.loads(done.stdout) for done in outputs]
        if words != ["status"]:
            check(all(value == values[0] for value in values), f"{words} differs by where -o json stands")
        table = switch.weirctl(*words, "-o", "table")
        check(table.returncode == 0 and not table.stdout.lstrip().startswith(("{\"", "[")), table.stdout)
    refused = [["port", "show", "none"], ["port", "remove", "none"], ["port", "libvirt", "none"],
               ["drops", "none"], ["fdb", "list", "none"], ["port", "set", "vm1", "mtu=x"],
               ["log", "set", "none", "debug"], ["log", "set", "vhost", "loud"], ["apply", "/nonexistent"],
               ["fdb", "flush", "--mac", "nothing"], ["port", "wait", "none", "up"]]
    for words in refused:
        one.refused(*words)
    usage = [[], ["none"], ["port"], ["port", "none"], ["port", "add"], ["port", "show"],
             ["port", "show", "vm1", "vm2"], ["status", "--none"], ["-o", "xml", "status"],
             ["port", "set", "vm1", "mtu"],
             ["port", "wait", "vm1", "flying"], ["port", "wait", "vm1", "up", "--timeout", "5"], ["-o"],
             ["port", "remove", "vm1", "-o", "json"], ["fdb", "list", "--vlan", "5000"]]
    for words in usage:
        one.refused(*words, status=2)
    nowhere = run([switch.ctl_argv()[0], "--socket", switch.work.file("nowhere"), "status"], check=False)
    check(nowhere.returncode == 3 and "no switch answers at" in nowhere.stderr, nowhere.stderr)
    env = dict(os.environ, WEIR_SOCKET=switch.control)
    check(run([switch.ctl_argv()[0], "status"], env=env).returncode == 0, "$WEIR_SOCKET")
    for words in (["--version"], ["--help"], ["help"], ["port", "--help"], ["help", "port"]):
        check(switch.weirctl(*words).returncode == 0, words)
    return f"0; 1 for {len(refused)}, 2 for {len(usage)} lines, 3 without a switch"


@case("control: JSON keys of status", needs=daemon, presets=BOTH)
def status_keys(one):
    status = one.base().switch.json("status")
    worker = dict.fromkeys(["cpu", "packets", "bursts", "busy_cycles", "idle_cycles", "polls", "sleeps",
                            "tsc_hz"], int)
    wanted = {"workers": list, "unsaved_changes": bool, "restart": list, "version": str, "pid": int,
              "run_dir": str, "config_file": str, "memory": str, "ports": dict}
    for part, keys in [(status, wanted)] + [(entry, worker) for entry in status["workers"]]:
        wrong = [key for key, kind in keys.items() if type(part.get(key)) is not kind]
        check(not wrong, f"missing, or of another type: {wrong} in {part}")
    check([entry["cpu"] for entry in status["workers"]] == [1], status)
    check(status["ports"] == {"total": 2, "up": 0} and status["pid"] == one.switch.pid and
          status["config_file"] == one.switch.config, status)
    port = one.switch.port("vm1")
    keys = {"name", "bridge", "state", "text", "mend", "socket", "mtu", "vlan", "queues", "features",
            "from_vm", "to_vm", "drops", "macs"}
    check(keys <= set(port), f"port list lacks {keys - set(port)}")
    return f"{len(status)} keys, {len(status['workers'][0])} of each worker"


@case("control: port wait", needs=daemon)
def port_wait(one):
    switch = one.base().switch
    start = time.monotonic()
    said = one.refused("port", "wait", "vm1", "up", "--timeout", "300ms")
    took = time.monotonic() - start
    check(0.3 <= took < slow(1.5), f"a wait of 300 ms took {took:.2f} s")
    check("waited 300ms for 'up', and it is 'waiting for the VMM'" in said and "start the VM" in said, said)
    switch.ctl("port", "wait", "vm1", "waiting-for-the-vmm", "--timeout", "1s")
    # Told by the switch: the wait ends with the event, not with the next question.
    path = switch.add_port("w", "switch", vhost_user__mode="0666")

    def waiting():
        child = spawn(switch.ctl_argv("port", "wait", "w", "up", "--timeout", "20s"), stdout=DEVNULL,
                      stderr=DEVNULL)
        switch.wait_log(rf"ctl: uid 0, pid {child.pid}: connected", slow(5))
        return child
    switch.ctl("log", "set", "ctl", "debug")
    child = waiting()
    with Frontend(path, "switch") as peer:
        start = time.monotonic()
        peer.start()
        status = child.wait(slow(10))
        took = time.monotonic() - start
    check(status == 0 and took < slow(PROMPT), f"exit {status} after {took:.2f} s")
    child = waiting()
    switch.ctl("port", "remove", "w")
    check(child.wait(slow(10)) == 1, "a wait for a port that was removed")
    switch.ctl("log", "set", "ctl", "info")
    return f"up told after {took * 1000:.0f} ms"


# -- rights

def weirctl_as(user, program, switch, *words):
    return run(["setpriv", *as_user(user), "--", program, "--socket", switch.control, *words], check=False)


@case("control: who may write and who reads", presets=BOTH)
def roles():
    """By SO_PEERCRED: root and the daemon's own user write, others read."""
    with Switch({"switch": {"hugepages": "off"}, "ports": {"vm1": {"vhost-user": {"socket": "vm1.sock"}}}},
                expected=[r"warning> main: .*ACL"]) as switch, Workdir("weir-ctl-") as work:
        program = run(["cp", switch.ctl_argv()[0], work.path]) and work.file("weirctl")
        document = work.file("some.yaml")
        with open(document, "w") as file:
            file.write("{}\n")

        def nobody(*words):
            return weirctl_as(USER, program, switch, *words)
        reads = [["status"], ["port", "list"], ["port", "show", "vm1"], ["port", "libvirt", "vm1"],
                 ["export"], ["diff", document], ["drops"], ["fdb", "list"], ["bridge", "list"],
                 ["conn", "list"], ["conn", "count"], ["group", "list"], ["group", "show"], ["chain", "list"],
                 ["log", "list"], ["port", "wait", "vm1", "waiting-for-the-vmm"]]
        for words in reads:
            done = nobody(*words)
            check(done.returncode == 0, f"{USER} may not {words}: {done.stderr}")
        writes = [["port", "add", "vm2"], ["port", "set", "vm1", "mtu=2000"], ["port", "remove", "vm1"],
                  ["apply", document], ["apply", "--dry-run", document], ["save"], ["fdb", "flush"],
                  ["conn", "flush"],
                  ["log", "set", "vhost", "debug"]]
        before = switch.ctl("export")
        for words in writes:
            done = nobody(*words)
            check(done.returncode == 1 and "you may read only" in done.stderr, f"{words}: {done.stderr}")
        check(switch.ctl("export") == before, "it changed")
        switch.ctl("port", "set", "vm1", "mtu=2000")
    with Switch({"switch": {"hugepages": "off"}}, user=USER) as switch, Workdir("weir-ctl-") as work:
        program = run(["cp", switch.ctl_argv()[0], work.path]) and work.file("weirctl")
        for user, status in ((USER, 0), ("libvirt-qemu", 1)):
            done = weirctl_as(user, program, switch, "port", "add", user)
            check(done.returncode == status, f"{user}, switch of {USER}: {done.returncode} {done.stderr}")
        uid = as_user(USER)[1]
        switch.wait_log(rf"config: uid {uid}, pid \d+: port add {USER}: \d+ change")
    return f"a reader: {len(reads)} commands done, {len(writes)} refused"


# -- the protocol

@case("control: hello and protocol errors", needs=daemon, presets=BOTH)
def protocol(one):
    one.base()
    with one.client(hello=False) as client:
        def code(line):
            answer = client.ask(line)
            check(answer["jsonrpc"] == "2.0" and isinstance(answer["error"]["message"], str), answer)
            return answer["error"]["code"]
        for method in ("status", "port.list", "nonsense"):
            check(code(client.request(method).strip()) == -32001, f"{method} before hello")
        for version in (0, 2, 1 << 40):
            try:
                client.call("hello", protocol=version)
                raise Failure(f"protocol {version} was accepted")
            except Refused as error:
                check(error.code == -32002 and "speaks protocol 1" in error.text, error)
        check(code(client.request("status").strip()) == -32001, "a hello that failed counts")
        hello = client.call("hello", protocol=1)
        check(hello["protocol"] == 1 and hello["role"] == "write" and hello["uid"] == 0, hello)
        wrong = {"{": -32700, "no json": -32700, "{} {}": -32700, '{"a": 1, "a": 2}': -32700, "[]": -32600,
                 '[{"jsonrpc": "2.0", "id": 1, "method": "status"}]': -32600, "{}": -32600,
                 '{"jsonrpc": "1.0", "id": 1, "method": "status"}': -32600,
                 '{"jsonrpc": "2.0", "id": 1, "method": 5}': -32600,
                 '{"jsonrpc": "2.0", "id": {}, "method": "status"}': -32600,
                 '{"jsonrpc": "2.0", "id": 1, "method": "none"}': -32601,
                 '{"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1]}': -32602,
                 '{"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"x": 1}}': -32602,
                 '{"jsonrpc": "2.0", "id": 1, "method": "port.show"}': -32602,
                 '{"jsonrpc": "2.0", "id": 1, "method": "port.show", "params": {"name": 5}}': -32602,
                 '{"jsonrpc": "2.0", "id": 1, "method": "port.list", "params": {"limit": 0}}': -32602,
                 '{"jsonrpc": "2.0", "id": 1, "method": "watch", "params": {"topics": ["x"]}}': -32602}
        for line, number in wrong.items():
            got = code(line)
            check(got == number, f"{line}: {got}, not {number}")
        for line in (b"\xff\xfe\x00", b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}', b"[" * 3000,
                     b'{"a":' * 3000):
            check(code(line) in (-32700, -32600), line[:40])
        codes = {"port.show": ({"name": "none"}, -32004), "port.add": ({"name": "vm1"}, -32005),
                 "port.set": ({"name": "vm1", "settings": [{"path": "mtu", "value": "1"}]}, -32006),
                 "config.apply": ({"text": "nat: []"}, -32007)}
        for method, (params, number) in codes.items():
            got = code(client.request(method, params).strip())
            check(got == number, f"{method} {params}: {got}, not {number}")
        # No answer is due to a notification, and what follows is answered in order.
        client.send('{"jsonrpc": "2.0", "method": "status"}\n\n\r\n' + client.request("status") * 3)
        check(all("result" in client.answer() for _ in range(3)), "three requests at once")
        # Page by page.
        names, cursor = [], {}
        while cursor is not None:
            page = client.call("port.list", limit=1, **cursor)
            names += [port["name"] for port in page["items"]]
            cursor = {"cursor": page["cursor"]} if page["cursor"] else None
        check(names == ["vm1", "vm2"], names)
        methods = {entry["method"] for entry in client.call("method.list")["items"]}
        check({"hello", "status", "config.apply", "port.add", "watch"} <= methods, methods)
    return f"{len(wrong) + len(codes) + 4} wrong lines, each by its code; {len(methods)} methods"


@case("control: MAC addresses and bridges page by page", needs=daemon, presets=BOTH)
def pages(one):
    switch = one.switch
    # By no order of their names: pages go by name, and each must be on one.
    homes = {"zz": "52:54:00:00:0e:01", "default": "52:54:00:00:0e:02", "mm": "52:54:00:00:0e:03"}
    ports = {f"on-{name}": {"vhost-user": {"socket": f"on-{name}.sock", "listens": "switch", "mode": "0666"},
                            "bridge": name} for name in homes}
    switch.ctl("apply", one.document(json.dumps({"switch": {"hugepages": "off"}, "bridges": {
        name: {} for name in homes}, "ports": ports})))
    with contextlib.ExitStack() as stack, one.client() as client:
        for name, mac in homes.items():
            card = stack.enter_context(Frontend(switch.socket(f"on-{name}"), "switch", mac=mac)).start()
            card.put(card.frame("ff:ff:ff:ff:ff:ff"))
            card.wait_sent(slow(5))

        def whole(method):
            items, cursor = [], {}
            while cursor is not None:
                page = client.call(method, limit=1, **cursor)
                items += page["items"]
                cursor = {"cursor": page["cursor"]} if page["cursor"] else None
            return items
        names = [bridge["name"] for bridge in whole("bridge.list")]
        check(names == sorted(homes), f"bridges by pages: {names}")
        found = {entry["bridge"]: entry["mac"] for entry in whole("fdb.list")}
        check(found == homes, f"addresses by pages: {found}")
        # What names a bridge that went away, or never was, ends: nobody may hold the main thread.
        for cursor in ("5 none", "0 none", "5 aaa", "99999999 default", "4294967295 zzz"):
            client.call("fdb.list", timeout=slow(5), cursor=cursor)
            client.call("fdb.list", timeout=slow(5), cursor=cursor, bridge="default")
    return f"{len(found)} addresses on as many bridges"


@case("control: watch tells of states and changes", needs=daemon)
def watch(one):
    one.base()
    with one.client() as client:
        client.call("watch", topics=["ports", "config"])
        path = one.switch.add_port("seen", "switch", vhost_user__mode="0666")
        with Frontend(path, "switch") as peer:
            peer.start()
            wait_until(lambda: client.notifications.append(client.line()) or
                       client.notifications[-1]["params"].get("state") == "up", slow(10), "state up")
        one.switch.ctl("port", "remove", "seen")
        wait_until(lambda: client.notifications.append(client.line()) or
                   "port remove" in client.notifications[-1]["params"].get("what", ""), slow(10),
                   "the removal")
        said = [entry["method"] for entry in client.notifications]
        check(said[0] == "config.changed" and "port.state" in said, said)
        states = [entry["params"]["state"] for entry in client.notifications
                  if entry["method"] == "port.state" and entry["params"]["port"] == "seen"]
    return " → ".join(states)


# -- clients that are slow or mad

def prompt_while(one, step, done):
    """Calls step() until it returns done, and looks how long others wait meanwhile; the longest."""
    worst, next_look = 0.0, 0.0
    while True:
        if time.monotonic() >= next_look:
            worst = max(worst, one.prompt())
            next_look = time.monotonic() + 0.1
        if step() == done:
            return max(worst, one.prompt())


@case("control: 64 MiB without a line end", needs=daemon)
def endless(one):
    """A stranger's line, and one of a client that may send documents, each end at their limit."""
    one.base()
    before, limits, worst = rss(one.switch.pid), [], 0.0
    # A document of the allowed length has been parsed before, so that the memory it needs is there.
    block = b"x" * MIB
    for hello in (False, True, False, True):
        with one.client(hello) as client:
            client.stream.setblocking(False)
            sent = 0

            def step():
                nonlocal sent
                try:
                    sent += client.stream.send(block)
                except BlockingIOError:
                    time.sleep(0.001)
                except (BrokenPipeError, ConnectionResetError):
                    return "closed"
                return "closed" if sent >= 64 * MIB else "on"
            worst = max(worst, prompt_while(one, step, "closed"))
            check(sent < 64 * MIB, "64 MiB without a line end were taken")
            said = [entry["error"] for entry in client.wait_closed(slow(5)) if "error" in entry]
            check(said and said[0]["code"] == -32008 and "a line is longer than" in said[0]["message"], said)
            limits.append(re.search(r"than (\d+) bytes", said[0]["message"])[1])
    grown = rss(one.switch.pid) - before
    check(grown < 16 * MIB, f"{grown / MIB:.1f} MiB more resident memory")
    check(worst < slow(PROMPT), f"another client waited {worst:.2f} s")
    # Lines without end to them, all short: 16 MiB of requests that nobody reads the answers of.
    with one.client() as client:
        client.stream.setblocking(False)
        block, sent, still = (client.request("port.list") * 1000).encode(), 0, None

        def flood():
            nonlocal sent, still
            try:
                sent += client.stream.send(block)
                still = None
            except BlockingIOError:
                still = still or time.monotonic()
                time.sleep(0.001)
            return sent >= 16 * MIB or (still is not None and time.monotonic() - still > 1)
        worst = max(worst, prompt_while(one, flood, True))
        check(sent < 16 * MIB, "requests are taken without end while their answers are not")
        backlog = rss(one.switch.pid) - before
        check(backlog < 16 * MIB, f"{backlog / MIB:.1f} MiB more resident memory")
    check(worst < slow(PROMPT), f"another client waited {worst:.2f} s")
    return (f"closed at {limits[0]} and {limits[1]} bytes, {grown / MIB:+.1f} MiB resident, others waited "
            f"{worst * 1000:.0f} ms at most")


@case("control: 1,000 idle connections", needs=daemon)
def crowd(one):
    one.base()
    usual = one.prompt()
    before = descriptors(one.switch.pid)
    clients = []
    try:
        writer = one.client()
        clients.append(writer)
        worst = 0.0
        for number in range(1200):
            clients.append(one.client(hello=False))
            if number % 100 == 99:
                worst = max(worst, one.prompt())
        there = one.switch.json("status")["clients"]
        check(worst < slow(PROMPT), f"status took {worst:.2f} s")
        check(there >= 1000, f"{there} clients are connected")
        # Beyond the limit the oldest of those that never said hello went, not the client at work.
        check(writer.call("status")["pid"] == one.switch.pid, "the first client")
        said = clients[1].wait_closed(slow(5))
        check(said and said[0]["error"]["code"] == -32010, f"the longest idle client was told {said}")
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: descriptors(one.switch.pid) <= before, slow(10),
               lambda: f"{before} descriptors, {descriptors(one.switch.pid)} now")
    return f"{there} at once, status in {worst * 1000:.0f} ms, {usual * 1000:.0f} ms when alone"


# -- the log

@case("control: log levels change live, changes are logged, repeats are not", needs=daemon)
def logs(one):
    switch = one.base().switch

    def lines(pattern):
        return len(re.findall(pattern, switch.log_text(), re.M))

    before = lines(r"^<debug> ")
    one.prompt()
    check(lines(r"^<debug> ") == before, "debug lines before they were asked for")
    switch.ctl("log", "set", "ctl", "debug")
    levels = {entry["subsystem"]: entry["level"] for entry in switch.json("log", "list")}
    check(levels.pop("ctl") == "debug" and set(levels.values()) == {"info"}, levels)
    switch.ctl("port", "add", "loud")
    switch.ctl("port", "remove", "loud")
    switch.wait_log(r"^<debug> ctl: uid 0, pid \d+: connected, may write$")
    check(not lines(r"^<debug> (?!ctl)"), "other subsystems speak, too")
    switch.ctl("log", "set", "all", "info")
    loud = lines(r"^<debug> ")
    one.prompt()
    check(lines(r"^<debug> ") == loud, "debug lines behind log set info")
    # The error level hides what was done, but not that it was hidden.
    switch.ctl("log", "set", "config", "error")
    switch.wait_log(r"^<info> config: uid 0, pid \d+: log set config error$")
    switch.ctl("port", "add", "hidden")
    switch.ctl("port", "remove", "hidden")
    switch.ctl("log", "set", "config", "info")
    check(not lines(r"config: .*port add hidden"), "info lines of a subsystem whose level is error")
    switch.wait_log(r"^<info> config: uid 0, pid \d+: port add loud: \d+ changes?$")
    switch.wait_log(r"^<info> config: uid 0, pid \d+:   ports\.loud\S*: nothing -> .*loud\.sock")
    with one.client() as client:
        params = {"name": "vm1", "settings": [{"path": "mtu", "value": "again"}]}
        client.send(client.request("port.set", params) * 500)
        for _ in range(500):
            check("error" in client.answer(), "mtu=again was accepted")
    repeats = lines(r"refused: .*found again")
    check(1 <= repeats <= 20, f"500 refusals make {repeats} lines")
    return f"{loud - before} debug lines, then none; 500 refusals in {repeats} lines"


@case("control: who is too slow is closed", needs=daemon)
def too_slow(one):
    """Half a line for half a minute, and a reader who does not read: closed, and told why."""
    # The half line is from the beginning, the one who never reads from a case before.
    figures, names = [], ("half a line", "no reading")
    for (since, client), name in zip(one.slow, names):
        limit = max(0.1, since + slow(45) - time.monotonic())
        if name == names[0]:
            said = client.wait_closed(limit)
            check(said and said[-1]["error"]["code"] == -32009, f"half a line: {said}")
        else:
            # To look at what it was told would be to read.
            one.switch.wait_log(r"closed: it does not read its \d+ bytes", limit)
        client.close()
        figures.append(time.monotonic() - since)
    check(all(29 <= seconds for seconds in figures), f"closed after {figures}")
    one.slow.clear()
    return ", ".join(f"{name}: {seconds:.0f} s" for name, seconds in zip(names, figures))


# -- start and stop

def failed_start(status=1, **how):
    """A start that must fail at once; its log."""
    switch = Switch(start=False, **how)
    try:
        switch.launch()
        got = switch.wait_exit(slow(10))
        text = switch.log_text()
        check(got == status, f"exit {got}, not {status}:\n{text}")
        left = how.get("run_dir") is None and set(os.listdir(switch.run_dir)) & {"control.sock", "lock"}
        check(not left, f"left in the run directory: {left}")
        return text
    finally:
        switch.close(check=False)


@case("control: EAL options that take lcores are refused")
def eal_options():
    refused = (["-l", "0"], ["-l0-1"], ["-c", "3"], ["-c3"], ["--lcores", "0"], ["--lcores=0@1"],
               ["--lcor=0"], ["--main-lcore=1"])
    for words in refused:
        text = failed_start(user=USER, eal=words)
        said = rf"^<error> main: EAL option '{re.escape(words[0])}': the switch owns the lcores"
        check(re.search(said, text, re.M), text)
    text = failed_start(user=USER, eal=["--no-such-option"])
    check("DPDK does not start" in text and "--no-such-option" in text, text)
    with Switch(user=USER, eal=["--log-level=lib.vhost.config:error"]):
        pass
    return f"{len(refused)} spellings"


@case("control: an invalid document stops a start", presets=BOTH)
def bad_start():
    text = failed_start(user=USER, config="ports:\n  vm1:\n    vhost-user: {socket: a.sock}\n    mtu: many\n")
    said = r"^<error> main: \S+weir\.yaml:4: ports\.vm1\.mtu: expected .*found many"
    check(re.search(said, text, re.M), text)
    text = failed_start(user=USER, config="ports: {vm1: [}\n")
    check(re.search(r"^<error> main: \S+weir\.yaml:1", text, re.M), text)
    text = failed_start(user=USER, config="nat: []\n")
    check("weir.yaml:1: nat: not supported yet" in text, text)
    switch = Switch(user=USER, start=False)
    try:
        switch.config = "/nonexistent/weir.yaml"
        switch.launch()
        check(switch.wait_exit() == 1, "a configuration that does not exist")
        check("cannot read /nonexistent/weir.yaml: No such file" in switch.log_text(), switch.log_text())
        switch.config = None
        for words, status in ((["--none"], 2), (["word"], 2), (["--help"], 0), (["--version"], 0)):
            done = run([switch.program, *words], check=False)
            check(done.returncode == status, f"{words}: exit {done.returncode}")
    finally:
        switch.close(check=False)
    # What only cannot open is no reason not to start.
    config = {"switch": {"hugepages": "off"},
              "ports": {"x": {"vhost-user": {"socket": "/nonexistent/x.sock", "listens": "switch"}},
                        "y": {"vhost-user": {"socket": "y.sock"}}}}
    with Switch(config, user=USER, expected=[r"port x: faulted: folder /nonexistent"]) as switch:
        check(switch.port("x")["state"] == "faulted" and switch.port("y")["text"] == "waiting for the VMM",
              switch.ports())
    return "exit 1 with file, line and key; a port that cannot open is no reason"


@case("control: one switch for one run directory")
def second():
    with Switch({"switch": {"hugepages": "off"}}, user=USER) as switch:
        text = failed_start(user=USER, run_dir=switch.run_dir)
        check(f"run directory {switch.run_dir}: another weir-switchd uses it, pid {switch.pid}" in text, text)
        check(switch.json("status")["pid"] == switch.pid, "the first one does not answer")
    text = failed_start(user=USER, run_dir="/nonexistent/run")
    check("run directory /nonexistent/run: cannot make it" in text, text)
    return "refused with the pid of the first"


@case("control: SIGTERM, SIGINT and kill -9")
def stops():
    """The first two remove all sockets; what kill -9 leaves is no obstacle to the next start."""
    config = {"switch": {"hugepages": "off"},
              "ports": {"a": {"vhost-user": {"socket": "a.sock", "listens": "switch", "mode": "0666"}},
                        "b": {"vhost-user": {"socket": "b.sock"}}}}
    with Switch(config, user=USER) as switch:
        def there():
            return sorted(os.path.relpath(os.path.join(path, name), switch.run_dir)
                          for path, _, names in os.walk(switch.run_dir) for name in names)
        running = there()
        check(running == ["control.sock", "lock", "vm/a.sock"], running)
        start = time.monotonic()
        switch.stop()
        took = time.monotonic() - start
        check(there() == [], f"SIGTERM left {there()}")
        check(switch.weirctl("status").returncode == 3, "weirctl without a switch")
        switch.start()
        os.kill(switch.pid, 2)
        check(switch.wait_exit() == 0 and there() == [], f"SIGINT: {switch.child.returncode}, left {there()}")
        switch.start()
        switch.kill()
        check(there() == running, f"kill -9 left {there()}")
        start = time.monotonic()
        switch.start()
        again = time.monotonic() - start
        with Frontend(switch.socket("a"), "switch") as peer:
            peer.start()
            switch.wait_port("a")
    return f"stopped in {took:.2f} s, started behind kill -9 in {again:.2f} s"
