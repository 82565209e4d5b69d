"""Chains, without a clock: all that is sent arrives, once, in order and unchanged, and has visited each network
function; one instance less moves no connection but its own."""
import time

from . import chains_cases as plan, chains_moved
from .cases import Traffic
from .chaining import Chain
from .interval import let_client_begin
from .lanes import Bench
from .smoke import RATE, SECONDS, Report, in_a_lane, settled, unit_tests
from weirvm.procs import Failure

# A port takes a second to come up.
CHAINS = (Chain(3), Chain(2, one_armed=True), Chain(4, inside=True), Chain(1, instances=4))
FLOWS = 100
FRAMES = (64, 1500)
MOVED_FLOWS = 400
CONVERSATIONS = 100
PATIENCE = 20       # seconds, for a busy machine


def walk(lane, frame):
    traffic, chain = Traffic(frame, flows=FLOWS), lane.shape.chain
    let_client_begin(lane, traffic)

    def work(at):
        lane.load.start(**traffic.words(), rate=round(at), visits=True)
        time.sleep(SECONDS)
        return lane.load.stop()
    said, visits = settled(lane, work, RATE), set(lane.load.visits())
    if said["relayed"] != chain.visited() * said["received"] or visits != {(1 << chain.visited()) - 1}:
        raise Failure(f"{said['relayed']} visits of {said['received']} frames; connections visited "
                      f"{sorted(map(bin, visits))}")
    return f"{said['received']} frames, {said['relayed']} visits"


def talk(lane):
    def work(at):
        lane.load.talk(conversations=CONVERSATIONS, directions=1, rate=round(at))
        end = time.monotonic() + PATIENCE
        while not lane.load.mark()["conversations"] and time.monotonic() < end:
            time.sleep(SECONDS)
        return lane.load.stop()
    said = settled(lane, work, RATE)
    if not said["conversations"]:
        raise Failure(f"no conversation was completed: {said}")
    return f"{said['conversations']} conversations, {said['received']} frames"


def moved(lane):
    figures = chains_moved.moved(lane, MOVED_FLOWS, RATE)
    others = figures["running_others_moved"] + figures["new_others_moved"]
    if others or figures["left"] or not all(figures["shares"]):
        raise Failure(f"{figures}")
    return chains_moved.text(figures)


def statistics():
    from . import test_chains
    return unit_tests(test_chains)


def steps(chain):
    if chain.instances > 1:
        return [("one instance removed", moved)]
    return [*((f"{frame} B", lambda lane, frame=frame: walk(lane, frame)) for frame in FRAMES),
            ("complete TCP conversations", talk)]


def group(report, bench, shape, only):
    name = shape.chain.text()
    todo = [(f"{name}: {label}", work) for label, work in steps(shape.chain) if only(f"{name}: {label}")]
    in_a_lane(report, bench, name, shape, todo)


def smoke(preset, cpus, only, results):
    """The whole of it; the exit status."""
    report = Report(results)
    if only("statistics"):
        report.case("chains: statistics", statistics)
    bench = Bench(preset, cpus)
    for shape in map(plan.shape, CHAINS):
        group(report, bench, shape, only)
    return report.end()
