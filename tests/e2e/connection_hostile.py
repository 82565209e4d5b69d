"""Those who fill the connection table, beside 1,000 live connections that must not notice.

A round sends one packet on each of them, in both directions, in portions that the receiver's ring holds,
and before each portion the attacker fills its own ring: the worker finds both at once.
"""
import random
import struct
import time

from cases import BOTH, case, check, fixture, slow
from connection_limits import establish, states
from lab import packets, wait_until
from lab.frontend import SIZE
from lab.packets import host
from lans import ground, put_all

LIVE = 1000
TABLE = 8192
PORTION = 100
PER_SECOND = 10     # packets of each live connection, at most, by direction
SECONDS = 3
SEED = 1


class Siege:
    def __init__(self, lan):
        self.lan = lan
        self.live = establish(lan.a, lan.b, LIVE)
        acks = [[one.ack(way) for one in self.live] for way in (0, 1)]
        self.portions = [(way, acks[way][at:at + PORTION]) for at in range(0, LIVE, PORTION) for way in (0, 1)]
        self.sent = 0

    def hold(self, frames, seconds=SECONDS):
        """Sends the live connections' packets beside the attacker's frames; how many of those went."""
        lan = self.lan
        ends, before = (lan.a, lan.b), lan.lost()
        attacks, due, end = 0, time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < end:
            for way, portion in self.portions:
                attacks += fill_ring(lan.c, frames)
                put_all(ends[way], portion)
                got = ends[1 - way].got()
                check(got == portion, f"{len(got)} of {len(portion)} live packets came; drops: {lan.lost()}")
                lan.d.got()
                self.sent += len(portion)
                # Paced: whoever is late does not make up for it.
                due = max(due + 1 / PER_SECOND / len(self.portions), time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
        lan.c.wait_sent(slow(10))
        after = lan.lost()
        for name in "ab":
            check(after.get(name) == before.get(name), f"dropped at {name}: {after.get(name)}")
        now = states(lan)
        check(now["tcp-established"] == LIVE, f"of {LIVE} live connections there are {now}")
        return attacks

    def quiet(self, stay="1s", **limits):
        """Nothing is left of the attack before. The attacker has these limits, and its connections stay for
        so long."""
        lan = self.lan
        lan.document["switch"]["timeouts"] = dict.fromkeys(("tcp-syn-sent", "udp-unanswered", "udp-answered"), "1s")
        lan.set("c", limits=limits or None)
        wait_until(lambda: lan.connections() == LIVE, slow(30), lambda: f"the live ones alone: {states(lan)}", 0.1)
        if stay != "1s":
            lan.document["switch"]["timeouts"] = {}
            lan.apply()
        return {reason: count for reason, count in lan.drops("c").items() if count}

    def told(self, before):
        """What the attacker was told since."""
        return {reason: count - before.get(reason, 0) for reason, count in self.lan.drops("c").items()
                if count != before.get(reason, 0)}


def fill_ring(end, frames):
    """As many frames as the ring has room for, without waiting; how many."""
    ring = end.tx
    room = SIZE - 1 - ring.pending()
    for _ in range(room):
        frame, entry = next(frames), ring.avail % SIZE
        end.write(frame, entry)
        ring.desc(entry, end.address(ring, entry), 12 + len(frame))
        ring.publish(entry)
    ring.notify()
    return room


@fixture(name="1,000 live connections")
def siege():
    with ground(switch={"connections": TABLE}) as lan:
        for name, group in {"a": "shut", "b": "open", "c": "shut", "d": "open"}.items():
            lan.port(name, [group])
        lan.learned()
        yield Siege(lan)


def syns(lan, addresses):
    """First packets of TCP from (source address, sport, dport) to d."""
    whole = lan.c.frame(lan.d.mac, packets.tcp(host(lan.c), host(lan.d), 1, 80, 1, 0, packets.SYN), packets.V4)
    head, between, rest = whole[:26], whole[30:34], whole[38:]
    for source, sport, dport in addresses:
        yield head + struct.pack(">I", source) + between + struct.pack(">HH", sport, dport) + rest


def many(rng):
    while True:
        yield rng.getrandbits(32), rng.getrandbits(16), 80


# -- tuples that a linear hash cannot tell apart

def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


def kernel(base, bits, linear):
    """Masks over the bits of base that leave linear(base) as it is: by elimination over GF(2)."""
    start, rows, found = linear(base), {}, []
    for bit in bits:
        mask = 1 << bit
        value = linear(base ^ mask) ^ start
        while value:
            top = value.bit_length()
            if top not in rows:
                rows[top] = (value, mask)
                break
            value, mask = value ^ rows[top][0], mask ^ rows[top][1]
        else:
            found.append(mask)
    return found


def combinations(masks, rng):
    """Endless sums of them."""
    while True:
        total = 0
        for mask in masks:
            total ^= mask if rng.getrandbits(1) else 0
        yield total


def colliding4(lan, rng):
    """The same CRC32C over source, destination and L4 ports."""
    destination = packets.address(host(lan.d))

    def linear(word):
        data = word.to_bytes(8, "big")
        return crc32c(data[:4] + destination + data[4:])
    base = int.from_bytes(packets.address("172.16.0.1") + struct.pack(">HH", 1024, 80), "big")
    masks = kernel(base, range(64), linear)
    check(len(masks) >= 32 and linear(base ^ masks[0] ^ masks[-1]) == linear(base), "they do not collide")
    words = ((base ^ sum_).to_bytes(8, "big") for sum_ in combinations(masks, rng))
    return syns(lan, (struct.unpack(">IHH", word) for word in words))


def colliding6(lan, rng):
    """The same CRC32C, and the same XOR of all words, over addresses and L4 ports."""
    destination = packets.address(host(lan.d, 6))
    whole = lan.c.frame(lan.d.mac, packets.udp(host(lan.c, 6), host(lan.d, 6), 1024, 80), packets.V6)
    head, between, rest = whole[:22], whole[38:54], whole[58:]

    def linear(word):
        data = word.to_bytes(20, "big")
        words = struct.unpack(">5I", data)
        return crc32c(data[:16] + destination + data[16:]) << 32 | words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4]
    base = int.from_bytes(packets.address("fd08::bad") + struct.pack(">HH", 1024, 80), "big")
    masks = kernel(base, range(96), linear)
    check(len(masks) >= 32 and linear(base ^ masks[0] ^ masks[-1]) == linear(base), "they do not collide")
    for sum_ in combinations(masks, rng):
        word = (base ^ sum_).to_bytes(20, "big")
        yield head + word[:16] + between + word[16:] + rest


