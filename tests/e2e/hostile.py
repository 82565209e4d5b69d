"""Peers that break the rules, on raw rings: the port that does is faulted and says why, comes back after
a clean reset, and no other port loses a frame."""
import contextlib
import os
import struct
import threading
import time

from cases import BOTH, case, check, fixture, slow
from lab import Switch, wait_until
from lab.frontend import (BUFFER, F_CSUM, F_INDIRECT, F_MRG_RXBUF, GUEST, INDIRECT, NEXT, SIZE, TABLE, VNET,
                          SET_VRING_CALL, WRITE, Frontend)

GONE = "faulted: the VMM took memory away that it had shared"

USER = "nobody"
BROADCAST = "ff:ff:ff:ff:ff:ff"
OUTSIDE = GUEST - 0x1000000


class Pair:
    """Two sound ports that exchange frames one after the other, so that each must arrive."""

    def __init__(self, switch):
        self.switch = switch
        self.count = 0
        self.failure = None
        self.lock = threading.Lock()    # a case may want one of the two for a moment
        self._end = threading.Event()

    @contextlib.contextmanager
    def running(self):
        """Frames go back and forth while the case does its worst."""
        self._end.clear()
        thread = threading.Thread(target=self._exchange, name="pair")
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
            while not self._end.is_set():
                with self.lock:
                    self.once()
        except Exception as error:      # told by the case
            self.failure = error

    def once(self):
        self.count += 1
        for one, other in ((self.a, self.b), (self.b, self.a)):
            mark = b"frame %d" % self.count
            one.put(one.frame(other.mac, mark))
            other.wait_frames(1, slow(5), lambda frame: mark in frame)


class Arena:
    def __init__(self, switch, pair, enemy):
        self.switch, self.pair, self.enemy = switch, pair, enemy

    def state(self, name="enemy"):
        return self.switch.port(name)["text"]

    def drops(self, name):
        """{reason: count} of a port."""
        listed = self.switch.json("drops", name)
        rows = listed["items"] if isinstance(listed, dict) else listed
        return {row["reason"]: row["count"] for row in rows}

    def dropped(self, name, reason):
        return self.drops(name).get(reason, 0)

    def wait_state(self, text, name="enemy"):
        wait_until(lambda: self.state(name) == text, slow(5),
                   lambda: f"state {text!r}; it is {self.state(name)!r}")


@fixture()
def arena():
    features = F_MRG_RXBUF | F_INDIRECT | F_CSUM
    # So many faults in so short a time: the log leaves some lines out, and says so.
    expected = [r"port enemy: ", r"lines like the next were left out"]
    with Switch(user=USER, expected=expected) as switch, contextlib.ExitStack() as stack:
        def frontend(name, number, **how):
            path = switch.add_port(name, "switch", vhost_user__mode="0666")
            mac = f"52:54:00:00:0f:{number:02x}"
            return stack.enter_context(Frontend(path, "switch", mac=mac, **how)).start()
        pair = Pair(switch)
        pair.a, pair.b = frontend("a", 1), frontend("b", 2)
        enemy = frontend("enemy", 3, features=features)
        for name in ("a", "b", "enemy"):
            switch.wait_port(name, "up")
        for one in (pair.a, pair.b, enemy):     # all addresses are learned
            one.put(one.frame(BROADCAST))
            one.wait_sent()
        pair.once()
        yield Arena(switch, pair, enemy)


# -- malformed rings: (name, which vring, what is done to it, what the port says)

def loop(enemy, ring):
    ring.desc(0, GUEST + ring.buffer(0), 64, NEXT, 1)
    ring.desc(1, GUEST + ring.buffer(0), 64, NEXT, 0)
    ring.publish(0)


def bad_address(enemy, ring):
    ring.desc(0, OUTSIDE, 64)
    ring.publish(0)


def huge_length(enemy, ring):
    ring.desc(0, GUEST + ring.buffer(0), 0xffffffff)
    ring.publish(0)


def zero_length(enemy, ring):
    ring.desc(0, GUEST + ring.buffer(0), 0)
    ring.publish(0)


def short_header(enemy, ring):
    ring.desc(0, GUEST + ring.buffer(0), VNET - 1)
    ring.publish(0)


def index_jump(enemy, ring):
    ring.set_index(ring.avail + SIZE + 1 & 0xffff)


def bad_head(enemy, ring):
    ring.publish(SIZE)


def bad_next(enemy, ring):
    ring.desc(0, GUEST + ring.buffer(0), 64, NEXT, SIZE)
    ring.publish(0)


