"""The page of results: everything that a reader needs to judge or repeat them. It is written anew by each
run; what people have to say stands in a file of its own."""
import os

from .cases import CPU_RATIO, SATURATED, WAIT_MAX
from .interval import WARM_MAX
from .markdown import section, text_table
from .measure import CARRIED_MIN, NEAR_FACTOR, NEAR_MAX_NS, PATIENCE, REFUSED_MAX
from .page_tracking import at_both_loads, trial_rows, trials
from .report import DIGITS, UNITS, close, discards, failed, figure, main_figures, percent, trees, verdict

NOTES = "performance-notes.md"

INTRO = """# Performance

Written by `bench/compare --page`; do not edit. What people have to say about these figures, above all about
missed marks, stands in [{notes}]({notes}). How to find where cycles go: [profiling.md](profiling.md).
"""

ALSO = """
Two workers on two pairs of VMs are compared by `bench/instructions`, which counts instructions per packet,
and memory by `bench/footprint`{which}. Scaling over workers is not measurable on two CPUs, one of which is
the generator's. {close}"""

CLOSE = """*(close)*: the limit lies between the quartiles of what was measured, so another run may end on its other
side.
"""

METHOD = """## Method

Weir and a peer switch the same frames between the same two ports of the same generator, `weir-load`, which
plays two VMs on DPDK `net_virtio_user` ports: the same frames, rings of 256, offered features and buffers;
mergeable buffers on, TSO off except in the TSO case. Everything else is each switch's default configuration,
or stands with its reason under *Sides*. The generator polls on CPU {generator}, the switching thread on CPU
{switch}; there is one of each. Flows are sent in a scattered order, the same for each side.

Both stand ready together, all their processes stopped by a signal but those being measured. One *repetition*
is: one side as fast as it goes and at a given load, then the other in the same way ({seconds:g} s each,
behind {warm:g} s of warm-up, and up to {warm_max} s more for a side whose slow path still sees packets). Weir
begins in the first repetition, the peer in the second, and so on; what the first of a repetition makes
worthless is not measured on the second. The *given load* is the same for both: {load} of what the slower one
moved as fast as it goes, found in a calibration before (the latency cases say theirs), and less where a side
did not carry that: a generator's frames cost it more where they go out a few at a time. Where frames are small
the generator often saturates before the switch; only at the same offered load are cycles comparable, and
packets per burst are told because short bursts cost more per packet.

- **Cycles** are the busy cycles (TSC) of the switching thread per packet *delivered* at the given load, as
  each switch counts them itself, of rounds that moved packets: over the packets that it took, less the share
  that never reached the receiver. That share, **lost**, is the generator's, for all sides. **Mpps** are the
  packets received per second when the generator sends as fast as it goes, all directions together.
- **Ratio** is Weir's figure over the peer's within one repetition, and of these the median over all kept
  repetitions. All other figures are medians, too. **Spread** is the distance between the quartiles of that
  ratio, divided by its median.
- **Latency** is one way through the switch: from the time stamp in the payload, written just before the
  frame is put into the sender's ring, to the receiver's poll that finds it. It stands beside the cycles,
  too: a switch that lets packets gather saves cycles and spends time.
- **Refused** are the frames that were due and found the sender's ring full, or as many on their way as the
  receiver has buffers for. They are never sent, and stamps are taken when a frame is sent: latencies *do not
  include* frames that could not be sent when due, so p99.9 is a lower bound, and the more so the more were
  refused. A repetition of the latency cases in which a side refused more than {refused} is discarded.
- **CPU** is the CPU time of all threads of the switch over its busy cycles, as fast as it goes. Where the
  switch is saturated it is to be at most {cpu:g}: no work is hidden in other threads or in rounds that count
  as idle. Where it is not saturated the rest is polling without packets, and nothing is judged.
- **Bottleneck** is what limits a side as fast as it goes: `switch` if more than {saturated} of its time was
  busy, `generator` if that holds for the generator's, `both`, or `neither`: then they wait for each other.

**A caveat: {pages}

**Which repetitions count.** The CPUs of a virtual machine wander: the round trip of a cache line between two
of them is 40 ns at one minute and 165 ns at the next, and every figure follows it. The bench measures that
round trip before, between and behind the two sides of each repetition, with everything else stopped, and
keeps a repetition only if all three are *near*: here at most {near} ns ({how_near}). It also discards one
in which a polling thread was ready to run and did not for more than {wait} of an interval (or more than its
case says), or in which a side did not carry the given load (less than {carried} of it was received, or see
*refused*). A pair waits up to {patience} s for the near state and ends after {most} repetitions whatever was
kept; with fewer kept than {repetitions} no mark is judged. Here {kept} repetitions were kept and {discarded} discarded{reasons}. Round
trips seen in the last run: {trips}. A frame is *misordered* if it overtook another one of its sender, of
whatever flow.
"""


