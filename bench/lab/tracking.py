"""Connection tracking, the same for each side that can: how many connections a table holds, after which
time they end, and what a group allows."""
from typing import NamedTuple

TABLE = 262144

TIME_WAIT = 1           # seconds, as short as it may be: a minute of conversations needs no table of its size

# (Weir's keys of switch.timeouts, those of Open vSwitch's time-out policies, seconds).
TIMEOUTS = (
    (("tcp-syn-sent",), ("tcp_syn_sent", "tcp_syn_sent2"), 30),
    (("tcp-syn-received",), ("tcp_syn_recv",), 30),
    (("tcp-established",), ("tcp_established",), 600),
    (("tcp-fin-wait", "tcp-close-wait", "tcp-last-ack"), ("tcp_fin_wait", "tcp_close_wait", "tcp_last_ack"), 30),
    (("tcp-time-wait",), ("tcp_time_wait",), TIME_WAIT),
    (("tcp-closed",), ("tcp_close",), 1),
    (("udp-unanswered", "udp-answered"), ("udp_first", "udp_single", "udp_multiple"), 600),
)
# What the generator's clients connect to.
SERVER_PORT = 80
PORT_GROUPS_MAX = 16    # of one port


class Tracking(NamedTuple):
    """The second port is in groups, whose last rules allow what the generator sends to it."""
    connections: int = TABLE    # the table's room
    groups: int = 1
    rules: int = 2              # of each

    def text(self):
        words = [f"tracked, {self.connections} connections at most"]
        words += [f"{self.groups} groups"] if self.groups > 1 else []
        words += [f"{self.rules} rules each"] if self.rules > 2 else []
        return ", ".join(words)


ROOM = 0.95             # of a table, which the entries of ended conversations may take
LOOKS = 4               # for them, in a second


def sustained(connections):
    """Conversations per second for which a table has room: each leaves its entry behind for its TIME_WAIT, for
    up to a second more, since clocks of whole seconds cut no time-out short, and until the next look for what is
    over. The rest is for conversations that are open."""
    return int(ROOM * connections / (TIME_WAIT + 1 + 1 / LOOKS))


def weir_timeouts():
    return {name: f"{seconds}s" for names, _, seconds in TIMEOUTS for name in names}


def ovs_timeouts():
    return [f"{name}={seconds}" for _, names, seconds in TIMEOUTS for name in names]


def rule_aside(number):
    """One that matches nothing that is sent, and is like no other."""
    return {"allow": ("tcp", "udp")[number % 2], "dport": 10000 + number % 50000,
            "from": f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}/32"}


def weir_groups(tracking):
    """(the groups of the document, those of the port): it is in as many as one may be, and the last one's
    last rules decide."""
    allowing = [{"allow": proto, "dport": SERVER_PORT} for proto in ("tcp", "udp")]
    names = [f"group{number}" for number in range(tracking.groups)]
    own = names[:PORT_GROUPS_MAX]
    groups = {}
    for number, name in enumerate(names):
        last = allowing if name == own[-1] else []
        first = number * tracking.rules
        groups[name] = {"to-vm": [rule_aside(at) for at in range(first, first + tracking.rules - len(last))]
                        + last}
    return groups, own