def writable(enemy, ring):
    ring.desc(0, GUEST + ring.buffer(0), 64, WRITE)
    ring.publish(0)


def odd_table(enemy, ring):
    ring.desc(0, GUEST + ring.base + TABLE, 24, INDIRECT)
    ring.publish(0)


def giant_table(enemy, ring):
    ring.desc(0, GUEST + ring.base + TABLE, 0xfffffff0, INDIRECT)
    ring.publish(0)


def nested_table(enemy, ring):
    ring.table(0, GUEST + ring.base + TABLE, 16, INDIRECT)
    ring.desc(0, GUEST + ring.base + TABLE, 16, INDIRECT)
    ring.publish(0)


def table_outside(enemy, ring):
    ring.desc(0, OUTSIDE, 16, INDIRECT)
    ring.publish(0)


def table_loop(enemy, ring):
    ring.table(0, GUEST + ring.buffer(0), 64, NEXT, 1)
    ring.table(1, GUEST + ring.buffer(0), 64, NEXT, 0)
    ring.desc(0, GUEST + ring.base + TABLE, 32, INDIRECT)
    ring.publish(0)


FROM_VM = {
    loop: "descriptor loop", bad_address: "descriptor outside the guest's memory",
    huge_length: "descriptor outside the guest's memory",
    zero_length: "descriptor of length zero or shorter than its header",
    short_header: "descriptor of length zero or shorter than its header",
    index_jump: "available index beyond the ring or gone back", bad_head: "descriptor index beyond the ring",
    bad_next: "descriptor index beyond the ring", writable: "descriptor of the wrong direction",
    odd_table: "malformed indirect table", giant_table: "malformed indirect table",
    nested_table: "malformed indirect table", table_outside: "descriptor outside the guest's memory",
    table_loop: "descriptor loop",
}


def poison_buffers(address=None, length=BUFFER, flags=WRITE):
    """All to-vm buffers become bad at once, behind the switch's back."""
    def do(enemy, ring):
        for entry in range(SIZE):
            ring.desc(entry, address or GUEST + ring.buffer(entry), length, flags)
    return do


TO_VM = {
    "read-only buffers": (poison_buffers(flags=0), "descriptor of the wrong direction"),
    "buffers outside memory": (poison_buffers(OUTSIDE), "descriptor outside the guest's memory"),
    "buffers of length zero": (poison_buffers(length=0),
                               "descriptor of length zero or shorter than its header"),
}


def malformed_from_vm(do, text):
    @case(f"hostile: from-vm ring, {do.__name__.replace('_', ' ')}", needs=arena, presets=BOTH)
    def run(arena):
        with arena.pair.running() as pair:
            before = pair.count
            arena.enemy.wait_sent()
            do(arena.enemy, arena.enemy.tx)
            arena.enemy.tx.notify()
            arena.wait_state(f"faulted: {text} in queue 1")
            arena.enemy.restart()
            arena.wait_state("up")
            arena.enemy.put(arena.enemy.frame(BROADCAST))
            arena.enemy.wait_sent()
            wait_until(lambda: pair.count > before + 2 or pair.failure, slow(5), "the pair to go on")
            return f"{pair.count - before} exchanges beside it"


def malformed_to_vm(name, do, text):
    @case(f"hostile: to-vm ring, {name}", needs=arena, presets=BOTH)
    def run(arena):
        a, enemy = arena.pair.a, arena.enemy
        with arena.pair.running() as pair:
            before = pair.count
            lost = arena.dropped("enemy", "to-vm-faulted")
            do(enemy, enemy.rx)
            with pair.lock:
                for _ in range(100):    # until those buffers are used that had been read ahead
                    a.put(a.frame(enemy.mac))
                    a.wait_sent()
            arena.wait_state(f"faulted: {text} in queue 0")
            check(arena.dropped("enemy", "to-vm-faulted") > lost, "no drop to-vm-faulted was counted")
            enemy.restart()
            arena.wait_state("up")
            wait_until(lambda: pair.count > before + 2 or pair.failure, slow(5), "the pair to go on")
            return f"{pair.count - before} exchanges beside it"


for _do, _text in FROM_VM.items():
    malformed_from_vm(_do, _text)
for _name, (_do, _text) in TO_VM.items():
    malformed_to_vm(_name, _do, _text)


# -- peers that are merely awkward

