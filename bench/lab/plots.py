"""Plots of the results: gnuplot's SVG, which is text. Without gnuplot there are none."""
import os
import shutil

from .report import UNITS, main_figures
from weirvm.procs import run

HEAD = """set terminal svg size {width},420 enhanced background rgb 'white' font 'sans-serif,12'
set output '{output}'
set style fill solid 0.9 border -1
set boxwidth 0.8
set style data histogram
set style histogram clustered gap 1
set grid ytics lc rgb '#dddddd'
set key outside top right
set yrange [0:*]
set xtics rotate by -20 nomirror noenhanced
set rmargin 8
set title '{title}' noenhanced
set ylabel '{unit}' noenhanced
"""
COLOURS = {"weir": "#2a6f97", "testpmd": "#bbbbbb", "ovs-port": "#e9a23b", "ovs-normal": "#c1440e"}


def quoted(text):
    return '"' + text.replace('"', "'") + '"'


def number(value):
    return "NaN" if value is None else f"{value:.4g}"


def bars(rows, columns, title, unit, output):
    """A script: groups of bars. rows: [(label, {column: value})]."""
    lines = [HEAD.format(width=max(640, 220 + 90 * len(rows)), title=title, unit=unit, output=output),
             "$rows << END"]
    for label, values in rows:
        lines.append(" ".join([quoted(label), *(number(values.get(column)) for column in columns)]))
    lines.append("END")
    lines.append("plot " + ", ".join(
        f"$rows using {place}:xtic(1) title {quoted(column)} noenhanced linecolor rgb '{COLOURS[column]}'"
        for place, column in enumerate(columns, 2)))
    return "\n".join(lines) + "\n"


def short(name):
    return name.replace(", both ways", "").replace(" load", "")


def pairs_of(results, peer):
    return [one for one in results if one.get("kept") and one["peer"] == peer]


def wanted(results):
    """{name of the file: (title, rows, columns, unit)}."""
    found = {}
    for peer in ("testpmd", "ovs-normal"):
        pairs = [one for one in pairs_of(results, peer) if one["main"] != "p50"]
        rows = [(short(one["case"]), {"weir": main_figures(one)[0], peer: main_figures(one)[1]})
                for one in pairs if one["main"] == "cycles"]
        if rows:
            found[f"cycles-{peer}"] = (f"Busy cycles per packet, beside {peer} at the same offered load",
                                       rows, ["weir", peer], "cycles per packet")
        rows = [(short(one["case"]), {"weir": one["weir_mpps"], peer: one["peer_mpps"]}) for one in pairs]
        if rows:
            found[f"mpps-{peer}"] = (f"Packets per second as fast as it goes, beside {peer}", rows,
                                     ["weir", peer], "Mpps")
    rows = []
    for one in pairs_of(results, "testpmd"):
        if one["main"] == "p50":
            weir, peer = one["weir_latency_us"], one["peer_latency_us"]
            rows += [(f"{short(one['case'])}: {name}", {"weir": weir[key], "testpmd": peer[key]})
                     for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))]
    if rows:
        found["latency"] = ("Latency, 64 B, both directions", rows, ["weir", "testpmd"], UNITS["p50"])
    return found


def gnuplot(script, folder):
    path = os.path.join(folder, ".plot.gp")
    with open(path, "w") as file:
        file.write(script)
    try:
        run(["gnuplot", os.path.basename(path)], cwd=folder)
    finally:
        os.unlink(path)


def draw(results, folder):
    """Writes the plots into the folder. Returns ([(file name, title)], why there are none or "")."""
    if not shutil.which("gnuplot"):
        return [], "gnuplot is not installed; scripts/setup bench installs it"
    os.makedirs(folder, exist_ok=True)
    made = []
    for name, (title, rows, columns, unit) in wanted(results).items():
        gnuplot(bars(rows, columns, title, unit, f"{name}.svg"), folder)
        made.append((f"{name}.svg", title))
    return made, ""
