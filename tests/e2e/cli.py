"""weirctl for people: completion, the prompt, what was dropped, and what a reader may do."""
import contextlib
import datetime
import json
import os
import pwd
import re
import shutil
import socket
import struct
import sys
import time
from subprocess import PIPE

from cases import BOTH, case, check, fixture, slow
from lab import ROOT, Failure, Switch, Workdir, run, wait_until
from lab.frontend import Frontend
from lab.terminal import CTRL_C, CTRL_D, CTRL_U, TAB, UP, Terminal
from lab.wire import Namespaces, Tap
from weirvm.procs import as_user, end, spawn

USER = "nobody"
COMPLETION = os.path.join(ROOT, "install", "weirctl.bash")
CONFIG = {"switch": {"hugepages": "off"}, "bridges": {"lab": {}}, "ports": {
    "vm1": {"vhost-user": {"socket": "vm1.sock"}},
    "vm2": {"vhost-user": {"socket": "vm2.sock"},
            "rate": {"from-vm": {"bits": "1Gbit"}, "to-vm": {"packets": "1Mpps"}}},
    "sender": {"vhost-user": {"socket": "sender.sock", "listens": "switch", "mode": "0666"}},
}, "chains": {"inspect": {"match": {"proto": 253}, "hops": [{"nf": "ids", "instances": [{"port": "vm1"}]}]}}}


@fixture(name="a switch with three ports")
def three():
    with Switch(CONFIG, user=USER, expected=["chain inspect: ids is out of service"]) as switch:
        yield switch


def environment(switch):
    """weirctl is found by its name, and finds the switch."""
    return dict(os.environ, PATH=f"{switch.bin}:{os.environ['PATH']}", WEIR_SOCKET=switch.control,
                LC_ALL="C.UTF-8", INPUTRC="/dev/null", PS1="$ ", HISTFILE="")


# -- completion

