"""The page of the chains' results, and the table that is printed."""
import itertools
import os

from . import chains_cases as plan, chains_moved, page, report
from .interval import WALKED
from .markdown import section, text_table
from .measure import is_close, median, spread
from .report import discards, figure, percent

INTRO = """# Chains of network functions

Written by `bench/chains --page`; do not edit. How chains are set: [weir.yaml.md](weir.yaml.md); how they work:
[architecture.md](architecture.md).
"""

ABOUT = """## What is measured

The generator plays the client, the server and all network functions (NFs) between them, on one CPU. An NF is
two-armed and transparent: it reads the head of each frame that comes at one of its ports, and sends the frame out
at the other, unchanged and from the same buffer. So what a hop costs is the switch's. Connections are UDP, begun by
the client and established; frames have 64 B and go both ways, replies backwards through the same NFs.

- **A hop.** *c(n)* are the worker's busy cycles per packet delivered, from end to end, where there are n hops; *c(0)*
  are those of plain forwarding between the same two ports: no chain, connections tracked, and allowed by the same
  group. A hop costs *h(n) = (c(n) − c(0)) / n*: one more pass through the switch, in which the packet is taken from
  the NF's ring, its connection is found, and the frame is copied to the next port. Judged is *h(n) / c(0)* within a
  repetition, in which both are measured one right after the other, and of these the median.
- **Linear** they are if the dearest *h(n) / c(0)* of {hops} hops is at most {linear:g} × the cheapest.
- **As fast as it goes.** That is what marks judge. At the same load plain forwarding has time left and finds its packets
  one by one, each of which pays alone for what a burst shares; c(0) would be too large, and the hop would look cheap.
  The figures at the same load stand beside.
- **Walked.** The NFs count what they send on. A repetition in which that is not n × what was delivered, to {walked} of it,
  is discarded: nobody skips a hop, and few frames are lost on their way.
- **Open vSwitch** has no chains; the same one is given to it by the flows of `bench/ovs/chain-4.flows`: connections are tracked
  where packets enter the chain, and each hop is a flow from port to port. So it does less at a hop: it does not ask
  whether a packet that comes out of an NF belongs to a connection that visits it.
- **Huge pages**: the memory of the guests is on huge pages, as QEMU's `memory-backend-memfd,hugetlb=on` has it; else on
  ordinary ones. Each frame is read from one page of a guest and written to one of another; 18 rings of 256 buffers
  are more pages than a CPU knows the addresses of. What that costs: [performance-notes.md](performance-notes.md).
- **Inside**: the hops are groups of Weir's own (`nf: weir-firewall`), whose rules are asked when a connection begins.
- **Instances**: the NFs note the connections that they see, both ways. One of {instances} is taken out of the document while
  {moved:,} connections run; then all are forgotten, and begin anew.
"""


def case_of(one):
    return next(case for case in plan.CASES if case.name == one["case"])


def measured(results, peer):
    return [one for one in results if one["peer"] == peer and one.get("kept")]


# -- hops

def hop_values(one):
    """h(n) / c(0) of each repetition."""
    hops = case_of(one).shape.chain.hops
    return [(at["ratios"]["cycles_saturated"] - 1) / hops for at in one["repetitions"]]


def linear(results, flows, huge):
    """(the dearest hop over the cheapest, whether that is little, whether another run may say else); None: of
    some number of hops nothing is known. Too few repetitions judge nothing."""
    found = [one for one in measured(results, plan.PLAIN)
             if (case_of(one).traffic.flows, case_of(one).shape.huge_guests) == (flows, huge)]
    if len(found) != len(plan.HOPS):
        return None
    values = [median(hop_values(one)) for one in found]
    if min(values) <= 0:
        return None
    ratio = max(values) / min(values)
    enough = all(one["kept"] >= one["wanted"] for one in found)
    dearest, cheapest = (found[values.index(which(values))] for which in (max, min))
    close = is_close([value / min(values) for value in hop_values(dearest)], plan.LINEAR) or is_close(
        [max(values) / value for value in hop_values(cheapest) if value > 0], plan.LINEAR)
    return ratio, ratio <= plan.LINEAR if enough else None, close


def linear_rows(results):
    """Rows of the table of marks."""
    text = f"the dearest hop ≤ {plan.LINEAR:g} × the cheapest"
    for huge, flows in itertools.product((False, True), plan.FLOWS):
        name = f"{', '.join(map(str, plan.HOPS))} hops, {plan.series(flows, huge)}"
        found = linear(results, flows, huge)
        if found:
            ratio, met, close = found
            yield [name, "–", text, figure(ratio), page.MET[met] + (" (close)" if close and met is not None else "")]
        elif results:
            yield [name, "–", text, "–", page.MET[None]]


