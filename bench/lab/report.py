"""The results for people and programs: a table, and JSON."""
import json
import os
import platform
import re

from . import ROOT
from weirvm.procs import run

RESULTS = "results.json"
ABOUT = "run.json"


# -- the machine

def machine():
    """What a reader has to know of the machine; no names of it."""
    text = run(["lscpu"], env=dict(os.environ, LC_ALL="C")).stdout
    said = dict(re.findall(r"^([^:\n]+):\s*(.+)$", text, re.M))
    with open("/proc/meminfo") as file:
        memory = re.search(r"MemTotal:\s+(\d+)", file.read())
    return {
        "processor": said.get("Model name", "unknown"),
        "family, model, stepping": ", ".join(said.get(key, "?")
                                             for key in ("CPU family", "Model", "Stepping")),
        "CPUs": f"{os.cpu_count()}, {said.get('Thread(s) per core', '?')} thread(s) per core",
        "virtual": said.get("Hypervisor vendor", "no"),
        "caches": ", ".join(f"{name} {said[f'{name} cache']}" for name in ("L1d", "L2", "L3")
                            if f"{name} cache" in said),
        "memory": f"{int(memory[1]) / 2 ** 20:.0f} GiB" if memory else "unknown",
        "huge pages": huge_pages(),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def huge_pages():
    with open("/proc/meminfo") as file:
        total = re.search(r"HugePages_Total:\s+(\d+)", file.read())
    return total[1] if total and int(total[1]) else "none"


def commit():
    """What was built, as far as the tree tells; "" outside a checkout."""
    done = run(["git", "-c", "safe.directory=*", "-C", ROOT, "describe", "--always", "--dirty"], check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def trees(results):
    """More than one where results were added to older ones."""
    return ", ".join(dict.fromkeys(one["commit"] for one in results if one.get("commit"))) or "–"


# -- files

def load(folder, name, default):
    try:
        with open(os.path.join(folder, name)) as file:
            return json.load(file)
    except FileNotFoundError:
        return default


def save(folder, name, value):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    # Whole or not at all: an interrupted run keeps the results it had.
    with open(path + ".new", "w") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")
    os.replace(path + ".new", path)


# -- words and figures

def figure(value, digits=2):
    if value is None:
        return "–"
    if isinstance(value, float) and abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def percent(value, digits=0):
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def close(marks, met):
    """What to add to a verdict that another run may turn: a miss stands if one mark is clearly missed."""
    decisive = [mark.get("close", False) for mark in marks if mark["met"] is met and met is not None]
    return " (close)" if any(decisive) and (met or all(decisive)) else ""


def failed(one):
    return "left out" if one.get("left_out") else "failed"


def verdict(one):
    if "error" in one:
        return failed(one)
    if not one["mark"]:
        return "no mark"
    met = one["met"]
    return {True: "met", False: "missed", None: "not judged"}[met] + close(one["marks"], met)


def discards(one):
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(one["why_discarded"].items()))
    return f"{one['discarded']}" + (f" ({why})" if why else "")


def main_figures(one):
    """(Weir's, the peer's) of the figure whose ratio is the result."""
    if one["main"] == "p50":
        return one["weir_latency_us"]["p50"], one["peer_latency_us"]["p50"]
    return one[f"weir_{one['main']}"], one[f"peer_{one['main']}"]


UNITS = {"cycles": "cycles", "cycles_saturated": "cycles", "cycles_per_byte": "cycles/B", "p50": "µs"}
DIGITS = {"cycles": 1, "cycles_saturated": 1, "cycles_per_byte": 3, "p50": 2}


def row(one):
    """The cells of a result in the table."""
    if "error" in one:
        return [one["case"], one["peer"], f"{failed(one)}: {one['error'].splitlines()[0][:60]}"]
    weir, peer = main_figures(one)
    digits = DIGITS[one["main"]]
    marks = ", ".join(f"{mark['text']}: {figure(mark['value'])}" for mark in one["marks"])
    return [one["case"], one["peer"], figure(one["weir_mpps"]), figure(one["peer_mpps"]),
            figure(one["offered_mpps"]), figure(weir, digits), figure(peer, digits), UNITS[one["main"]],
            figure(one["ratio"]), percent(one["spread"]), figure(one["weir_latency_us"]["p50"], 1),
            figure(one["peer_latency_us"]["p50"], 1), figure(one["weir_burst"], 1),
            figure(one["peer_burst"], 1), f"{one['kept']}/{one['kept'] + one['discarded']}",
            one["bottleneck"] or "–", verdict(one), marks]


HEADINGS = ["case", "peer", "Mpps", "peer's", "offered", "Weir", "peer", "unit", "ratio", "spread",
            "p50 µs", "peer's", "burst", "peer's", "kept", "bottleneck", "marks", ""]


def at_full_speed(results):
    """Those that are judged by cycles while saturated."""
    return [one for one in results if one.get("kept")
            and any(mark["what"] == "cycles_saturated" for mark in one["marks"])]


BOTH_LOADS = ["case", "peer", "saturated: Weir", "peer", "ratio", "burst", "peer's", "same load: Weir", "peer",
              "ratio", "burst", "peer's"]


def both_loads(one):
    """The cells of such a result: cycles and bursts at both loads."""
    cells = [one["case"], one["peer"]]
    for what, which in (("cycles_saturated", "_saturated"), ("cycles", "")):
        cells += [figure(one[f"weir_{what}"], 1), figure(one[f"peer_{what}"], 1), figure(one["ratios"][what]),
                  figure(one[f"weir_burst{which}"], 1), figure(one[f"peer_burst{which}"], 1)]
    return cells


def aligned(rows):
    """Lines of text, of rows with a first one of headings."""
    # A row of a failure is short, and its last cell as wide as it likes.
    widths = [max(len(one[place]) for one in rows if len(one) == len(rows[0]) or place < 2)
              for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(one, widths)).rstrip() for one in rows]


def table(results):
    """Lines of text."""
    lines = aligned([HEADINGS, *map(row, results)])
    fast = at_full_speed(results)
    if fast:
        lines += ["", "cycles at both loads:", *aligned([BOTH_LOADS, *map(both_loads, fast)])]
    return lines


def notes(results, absent):
    """Lines about what the table cannot say."""
    lines = [f"{name} was left out: {why}" for name, why in sorted(absent.items())]
    for one in results:
        if "error" in one:
            lines.append(f"{one['case']} / {one['peer']}: {one['error']}")
        elif one["kept"] < one["wanted"]:
            lines.append(f"{one['case']} / {one['peer']}: only {one['kept']} of {one['wanted']} repetitions "
                         f"could be kept, so that no mark is judged; discarded: {discards(one)}; waited "
                         f"{one['waited_for_near_s']:g} s for the near state")
        for side in ("weir", "peer"):
            if (one.get(f"{side}_misses") or 0) > 0.01:
                lines.append(f"{one['case']} / {one['peer']}: a slow path decided "
                             f"{percent(one[f'{side}_misses'])} of the packets of "
                             f"{'the peer' if side == 'peer' else 'Weir'}")
            for fault in ("misordered", "corrupt"):
                if one.get(f"{side}_{fault}"):
                    lines.append(f"{one['case']} / {one['peer']}: {one[f'{side}_{fault}']} frames of "
                                 f"{'the peer' if side == 'peer' else 'Weir'} were {fault}")
    kept = sum(one.get("kept", 0) for one in results)
    discarded = sum(one.get("discarded", 0) for one in results)
    lines.append(f"repetitions: {kept} kept, {discarded} discarded")
    return lines