# A line, typed up to its end, and what is offered in the place of its last word.
LINES = {
    "weirctl ": "status port apply diff export save bridge fdb conn group chain rate drops log help",
    "weirctl port s": "show set",
    "weirctl port show ": "sender vm1 vm2",
    "weirctl -o json port show vm": "vm1 vm2",
    "weirctl port wait vm1 w": "waiting-for-the-vmm waiting-for-the-guest-driver",
    "weirctl port set vm1 mt": "mtu=",
    "weirctl port add vm3 vhost-user.listens=": "vmm switch",
    "weirctl port add vm3 vhost-user.listens=s": "switch",
    "weirctl port set vm1 bridge=l": "lab",
    "weirctl port set vm1 rate.from-vm.p": "rate.from-vm.packets= rate.from-vm.police=",
    "weirctl port set vm1 rate.to-vm.scheduler=f": "fifo fq-codel",
    "weirctl rate show ": "vm2",
    "weirctl chain s": "show",
    "weirctl chain show ": "inspect",
    "weirctl conn list --state=sctp-e": "sctp-established",
    "weirctl fdb list --p": "--port",
    "weirctl fdb list --port=v": "vm1 vm2",
    "weirctl apply weir.": "weir.yaml",
    "weirctl none ": "",
    "weirctl port show 'vm": "",
}
ASK = """\
source "$1"; compopt() { :; }
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:' COMP_LINE=$2 COMP_POINT=${#2}
_weirctl weirctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(switch, line, env=None):
    """What bash would offer, without a word on standard error."""
    done = run(["bash", "--norc", "-c", ASK, "bash", COMPLETION, line], env=env or environment(switch),
               cwd=os.path.dirname(switch.config))
    check(not done.stderr, f"{line!r}: {done.stderr}")
    return done.stdout.split()


@case("cli: completion in bash", needs=three)
def completion(switch):
    for line, words in LINES.items():
        found = offered(switch, line)
        check(sorted(found) == sorted(words.split()), f"{line!r}: {found}")
    # And by keys, as readline does it.
    with Terminal(["bash", "--norc", "--noprofile", "-i"], environment(switch)) as shell:
        shell.see(r"\$ ")
        shell.press(f"source {COMPLETION}\n").see(r"\$ ")
        shell.press(f"weirctl port show se{TAB}")
        shell.see("weirctl port show sender ")
        shell.press(CTRL_U)
        # A key is gone on with: no blank behind it.
        shell.press(f"weirctl port set vm1 vhost-user.listens{TAB}sw{TAB}")
        shell.see("vhost-user.listens=switch ")
        shell.press(f"{CTRL_U}exit\n")
        check(shell.wait() == 0, "bash")
    return f"{len(LINES)} lines, 2 by keys"


@case("cli: completion without a switch, and with one that is deaf", needs=three, presets=BOTH)
def deaf(switch):
    env = environment(switch)
    figures = []
    with Workdir("weir-cli-") as work:
        path = work.file("control.sock")
        with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
            def took(what):
                start = time.monotonic()
                found = offered(switch, "weirctl port show ", dict(env, WEIR_SOCKET=path))
                seconds = time.monotonic() - start
                check(not found and seconds < slow(1.5), f"{what}: {found} after {seconds:.2f} s")
                figures.append(f"{what} {seconds * 1000:.0f} ms")
            took("none")
            listener.bind(path)
            listener.listen(0)
            took("never answers")
            # Its queue is full: connect itself has to wait.
            with contextlib.suppress(BlockingIOError):
                for _ in range(10):
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.setblocking(False)
                    client.connect(path)
            took("never accepts")
    return ", ".join(figures)


# -- the prompt

@case("cli: the prompt", needs=three, presets=BOTH)
def prompt(switch):
    argv = switch.ctl_argv()
    # libedit keeps the two texts that describe a function of ours, for good.
    env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    with Terminal(argv, env) as terminal:
        terminal.ready("weir> ", slow(10))
        terminal.press(f"port sh{TAB}se{TAB}\n")
        terminal.ready(r"name +sender.*who listens +switch.*weir> ", slow(5))
        # Several words: what they have in common, then what they are.
        terminal.press(f"port show v{TAB}{TAB}")
        terminal.ready(r"vm1 +vm2.*weir> port show vm")
        terminal.press("2\n").ready(r"name +vm2.*weir> ", slow(5))
        terminal.press(f"port set vm1 mt{TAB}2000 vlan.ac{TAB}5\n").ready("port vm1: changed.*weir> ", slow(5))
        port = switch.port("vm1")
        check(port["mtu"] == 2000 and port["vlan"] == "access 5", port)
        # Ctrl-C gives the line up and not the prompt.
        terminal.press(f"port remove vm1{CTRL_C}").ready("weir> ")
        for line, error in (("none", "there is no command 'none'"), ("port show vm9", "there is no such port"),
                            ("port show 'vm1", "a quote has no end"), ("-s /none status", "no switch answers")):
            terminal.press(f"{line}\n").ready(rf"weirctl: .*{error}.*weir> ", slow(5))
        terminal.press("port show vm1\n").ready(r"name +vm1.*weir> ", slow(5))
        terminal.press(f"{UP}\n").ready(r"name +vm1.*weir> ", slow(5))
        # It ends what runs, too.
        terminal.press("drops --watch\n").see("PORT +REASON", slow(5))
        terminal.press(CTRL_C).ready("weir> ", slow(5))
        terminal.press(f"ex{TAB}").ready(r"export +exit.*weir> ex")
        terminal.press(CTRL_C).ready("weir> ")
        terminal.press("exit\n")
        check(terminal.wait(slow(5)) == 0, f"exit: {terminal.child.returncode}")
    with Terminal(argv, env) as terminal:
        terminal.ready("weir> ", slow(10))
        terminal.press(CTRL_D)
        check(terminal.wait(slow(5)) == 0, f"Ctrl-D: {terminal.child.returncode}")
    # Where nobody sits at a terminal it is usage, as ever.
    done = switch.weirctl()
    check(done.returncode == 2 and "what is it to do?" in done.stderr, done.stderr)
    return "Tab, history, errors, Ctrl-C, exit, Ctrl-D"


# -- drops

def address(text):
    return bytes(map(int, text.split(".")))


def tagged(sender, number=0):
    """A frame that no port without VLANs takes: VLAN 10, UDP."""
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 28, number, 0, 64, 17, 0) + address("10.0.0.1") + address("10.0.0.2")
    return (b"\xff" * 6 + sender.mac + struct.pack(">HHH", 0x8100, 10, 0x0800) + ip +
            struct.pack(">HHHH", 68, 67, 8, 0)).ljust(64, b"\0")


HEADER = "52:54:00:00:0f:01 > ff:ff:ff:ff:ff:ff vlan 10 ipv4 10.0.0.1 > 10.0.0.2 udp 68 > 67"
UNTAGGED = "52:54:00:00:0f:01 > 52:54:00:00:00:99 type 0x88b5"


@fixture(needs=three, name="a sender")
def talker(switch):
    with Frontend(switch.socket("sender"), "switch") as sender:
        sender.start()
        switch.wait_port("sender")
        yield switch, sender


def send(sender, count, make=tagged):
    for number in range(count):
        sender.put(make(sender, number))
    sender.wait_sent(slow(5))


def nobody_there(sender, _):
    return sender.frame("52:54:00:00:00:99")


@case("cli: the last frame that was dropped, and when", needs=talker, presets=BOTH)
def last(both):
    switch, sender = both
    before = time.time()
    send(sender, 3)
    send(sender, 2, nobody_there)
    drops = {drop["reason"]: drop for drop in switch.json("drops", "sender")}
    after = time.time()
    for reason, count, text in (("vlan-not-member", 3, HEADER), ("no-receiver", 2, UNTAGGED)):
        drop = drops[reason]
        check(set(drop) == {"port", "reason", "count", "about", "last"} and drop["port"] == "sender", drop)
        check(drop["count"] == count and drop["last"]["text"] == text, drop)
        when = datetime.datetime.fromisoformat(drop["last"]["time"].replace("Z", "+00:00")).timestamp()
        check(before - 0.1 <= when <= after + 0.1, f"{drop['last']['time']}, sent from {before} to {after}")
    raw = bytes.fromhex(drops["vlan-not-member"]["last"]["header"])
    check(len(raw) == 64 and raw[:18] == tagged(sender)[:18], raw.hex())
    # A later frame takes its place as soon as the last one is a millisecond old.
    wait_until(lambda: send(sender, 1, lambda one, _: one.frame("52:54:00:00:00:98")) or
               "52:54:00:00:00:98" in next(drop for drop in switch.json("drops") if drop["reason"] ==
                                           "no-receiver")["last"]["text"], slow(5), "the later frame")
    table = switch.ctl("drops")
    check(re.search(rf"sender +vlan-not-member +3 +\d\d:\d\d:\d\d\.\d{{3}} +{re.escape(HEADER)}", table) and
          "vlan-not-member: its VLAN is not one of the port's" in table, table)
    check(switch.json("drops", "vm1") == [], "drops of a port without any")
    return f"{HEADER}"


@case("cli: drops --watch", needs=talker)
def watch(both):
    switch, sender = both
    send(sender, 1)
    start = next(drop["count"] for drop in switch.json("drops") if drop["reason"] == "vlan-not-member")

    def lines(*words):
        child = spawn(switch.ctl_argv("drops", "sender", "--watch", *words), stdout=PIPE, text=True)
        try:
            yield child.stdout.readline()
            # The first look is over: what follows is new.
            send(sender, 40)
            while True:
                yield child.stdout.readline()
        finally:
            end(child)
            child.stdout.close()

    def reading(*words):
        return contextlib.closing(lines(*words))
    with reading("-o", "json") as stream:
        new, rates = 0, []
        for line in stream:
            drop = json.loads(line)
            check({"port", "reason", "count", "about", "last", "new", "per_second"} == set(drop), drop)
            if drop["reason"] == "vlan-not-member":
                new += drop["new"]
                rates.append(drop["per_second"])
            if new >= 40:
                break
        check(new == 40 and drop["count"] == start + 40 and drop["last"]["text"] == HEADER, drop)
        check(rates[0] == 0 and 10 <= max(rates) <= 60, rates)
    with reading() as stream:
        text = next(line for line in stream if "+40" in line or "vlan-not-member +" in line)
        check(re.match(rf"sender: vlan-not-member \+\d+, [\d.]+/s, \d+ in all; last \S+, {re.escape(HEADER)}$",
                       text), text)
    # On a terminal one table is drawn again and again.
    with Terminal(switch.ctl_argv("drops", "--watch")) as terminal:
        terminal.see(r"PORT +REASON +COUNT +PER SECOND +LAST +HEADER", slow(10))
        send(sender, 30)
        terminal.see(rf"vlan-not-member +{start + 40 + 40 + 30} +[1-9][\d.]+ +\S+ +{re.escape(HEADER)}", slow(10))
        terminal.see(r"vlan-not-member +\d+ +0\.0 ", slow(10))
        check("\x1b[H\x1b[J" in terminal.text, "not redrawn")
        terminal.press(CTRL_C)
        check(terminal.wait(slow(5)) == -2, f"Ctrl-C: {terminal.child.returncode}")
    return f"40 drops: {max(rates):.0f} per second"


@case("cli: a frame dropped at a NIC", presets=BOTH)
def nic_drop():
    """One that came from it, whose header lies in the NIC's buffer, and one that was to go out."""
    with Namespaces("switch", "host") as spaces:
        spaces.veth("switch", "v0", "host", "e0")
        with Switch({"switch": {"hugepages": "off"}}, prefix=spaces.prefix("switch")) as switch:
            switch.ctl("port", "add", "up", "dpdk.device=net_af_packet0,iface=v0", "vlan.trunk=[10]")
            switch.wait_port("up", "up", slow(10))
            path = switch.add_port("vm", "switch", vhost_user__mode="0666", vlan__access="10", mtu="9000")

            def last(reason):
                return wait_until(lambda: next((drop for drop in switch.json("drops", "up")
                                                if drop["reason"] == reason), None), slow(5), reason)["last"]["text"]
            with Tap(spaces, "host", "e0") as tap, Frontend(path, "switch") as vm:
                vm.start()
                switch.wait_port("vm")
                # No kernel sends a frame from a group by itself.
                tap.put(vm.mac + b"\x01" + vm.mac[1:] + tagged(vm)[12:])
                from_nic = last("source-multicast")
                check(re.match("01:54:00:00:0f:01 > 52:54:00:00:0f:01 vlan 10 ipv4 .* udp 68 > 67$", from_nic),
                      from_nic)
                send(vm, 1, lambda one, _: one.frame("ff:ff:ff:ff:ff:ff", bytes(3000)))
                to_nic = last("to-nic-mtu")
                check(to_nic == "52:54:00:00:0f:01 > ff:ff:ff:ff:ff:ff vlan 10 type 0x88b5", to_nic)
    return f"{from_nic}; {to_nic}"


