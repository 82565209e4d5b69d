"""What the page says of connections alone."""
from .markdown import section, text_table
from .report import BOTH_LOADS, at_full_speed, both_loads, figure
from .trials import text, verdict

AT_BOTH_LOADS = """Where Open vSwitch tracks connections too, marks judge cycles *as fast as it goes*. The ratio at the same load
has no mark here: at the load that Open vSwitch carries it is **{same}**, and that load is why. Open vSwitch
carries {carried} of what Weir does. At its load Weir finds packets one by one (bursts of {weir}), and each pays
alone for what a burst shares: the look at the rings, the lines that come from the sender's CPU, the signal.
Open vSwitch is nearly saturated then and takes bursts of {peer}. So the figure at the same load tells what a
lonely packet costs, and not what tracking it costs.

"""


def span(values, digits=2):
    values = [value for value in values if value is not None]
    low, high = figure(min(values), digits), figure(max(values), digits)
    return low if low == high else f"{low} to {high}"


def at_both_loads(results):
    fast = at_full_speed(results)
    if not fast:
        return ""
    text = AT_BOTH_LOADS.format(
        same=span([one["ratios"]["cycles"] for one in fast]),
        carried=span([1 / one["ratios"]["mpps"] for one in fast]),
        weir=span([one["weir_burst"] for one in fast], 1), peer=span([one["peer_burst"] for one in fast], 1))
    return section("Connections beside Open vSwitch, at both loads",
                   text + text_table(BOTH_LOADS, map(both_loads, fast)))


def trial_rows(tried):
    """Rows of the table of marks."""
    return [[one["trial"], "–", one["mark"], f"{text(one['figures'][one['judged']])} {one['judged']}",
             {"missed": "**missed**"}.get(verdict(one), verdict(one))]
            for one in tried if one["mark"] and "error" not in one]


def trials(tried):
    parts = []
    for name, about in {one["trial"]: one["about"] for one in tried}.items():
        sides = [one for one in tried if one["trial"] == name]
        labels = list(dict.fromkeys(label for one in sides for label in one.get("figures", {})))
        rows = [[one["side"], *(text(one["figures"][label]) if label in one["figures"] else "–" for label in labels)]
                for one in sides if "error" not in one]
        parts.append(f"**{name}**: {about}.\n\n" + (text_table(["", *labels], rows) if rows else "")
                     + "".join(f"\n{one['side']} failed: {one['error'].splitlines()[0]}\n"
                               for one in sides if "error" in one))
    return section("Trials", "\n".join(parts))
