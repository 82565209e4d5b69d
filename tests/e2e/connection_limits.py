"""How many connections there may be, how long they stay, and what the common packet costs."""
import itertools
import subprocess
import time
from collections import Counter

from cases import BOTH, case, check, slow
from lab import wait_until
from lab.packets import Tcp, Udp
from lans import ground, put_all, talk

TABLE = 1024        # the smallest that can be configured


def pair(lan, **limits):
    """A port that asks, with these limits, and one that takes all."""
    lan.port("a", ["shut"], **({"limits": {key.replace("_", "-"): value for key, value in limits.items()}}
                               if limits else {}))
    lan.port("b", ["open"])
    lan.learned()


def begin(one, other, count, **more):
    """That many new conversations, and how many of their first packets arrived; by sender's L4 port."""
    talks = [talk(Udp, one, other, **more) for _ in range(count)]
    return talks, offer(one, other, [each.data() for each in talks])


def offer(one, other, frames):
    """Sends the frames in portions that the receiver's ring holds; those that arrived."""
    arrived, frames = [], iter(frames)
    while portion := list(itertools.islice(frames, 128)):
        put_all(one, portion)
        arrived += other.got()
    return arrived


def establish(one, other, count):
    """That many TCP connections, the three packets of each side by side."""
    talks = [talk(Tcp, one, other) for _ in range(count)]
    steps = zip(*(each.handshake() for each in talks))
    for step in steps:
        ends = (one, other)
        way = step[0][0]
        arrived = offer(ends[way], ends[1 - way], [frame for _, frame in step])
        check(len(arrived) == count, f"{len(arrived)} of {count} packets of the handshakes came")
    return talks


def states(lan):
    counts = lan.switch.json("conn", "count")["items"]
    return Counter({row["state"]: row["connections"] for row in counts})


# -- limits of a port

@case("connections: a port's limit", presets=BOTH)
def limit():
    with ground() as lan:
        pair(lan, connections=10)
        talks, arrived = begin(lan.a, lan.b, 12)
        check(len(arrived) == 10 and lan.connections() == 10, f"{len(arrived)} passed, {lan.connections()} are there")
        check(lan.lost() == {"a": {"connection-limit": 2}}, f"dropped: {lan.lost()}")
        # Those that are there go on, and so does whoever else begins some.
        lan.all_pass(talks[0], [(0, talks[0].data()), (1, talks[0].data(1))])
        back = talk(Udp, lan.b, lan.a)
        lan.set("a", groups=["open"])
        lan.all_pass(back, [(0, back.data()), (1, back.data(1))])
        # Live, up and down: what is there stays.
        lan.set("a", limits={"connections": 11})
        lan.passes(talks[11], 0, talks[11].data())
        lan.denied("a", talks[10].data(), reason="connection-limit")
        lan.set("a", limits={"connections": 5})
        lan.passes(talks[11], 0, talks[11].data())
        lan.denied("a", talks[10].data(), reason="connection-limit")
        return "10 of 12, the others connection-limit; live"


@case("connections: an outsider's flood leaves a VM its own connections, and its limit to others", presets=BOTH)
def outsider():
    """From a port without groups they count for the VM they come to, apart from what that begins."""
    with ground() as lan:
        lan.port("a", ["open"], limits={"connections": 10})
        lan.port("b", ["open"])
        lan.port("x")
        lan.learned()
        served = talk(Tcp, lan.x, lan.a)
        lan.all_pass(served, served.handshake())
        flood = [talk(Tcp, lan.x, lan.a).handshake()[0][1] for _ in range(20)]
        arrived = offer(lan.x, lan.a, flood)
        check(len(arrived) == 9, f"{len(arrived)} of 20 SYNs passed")
        check(lan.lost() == {"a": {"connection-limit": 11}}, f"dropped: {lan.lost()}")
        _, arrived = begin(lan.a, lan.b, 12)
        check(len(arrived) == 10, f"the VM began {len(arrived)} of 10 that it may")
        # And the flood goes on: who comes next finds room, long before the first SYN's time is over.
        def one_more():
            offer(lan.x, lan.a, flood[:1])
            offer(lan.x, lan.a, [talk(Tcp, lan.x, lan.a).handshake()[0][1]])
            return bool(begin(lan.x, lan.a, 1)[1])
        start = time.monotonic()
        wait_until(one_more, slow(20), lambda: f"room for one more: {states(lan)}; {lan.lost()}", 0.05)
        waited = time.monotonic() - start
        lan.all_pass(served, [(0, served.data()), (1, served.data(1))])
        check(states(lan)["udp-unanswered"] >= 10, f"the VM's own: {states(lan)}")
        return f"9 of 20, the VM's own 10, room again in {waited:.1f} s"