def both(one, key, digits=2):
    return f"{figure(one[f'weir_{key}'], digits)} / {figure(one[f'peer_{key}'], digits)}"


def both_latencies(one, key):
    return f"{figure(one['weir_latency_us'][key])} / {figure(one['peer_latency_us'][key])}"


def both_shares(one, key, digits):
    """Older results have none."""
    return f"{percent(one.get(f'weir_{key}'), digits)} / {percent(one.get(f'peer_{key}'), digits)}"


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
    met = all(mark["met"] for mark in judged)
    return [f"as fast as it goes: {len(judged)} comparisons in which Weir was saturated", "–", what,
            f"at most {figure(worst)}", MET[met] + close(judged, met)]


def other_rows(others):
    """The marks that the bench's other programs judge."""
    rows = []
    counted, memory = others["instructions"], others["footprint"]
    # With --by-function it compares nothing.
    if counted and "ratio" in counted:
        rows.append(["two workers on two pairs of VMs", "one worker",
                     f"instructions per packet within {percent(counted['limit'])}",
                     f"{counted['ratio']:.3f} ×", MET[counted["met"]]])
    if memory:
        rows += [[name, "–", f"≤ {memory[f'{key}_mark_kib']} KiB resident", f"{memory[f'{key}_kib']} KiB",
                  MET[memory[f"{key}_kib"] <= memory[f"{key}_mark_kib"]]]
                 for name, key in (("an empty switch, beyond `memory`", "empty"),
                                   ("a connected port", "port"))]
    return rows


def marks(results, tried, others):
    rows = [[one["case"], one["peer"], mark["text"], figure(mark["value"]),
             MET[mark["met"]] + close([mark], mark["met"])]
            for one in results for mark in one.get("marks", []) if mark["what"] != "cpu_ratio"]
    text = text_table(["case", "peer", "mark", "measured", ""],
                      [*rows, cpu_row(results), *trial_rows(tried), *other_rows(others)])
    missed = [f"{one['case']} / {one['peer']}" for one in results if one.get("met") is False]
    missed += [one["trial"] for one in tried if one.get("met") is False]
    if missed:
        text += f"\nMissed: {'; '.join(missed)}. Profiles and remedies tried: [{NOTES}]({NOTES}).\n"
    absent = [f"`bench/{name}`" for name, found in others.items() if not found]
    which = f";\n{' and '.join(absent)} had not been run when this page was written" if absent else ""
    return section("Marks", text + ALSO.format(which=which, close=CLOSE))


# -- figures

def measured(results, latency):
    return [one for one in results if not one.get("error") and (one["main"] == "p50") == latency]


def cycles(results):
    head = ["case", "peer", "offered Mpps", "Weir", "peer", "ratio", "spread",
            "p50 µs, Weir / peer", "p99 µs", "packets per burst", "refused", "lost", "kept", "discarded",
            "marks"]
    rows = []
    for one in measured(results, latency=False):
        digits = DIGITS[one["main"]]
        weir, peer = (figure(value, digits) for value in main_figures(one))
        rows.append([one["case"], one["peer"], figure(one["offered_mpps"]), f"{weir} {UNITS[one['main']]}",
                     peer, figure(one["ratio"]), percent(one["spread"]), both_latencies(one, "p50"),
                     both_latencies(one, "p99"), both(one, "burst", 1), both_shares(one, "refused", 1),
                     both_shares(one, "lost", 2), one["kept"], discards(one), verdict(one)])
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
            "spread", "refused", "lost", "kept", "discarded", "marks"]
    rows = []
    for one in measured(results, latency=True):
        rows.append([one["case"], one["peer"], figure(one["offered_mpps"]),
                     *(both_latencies(one, key) for key in ("p50", "p99", "p999")),
                     figure(one["ratio"]), percent(one["spread"]), both_shares(one, "refused", 2),
                     both_shares(one, "lost", 2), one["kept"], discards(one), verdict(one)])
    return section("Latency", text_table(head, rows) if rows else "")


def instructions(found):
    if not found or "ratio" not in found:
        return ""
    rows = [[row["workers"], row["worker"], row["packets"], figure(row["burst"], 1),
             figure(row["instructions"], 1)] for row in found["rows"]]
    text = (f"By `bench/instructions`, frames: {found['frame']}{of_tree(found)}. Callgrind counts them; the "
            "rings are\nalways full.\n\n")
    return section("Instructions", text + text_table(
        ["workers", "worker", "packets", "packets per burst", "instructions per packet"], rows))