@case("hostile: no receive buffers", needs=arena, presets=BOTH)
def no_buffers(arena):
    a, enemy = arena.pair.a, arena.enemy
    enemy.stop()
    enemy.start(receive=0)
    arena.wait_state("up")
    before = arena.dropped("enemy", "to-vm-ring-full")
    for _ in range(100):
        a.put(a.frame(enemy.mac))
    a.wait_sent()
    lost = wait_until(lambda: arena.dropped("enemy", "to-vm-ring-full") - before, slow(5), "the drops")
    check(lost == 100, f"{lost} of 100 frames are counted as to-vm-ring-full")
    arena.pair.once()
    enemy.restart()
    arena.wait_state("up")
    return "100 of 100 counted"


@case("hostile: a disabled transmit queue is drained", needs=arena, presets=BOTH)
def disabled_queue(arena):
    enemy = arena.enemy
    check(enemy.enable(enemy.tx, False), "SET_VRING_ENABLE failed")
    before = arena.dropped("enemy", "queue-disabled")
    for _ in range(10):
        enemy.put(enemy.frame(BROADCAST))
    enemy.wait_sent(slow(5))
    wait_until(lambda: arena.dropped("enemy", "queue-disabled") == before + 10, slow(5),
               lambda: f"10 drops; {arena.dropped('enemy', 'queue-disabled') - before}")
    check(enemy.enable(enemy.tx), "SET_VRING_ENABLE failed")
    arena.wait_state("up")
    arena.pair.b.got()
    enemy.put(enemy.frame(BROADCAST, b"enabled again"))
    arena.pair.b.wait_frames(1, slow(5), lambda frame: b"enabled again" in frame)
    return "10 discarded"


@case("hostile: lies about offloads", needs=arena, presets=BOTH)
def offload_lies(arena):
    enemy, b = arena.enemy, arena.pair.b
    udp = bytes.fromhex("45000026000000004011000a0a0000010a000002") + struct.pack(">HHHH", 1, 2, 18, 0)
    frame = enemy.frame(b.mac, udp + bytes(10), 0x0800)
    lies = {
        "checksum start beyond the frame": struct.pack("<BBHHHHH", 1, 0, 0, 0, 60000, 6, 0),
        "checksum offset beyond the header": struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 60000, 0),
        "checksum in the addresses": struct.pack("<BBHHHHH", 1, 0, 0, 0, 26, 0, 0),
        "TSO of UDP": struct.pack("<BBHHHHH", 1, 1, 54, 1000, 34, 6, 0),
        "TSO without a checksum": struct.pack("<BBHHHHH", 0, 1, 54, 1000, 0, 0, 0),
        "a size of zero": struct.pack("<BBHHHHH", 1, 1, 54, 0, 34, 6, 0),
        "UFO, never offered": struct.pack("<BBHHHHH", 1, 3, 42, 1000, 34, 6, 0),
        "an unknown type": struct.pack("<BBHHHHH", 1, 77, 42, 1000, 34, 6, 0),
    }
    before = arena.dropped("enemy", "bad-offload")
    for vnet in lies.values():
        enemy.put(frame, vnet)
    enemy.wait_sent()
    wait_until(lambda: arena.dropped("enemy", "bad-offload") == before + len(lies), slow(5),
               lambda: f"{len(lies)} drops; {arena.drops('enemy')}")
    arena.pair.once()
    return f"{len(lies)} lies dropped"


@case("hostile: a second connection is refused", needs=arena, presets=BOTH)
def second_connection(arena):
    def refused():
        return arena.switch.json("port", "show", "enemy")["refused"]
    before = refused()
    with arena.pair.running():
        try:
            second = Frontend(arena.enemy.path, "switch", timeout=slow(3))
        except OSError:
            second = None
        except Exception as error:      # closed in the middle of the negotiation
            check("closed the connection" in str(error), str(error))
            second = None
        check(second is None, "a second VMM was let in")
        arena.enemy.put(arena.enemy.frame(BROADCAST))
        arena.enemy.wait_sent()
    check(arena.state() == "up", f"the first connection's state is {arena.state()}")
    check(refused() == before + 1, f"{refused() - before} connections are counted as refused")
    return "the first goes on, 1 refused"


@case("hostile: memory that cannot be mapped", needs=arena, presets=BOTH)
def unmappable(arena):
    enemy = arena.enemy
    with arena.pair.running():
        reader, writer = os.pipe()
        # A pipe has no memory; a table that does not differ from the last one is not even looked at.
        done = enemy.set_memory(enemy.bytes - 4096, reader)
        os.close(reader)
        os.close(writer)
        check(not done, "SET_MEM_TABLE with a pipe was said to have worked")
        wait_until(lambda: arena.state() != "up", slow(5), "the port to leave up")
        said = arena.state()
        enemy.set_memory()
        enemy.restart()
        arena.wait_state("up")
        enemy.put(enemy.frame(BROADCAST))
        enemy.wait_sent()
    return said