@case("connections: an outsider uses up none of a VM's new connections per second", presets=BOTH)
def outsiders_rate():
    with ground() as lan:
        lan.port("a", ["open"], limits={"new-connections": "1cps"})
        lan.port("b", ["open"])
        lan.port("x")
        lan.learned()
        start = time.monotonic()
        _, arrived = begin(lan.x, lan.a, 100)
        check(1 <= len(arrived) <= 2 + int(time.monotonic() - start), f"{len(arrived)} of 100 passed")
        _, arrived = begin(lan.a, lan.b, 1)
        check(len(arrived) == 1, f"the VM's own: {len(arrived)} of 1; dropped: {lan.lost()}")
        return "1 of the VM's own behind 100 that came to it"


@case("connections: new ones per second", presets=BOTH)
def rate():
    with ground() as lan:
        pair(lan, new_connections="100cps")
        time.sleep(0.2)      # until the budget is full
        start = time.monotonic()
        talks, arrived = begin(lan.a, lan.b, 200)
        most = 10 + int((time.monotonic() - start) * 100) + 1
        check(10 <= len(arrived) <= most, f"{len(arrived)} of 200 passed, {most} at most")
        check(lan.lost() == {"a": {"connection-rate": 200 - len(arrived)}}, f"dropped: {lan.lost()}")
        check(lan.connections() == len(arrived), f"{lan.connections()} connections")
        # What is there costs nothing of it.
        frame = talks[0].data()
        check(len(offer(lan.a, lan.b, [frame] * 300)) == 300, "a connection that is there was held back")
        lan.set("a", limits=None)
        _, arrived = begin(lan.a, lan.b, 100)
        check(len(arrived) == 100, f"without a limit {len(arrived)} of 100")
        return f"{len(talks) - lan.drops('a')['connection-rate']} of 200 passed"


