"""What the page says of connections alone."""
from .markdown import section, text_table
from .report import BOTH_LOADS, at_full_speed, both_loads, figure

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
