"""Trials: what a switch is asked to do for a while, alone on its CPU. Nothing is compared within them, so
they need no near state; where a peer can do the same, its figures stand beside."""
import json
import os
import statistics
import time

from . import report
from .cases import TRIALS, WAIT_MAX, Shape
from .interval import SATURATION, measure
from .lanes import Lane
from .load import busiest, thread_times
from .measure import CARRIED_MIN
from .sides import Setup
from .sides.weir import Weir
from .tracking import Tracking, sustained
from switch import Switch
from weirvm.procs import Failure

FILE = "trials.json"
APPLIES = 5
REFUSED = "refused for want of an entry"
# The port's limit is the whole table's room.
FULL = ("dropped as connection-table-full", "dropped as connection-limit")


class Watch:
    """A lane from now on."""

    def __init__(self, lane):
        self.lane = lane
        self.counters = lane.side.counters()
        self.threads = thread_times(lane.load.pids())

    def wait(self):
        """The longer of the two polling threads' waits, as a share."""
        now = self.lane.side.counters()
        _, waited = busiest(self.threads, thread_times(self.lane.load.pids()))
        return max(now.wait_ns - self.counters.wait_ns, waited) / 1e9 / (now.at - self.counters.at)

    def drops(self):
        """{"dropped as REASON": packets}."""
        before = self.counters.drops
        return {f"dropped as {name}": n - before.get(name, 0)
                for name, n in self.lane.side.counters().drops.items() if n > before.get(name, 0)}


# -- the kinds: each gives {figure: number}, the name of the one that is judged, and whether its mark is met

def over(marks, key):
    return sum(one[key] for one in marks)


def sustain(lane, seconds, conversations):
    """Conversations at the rate for which the lane's table has room."""
    rate = sustained(lane.shape.tracking.connections)
    lane.load.talk(conversations=conversations, directions=1, rate=rate)
    watch = Watch(lane)
    each = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(max(0, min(1, end - time.monotonic())))
        each.append(lane.load.mark())
    (used, evicted), wait = lane.side.connections(), watch.wait()
    said, drops = lane.load.stop(), watch.drops()
    return {
        "offered per second": rate,
        "conversations per second": over(each, "conversations") / over(each, "seconds"),
        "in the slowest second": min(one["conversations"] / one["seconds"] for one in each),
        "conversations": said["conversations"], "given up": said["abandoned"], "frames lost": said["lost"],
        REFUSED: sum(drops.get(name, 0) for name in FULL), "evicted": evicted, "entries at the end": used,
        "room": lane.shape.tracking.connections, "% waited": 100 * wait, **drops,
    }


def a_minute(bench, trial, side):
    with Lane(bench, side, Shape(tracking=trial.tracking)) as lane:
        found = sustain(lane, trial.seconds, trial.traffic.conversations)
    return found, REFUSED, room_kept(found)


def room_kept(found):
    """None: so few were held that nothing is said of the room."""
    if found[REFUSED]:
        return False
    return True if found["conversations per second"] >= CARRIED_MIN * found["offered per second"] else None


def timed(work):
    """Milliseconds."""
    start = time.monotonic()
    work()
    return (time.monotonic() - start) * 1e3


def apply(bench, trial, _):
    """No VM is connected; a port in groups is enough for the rules to be compiled."""
    def document(tracking):
        setup = Setup(sockets=["vm0.sock", "vm1.sock"], cpu=bench.cpus[1], tracking=tracking)
        return Weir(bench.preset).document(setup, setup.ports)
    few = document(Tracking(trial.tracking.connections))
    with Switch(few, preset=bench.preset) as switch:
        paths = [switch.work.file(name) for name in ("few.yaml", "many.yaml")]
        for path, content in zip(paths, (few, document(trial.tracking))):
            with open(path, "w") as file:
                json.dump(content, file)
        changed, unchanged = [], []
        for _ in range(APPLIES):
            changed.append(timed(lambda: switch.ctl("apply", paths[1])))
            unchanged.append(timed(lambda: switch.ctl("apply", paths[1])))
            switch.ctl("apply", paths[0])
        size = os.path.getsize(paths[1])
    return {"ms of weirctl apply": statistics.median(changed), "longest": max(changed),
            "ms without a change": statistics.median(unchanged), "bytes of the document": size}, None, None


