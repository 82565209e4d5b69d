"""Plots of the rates: gnuplot's SVG."""
import os
import shutil

from . import rates_cases as plan
from .plots import gnuplot, quoted
from .rates_recording import FINE_US, PLOT_MS

HEAD = """set terminal svg size {width},{height} enhanced background rgb 'white' font 'sans-serif,12'
set output '{output}'
set grid ytics lc rgb '#dddddd'
set key outside top right
set title '{title}' noenhanced
set xlabel '{x}' noenhanced
set ylabel '{y}' noenhanced
"""
LINES = (("weir", "from-vm", "Weir, from-vm", "#2a6f97"), ("weir", "to-vm", "Weir, to-vm", "#61a5c2"),
         ("ovs-normal", "from-vm", "OVS, policing", "#c1440e"))
LOWEST = 1e-4           # per cent: zero has no place on a logarithmic axis


def exact(results, side, way):
    return {(one["frame"], one["bits"]): one["figures"] for one in results
            if one["kind"] == "exact" and one["side"] == side and one["way"] == way and one["bits"]
            and "mean" in one.get("figures", {})}


def error_plot(results, figure, title, limit, output):
    """Points over all cases, by frame and then by rate."""
    places = [(frame, bits) for frame in plan.FRAMES for bits in plan.RATES]
    blocks, plots = [], []
    for number, (side, way, label, colour) in enumerate(LINES):
        found = exact(results, side, way)
        rows = [f"{place} {max(100 * found[key][figure], LOWEST):.6f}" for place, key in enumerate(places)
                if key in found]
        if rows:
            blocks.append("\n".join([f"$at{number} << END", *rows, "END"]))
            plots.append(f"$at{number} with points pointtype {5 + 2 * number} pointsize 0.8 "
                         f"linecolor rgb '{colour}' title {quoted(label)}")
    if not plots:
        return ""
    names = ", ".join(f"{quoted(f'{plan.name_of(frame)}, {plan.text_of(bits)}')} {place}"
                      for place, (frame, bits) in enumerate(places))
    plots.append(f"{100 * limit} with lines linecolor rgb '#888888' dashtype 2 title 'mark'")
    return "\n".join([HEAD.format(width=1000, height=460, title=title, x="", y="per cent", output=output),
                      "set logscale y", f"set yrange [{LOWEST}:*]", f"set xrange [-1:{len(places)}]",
                      f"set xtics ({names}) rotate by -50 noenhanced", *blocks, "plot " + ", ".join(plots)]) + "\n"


def lines_plot(series, title, x, y, output):
    """series: [(label, colour, [(x, y)])]."""
    blocks = ["\n".join([f"$line{number} << END", *(f"{at:.4f} {value:.4f}" for at, value in points), "END"])
              for number, (_, _, points) in enumerate(series)]
    plots = [f"$line{number} with lines linecolor rgb '{colour}' title {quoted(label)}"
             for number, (label, colour, _) in enumerate(series)]
    return "\n".join([HEAD.format(width=900, height=420, title=title, x=x, y=y, output=output), "set yrange [0:*]",
                      *blocks, "plot " + ", ".join(plots)]) + "\n"


def windows(results):
    found = []
    for side, way, label, colour in LINES:
        for one in results:
            if one["kind"] == "exact" and one["side"] == side and one["way"] == way and one.get("windows"):
                found.append((label, colour, [(PLOT_MS * at, value) for at, value in enumerate(one["windows"])]))
    return found


def changes(results):
    return [(one["way"], LINES[0 if one["way"] == "from-vm" else 1][3], one["windows"]) for one in results
            if one["kind"] == "change" and one.get("windows")]


def wanted(results):
    """[(file, title, script)]."""
    mean, short = "Error of the mean", "Error of short windows, nine of ten are below"
    made = [("mean.svg", mean, error_plot(results, "mean", mean, plan.MEAN, "mean.svg")),
            ("short.svg", short, error_plot(results, "short", short, plan.SHORT, "short.svg"))]
    if windows(results):
        title = f"100 Mbit, 1500 B: windows of {PLOT_MS} ms"
        made.append(("windows.svg", title, lines_plot(windows(results), title, "ms", "Mbit/s", "windows.svg")))
    if changes(results):
        old, new = map(plan.text_of, plan.PACES)
        title = f"From {old} to {new}: buckets of {FINE_US / 1e3} ms"
        made.append(("change.svg", title, lines_plot(changes(results), title, "ms from the request", "Mbit/s",
                                                     "change.svg")))
    return [one for one in made if one[2]]


def draw(results, folder):
    """Writes the plots into the folder. Returns ([(file name, title)], why there are none or "")."""
    if not shutil.which("gnuplot"):
        return [], "gnuplot is not installed; scripts/setup bench installs it"
    os.makedirs(folder, exist_ok=True)
    made = wanted(results)
    for _, _, script in made:
        gnuplot(script, folder)
    return [(name, title) for name, title, _ in made], ""
