"""Guests that move: the log of dirty pages, the announcement in a guest's name, and a migration by QMP
between two QEMUs on one switch."""
import contextlib
import hashlib
import os
import re
import struct

from cases import BOTH, case, check, slow
from lab import Guest, Nic, Switch, wait_until
from lab.frontend import F_EVENT_IDX, F_MRG_RXBUF, GUEST, SEND_RARP, USED, Frontend
from traffic import items

USER = "nobody"
BROADCAST = "ff:ff:ff:ff:ff:ff"
PAGE = 4096


def mac(number):
    return f"52:54:00:00:0e:{number:02x}"


@contextlib.contextmanager
def ends(switch, features, **ports):
    """{name: Frontend} on ports of these names, with these keys."""
    with contextlib.ExitStack() as stack:
        made = {}
        for number, (name, keys) in enumerate(ports.items(), 1):
            path = switch.add_port(name, "switch", vhost_user__mode="0666", **keys)
            made[name] = stack.enter_context(
                Frontend(path, "switch", mac=mac(number), features=features)).start()
        for name in ports:
            switch.wait_port(name, "up", slow(10))
        yield made


# -- the log

class Log:
    """A log of dirty pages, as the VMM sees it."""

    def __init__(self, end):
        self.end = end
        self.size = (GUEST + end.bytes) // PAGE // 8 + 1
        self.fd = os.memfd_create("log", os.MFD_CLOEXEC)
        os.truncate(self.fd, self.size)
        end.set_log(self.fd, self.size)
        self.before = bytes(end.memory)

    def pages(self):
        """Those in the log, as numbers within the memory; the log is empty afterwards."""
        bits = os.pread(self.fd, self.size, 0)
        os.pwrite(self.fd, bytes(self.size), 0)
        logged = {at * 8 + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1}
        return {page - GUEST // PAGE for page in logged}

    def changed(self):
        now = bytes(self.end.memory)
        return {at // PAGE for at in range(0, len(now), PAGE) if now[at:at + PAGE] != self.before[at:at + PAGE]}

    def snapshot(self):
        self.before = bytes(self.end.memory)

    def close(self):
        os.close(self.fd)


def check_logged(switch, a, b, name):
    """Frames go both ways while b's VMM logs; the figure."""
    for end in (a, b):
        end.put(end.frame(BROADCAST))
        end.wait_sent()
    with contextlib.closing(Log(b)) as log:
        b.set_logging(True)
        check("log_all" in switch.port(name)["feature_names"], "the port does not say that it logs")
        # To-vm, in buffers that nobody has written to.
        log.pages()
        log.snapshot()
        for number in range(40):
            a.put(a.frame(b.mac, bytes([number + 1]) * (40 + 30 * number)))
        a.wait_sent(slow(5))
        wait_until(lambda: b.rx.used_index() - b.rx.used & 0xffff >= 40, slow(5), "40 frames", 0.001)
        changed, pages = log.changed(), log.pages()
        check(len(changed) >= 40 and changed <= pages,
              f"{len(changed)} pages changed, not logged: {sorted(changed - pages)}")
        b.got()
        # From-vm: the used ring alone, and its event field when the worker goes to sleep. The other pages
        # are the front-end's own to write.
        log.snapshot()
        for number in range(40):
            b.put(b.frame(a.mac, b"%d" % number))
        b.wait_sent(slow(5))
        rings = {(ring.base + USED) // PAGE for ring in b.vrings}
        own, own_pages = log.changed() & rings, log.pages()
        check(own and own <= own_pages, f"changed {sorted(own)}, logged {sorted(own_pages)}")
        # The end of a migration that was given up.
        b.set_logging(False)
        log.pages()
        a.put(a.frame(b.mac))
        b.wait_frames(1, slow(5))
        check(not log.pages(), "logged though it was switched off")
    return f"{len(changed | own)} pages written, {len(pages | own_pages)} logged"


@case("migration: pages written are pages logged", presets=BOTH)
def logged():
    figures = []
    with Switch(user=USER) as switch:
        for number, features in enumerate((F_MRG_RXBUF, F_MRG_RXBUF | F_EVENT_IDX, 0)):
            one, other = f"a{number}", f"b{number}"
            with ends(switch, features, **{one: {}, other: {}}) as made:
                figures.append(check_logged(switch, made[one], made[other], other))
    return "; ".join(figures)


@case("migration: no ring before the log is there", presets=BOTH)
def log_first():
    """QEMU negotiates logging before it gives the log, if a guest starts while it is migrated."""
    with Switch(user=USER) as switch, ends(switch, F_MRG_RXBUF, a={}, b={}) as made:
        a, b = made["a"], made["b"]
        b.set_logging(True)
        wait_until(lambda: switch.port("b")["state"] != "up", slow(5), "b to wait for the log")
        with contextlib.closing(Log(b)) as log:
            switch.wait_port("b", "up", slow(5))
            a.put(a.frame(BROADCAST, b"logged"))
            b.wait_frames(1, slow(5), lambda frame: b"logged" in frame)
            check(log.pages(), "nothing was logged")


# -- the announcement

@case("migration: SEND_RARP", presets=BOTH)
def send_rarp():
    """A guest that cannot announce itself was at `old` and is now at `new`."""
    with Switch(user=USER) as switch, \
            ends(switch, F_MRG_RXBUF, old={"vlan__access": 10}, new={"vlan__access": 10},
                 peer={"vlan__access": 10}, trunk={"vlan__trunk": "[10,20]", "vlan__native": 20},
                 alien={"vlan__access": 20}) as made:
        old, new, peer = made["old"], made["new"], made["peer"]
        old.put(old.frame(BROADCAST))
        old.wait_sent()

        def place():
            return {one["mac"]: one["port"] for one in items(switch.json("fdb", "list"))}.get(mac(1))
        check(place() == "old", f"before: {place()}")
        for end in made.values():
            end.got()
        # Idle: the workers sleep, and must be woken.
        check(new.tell(SEND_RARP, old.mac + bytes(2)), "SEND_RARP failed")
        frame = peer.wait_frames(1, slow(5))[0]
        wanted = (b"\xff" * 6 + old.mac + struct.pack(">HHHBBH", 0x8035, 1, 0x0800, 6, 4, 3) + old.mac +
                  bytes(4) + old.mac + bytes(4)).ljust(60, b"\0")
        check(frame == wanted, f"not the RARP request: {frame.hex()}")
        tagged = made["trunk"].wait_frames(1, slow(5))[0]
        check(tagged == wanted[:12] + struct.pack(">HH", 0x8100, 10) + wanted[12:], f"trunk: {tagged.hex()}")
        check(old.wait_frames(1, slow(5)) == [wanted], "the old place did not hear of it")
        check(place() == "new", f"after: {place()}")
        peer.put(peer.frame(old.mac, b"for the guest"))
        got = new.wait_frames(1, slow(5))
        check(len(got) == 1 and b"for the guest" in got[0], "its frames go elsewhere, or its own came back")
        check(not made["alien"].got(), "another VLAN heard of it")
        return "RARP to all of its VLAN, tagged on the trunk; its MAC has moved"


# -- a migration

class Stream:
    """Numbers over TCP, again and again until finish(); the receiver sums up what comes."""
    NUMBERS = 100000

    def __init__(self, sender, receiver, address, port):
        self.end, self.rounds = f"/tmp/end.{port}", f"/tmp/rounds.{port}"
        sender.ok(f"seq {self.NUMBERS} >/tmp/numbers")
        self.taker = receiver.start_job(f"nc -l -p {port} -e /bin/sh -c 'sha256sum >/tmp/sum.{port}'")
        self.sum = f"/tmp/sum.{port}"
        receiver.ok(f"until netstat -ltn | grep -q ':{port} '; do usleep 20000; done", timeout=slow(10))
        self.giver = sender.start_job(
            f"nc {address} {port} -e /bin/sh -c 'n=0; until [ -e {self.end} ]; do cat /tmp/numbers; "
            f"n=$((n + 1)); done; echo $n >{self.rounds}'")

    def moved(self, guest, to):
        """The guest goes on under another QEMU, `to`."""
        for job in (self.giver, self.taker):
            job.guest = to if job.guest is guest else job.guest

    def finish(self):
        self.giver.guest.ok(f"touch {self.end}")
        for job in (self.giver, self.taker):
            done = job.wait(slow(60))
            check(not done.status, f"{job.guest.name}: nc ended with {done.status}: {done.output}")
        rounds = int(self.giver.guest.ok(f"cat {self.rounds}"))
        numbers = "".join(f"{number}\n" for number in range(1, self.NUMBERS + 1)).encode()
        wanted = hashlib.sha256()
        for _ in range(rounds):
            wanted.update(numbers)
        got = self.taker.guest.ok(f"cat {self.sum}").split()[0]
        check(got == wanted.hexdigest(), f"{rounds} times {len(numbers)} bytes: received {got}")
        return f"{rounds * len(numbers) / 1e6:.0f} MB"


class Gap:
    """A ping that goes on; how long no answer came."""
    INTERVAL = 0.02

    def __init__(self, guest, address):
        self.job = guest.start_job(f"ping -n -i {self.INTERVAL} {address}")

    def finish(self):
        output = self.job.stop().output
        seen = sorted({int(number) for number in re.findall(r"icmp_seq=(\d+) .*time=", output)})
        check(len(seen) > 10, f"hardly an answer:\n{output[-500:]}")
        times = [float(value) for value in re.findall(r"time=([\d.]+)", output)]
        lost = max(after - before - 1 for before, after in zip(seen, seen[1:]))
        return f"{lost} pings in a row lost ({lost * self.INTERVAL * 1000:.0f} ms), slowest {max(times):.0f} ms"


def migrate(guest, to, switch, timeout):
    """By QMP, as libvirt does it. What query-migrate says at the end, and whether the port logged."""
    seen = False
    guest.qmp.call("migrate-set-parameters", downtime_limit=300, max_bandwidth=200 << 20)
    guest.qmp.call("migrate", uri=f"unix:{to.file('incoming')}")

    def ended():
        nonlocal seen
        seen |= "log_all" in switch.port("vm1")["feature_names"]
        info = guest.qmp.call("query-migrate")
        check(info["status"] not in ("failed", "cancelled"), f"the migration {info['status']}: {info}")
        return info if info["status"] == "completed" else None
    info = wait_until(ended, timeout, "the migration's end", 0.02)
    return info, seen


@case("migration: between two QEMUs under load")
def between_two():
    """The guest that moves has two cards: one that it announces itself, and one that it cannot."""
    with Switch({"switch": {"hugepages": "off"}}, user=USER) as switch, contextlib.ExitStack() as stack:
        def place(number):
            return {one["mac"]: one["port"] for one in items(switch.json("fdb", "list"))}.get(mac(number))

        def guest(name, number, *nics, **how):
            made = Guest(name, nics, ip=[f"10.2.0.{number}/24", f"fd02::{number}/64"], **how)
            return stack.enter_context(made)

        def card(port, number, **options):
            switch.add_port(port)
            return Nic(switch.socket(port), mac=mac(number), options=options)
        mute = {"guest_announce": "off"}
        source = guest("moves", 1, card("vm1", 1), card("mute", 3, **mute))
        peer = guest("stays", 2, card("vm2", 2))
        for one in (source, peer):
            one.wait_ready()
        source.wait_ping("10.2.0.2")
        target = guest("moves", 1, card("vm1b", 1), card("muteb", 3, **mute), incoming=True)
        target.expect_guest()
        gap = Gap(peer, "10.2.0.1")
        streams = [Stream(peer, source, "10.2.0.1", 9001), Stream(source, peer, "fd02::2", 9002)]
        info, logged = migrate(source, target, switch, slow(60))
        check(logged, "the port never said that it logs")
        source.stop()
        for stream in streams:
            stream.moved(source, target)
        target.wait_ping("10.2.0.2")
        figures = [stream.finish() for stream in streams]
        lost = gap.finish()
        state = switch.port("vm1b")["text"]
        check(state == "up", f"the new port is {state}")
        check(place(1) == "vm1b", f"its MAC is behind {place(1)}")
        # QEMU asks for the announcement when the guest goes on, and some times more.
        wait_until(lambda: place(3) == "muteb", slow(10), lambda: f"the RARP; {mac(3)} is behind {place(3)}")
        return (f"{info['total-time']} ms, downtime {info['downtime']} ms, {lost}; "
                f"TCP to it {figures[0]}, from it {figures[1]}, unchanged")