def footprint(found):
    if not found:
        return ""
    kinds = ("own", "programs", "switch.memory")
    rows = [[row["ports"], sum(row[kind] for kind in kinds), *(row[kind] for kind in kinds)]
            for row in found["rows"]]
    text = (f"By `bench/footprint`{of_tree(found)}: resident KiB without the VMs' own memory, which the "
            "switch only maps.\n*Own* is heap, stacks and data; *programs* are files, mostly shared with "
            "other processes.\n\n")
    return section("Memory", text + text_table(
        ["ports", "all", "own", "programs", "of `switch.memory`"], rows))


def of_tree(found):
    """They are measured by themselves, and not always when the comparisons are."""
    return f", tree {found['commit']}" if found.get("commit") else ""


def figures(plots, folder):
    return "\n".join(f"![{title}]({folder}/{name})\n" for name, title in plots)


# -- words

def cases(results):
    seen = {one["case"]: one["about"] for one in results if one.get("about")}
    return section("Cases", "".join(f"- **{name}**: {text}\n" for name, text in seen.items()))


def not_measured(results, about):
    lines = [f"- {name} was left out: {why}\n" for name, why in sorted(about["absent"].items())]
    lines += [f"- {one['case']} / {one['peer']} {failed(one)}: {one['error'].splitlines()[0]}\n"
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


def pages(about):
    """What the size of pages does to whom; the peers are started with --no-huge everywhere."""
    if about["machine"].get("huge pages") == "none":
        return ("pages of 4 KiB for everyone**, but where a case's name says otherwise: it reserves huge pages "
                "for Weir while it runs.\nElse none are reserved on this machine, so the packet "
                "buffers\nof all sides and the VMs' memory lie on small pages. That costs the peers more "
                "than Weir: they copy each\npacket into a buffer of a large pool and out of it again, with "
                "more pages than the TLB holds. With huge\npages their figures would probably be better; by "
                "how much is not measured here.")
    return ("huge pages for Weir alone.** This machine has some reserved and Weir's default takes them; the "
            "peers are\nstarted with `--no-huge`, which costs them; by how much is not measured here.")


def nears(results, about):
    """More than one where results were added to older ones."""
    limits = sorted({round(one.get("near_ns", about["near_ns"])) for one in results})
    return " or ".join(map(str, limits))


def method(results, about):
    kept, discarded, reasons = totals(results)
    low, middle, high = about["round_trips_ns"]
    how = ("given by hand" if about["near_given"] else
           f"{NEAR_FACTOR:g} × the lowest of a short calibration, never above {NEAR_MAX_NS} ns")
    return METHOD.format(
        generator=about["cpus"][0], switch=about["cpus"][1], seconds=about["seconds"],
        warm=about["warm_up"], warm_max=WARM_MAX, load=percent(about["load"]), cpu=CPU_RATIO,
        saturated=percent(SATURATED),
        refused=percent(REFUSED_MAX, 1), pages=pages(about),
        near=nears(results, about), how_near=how, wait=percent(WAIT_MAX), carried=percent(CARRIED_MIN),
        patience=f"{about.get('patience', PATIENCE):g}", most=about["most"],
        repetitions=about["repetitions"], kept=kept, discarded=discarded, reasons=reasons,
        trips=f"{low:.0f} to {high:.0f} ns, median {middle:.0f} ns")


def machine(results, about):
    rows = [*about["machine"].items(), ("command", f"`{about['command']}`"), ("Weir's tree", trees(results))]
    return section("Machine", text_table(["", ""], rows))


def sides(about):
    text = "Exact commands and configuration. `DIR` is the run's own folder.\n"
    for name, shapes in about["sides"].items():
        version = about["versions"].get(name)
        text += f"\n### {name}\n" + (f"\n{version}\n" if version else "")
        for shape, lines in shapes.items():
            text += f"\n{shape}:\n\n" + "".join(f"    {line}\n" for line in lines)
    return section("Sides", text)


def write(path, results, tried, about, others, plots, plots_folder):
    """The page at `path`. Links are as from its folder. `others` is {"instructions": what that program of
    the bench wrote, or None; "footprint": likewise}."""
    parts = [INTRO.format(notes=NOTES), marks(results, tried, others), cycles(results), saturated(results),
             at_both_loads(results), trials(tried), latency(results),
             instructions(others["instructions"]), footprint(others["footprint"]),
             figures(plots, plots_folder), cases(results), not_measured(results, about),
             method(results, about), machine(results, about), sides(about)]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        file.write("\n".join(part for part in parts if part))