# -- who may do what

# Requests that each method takes; a writing one would change something.
REQUESTS = {
    "hello": {"protocol": 1},
    "watch": {"topics": ["ports"]},
    "config.apply": {"text": "{}\n"},
    "config.diff": {"text": "{}\n"},
    "port.add": {"name": "new"},
    "port.set": {"name": "vm1", "settings": [{"path": "mtu", "value": "2000"}]},
    "port.remove": {"name": "vm1"},
    "port.show": {"name": "vm1"},
    "port.libvirt": {"name": "vm1"},
    "chain.show": {"name": "none"},
    "rate.show": {"name": "vm1"},
    "conn.show": {"number": 1},
    "log.set": {"subsystem": "all", "level": "debug"},
}
# Sends each line of its input and prints the answer.
RELAY = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as stream:
    stream.connect(sys.argv[1])
    answers = stream.makefile()
    for line in sys.stdin:
        stream.sendall(line.encode())
        print(answers.readline(), end='', flush=True)
"""


def ask_as(words, switch, requests):
    """Answers to the requests, of a process that setpriv starts with these words."""
    lines = "".join(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"
                    for number, (method, params) in enumerate(requests))
    done = run(["setpriv", *words, "--", sys.executable, "-c", RELAY, switch.control], input=lines, stdin=None)
    return [json.loads(line) for line in done.stdout.splitlines()]


@case("cli: each method for a reader", presets=BOTH)
def reader():
    # A group `weir` that this machine does not have, for the switch alone.
    with Workdir("weir-cli-") as work:
        groups, gid = work.file("group"), 64999
        shutil.copy("/etc/group", groups)
        with open(groups, "a") as file:
            file.write(f"weir:x:{gid}:\n")
        prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/group && exec "$@"', groups]
        config = {"switch": {"hugepages": "off"}, "ports": {"vm1": {"vhost-user": {"socket": "vm1.sock"}}}}
        with Switch(config, prefix=prefix, expected=[r"warning> main: .*ACL"]) as switch:
            uid = pwd.getpwnam(USER).pw_uid
            readers = as_user(USER)
            members = ["--reuid", str(uid), "--regid", str(uid), "--groups", str(gid), "--inh-caps=-all"]
            hello = ("hello", {"protocol": 1})
            table = ask_as(readers, switch, [hello, ("method.list", {"limit": 1000})])
            check(table[0]["result"]["role"] == "read", table[0])
            methods = {entry["method"]: entry["access"] for entry in table[1]["result"]["items"]}
            check(set(methods.values()) == {"open", "read", "write"}, methods)
            before = switch.ctl("export")
            answers = ask_as(readers, switch, [hello, *((name, REQUESTS.get(name, {})) for name in methods)])
            check(len(answers) == len(methods) + 1, answers)
            for (name, access), answer in zip(methods.items(), answers[1:]):
                if access == "write":
                    check(answer.get("error", {}).get("code") == -32003 and
                          "you may read only" in answer["error"]["message"], f"{name}: {answer}")
                elif name in ("conn.show", "chain.show"):
                    check(answer.get("error", {}).get("code") == -32004, f"{name}: {answer}")
                else:
                    check("result" in answer, f"{name}: {answer}")
            check(switch.ctl("export") == before, "a reader has changed something")
            # A member of group weir, and by its primary group, writes.
            primary = ["--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--inh-caps=-all"]
            for words in (members, primary):
                answers = ask_as(words, switch, [hello, ("port.set", REQUESTS["port.set"])])
                check(answers[0]["result"]["role"] == "write" and "result" in answers[1], answers)
            # What docs/operations.md says for those who want no reader.
            os.chmod(switch.control, 0o660)
            os.chown(switch.control, 0, gid)
            with contextlib.suppress(Failure):
                ask_as(readers, switch, [hello])
                raise AssertionError("a reader came through a socket that is closed to others")
            check(ask_as(members, switch, [hello])[0]["result"]["role"] == "write", "a member of weir")
    counts = [list(methods.values()).count(kind) for kind in ("read", "write")]
    return f"{counts[0]} methods answer, {counts[1]} are refused; group weir writes"
