"""weir-hostile (tests/hostile) against a running switch: rings and messages spoiled by the ten thousand
beside two ports whose every frame has to arrive, and what it found, attack by attack."""
import contextlib
import json
import os
import re
import struct
import subprocess
import threading
import time

from cases import BOTH, case, check, fixture, slow
from lab import Failure, Switch, wait_until
from lab.frontend import GET_QUEUE_NUM, NEED_REPLY, RESET_OWNER, SET_FEATURES, SET_VRING_NUM, Frontend

USER = "nobody"
SEED = 1
RINGS, MESSAGES, TRUNCATIONS = 100_000, 20_000, 300
# Allocators, and the vhost library's heap, keep what they once needed; so they need it before the
# measurement, on as many mutations as reach everything.
WARM_RINGS, WARM_MESSAGES = 3000, 3000
# Some pages of what was allocated long ago are touched late. A sanitizer also keeps a shadow of each
# mapping that there ever was; what leaks under it, it reports when the switch ends.
MEMORY_TOLERANCE = {"release": 1 << 20, "asan": 32 << 20}
MAPPINGS_TOLERANCE = 8
EXPECTED = [r"port (enemy|beside): ", r"lines like the next were left out"]


class Traffic:
    """Frames back and forth between two ports, one each few milliseconds, numbered: each arrives, once,
    in order, and nothing else does."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.frames = 0
        self.failure = None
        self._end = threading.Event()

    @contextlib.contextmanager
    def running(self):
        self._end.clear()
        thread = threading.Thread(target=self._exchange, name="traffic")
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()
        if self.failure:
            raise self.failure

    def _exchange(self):
        try:
            while not self._end.wait(0.002):
                self.once()
        except Exception as error:      # told by the case
            self.failure = error

    def once(self):
        for one, other in ((self.a, self.b), (self.b, self.a)):
            self.frames += 1
            sent = one.frame(other.mac, b"number %d" % self.frames)
            one.put(sent)
            got = other.wait_frames(1, slow(20))
            if got != [sent]:
                raise Failure(f"frame {self.frames}: {other.path} received {len(got)} frames: {got[:2]}")


class Use:
    """What the daemon holds."""

    def __init__(self, switch):
        pid = switch.pid
        self.preset = "asan" if switch.preset == "asan" else "release"
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/maps") as file:
            self.mappings = len(file.readlines())
        # Its own: what it has mapped of guests' memory grows as their buffers come round.
        with open(f"/proc/{pid}/status") as file:
            self.memory = int(re.search(r"RssAnon:\s+(\d+) kB", file.read())[1]) << 10

    def excess(self, before):
        """What it holds too much; empty if nothing."""
        found = []
        if self.descriptors > before.descriptors:
            found.append(f"{self.descriptors - before.descriptors} descriptors")
        if self.mappings > before.mappings + MAPPINGS_TOLERANCE:
            found.append(f"{self.mappings - before.mappings} mappings")
        if self.memory > before.memory + MEMORY_TOLERANCE[self.preset]:
            found.append(f"{(self.memory - before.memory) >> 10} KiB of memory")
        return found


class Siege:
    def __init__(self, switch, traffic, paths):
        self.switch, self.traffic, self.paths = switch, traffic, paths

    def argv(self, *words):
        return [os.path.join(self.switch.bin, "weir-hostile"), "--connect", "--quiet", "--seed", str(SEED),
                "--socket", self.paths["enemy"], "--beside", self.paths["beside"], *map(str, words)]

    def tool(self, *words):
        """Runs it to its end; its report."""
        done = subprocess.run(self.argv(*words), capture_output=True, text=True)
        check(done.returncode == 0, f"weir-hostile {' '.join(map(str, words))}: exit {done.returncode}: "
                                    f"{done.stderr[-500:]}")
        return json.loads(done.stdout)

    def hold(self, text, *words):
        """Runs it and leaves what it has done, until the port says the text."""
        tool = subprocess.Popen(self.argv(*words, "--hold"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        try:
            self.wait_state(text)
        except Failure as error:
            raise Failure(f"{' '.join(map(str, words))}: {error}") from None
        finally:
            tool.communicate()
        self.disconnected()

    def state(self, name="enemy"):
        return self.switch.port(name)["text"]

    def wait_state(self, text, name="enemy"):
        wait_until(lambda: self.state(name) == text, slow(10),
                   lambda: f"state {text!r}; it is {self.state(name)!r}")

    def drops(self, name):
        listed = self.switch.json("drops", name)
        rows = listed["items"] if isinstance(listed, dict) else listed
        return {row["reason"]: row["count"] for row in rows if row["count"]}

    def disconnected(self):
        for name in ("enemy", "beside"):
            self.wait_state("waiting for the VMM", name)

    @contextlib.contextmanager
    def as_before(self):
        """Afterwards the traffic has lost nothing and the daemon holds what it held."""
        self.disconnected()
        before = Use(self.switch)
        drops = {name: self.drops(name) for name in ("a", "b")}
        with self.traffic.running() as traffic:
            frames = traffic.frames
            yield
            wait_until(lambda: traffic.frames > frames + 10 or traffic.failure, slow(20), "the traffic to go on")
        self.disconnected()
        check(self.switch.alive(), "the switch has ended")
        for name in ("a", "b"):
            check(self.drops(name) == drops[name], f"port {name} dropped {self.drops(name)}")
        wait_until(lambda: not Use(self.switch).excess(before), slow(5),
                   lambda: f"what it holds to be as before; too much: {Use(self.switch).excess(before)}")


@fixture()
def siege():
    # Freed memory that a sanitizer keeps back looks like a leak.
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
    with Switch(user=USER, expected=EXPECTED, env=env) as switch, \
            contextlib.ExitStack() as stack:
        # VLANs keep floods of the one pair from the other's rings; without a limit the addresses that
        # spoiled frames bring would fill the MAC table, page by page.
        paths = {name: switch.add_port(name, "switch", vhost_user__mode="0666", limits__macs=64,
                                       vlan__access=10 if name in "ab" else 66)
                 for name in ("a", "b", "enemy", "beside")}
        a, b = (stack.enter_context(Frontend(paths[name], "switch", mac=f"52:54:00:00:0c:0{number}")).start()
                for number, name in enumerate("ab"))
        for name in "ab":
            switch.wait_port(name, "up")
        # Both addresses are learned, so that no frame is flooded.
        for one in (a, b):
            one.put(one.frame("ff:ff:ff:ff:ff:ff"))
            one.wait_sent()
        wait_until(lambda: a.rx.used_index() and b.rx.used_index(), slow(5), "the first frames")
        a.got(), b.got()
        siege = Siege(switch, Traffic(a, b), paths)
        siege.tool("--rings", WARM_RINGS, "--messages", WARM_MESSAGES, "--from", 1_000_000)
        yield siege


def total(counts, column):
    return sum(count[column] for count in counts.values())


def comes_back(siege):
    """The port after a clean reset by a new VMM."""
    with Frontend(siege.paths["enemy"], "switch", mac="52:54:00:00:0c:03") as enemy:
        enemy.start()
        siege.wait_state("up")
        enemy.put(enemy.frame("ff:ff:ff:ff:ff:ff"))
        enemy.wait_sent(slow(5))


@case(f"hostile tool: {RINGS} ring mutations beside paced traffic", needs=siege, presets=BOTH)
def rings(siege):
    started, frames = time.monotonic(), siege.traffic.frames
    with siege.as_before():
        counts = siege.tool("--rings", RINGS)["rings"]
        comes_back(siege)
    check(total(counts, 0) == RINGS, f"{total(counts, 0)} mutations")
    never = [name for name, count in counts.items() if count[0] < RINGS / 1000]
    check(not never, f"hardly tried: {never}")
    return (f"{len(counts)} kinds, {total(counts, 1)} stopped the ring, {siege.traffic.frames - frames} frames "
            f"beside, {RINGS / (time.monotonic() - started):.0f}/s")


@case(f"hostile tool: {MESSAGES} malformed messages beside paced traffic", needs=siege, presets=BOTH)
def messages(siege):
    started, frames = time.monotonic(), siege.traffic.frames
    with siege.as_before():
        report = siege.tool("--messages", MESSAGES)
        counts = report["messages"]
        comes_back(siege)
    check(total(counts, 0) == MESSAGES, f"{total(counts, 0)} messages")
    return (f"{len(counts)} kinds, {total(counts, 1)} refused, {report['connections']} connections, "
            f"{siege.traffic.frames - frames} frames beside, {MESSAGES / (time.monotonic() - started):.0f}/s")


@case(f"hostile tool: memory taken away {TRUNCATIONS} times beside paced traffic", needs=siege, presets=BOTH)
def truncations(siege):
    frames = siege.traffic.frames
    with siege.as_before():
        counts = siege.tool("--truncate", TRUNCATIONS)["truncations"]
        comes_back(siege)
        for number in range(5):
            siege.disconnected()
            siege.hold("faulted: the VMM took memory away that it had shared",
                       "--truncate", 1, "--from", number)
    check(total(counts, 0) == TRUNCATIONS, f"{total(counts, 0)} truncations")
    return f"{len(counts)} places, {siege.traffic.frames - frames} frames beside"


@case("hostile tool: each fault names its reason", needs=siege)
def reasons(siege):
    done = subprocess.run([siege.argv()[0], "--list"], capture_output=True, text=True, check=True)
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    faults = [one for one in listed if one["fault"]]
    with siege.as_before():
        for one in faults:
            siege.hold(f"faulted: {one['fault']} in queue {one['ring']}",
                       "--only", one["name"], "--ring", one["ring"], "--rings", 1)
    return f"{len(faults)} mutations, {len({one['fault'] for one in faults})} reasons"


# -- what the tool found

@case("hostile tool: descriptors sent along with a queue that is not there", needs=siege, presets=BOTH)
def surplus_descriptors(siege):
    """The library ends the connection before any hook, and forgets them."""
    with siege.as_before():
        for index in (300, 0xffffffff):
            for _ in range(20):
                enemy = Frontend(siege.paths["enemy"], "switch")
                enemy.send(SET_VRING_NUM, struct.pack("<II", index, 256), [enemy.memory_fd] * 8)
                check(enemy.connection.recv(1) == b"", "the connection goes on")
                enemy.close()
    return "320 descriptors closed"


@case("hostile tool: tables that cannot be mapped", needs=siege, presets=BOTH)
def unmappable(siege):
    """The library forgets the descriptor of the region that it could not map."""
    reader, writer = os.pipe()
    with siege.as_before():
        with Frontend(siege.paths["enemy"], "switch") as enemy:
            enemy.start()
            for fd, size in ((reader, 4096), (enemy.memory_fd, 1 << 62)):
                for _ in range(20):
                    check(not enemy.set_memory(size, fd), "the table was taken")
                said = siege.state()
                check(said.startswith("faulted: the VMM's SET_MEM_TABLE was refused: memory region 0 "), said)
            enemy.restart()
            siege.wait_state("up")
    os.close(reader)
    os.close(writer)
    return said


@case("hostile tool: a reset of the owner", needs=siege, presets=BOTH)
def reset_owner(siege):
    """The library forgets the memory of all its queues then, a megabyte of each; the request is long
    obsolete."""
    with siege.as_before():
        with Frontend(siege.paths["enemy"], "switch") as enemy:
            for _ in range(100):
                enemy.tell(SET_VRING_NUM, struct.pack("<II", 0, 32768))
                check(not enemy.tell(RESET_OWNER), "RESET_OWNER was done")
    return "100 times refused"


@case("hostile tool: a message shorter than what it says", needs=siege, presets=BOTH)
def short_message(siege):
    """The library would take the rest from the last message, which was another port's."""
    with siege.as_before():
        for size in (0, 4, 7):
            siege.disconnected()
            with Frontend(siege.paths["enemy"], "switch") as enemy:
                enemy.send(SET_FEATURES, bytes(size), flags=NEED_REPLY)
                check(struct.unpack("<Q", enemy.receive())[0] == 1, f"{size} bytes of features were taken")
                check(enemy.ask(GET_QUEUE_NUM), "it does not go on")
    return "refused"
