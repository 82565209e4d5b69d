"""A few of the rates' cases, short: whatever is not dropped arrives, in order, and no rate is exceeded. How
well a rate is reached is judged loosely, since a machine that runs tests does other things, too."""
import math
import time

from . import rates_cases as plan
from .cases import Shape
from .lanes import Bench
from .measure import Near
from .rates_run import CHANGE_EACH, RatesRun, STREAM
from .smoke import Report, unit_tests
from weirvm.procs import Failure

MBIT = plan.MBIT
# Of the target, over a third of a second: a burst more, and what a busy machine lets a worker miss.
MOST, LEAST = 1.1, 0.7
SLOW = 20 * MBIT            # a worker that waits for its CPU now and then still reaches it
UNFAIR = 0.15
LATEST_MS = 0.9e3 * CHANGE_EACH     # what took no effect takes all of it, less a bucket


def exact(way, frame, bits=0, packets=0):
    return plan.RateCase(f"{way}: {plan.name_of(frame)}", "exact", way=way, bits=bits, packets=packets, frame=frame,
                         shape=plan.shape_for(frame))


EXACT = (*(exact(way, frame, bits=bits) for way in plan.WAYS
           for frame, bits in ((1500, SLOW), (64, MBIT), ("imix", SLOW), ("tso", 10 * SLOW))),
         *(exact(way, 64, packets=10_000) for way in plan.WAYS))


def near_target(result, wanted, waits):
    """A machine that is busy keeps a worker from its rate for as long as it has to wait, but makes nothing
    faster. Windows without a look at their ends say nothing of the whole."""
    share = result["figures"]["actual"] / wanted
    if share > MOST or (share < LEAST and 1 - share > max(waits)):
        raise Failure(f"{share:.3f} of the target")
    return f"{share:.3f} of the target; {result['disturbed']}".rstrip("; ")


def reached(run, case):
    result = run.result(case)
    if result.get("unreachable"):
        # All others are so slow that any machine carries them.
        if case.frame != "tso":
            raise Failure(f"{result['figures']['carried'] / MBIT:.1f} Mbit is all that goes without a rate")
        return "more than this machine carries"
    if case.way == "from-vm" and result["figures"]["drops"]:
        raise Failure(f"dropped: {result['figures']['drops']}")
    return near_target(result, case.bits or case.packets, run.waits)


def check_books(seen):
    """Of a VM that is sent more than its queue can take."""
    if not seen.lost or seen.lost != seen.dropped:
        raise Failure(f"{seen.lost} lost and {seen.dropped} dropped")


def all_accounted(run, frame):
    """A VM that is sent more than its rate: what was sent is what it got and what was dropped."""
    with run.lane("weir", Shape()) as lane:
        lane.side.set_rates({1: {"to-vm": {"bits": "20Mbit"}}})
        seen = run.record(lane, [STREAM | {"frame": frame, "rate": 5000, "window": 0}], 0.3)
        stream = seen.streams[0]
        check_books(seen)
        if stream["misordered"]:
            raise Failure(f"{stream['misordered']} misordered")
        return f"{stream['received']} received, {seen.dropped} dropped"


def changed_while_full(run):
    """Another scheduler, another rate, no rate: nothing gets lost that is not counted."""
    with run.lane("weir", Shape()) as lane:
        def during():
            for words in ({"scheduler": "drr"}, {"scheduler": "fq-codel"}, {"scheduler": "prio"}, None,
                          {"scheduler": "fifo", "bits": "30Mbit"}):
                lane.side.set_rates({1: {"to-vm": {"bits": "20Mbit"} | words}} if words else {})
                time.sleep(0.1)
        lane.side.set_rates({1: {"to-vm": {"bits": "20Mbit"}}})
        streams = [STREAM | {"frame": frame, "rate": 3000, "window": 0, "flows": 16} for frame in (1500, 64)]
        seen = run.record(lane, streams, 1, during=during)
        check_books(seen)
        return f"{sum(one['received'] for one in seen.streams)} received, {seen.dropped} dropped"


def fair(run):
    """A busy machine may let a flow's frames wait until its queue was empty."""
    result = run.result(named("drr"))
    figures = result["figures"]
    if figures["jain"] < 1 - UNFAIR and not result["disturbed"]:
        raise Failure(f"Jain's index {figures['jain']:.3f}: {figures['mbit']}")
    return f"Jain's index {figures['jain']:.4f}"


def shares(run):
    result = run.result(named("three VMs 1:2:4"))
    figures = result["figures"]
    if figures["share"] > UNFAIR and not result["disturbed"]:
        raise Failure(f"shares are off by {figures['off']}")
    return f"shares within {figures['share']:.2%}"


def marked(run):
    result = run.result(named("fq-codel, ECN"))
    figures = result["figures"]
    if figures["dropped"] or (not figures["marked"] and not result["disturbed"]):
        raise Failure(f"{figures['marked']} marked and {figures['dropped']} dropped")
    return f"{figures['marked']} of {figures['received']} marked, none dropped"


def changes(run, way):
    """Each before the next one, unless the machine is busy."""
    result = run.result(named(f"takes effect, {way}"))
    figures = result["figures"]
    if figures["worst_ms"] > LATEST_MS and not result["disturbed"]:
        raise Failure(f"one of {figures['changes']} takes {figures['worst_ms']:.1f} ms or more")
    return f"median {figures['median_ms']:.2f} ms"


def named(text):
    return next(case for case in plan.CASES if text in case.name)


def statistics():
    """The logic of windows."""
    from . import test_rates
    return unit_tests(test_rates)


STEPS = (
    *((f"rates: {case.name}", lambda run, case=case: reached(run, case)) for case in EXACT),
    ("rates: to-vm, more than the rate: all is accounted for", lambda run: all_accounted(run, 1500)),
    ("rates: to-vm, the scheduler changes: all is accounted for", changed_while_full),
    ("rates: drr", fair),
    ("rates: fq-codel marks", marked),
    ("rates: three VMs share", shares),
    *((f"rates: a change takes effect, {way}", lambda run, way=way: changes(run, way)) for way in plan.WAYS),
)


def smoke(preset, cpus, only, results):
    """The whole of it; the exit status."""
    report = Report(results)
    if only("statistics"):
        report.case("rates: statistics", statistics)
    bench = Bench(preset, cpus)
    with RatesRun(bench, Near(bench, math.inf), hasty=True) as run:
        for name, work in STEPS:
            if only(name) and not report.case(name, lambda work=work: work(run)):
                # Whatever state they are in: the next case gets new ones.
                run.lanes.keep_only(())
        report.case("rates: the end", lambda: ended(run))
    return report.end()


def ended(run):
    run.lanes.keep_only(())
    if run.lanes.complaints:
        raise Failure("; ".join(run.lanes.complaints))