@case("hostile: a table that looks like the last one", needs=arena, presets=BOTH)
def like_the_last(arena):
    """The vhost library compares addresses and sizes, no offsets, and goes on with the files that it has."""
    enemy = arena.enemy
    with arena.pair.running() as pair:
        before = pair.count
        other = os.memfd_create("other")
        os.truncate(other, 1024 * enemy.bytes)
        for offset, fd in ((1023 * enemy.bytes, other), (0, enemy.memory_fd), (4096, enemy.memory_fd)):
            enemy.set_memory(enemy.bytes + 4096, other, 1022 * enemy.bytes)
            enemy.set_memory(enemy.bytes - 4096, other, 1023 * enemy.bytes)
            # This one differs from the last by its file and its offset only.
            enemy.set_memory(enemy.bytes - 4096, fd, offset)
            enemy.restart()
            enemy.tx.notify()
        os.close(other)
        enemy.set_memory()
        enemy.restart()
        arena.wait_state("up")
        enemy.put(enemy.frame(BROADCAST))
        enemy.wait_sent()
        wait_until(lambda: pair.count > before + 2 or pair.failure, slow(5), "the pair to go on")
        return f"{pair.count - before} exchanges beside it"


def truncated(name, do):
    """The enemy's memory becomes a page long; `do` then makes the switch look there."""
    @case(f"hostile: memory truncated, {name}", needs=arena, presets=BOTH)
    def run(arena):
        enemy = arena.enemy
        drops = [arena.drops(port) for port in ("a", "b")]
        with arena.pair.running() as pair:
            before = pair.count
            os.truncate(enemy.memory_fd, 4096)
            do(arena)
            arena.wait_state(GONE)
            os.truncate(enemy.memory_fd, enemy.bytes)
            enemy.restart()
            arena.wait_state("up")
            enemy.put(enemy.frame(BROADCAST))
            enemy.wait_sent()
            wait_until(lambda: pair.count > before + 2 or pair.failure, slow(5), "the pair to go on")
        # Frames for the enemy are lost at the enemy.
        check([arena.drops(port) for port in ("a", "b")] == drops, "the pair lost frames")
        return f"{pair.count - before} exchanges beside it"


def look_at_ring(arena):
    arena.enemy.tx.notify()


def send_to_it(arena):
    with arena.pair.lock:
        arena.pair.a.put(arena.pair.a.frame(arena.enemy.mac))
        arena.pair.a.wait_sent()


def rings_in_the_hole(arena):
    """The vhost library is the one that looks."""
    arena.enemy.set_address(arena.enemy.rx)


def table_with_a_hole(arena):
    """A table that differs, so that it is mapped anew: its memory has never been there, and is looked
    at before the library has said that it is mapped."""
    arena.enemy.set_memory(arena.enemy.bytes - 4096)


truncated("seen in a ring", look_at_ring)
truncated("seen by a sender", send_to_it)
truncated("rings in the hole", rings_in_the_hole)
truncated("before it is mapped", table_with_a_hole)


@case("hostile: memory truncated under payload", needs=arena, presets=BOTH)
def truncated_payload(arena):
    """The rings stay where they are, the buffers go: frames lie there that are being copied."""
    enemy, b = arena.enemy, arena.pair.b
    with arena.pair.running() as pair:
        before = pair.count
        for entry in range(64):
            enemy.tx.desc(entry, enemy.address(enemy.tx, entry), BUFFER)
            enemy.write(enemy.frame(b.mac, bytes(1000)), entry)
        os.truncate(enemy.memory_fd, enemy.tx.buffers)
        for entry in range(64):
            enemy.tx.publish(entry)
        enemy.tx.notify()
        arena.wait_state(GONE)
        os.truncate(enemy.memory_fd, enemy.bytes)
        enemy.restart()
        arena.wait_state("up")
        wait_until(lambda: pair.count > before + 2 or pair.failure, slow(5), "the pair to go on")
        return f"{pair.count - before} exchanges beside it"


