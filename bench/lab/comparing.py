"""Comparisons, pair after pair, and what is kept of them: what the bench's programs have in common."""
import argparse
import os
import shlex
import sys

from . import ROOT, cases, interval, lanes, measure, report
from .hugepages import Unavailable
from weirvm.procs import Failure

OUT = os.path.join(ROOT, "build", "bench")


def words(about, peers, page):
    """The parser of the command line's words."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true",
                        help="no comparison and no clock: all that is sent arrives, in order and unchanged")
    parser.add_argument("--list", action="store_true", help="only the comparisons and their marks")
    parser.add_argument("--only", metavar="REGEX", default="", help="comparisons with this in their name")
    parser.add_argument("--peers", metavar="NAMES", default=",".join(peers),
                        help="which peers, with commas between them (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N",
                        help="kept ones of each (default: 5)")
    parser.add_argument("--max-repetitions", type=int, metavar="N",
                        help="kept and discarded ones (default: 4 times as many)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each interval (default: 0.5)")
    parser.add_argument("--patience", type=float, default=measure.PATIENCE, metavar="SECONDS",
                        help="for which a comparison waits for the near state (default: %(default)s)")
    parser.add_argument("--near", type=float, metavar="NS",
                        help="the longest round trip of a cache line that counts as near (default: found by "
                        f"a calibration, at most {measure.NEAR_MAX_NS})")
    parser.add_argument("--cpus", metavar="A,B", help="the generator's and the switch's (default: 0,1)")
    parser.add_argument("--preset", default="release", help="which build (default: release)")
    parser.add_argument("--out", metavar="DIR", default=OUT,
                        help="for results as JSON, and plots (default: build/bench)")
    parser.add_argument("--page", metavar="FILE", help=f"write the page of results, e.g. {page}")
    parser.add_argument("--add", action="store_true",
                        help="to the results in --out, instead of replacing all of them")
    parser.add_argument("--redraw", action="store_true",
                        help="measure nothing: table and page of the results in --out")
    parser.add_argument("--results", metavar="FILE", help="with --smoke: gets one JSON object for each case")
    return parser


def progress(text):
    print(text, file=sys.stderr, flush=True)


def peers(said, known):
    there = set(said.peers.split(",")) - {""}
    unknown = there - set(known)
    if unknown:
        raise Failure(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return there


def show(chosen):
    for pair in chosen:
        print(": ".join(filter(None, (pair.name(), ", ".join(mark.text() for mark in pair.marks)))))


def bench(said, cpus, names):
    made = lanes.Bench(said.preset, cpus, names)
    for name, why in made.absent.items():
        progress(f"{name} is left out: {why}")
    return made


class Comparison:
    """Measures pairs and keeps what it found after each; the two files are in --out."""

    def __init__(self, said, bench, cpus, program, plan, files=(report.RESULTS, report.ABOUT)):
        self.said = said
        self.bench = bench
        self.cpus = cpus
        self.program = program
        self.files = files
        self.order = [(pair.case.name, pair.peer) for pair in cases.plan(plan, lambda name: True)]

    def run(self, chosen):
        """(results, about, whether a lane ended badly)."""
        said = self.said
        near = measure.Near(self.bench, said.near)
        about = self.describe(near)
        results = report.load(said.out, self.files[0], []) if said.add else []
        if said.add:
            older = report.load(said.out, self.files[1], {})
            about["sides"] = older.get("sides", {})
            about["versions"] = older.get("versions", {}) | about["versions"]
        low, _, high = near.summary()
        progress(f"near: up to {near.limit:.0f} ns; the round trip was {low:.0f} to {high:.0f} ns")
        with lanes.Lanes(self.bench) as open_lanes:
            run = measure.Run(open_lanes, near, said.seconds, said.repetitions, said.max_repetitions, progress,
                              said.patience)
            for number, pair in enumerate(chosen):
                open_lanes.keep_only({key for later in chosen[number:] for key in later.keys})
                one = one_pair(run, open_lanes, pair)
                one |= {"commit": about["commit"], "near_ns": near.limit}
                results = self.merge(results, one)
                for key in pair.keys:
                    if key in open_lanes.open:
                        remember(about["sides"], key, open_lanes.open[key].describe())
                about["round_trips_ns"] = near.summary()
                self.keep(results, about)
        # Trials alone have no pair.
        self.keep(results, about)
        for complaint in open_lanes.complaints:
            progress(f"it did not end well: {complaint}")
        return results, about, bool(open_lanes.complaints)

    def keep(self, results, about):
        report.save(self.said.out, self.files[0], results)
        report.save(self.said.out, self.files[1], about)

    def merge(self, results, one):
        """The results with this one in place of an older one of the same name, in the order of the cases."""
        kept = [old for old in results if (old["case"], old["peer"]) != (one["case"], one["peer"])]
        return sorted([*kept, one], key=lambda at: self.order.index((at["case"], at["peer"]))
                      if (at["case"], at["peer"]) in self.order else len(self.order))

    def describe(self, near):
        said, bench = self.said, self.bench
        there = [name for name in bench.sides if bench.there(name)]
        return {
            "command": shlex.join([self.program, *sys.argv[1:]]), "commit": report.commit(),
            "machine": report.machine(), "cpus": self.cpus, "seconds": said.seconds,
            "warm_up": interval.WARM_UP, "load": cases.LOAD, "near_ns": near.limit,
            "near_given": said.near is not None, "round_trips_ns": near.summary(),
            "repetitions": said.repetitions, "most": said.max_repetitions or 4 * said.repetitions,
            "patience": said.patience, "versions": {name: bench.version(name) for name in there},
            "absent": bench.absent, "sides": {},
        }


def remember(sides, key, described):
    """How a lane was set up, by its side and by its generator."""
    name, shape, _ = key
    sides.setdefault(name, {})[shape.text()] = described["side"]
    sides.setdefault("generator", {})[shape.text()] = described["generator"]


def one_pair(run, open_lanes, pair):
    try:
        return run.pair(pair)
    except Failure as error:
        progress(f"{pair.name()}: {error}")
        # Whatever state they are in: the next pair gets new ones.
        open_lanes.drop(pair.keys)
        return {"case": pair.case.name, "peer": pair.peer, "error": str(error),
                "left_out": isinstance(error, Unavailable)}
