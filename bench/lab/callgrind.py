"""Counts instructions: a program under valgrind's callgrind, and what its output says for each thread."""
import collections
import glob
import re

from weirvm.procs import run

# "fn=(7) name" when a name comes first, "fn=(7)" from then on; calls name their target with a c before it.
NAMED = re.compile(r"(c?)(fn|fl|fi|fe|ob)=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"(?:[+-]?\d+|\*) (\d+)$")


def command(out, toggles):
    """The words before a program that count what runs inside the functions `toggles`, each thread for itself.

    Those must not call each other: entering one starts the count, leaving it stops it.
    """
    return ["valgrind", "-q", "--fair-sched=yes", "--tool=callgrind", f"--callgrind-out-file={out}",
            "--separate-threads=yes", "--collect-atstart=no",
            *(f"--toggle-collect={name}" for name in toggles)]


def begin_anew(pid):
    """Of all threads of that program."""
    run(["vgdb", f"--pid={pid}", "zero"], timeout=60)


class Thread:
    """What one thread did: `calls` of each function, and `self_cost` of each (function, file). A function's
    instructions stand with the files they were inlined from."""

    def __init__(self, path):
        self.path = path
        self.calls = collections.Counter()
        self.self_cost = collections.Counter()
        with open(path) as file:
            self._read(line.rstrip("\n") for line in file)

    @property
    def total(self):
        return sum(self.self_cost.values())

    def _read(self, lines):
        names, here = {}, {}
        for line in lines:
            named, cost = NAMED.match(line), COST.match(line)
            if named:
                called, kind, number, name = named.groups()
                # Files and their inlined parts share numbers.
                kind = "fl" if kind in ("fi", "fe") else kind
                name = names.setdefault((kind, number), name)
                here[called + kind] = name
            elif line.startswith("calls="):
                self.calls[here["cfn"]] += int(line[6:].split()[0])
                # What the call cost, the callee's cost included, stands in the next line.
                next(lines)
            elif cost and "fn" in here:
                self.self_cost[here["fn"], here["fl"]] += int(cost[1])


def threads(out):
    """The threads that counted something, in the order in which they began."""
    paths = sorted(glob.glob(glob.escape(out) + "-*"), key=lambda path: int(path.rsplit("-", 1)[1]))
    return [thread for thread in map(Thread, paths) if thread.calls]