HOP_HEAD = ["case", "c(n)", "c(0)", "h(n)", "h(n) / c(0)", "spread", "packets per burst", "Mpps", "bottleneck",
            "at the same load: c(n)", "c(0)", "h(n)", "packets per burst", "kept", "discarded"]


def hop_row(one):
    hops, values = case_of(one).shape.chain.hops, hop_values(one)

    def three(key):
        chain, none = one[f"weir_{key}"], one[f"peer_{key}"]
        return [figure(chain, 1), figure(none, 1), figure((chain - none) / hops, 1)]
    return [one["case"], *three("cycles_saturated"), figure(median(values)), percent(spread(values)),
            page.both(one, "burst_saturated", 1), page.both(one, "mpps"),
            f"{one['bottleneck']} / {one['peer_bottleneck']}", *three("cycles"), page.both(one, "burst", 1),
            one["kept"], discards(one)]


def hops(results):
    found = measured(results, plan.PLAIN)
    return section("What a hop costs", "Busy cycles per packet, from end to end.\n\n"
                   + text_table(HOP_HEAD, map(hop_row, found)) if found else "")


# -- the others

BESIDE_HEAD = ["case", "as fast as it goes: Weir", "peer", "ratio", "packets per burst", "Mpps", "bottleneck",
               "at the same load: Weir", "peer", "ratio", "packets per burst", "p50 µs", "kept", "discarded"]


def beside_row(one):
    def three(key):
        return [figure(one[f"weir_{key}"], 1), figure(one[f"peer_{key}"], 1), figure(one["ratios"][key])]
    return [one["case"], *three("cycles_saturated"), page.both(one, "burst_saturated", 1), page.both(one, "mpps"),
            f"{one['bottleneck']} / {one['peer_bottleneck']}", *three("cycles"), page.both(one, "burst", 1),
            page.both_latencies(one, "p50"), one["kept"], discards(one)]


def beside(results, peer, title, about):
    found = measured(results, peer)
    return section(title, about + "\n\n" + text_table(BESIDE_HEAD, map(beside_row, found)) if found else "")


def instances(moved):
    if not moved or "error" in moved:
        return ""
    found = moved["figures"]
    each = ", ".join(percent(share, 1) for share in found["shares"])
    return section("Instances", f"{chains_moved.text(found)}.\n\nShares: {each}.\n")


# -- marks

def pair_rows(results):
    return [[one["case"], one["peer"], mark["text"], figure(mark["value"]),
             page.MET[mark["met"]] + report.close([mark], mark["met"])]
            for one in results for mark in one.get("marks", []) if mark["what"] != "cpu_ratio"]


def moved_rows(moved):
    if moved and "error" in moved:
        return [[moved["case"], "–", "", "failed", "**failed**"]]
    return [[moved["case"], "–", mark["text"], mark["value"], page.MET[mark["met"]]]
            for mark in moved["marks"]] if moved else []


def mark_rows(results, moved):
    return [*pair_rows(results), *linear_rows(results), *moved_rows(moved), page.cpu_row(results)]


MARKS_HEAD = ["case", "peer", "mark", "measured", ""]


def lines(results, moved):
    """The tables for a terminal."""
    rows = [[str(cell) for cell in row] for row in mark_rows(results, moved)]
    return [*report.table(results), "", *report.aligned([MARKS_HEAD, *rows])]


def write(path, results, moved, about):
    """The page at `path`."""
    about_text = ABOUT.format(hops=", ".join(map(str, plan.HOPS)), linear=plan.LINEAR, walked=percent(WALKED),
                              instances=plan.INSTANCES, moved=plan.MOVED_FLOWS)
    failed = f"- {chains_moved.line(moved)}\n" if moved and "error" in moved else ""
    parts = [INTRO, section("Marks", text_table(MARKS_HEAD, mark_rows(results, moved)) + page.CLOSE), about_text,
             hops(results),
             beside(results, plan.OVS, "Beside Open vSwitch", "Four hops, connections tracked on the first."),
             beside(results, plan.IN_VMS, "Hops inside the switch", "Beside the same number of hops in VMs."),
             instances(moved), page.not_measured(results, about), section("Failed", failed),
             page.method(results, about), page.machine(results, about), page.sides(about)]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        file.write("\n".join(part for part in parts if part))