@case("hostile: a log of dirty pages that is too small, or truncated", needs=arena, presets=BOTH)
def bad_log(arena):
    enemy, said = arena.enemy, []
    with arena.pair.running():
        # The memory begins at 256 MiB, 8 KiB into a log.
        for size, left, text in ((4096, 4096, "faulted: memory beyond the log of dirty pages in queue 1"),
                                 (16384, 0, GONE)):
            fd = os.memfd_create("log", os.MFD_CLOEXEC)
            os.truncate(fd, size)
            enemy.set_log(fd, size)
            os.truncate(fd, left)
            enemy.set_logging(True)
            enemy.put(enemy.frame(BROADCAST))
            wait_until(lambda: "faulted" in arena.state(), slow(5), lambda: f"a fault; {arena.state()}")
            said.append(arena.state())
            check(said[-1] in (text, text.replace("queue 1", "queue 0")), f"the state is {said[-1]}")
            os.truncate(fd, size)
            enemy.set_log(fd, size)
            os.close(fd)
            enemy.restart()
            arena.wait_state("up")
    return "; ".join(said)


@case("hostile: a call eventfd that blocks", needs=arena, presets=BOTH)
def blocking_call(arena):
    a, enemy = arena.pair.a, arena.enemy
    full = os.eventfd(0, os.EFD_CLOEXEC)
    os.set_blocking(full, False)
    os.eventfd_write(full, 0xfffffffffffffffe)
    enemy.stop()
    enemy.start(call=full)
    arena.wait_state("up")          # the switch has made it non-blocking
    os.set_blocking(full, True)     # the flag belongs to the file, which both sides share
    with arena.pair.running() as pair:
        before = pair.count
        with pair.lock:
            for _ in range(10):
                a.put(a.frame(enemy.mac))
            a.wait_sent(slow(10))
        wait_until(lambda: pair.count > before + 2 or pair.failure, slow(10), "the pair to go on")
        # The fault is another thread's to see, which may have to wait for a CPU.
        said = "faulted: call eventfd that blocks in queue 0"
        arena.wait_state(said)
    os.close(full)
    enemy.restart()
    arena.wait_state("up")
    return said


@case("hostile: a call eventfd that blocks whenever it is set", needs=arena, presets=BOTH)
def blocking_set_call(arena):
    """The peer clears O_NONBLOCK as fast as it can while it sets the fd again and again: whoever gives
    the first signal must be somebody who can be got out of it."""
    enemy, full, over = arena.enemy, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), threading.Event()
    os.eventfd_write(full, 0xfffffffffffffffe)

    def clear():
        while not over.is_set():
            os.set_blocking(full, True)
    thread = threading.Thread(target=clear, name="clear")
    thread.start()
    try:
        with arena.pair.running():
            for _ in range(300):
                enemy.tell(SET_VRING_CALL, struct.pack("<Q", enemy.rx.index), [full])
            started = time.monotonic()
            arena.state()
            took = time.monotonic() - started
            check(took < slow(5), f"a state took {took:.1f} s")
    finally:
        over.set()
        thread.join()
        os.close(full)
    enemy.restart()
    arena.wait_state("up")
    return f"300 times; then a state in {took * 1000:.0f} ms"


@case("hostile: a call fd that is a pipe", needs=arena, presets=BOTH)
def pipe_as_call(arena):
    enemy = arena.enemy
    reader, writer = os.pipe()
    with arena.pair.running():
        enemy.stop()
        enemy.start(call=writer)
        said = wait_until(lambda: (text := arena.state()) not in ("up", "waiting for the guest driver")
                          and text, slow(5), lambda: f"a fault; the state is {arena.state()}")
        check("faulted" in said, f"the state is {said}")
        os.close(reader)
        os.close(writer)
        enemy.restart()
        arena.wait_state("up")
    return said


@case("hostile: SIGTERM while a call eventfd blocks", presets=BOTH)
def stop_while_blocked():
    with Switch(user=USER, expected=[r"port enemy: "]) as switch, contextlib.ExitStack() as stack:
        paths = {name: switch.add_port(name, "switch", vhost_user__mode="0666") for name in ("a", "enemy")}
        cards = {name: stack.enter_context(Frontend(path, "switch", mac=f"52:54:00:00:0d:{number:02x}"))
                 for number, (name, path) in enumerate(paths.items())}
        full = os.eventfd(0, os.EFD_CLOEXEC)
        stack.callback(os.close, full)
        os.set_blocking(full, False)
        os.eventfd_write(full, 0xfffffffffffffffe)
        cards["a"].start()
        cards["enemy"].start(call=full)
        for name in paths:
            switch.wait_port(name, "up")
        os.set_blocking(full, True)
        # The worker now sits in a write, with both guests still there when the switch ends.
        cards["a"].put(cards["a"].frame(BROADCAST))
        switch.stop(slow(10))
    return "ended"
