"""The page of the rates' results, and the table that is printed."""
import os

from . import rates_cases as plan
from .markdown import section, text_table
from .measure import WAIT_MAX
from .page import MET
from .page import figures as pictures
from .rates_run import ATTEMPTS, CHANGES, OVERLOAD, RETRY_WAIT, RETRY_WITHIN, SPOILED_MAX
from .rates_windows import LATE
from .report import figure, percent, trees

INTRO = """# Rates: target and actual

Written by `bench/rates --page`; do not edit. What rates are and how they are set: [weir.yaml.md](weir.yaml.md).
"""

METHOD = """## Method

The generator plays the VMs and notes when each frame reaches its receiver, in buckets of 1 ms (0.1 ms for
changes of a rate), by a time stamp counter that it has measured against the kernel's raw clock itself. A VM whose
rate is measured always has frames waiting, {window} Frames count with their Ethernet header and without FCS,
preamble and gap (`layer: l2`); a TSO frame counts as the 45 segments it will be.

- **Mean** is over windows of 1 s or 500 frames, whichever is longer; **short** over windows of 10 ms or 50
  frames. One window begins with each bucket. One frame's time is allowed on each: a frame is whole. Of the
  means the median is told (judged: "{mean}"), and the worst; of the short ones the median, what
  nine of ten stay below (judged: "{short}") and the worst. A window counts only if the generator looked
  in time at both of its ends (within {late} of its length); the others are spoiled.
- A case is **tried again** if a polling thread was ready to run and did not for more than {wait} of the time (the
  median of its recordings), if more than {spoiled} of its short windows are spoiled or no window of a length is left, or,
  where the cost of a rate is compared in pairs, if none of these was measured in a calm moment: the round trip of
  a cache line between the two CPUs was near before and behind it (`--near`, or as `bench/compare` finds it), and no
  polling thread waited for more than {calm}. It is tried {attempts} times at the most, and no more behind one that took
  {patience} s. If the last one was disturbed likewise, a mark that it misses is not judged.
- **Unreachable**: without a rate less than {reachable} × the target is carried.
- **OVS** polices what a port receives (`ingress_policing_rate`): it drops. It is offered {overload} × the target, or
  all that the generator has. Its burst is a tenth of the rate, at least two frames. It counts frames without
  their Ethernet header, and a TSO frame as one; its errors are by its own count, and beside them by Weir's.
- **Cycles** are the worker's busy cycles (TSC) per packet. Where two are compared, the two take turns.
- **Many ports** are judged beside one port at the rate that each of them has: its frames come as few at a time as
  theirs, so what differs is that they are many. One port with all of their load takes long bursts, which cost
  less per packet whoever sends them; that comparison is printed, not judged.
- **Changes**: {changes} in each direction through the control socket; from the moment before the request was
  written to the end of the first bucket of 0.1 ms with the new pace.
"""


def verdict(one):
    if one.get("error"):
        return "failed"
    if one.get("unreachable"):
        return "unreachable"
    met = [mark["met"] for mark in one["marks"]]
    return "" if not met else MET[False] if False in met else MET[None] if None in met else MET[True]


def of(one, key, digits=3):
    value = one.get("figures", {}).get(key)
    return "–" if value is None else percent(value, digits)


def amount(value, packets):
    if value is None:
        return "–"
    return f"{value / 1e3:.2f} kpps" if packets else f"{value / plan.MBIT:.4g} Mbit" if value < 1e6 else (
        f"{value / plan.MBIT:.3f} Mbit")


EXACT_HEAD = ["target", "frame", "actual", "mean, median", "worst", "short, median", "p90", "worst", "drops",
              "cycles per packet", "CPU", ""]


def exact_row(one):
    found = one["figures"]
    if one.get("unreachable"):
        return [target(one), plan.name_of(one["frame"]), f"unreachable: {amount(found['carried'], 0)} at most",
                *["–"] * 8, ""]
    signed = found.get("mean_signed")
    return [target(one), plan.name_of(one["frame"]), amount(found["actual"], one["packets"]),
            "–" if signed is None else f"{100 * signed:+.3f} %", of(one, "mean_worst"), of(one, "short_median", 2),
            of(one, "short", 2), of(one, "short_worst", 2), sum(found["drops"].values()), figure(found["cycles"], 0),
            percent(found["cpu"]), verdict(one)]


def target(one):
    return f"{one['packets'] // 1000} kpps" if one["packets"] else plan.text_of(one["bits"])


def exact(results):
    text = ""
    for side, way, title in (("weir", "from-vm", "from-vm"), ("weir", "to-vm", "to-vm"),
                             ("ovs-normal", "from-vm", "OVS-DPDK, ingress policing")):
        found = [one for one in results if one["kind"] == "exact" and one["side"] == side and one["way"] == way
                 and not one.get("error")]
        if not found:
            continue
        head, rows = list(EXACT_HEAD), list(map(exact_row, found))
        if side != "weir":
            head[-1] = "by Weir's count"
            rows = [[*row[:-1], of(one, "mean_l2", 2)] for row, one in zip(rows, found)]
        text += f"### {title}\n\n{text_table(head, rows)}\n"
    return section("Rates one by one", text)