def stream(lane, trial, rate, applies):
    """(the generator's totals, drops, the wait, the time of the longest apply in ms)."""
    longest = 0.0
    lane.load.start(**trial.traffic.words(), rate=rate)
    # Behind the frames that teach addresses, which the groups refuse.
    watch, start = Watch(lane), time.monotonic()
    for second in range(1, trial.seconds + 1):
        time.sleep(max(0, start + second - time.monotonic()))
        if applies:
            extra = [{"allow": "tcp", "dport": 1000}] * (second % 2)
            longest = max(longest, timed(lambda: lane.side.apply(extra)))
    wait = watch.wait()
    return lane.load.stop(), watch.drops(), wait, longest


def applies(bench, trial, side):
    """What was sent and not received is lost; what found a ring full was never sent. Who has to wait for its
    CPU lets a ring run full, which says nothing of the switch."""
    with Lane(bench, side, Shape(tracking=trial.tracking)) as lane:
        rates = [measure(lane, trial.traffic, SATURATION, 0.5).mpps for _ in range(3)]
        rate = round(trial.load * statistics.median(rates) * 1e6)
        without, *_ = stream(lane, trial, rate, False)
        said, drops, wait, longest = stream(lane, trial, rate, True)
    met = said["lost"] <= without["lost"] or (None if wait > WAIT_MAX else False)
    return {"frames per second": rate, "applied": trial.seconds, "ms of the longest": longest,
            "sent": said["sent"], "lost": said["lost"], "lost without": without["lost"],
            "refused": said["refused"], "refused without": without["refused"],
            "p99 µs": said["latency_us"]["p99"], "p99 without": without["latency_us"]["p99"],
            "longest µs": said["latency_us"]["max"], "longest without": without["latency_us"]["max"],
            "% waited": 100 * wait, **drops}, "lost", met


KINDS = {"sustain": a_minute, "apply": apply, "applies": applies}


# -- all of them

def name(trial, side):
    return f"{trial.name} / {side}"


def chosen(there, wanted):
    """[(trial, side)] of those whose names are wanted and whose sides are there."""
    return [(trial, side) for trial in TRIALS for side in trial.sides
            if (side == "weir" or there(side)) and wanted(name(trial, side))]


def one(bench, trial, side):
    found = {"trial": trial.name, "side": side, "about": trial.about, "mark": trial.mark if side == "weir" else "",
             "commit": report.commit()}
    try:
        figures, judged, met = KINDS[trial.kind](bench, trial, side)
    except Failure as error:
        return found | {"error": str(error)}
    return found | {"figures": figures, "judged": judged, "met": met if found["mark"] else None}


def run(bench, todo, out, add, tell):
    """The results, older ones included where they are added to."""
    results = report.load(out, FILE, []) if add else []
    report.save(out, FILE, results)
    order = [(trial.name, side) for trial in TRIALS for side in trial.sides]
    for trial, side in todo:
        found = one(bench, trial, side)
        tell(line(found))
        kept = [old for old in results if (old["trial"], old["side"]) != (trial.name, side)]
        results = sorted([*kept, found], key=lambda at: order.index((at["trial"], at["side"])))
        report.save(out, FILE, results)
    return results


# -- words

def text(value):
    return f"{value:,.0f}" if isinstance(value, int) or value >= 1000 else report.figure(value, 1)


def figures(found):
    return ", ".join(f"{label} {text(value)}" for label, value in found["figures"].items())


def verdict(found):
    return {True: "met", False: "missed", None: "not judged"}[found["met"]] if found["mark"] else "no mark"


def line(found):
    start = f"{found['trial']} / {found['side']}: "
    if "error" in found:
        return start + f"failed: {found['error']}"
    return start + figures(found) + (f"; {found['mark']}: {verdict(found)}" if found["mark"] else "")
