"""The page of results: everything that a reader needs to judge or repeat them. It is written anew by each
run; what people have to say stands in a file of its own."""
import os

from .cases import CPU_RATIO, SATURATED
from .measure import CARRIED_MIN, NEAR_FACTOR, NEAR_MAX_NS, PATIENCE, WAIT_MAX, WARM_MAX
from .report import DIGITS, UNITS, discards, figure, main_figures, percent, verdict

NOTES = "performance-notes.md"

INTRO = """# Performance

Written by `bench/compare --page`; do not edit. What people have to say about these figures, above all about
missed marks, stands in [{notes}]({notes}). How to find where cycles go: [profiling.md](profiling.md).
"""

ALSO = """
Two workers on two pairs of VMs are compared by `bench/instructions`, which counts instructions per packet,
and memory by `bench/footprint`; both stand in [{notes}]({notes}). Scaling over workers is not measurable
on two CPUs, one of which is the generator's.
"""

METHOD = """## Method

Weir and a peer switch the same frames between the same two ports of the same generator, `weir-load`, which
plays two VMs on DPDK `net_virtio_user` ports: the same frames, rings of 256, offered features and buffers;
mergeable buffers on, TSO off except in the TSO case. Everything else is each switch's default configuration,
or stands with its reason under *Sides*. The generator polls on CPU {generator}, the switching thread on CPU
{switch}; there is one of each. Flows are sent in a scattered order, the same for each side.

Both stand ready together, all their processes stopped by a signal but those being measured. One *repetition*
is: Weir as fast as it goes, Weir at a given load, then the peer in the same way ({seconds:g} s each, behind
{warm:g} s of warm-up, and up to {warm_max} s more for a side whose slow path still sees packets). Repetitions
follow each other, so Weir and peer take turns. The *given load* is the same for both: {load} of what the
slower one moved as fast as it goes, found in a calibration before; the latency cases say theirs. Where frames
are small the generator often saturates before the switch; only at the same offered load are cycles
comparable, and packets per burst are told because short bursts cost more per packet.

- **Cycles** are the busy cycles (TSC) of the switching thread per packet at the given load, as each switch
  counts them itself: of rounds that moved packets. **Mpps** are the packets received per second when the
  generator sends as fast as it goes, all directions together.
- **Ratio** is Weir's figure over the peer's within one repetition, and of these the median over all kept
  repetitions. All other figures are medians, too. **Spread** is the distance between the quartiles of that
  ratio, divided by its median.
- **Latency** is one way through the switch: from the time stamp in the payload, written just before the
  frame is put into the sender's ring, to the receiver's poll that finds it.
- **CPU** is the CPU time of all threads of the switch over its busy cycles, as fast as it goes. Where the
  switch is saturated it is to be at most {cpu:g}: no work is hidden in other threads or in rounds that count
  as idle. Where it is not saturated the rest is polling without packets, and nothing is judged.
- **Bottleneck** is what limits a side as fast as it goes: `switch` if more than {saturated} of its time was
  busy, `generator` if that holds for the generator's, `both`, or `neither`: then they wait for each other.

**Which repetitions count.** The CPUs of a virtual machine wander: the round trip of a cache line between two
of them is 40 ns at one minute and 165 ns at the next, and every figure follows it. The bench measures that
round trip before, between and behind the two sides of each repetition, with everything else stopped, and
keeps a repetition only if all three are *near*: here at most {near:.0f} ns ({how_near}). It also discards one
in which a polling thread was ready to run and did not for more than {wait} of an interval, or in which a
side did not carry the given load (less than {carried} of it was received). A pair waits up to {patience} s
for the near state and ends after {most} repetitions whatever was kept; with fewer kept than {repetitions} no
mark is judged. Here {kept} repetitions were kept and {discarded} discarded{reasons}. Round trips seen in the
last run: {trips}. A frame is *misordered* if it overtook another one of its sender, of whatever flow.
"""


def cells(values):
    return "| " + " | ".join(str(value).replace("|", "\\|") for value in values) + " |"


def text_table(head, rows):
    return "\n".join([cells(head), cells(["---"] * len(head)), *map(cells, rows)]) + "\n"


def section(title, text):
    return f"## {title}\n\n{text}" if text else ""


def both(one, key, digits=2):
    return f"{figure(one[f'weir_{key}'], digits)} / {figure(one[f'peer_{key}'], digits)}"


# -- marks

MET = {True: "met", False: "**missed**", None: "not judged"}


def cpu_row(results):
    """One line for the mark that all cases share."""
    what = f"CPU time of all threads ≤ {CPU_RATIO:g} × busy cycles"
    judged = [mark for one in results for mark in one.get("marks", [])
              if mark["what"] == "cpu_ratio" and mark["met"] is not None]
    if not judged:
        return ["as fast as it goes", "–", what, "–", "not judged: Weir was saturated in no case"]
    worst = max(mark["value"] for mark in judged)
    return [f"as fast as it goes: {len(judged)} comparisons in which Weir was saturated", "–", what,
            f"at most {figure(worst)}", MET[all(mark["met"] for mark in judged)]]


def marks(results):
    rows = [[one["case"], one["peer"], mark["text"], figure(mark["value"]), MET[mark["met"]]]
            for one in results for mark in one.get("marks", []) if mark["what"] != "cpu_ratio"]
    text = text_table(["case", "peer", "mark", "measured", ""], [*rows, cpu_row(results)])
    missed = [f"{one['case']} / {one['peer']}" for one in results if one.get("met") is False]
    if missed:
        text += f"\nMissed: {'; '.join(missed)}. Profiles and remedies tried: [{NOTES}]({NOTES}).\n"
    return section("Marks", text + ALSO.format(notes=NOTES))