@case("connections: without a limit of its own a port gets a quarter of the table")
def quarter():
    with ground(switch={"connections": TABLE}) as lan:
        pair(lan)
        lan.port("c", ["shut"])
        lan.learned()
        _, arrived = begin(lan.a, lan.b, TABLE // 4 + 50)
        check(len(arrived) == TABLE // 4, f"{len(arrived)} of a table of {TABLE}")
        check(lan.lost() == {"a": {"connection-limit": 50}}, f"dropped: {lan.lost()}")
        _, arrived = begin(lan.c, lan.b, 100)
        check(len(arrived) == 100, f"another port began {len(arrived)} of 100")
        return f"{TABLE // 4} of {TABLE}"


# -- a full table

@case("connections: a full table", presets=BOTH)
def full():
    """Established ones stay, those that are over go first, then unanswered ones of who has most of them."""
    many = {"connections": 2 * TABLE}
    with ground(switch={"connections": TABLE}) as lan:
        pair(lan, **many)
        lan.port("c", ["shut"], limits=many)
        lan.port("d", ["open"])
        lan.learned()
        live = establish(lan.a, lan.b, 400)
        over = establish(lan.a, lan.b, 200)
        steps = list(zip(*(each.goodbye() for each in over)))
        for step in steps:
            ends = (lan.a, lan.b)
            check(len(offer(ends[step[0][0]], ends[1 - step[0][0]], [frame for _, frame in step])) == 200, "a FIN")
        check(states(lan) == {"tcp-established": 400, "tcp-time-wait": 200}, f"states: {states(lan)}")
        # What comes now needs the room of those that are over.
        begun = []

        def fill():
            begun.extend(begin(lan.c, lan.d, 64)[1])
            return len(begun) > TABLE - 600 + 100
        wait_until(fill, slow(20), lambda: f"more than {TABLE - 600} new ones: {len(begun)}; {lan.lost()}", 0.01)
        # And now those who are greedy push out only their own.
        for _ in range(40):
            begin(lan.c, lan.d, 64)
        def one_more():
            return len(begin(lan.b, lan.d, 1)[1]) == 1
        wait_until(one_more, slow(10), "another port to begin a connection in a full table", 0.01)
        now = states(lan)
        check(now["tcp-established"] == 400, f"established ones are lost: {now}")
        check(now["tcp-time-wait"] < 200, f"those that are over are still there: {now}")
        for way in (0, 1):
            arrived = offer((lan.a, lan.b)[way], (lan.a, lan.b)[1 - way], [each.data(way) for each in live])
            check(len(arrived) == 400, f"{len(arrived)} of 400 established ones go on")
        # The other port's first tries came before the janitor had made room.
        lost = lan.lost()
        check(set(lost) <= {"b", "c"} and {reason for one in lost.values() for reason in one} <=
              {"connection-table-full"}, f"dropped: {lost}")
        return f"400 of 400 stay; {dict(now)}; {lost}"


@case("connections: time-outs that are set short", presets=BOTH)
def timeouts():
    with ground(switch={"timeouts": {"udp-unanswered": "1s", "tcp-syn-sent": "1s"}}) as lan:
        pair(lan)
        answered = talk(Udp, lan.a, lan.b)
        lan.all_pass(answered, [(0, answered.data()), (1, answered.data(1))])
        asked, syn = talk(Udp, lan.a, lan.b), talk(Tcp, lan.a, lan.b)
        start = time.monotonic()
        lan.passes(asked, 0, asked.data())
        lan.passes(syn, *syn.handshake()[0])
        live = talk(Tcp, lan.a, lan.b)
        lan.all_pass(live, live.handshake())
        wait_until(lambda: lan.connections() == 2, slow(10), lambda: f"2 connections: {lan.connections()}")
        short = time.monotonic() - start
        check(short >= 1, f"gone after {short:.2f} s")
        check(states(lan) == {"udp-answered": 1, "tcp-established": 1}, f"states: {states(lan)}")
        lan.denied("b", asked.data(1), at="a")
        lan.passes(live, 1, live.data(1))
        # Live, for those that are there: a time-out that becomes shorter.
        lan.document["switch"]["timeouts"] = {"udp-answered": "1s", "tcp-established": "1s"}
        lan.apply()
        wait_until(lambda: lan.connections() == 0, slow(10), lambda: f"no connection: {lan.connections()}")
        # Now it would be one that begins at the other end, which no rule allows.
        lan.denied("b", live.data(1), at="a")
        return f"gone after {short:.1f} s of 1 s"


@case("connections: who talks is not timed out")
def refreshed():
    with ground(switch={"timeouts": {"udp-answered": "2s", "tcp-established": "2s"}}) as lan:
        pair(lan)
        ones = [talk(kind, lan.a, lan.b) for kind in (Udp, Tcp)]
        lan.all_pass(ones[1], ones[1].handshake())
        lan.all_pass(ones[0], [(0, ones[0].data()), (1, ones[0].data(1))])
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for one in ones:
                lan.passes(one, 1, one.data(1))
            check(lan.connections() == 2, f"{lan.connections()} connections")
            time.sleep(0.2)
        return "5 s with time-outs of 2 s"


# -- what the common packet costs

@case("connections: one lookup per packet")
def lookups():
    """1,000 connections, 100,000 packets in both directions, in an order that no burst repeats."""
    with ground() as lan:
        pair(lan)
        talks = establish(lan.a, lan.b, 1000)
        frames = [[each.ack(way) for each in talks] for way in (0, 1)]
        before, lost = lan.work(), lan.lost()
        arrived = 0
        for turn in range(50):
            for way, ends in enumerate(((lan.a, lan.b), (lan.b, lan.a))):
                order = [frames[way][(number * 7 + turn) % 1000] for number in range(1000)]
                arrived += len(offer(*ends, order))
        after = lan.work()
        done, tracked = after[0] - before[0], after[1] - before[1]
        check(arrived == 100000 and lan.lost() == lost, f"{arrived} arrived; dropped: {lan.lost()}")
        check(tracked == 100000, f"{tracked} tracked packets")
        check(done / tracked <= 1.01, f"{done} lookups for {tracked} packets")
        return f"{done} lookups ÷ {tracked} packets = {done / tracked:.4f}"


@case("connections: an apply each 0.2 s beside paced traffic")
def applies():
    """A group gets a rule and loses it, and nothing is lost for that."""
    with ground() as lan:
        pair(lan)
        lan.port("c", ["shut"])
        lan.learned()
        talks = establish(lan.a, lan.b, 200)
        frames = [[each.ack(way) for each in talks] for way in (0, 1)]
        paths = []
        for number in range(2):
            lan.document["groups"]["open"] = {"to-vm": [{"allow": "any"}, *[{"allow": "tcp", "dport": 99}] * number]}
            lan.document["ports"]["c"]["groups"] = ["shut", "open"][:number + 1]
            path = lan.switch.write_config(lan.document)
            paths.append(f"{path}.{number}")
            with open(path) as source, open(paths[-1], "w") as copy:
                copy.write(source.read())
        before = lan.lost()
        sent = arrived = done = 0
        running, due, end = None, time.monotonic(), time.monotonic() + 4
        while time.monotonic() < end:
            if time.monotonic() >= due and (running is None or running.poll() is not None):
                check(running is None or running.returncode == 0, "weirctl apply failed")
                running = subprocess.Popen(lan.switch.ctl_argv("apply", paths[done % 2]), stdout=subprocess.DEVNULL)
                done, due = done + 1, due + 0.2
            portion = frames[sent // 50 % 2][sent // 100 * 50 % 200:][:50]
            ends = (lan.a, lan.b) if sent // 50 % 2 == 0 else (lan.b, lan.a)
            sent += len(portion)
            arrived += len(offer(*ends, portion))
            time.sleep(0.005)
        check(running.wait(10) == 0, "weirctl apply failed")
        arrived += len(lan.a.got()) + len(lan.b.got())
        check(arrived == sent and lan.lost() == before, f"{arrived} of {sent} arrived; dropped: {lan.lost()}")
        return f"{done} times applied, {arrived} of {sent} packets arrived"