# -- the cases

@case("connections, hostile: a SYN flood that fills the table", needs=siege, presets=BOTH)
def syn_flood(siege):
    before = siege.quiet("60s", connections=1_000_000)
    sent = siege.hold(syns(siege.lan, many(random.Random(SEED))))
    full = siege.lan.connections()
    check(full > TABLE * 7 // 8 or sent < TABLE, f"{full} connections of {TABLE}")
    told = siege.told(before)
    check(set(told) <= {"connection-table-full"}, f"the attacker was told {told}")
    return f"{sent} SYNs, {full} connections, {told or 'none refused'}; nothing of {siege.sent} live packets lost"


@case("connections, hostile: one VM at its limit", needs=siege, presets=BOTH)
def at_limit(siege):
    before = siege.quiet(connections=500)
    sent = siege.hold(syns(siege.lan, many(random.Random(SEED + 1))))
    told = siege.told(before)
    check(set(told) == {"connection-limit"}, f"the attacker was told {told}")
    check(siege.lan.connections() <= LIVE + 500, f"{siege.lan.connections()} connections")
    return f"{sent} SYNs: {told}; nothing of {siege.sent} live packets lost"


@case("connections, hostile: one VM beyond its new connections per second", needs=siege, presets=BOTH)
def at_rate(siege):
    before = siege.quiet(**{"new-connections": "100cps"})
    sent = siege.hold(syns(siege.lan, many(random.Random(SEED + 2))))
    told = siege.told(before)
    check(set(told) == {"connection-rate"}, f"the attacker was told {told}")
    return f"{sent} SYNs: {told}; nothing of {siege.sent} live packets lost"


@case("connections, hostile: tuples that collide in linear hashes", needs=siege, presets=BOTH)
def colliding(siege):
    """And they find places: a table whose hash they had guessed would refuse most of them."""
    figures = []
    for make in (colliding4, colliding6):
        before = siege.quiet()
        frames, lan = make(siege.lan, random.Random(SEED + 3)), siege.lan
        count = 0
        for _ in range(10):
            put_all(lan.c, [next(frames) for _ in range(150)])
            count += len(lan.d.got())
        told = siege.told(before)
        check(count == 1500 and not told, f"{count} of 1500 found a place; told {told}")
        sent = siege.hold(frames)
        told = siege.told(before)
        check(set(told) <= {"connection-limit"}, f"the attacker was told {told}")
        figures.append(f"{sent} packets")
    return f"v4 {figures[0]}, v6 {figures[1]}; nothing of {siege.sent} live packets lost"


@case("connections, hostile: a table that is full of answered ones", needs=siege, presets=BOTH)
def full_of_answered(siege):
    """Established connections of the attacker's own making never go; newcomers are refused by name."""
    lan, before = siege.lan, siege.quiet("120s", connections=1_000_000)
    rng = random.Random(SEED + 5)
    for _ in range(TABLE // 128 + 8):
        asked = [(rng.getrandbits(16), rng.getrandbits(16)) for _ in range(128)]
        for one, other, turn in ((lan.c, lan.d, 1), (lan.d, lan.c, -1)):
            put_all(one, [one.frame(other.mac, packets.udp(host(one), host(other), *each[::turn]), packets.V4)
                          for each in asked])
            other.got()
    check(siege.told(before).get("connection-table-full"), f"the table is not full: {states(lan)}")
    sent = siege.hold(syns(lan, many(rng)))
    told = siege.told(before)
    # Some of its answers came when there was no room for what they answer.
    check(set(told) <= {"connection-table-full", "group-deny"}, f"the attacker was told {told}")
    return f"{sent} SYNs: {told}; nothing of {siege.sent} live packets lost"


@case("connections, hostile: fragments that never complete", needs=siege, presets=BOTH)
def fragments(siege):
    """Firsts without the rest, rests without a first, and ones that overlap."""
    lan, rng, before = siege.lan, random.Random(SEED + 4), siege.quiet()

    def pieces():
        ends = {4: (host(lan.c), host(lan.d), packets.V4), 6: (host(lan.c, 6), host(lan.d, 6), packets.V6)}
        body = packets.udp(*ends[4][:2], 5000, 80, bytes(200))[20:]
        while True:
            source, destination, kind = ends[rng.choice((4, 6))]
            place = rng.choice((0, 0, 64, 128, 1480, 65000))
            piece = packets.ip(source, destination, 17, body[:128], rng.getrandbits(16),
                               (place, not place or rng.random() < 0.8))
            yield lan.c.frame(lan.d.mac, piece, kind)
    # What is to be sent is made before, for making it takes longer than the switch needs for it.
    made = [frame for frame, _ in zip(pieces(), range(4000))]

    def endless():
        while True:
            yield from made
    sent = siege.hold(endless())
    told = siege.told(before)
    check(told and all(reason.startswith(("fragment-", "group-deny")) for reason in told), f"told {told}")
    return f"{sent} fragments: {told}; nothing of {siege.sent} live packets lost"