# -- figures

def measured(results, latency):
    return [one for one in results if not one.get("error") and (one["main"] == "p50") == latency]


def cycles(results):
    head = ["case", "peer", "offered Mpps", "Weir", "peer", "ratio", "spread",
            "packets per burst, Weir / peer", "kept", "discarded", "marks"]
    rows = []
    for one in measured(results, latency=False):
        digits = DIGITS[one["main"]]
        weir, peer = (figure(value, digits) for value in main_figures(one))
        rows.append([one["case"], one["peer"], figure(one["offered_mpps"]), f"{weir} {UNITS[one['main']]}",
                     peer, figure(one["ratio"]), percent(one["spread"]), both(one, "burst", 1), one["kept"],
                     discards(one), verdict(one)])
    return section("Busy cycles at the same offered load", text_table(head, rows) if rows else "")


def saturated(results):
    head = ["case", "peer", "Weir Mpps", "peer Mpps", "ratio", "Gbit/s, Weir / peer",
            "cycles, Weir / peer", "packets per burst, Weir / peer", "CPU, Weir", "bottleneck, Weir / peer"]
    rows = [[one["case"], one["peer"], figure(one["weir_mpps"]), figure(one["peer_mpps"]),
             figure(one["ratios"]["mpps"]), both(one, "gbps", 1), both(one, "cycles_saturated", 1),
             both(one, "burst_saturated", 1), figure(one["cpu_ratio"]),
             f"{one['bottleneck'] or '–'} / {one['peer_bottleneck'] or '–'}"]
            for one in measured(results, latency=False)]
    return section("As fast as it goes", text_table(head, rows) if rows else "")


def latency(results):
    head = ["case", "peer", "offered Mpps", "p50 µs, Weir / peer", "p99 µs", "p99.9 µs", "ratio of p50",
            "spread", "kept", "discarded", "marks"]
    rows = []
    for one in measured(results, latency=True):
        weir, peer = one["weir_latency_us"], one["peer_latency_us"]
        rows.append([one["case"], one["peer"], figure(one["offered_mpps"]),
                     *(f"{figure(weir[key])} / {figure(peer[key])}" for key in ("p50", "p99", "p999")),
                     figure(one["ratio"]), percent(one["spread"]), one["kept"], discards(one), verdict(one)])
    return section("Latency", text_table(head, rows) if rows else "")


def figures(plots, folder):
    return "\n".join(f"![{title}]({folder}/{name})\n" for name, title in plots)


# -- words

def cases(results):
    seen = {one["case"]: one["about"] for one in results if one.get("about")}
    return section("Cases", "".join(f"- **{name}**: {text}\n" for name, text in seen.items()))


def not_measured(results, about):
    lines = [f"- {name} was left out: {why}\n" for name, why in sorted(about["absent"].items())]
    lines += [f"- {one['case']} / {one['peer']} failed: {one['error'].splitlines()[0]}\n"
              for one in results if one.get("error")]
    lines += [f"- {one['case']} / {one['peer']}: {one['kept']} of {one['wanted']} repetitions could be kept\n"
              for one in results if not one.get("error") and one["kept"] < one["wanted"]]
    return section("Not measured", "".join(lines))


def totals(results):
    """(kept, discarded, " (why)")."""
    why = {}
    for one in results:
        for reason, count in one.get("why_discarded", {}).items():
            why[reason] = why.get(reason, 0) + count
    text = "; ".join(f"{reason}: {count}" for reason, count in sorted(why.items()))
    return (sum(one.get("kept", 0) for one in results), sum(one.get("discarded", 0) for one in results),
            f" ({text})" if text else "")


def method(results, about):
    kept, discarded, reasons = totals(results)
    low, middle, high = about["round_trips_ns"]
    how = ("given by hand" if about["near_given"] else
           f"{NEAR_FACTOR:g} × the lowest of a short calibration, never above {NEAR_MAX_NS} ns")
    return METHOD.format(
        generator=about["cpus"][0], switch=about["cpus"][1], seconds=about["seconds"],
        warm=about["warm_up"], warm_max=WARM_MAX, load=percent(about["load"]), cpu=CPU_RATIO,
        saturated=percent(SATURATED),
        near=about["near_ns"], how_near=how, wait=percent(WAIT_MAX), carried=percent(CARRIED_MIN),
        patience=PATIENCE, most=about["most"],
        repetitions=about["repetitions"], kept=kept, discarded=discarded, reasons=reasons,
        trips=f"{low:.0f} to {high:.0f} ns, median {middle:.0f} ns")


def machine(results, about):
    # More than one tree where results were added to older ones.
    trees = list(dict.fromkeys(one["commit"] for one in results if one.get("commit")))
    rows = [*about["machine"].items(), ("command", f"`{about['command']}`"),
            ("Weir's tree", ", ".join(trees) or "–")]
    return section("Machine", text_table(["", ""], rows))


def sides(about):
    text = "Exact commands and configuration. `DIR` is the run's own folder.\n"
    for name, shapes in about["sides"].items():
        version = about["versions"].get(name)
        text += f"\n### {name}\n" + (f"\n{version}\n" if version else "")
        for shape, lines in shapes.items():
            text += f"\n{shape}:\n\n" + "".join(f"    {line}\n" for line in lines)
    return section("Sides", text)


def write(path, results, about, plots, plots_folder):
    """The page at `path`. Links are as from its folder."""
    parts = [INTRO.format(notes=NOTES), marks(results), cycles(results), saturated(results), latency(results),
             figures(plots, plots_folder), cases(results), not_measured(results, about),
             method(results, about), machine(results, about), sides(about)]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        file.write("\n".join(part for part in parts if part))