def marks(results):
    """Of all cases but those one by one, and how many of these are met."""
    rows = []
    for way in plan.WAYS:
        for unit, wanted in (("bits", plan.EXACT), ("packets", plan.PACED)):
            judged = [one for one in results if one["kind"] == "exact" and one["side"] == "weir"
                      and one["way"] == way and one[unit]]
            met = sum(verdict(one) == "met" for one in judged)
            out = sum(bool(one.get("unreachable")) for one in judged)
            if judged:
                rows.append([f"{len(judged)} rates of {unit}, {way}", ", ".join(mark.text for mark in wanted),
                             f"{met} met, {out} unreachable", MET[met + out == len(judged)]])
    for one in results:
        if one["kind"] != "exact":
            rows += [[one["case"], mark["text"], told(mark), MET[mark["met"]]] for mark in one.get("marks", [])]
            if one.get("error"):
                rows.append([one["case"], "", "failed", "**failed**"])
    missed = [one["case"] for one in results if one["kind"] == "exact" and verdict(one) == MET[False]]
    text = text_table(["case", "mark", "measured", ""], rows)
    return section("Marks", text + (f"\nMissed: {'; '.join(missed)}.\n" if missed else ""))


def told(mark):
    value = mark["value"]
    if value is None:
        return "–"
    return percent(value, 2) if "%" in mark["text"] else figure(value, 3)


def facts(one):
    """What else is known of a case, in words."""
    found = dict(one["figures"])
    kind = one["kind"]
    if kind == "tenth":
        return "; ".join(f"{percent(at['share'])} of it: {at['mbit']:.0f} Mbit, CPU {percent(at['cpu'])}, busy "
                         f"{percent(at['busy'])}, {figure(at['cycles'], 0)} cycles per packet"
                         for at in found["loads"])
    if kind in ("many", "bench_alone"):
        text = (f"{figure(found['many_cycles'], 0)} cycles per packet in bursts of {figure(found['many_burst'], 1)}; "
                f"one port at that rate {figure(found['same_rate_cycles'], 0)} "
                f"({figure(found['same_rate_burst'], 1)}), with all of it {figure(found['same_load_cycles'], 0)} "
                f"({figure(found['same_load_burst'], 1)})")
        if "mean" in found:
            text += f"; the port that is furthest off misses its rate by {percent(found['mean'], 2)}"
        return text
    if kind == "unreached":
        return (f"{figure(found['cycles_with'], 1)} cycles with it, {figure(found['cycles_without'], 1)} without, "
                f"{found['calm']} pairs in calm moments; at {found['half_mpps']:.2f} Mpps, where "
                f"{found['half_burst']:.1f} packets are a burst, {figure(found['half_cycles_with'], 1)} and "
                f"{figure(found['half_cycles_without'], 1)}")
    if kind == "beside":
        return (f"{found['lowest']:.3f} to {found['highest']:.3f}; the slow VM has {found['slow_mbit']:.3f} Mbit")
    if kind == "drr":
        return ", ".join(f"{frame} B: {mbit:.2f} Mbit" for frame, mbit in zip(found["frames"], found["mbit"]))
    if kind == "codel":
        return (f"sparse flow: median {found['wait_ms']:.2f} ms, p99 {found['wait_p99_ms']:.2f} ms; bulk flow: "
                f"{found['bulk_wait_ms']:.1f} ms, {found['marked']} of {found['received']} marked, "
                f"{found['dropped']} dropped; the rate is off by {percent(found['mean'], 2)}")
    if kind == "tenant":
        each = ", ".join(f"{mbit:.1f} Mbit ({100 * off:+.2f} %)" for mbit, off in zip(found["mbit"], found["off"]))
        return f"{each}; all together off by {percent(found['mean'], 3)}"
    return (f"median {found['median_ms']:.2f} ms, nine of ten {found['p90_ms']:.2f} ms, worst {found['worst_ms']:.2f} ms "
            f"of {found['changes']}; the call itself takes {found['call_ms']:.2f} ms")


def others(results):
    rows = [[one["case"], one["about"], facts(one)] for one in results
            if one["kind"] != "exact" and not one.get("error")]
    return section("Together", text_table(["case", "what", "measured"], rows) if rows else "")


def machine(results, about):
    return section("Machine", text_table(["", ""], [*about["machine"].items(), ("command", f"`{about['command']}`"),
                                                    ("Weir's tree", trees(results)),
                                                    *about["versions"].items()]))


def lines(results):
    """The table for a terminal."""
    for one in results:
        if one.get("error"):
            yield f"{one['case']}: failed: {one['error'].splitlines()[0]}"
        elif one["kind"] == "exact":
            yield f"{one['case']}: {'  '.join(map(str, exact_row(one)[2:]))}"
        else:
            yield f"{one['case']}: {verdict(one) or 'no mark'}: {facts(one)}"


def write(path, results, about, plots, folder):
    """The page at `path`; links to the plots are as from its folder."""
    mean, short = (mark.text for mark in plan.EXACT)
    method = METHOD.format(window="a ring full of them.", mean=mean, short=short, late=percent(LATE, 1),
                           attempts=ATTEMPTS, patience=RETRY_WITHIN, wait=percent(RETRY_WAIT),
                           spoiled=percent(SPOILED_MAX), calm=percent(WAIT_MAX), reachable=plan.REACHABLE,
                           overload=OVERLOAD, changes=CHANGES)
    absent = "".join(f"- {name} was left out: {why}\n" for name, why in sorted(about["absent"].items()))
    failed = "".join(f"- {one['case']} failed: {one['error'].splitlines()[0]}\n" for one in results
                     if one.get("error"))
    parts = [INTRO, marks(results), others(results), exact(results), pictures(plots, folder),
             section("Not measured", absent + failed), method, machine(results, about)]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        file.write("\n".join(part for part in parts if part))
