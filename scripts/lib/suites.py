#!/usr/bin/python3
"""Weir's whole test run: which suites there are, and in which order. Started by scripts/test."""
import os
import re
import shutil
import subprocess
import sys
import time

from cases import LOGS, ROOT, Report, Runner, several, side_by_side, single, tail

JOBS = 2
RUN_SECONDS = 60 * 60
FUZZ_SECONDS = 5
ORACLE_PACKETS = 100_000    # for each of its two set-ups
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}
SANITIZER_SAID = re.compile(r"^.*(?:(?:Address|Thread|Leak|Memory|UndefinedBehavior)Sanitizer"
                            r"|runtime error:).*$", re.M)
# "ok - suite::name  (0.01s)", as Criterion writes TAP; a failure's text follows, indented.
TAP = re.compile(r"^(not ok|ok) - (\S+::\S+)(.*)\n((?:  .*\n)*)", re.M)


def calm():
    """Words before a program built with a sanitizer: GCC 12 and Clang 14 place their shadow memory
    where a kernel that randomises more bits may have put something else."""
    words = ["setarch", "-R"]
    works = subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode == 0
    return words if works else []


def lint(runner, report):
    several(runner, report, "lint", ["scripts/lint"], 120)


def build(runner, report, preset):
    script = f"cmake --preset {preset} && cmake --build build/{preset} -j {JOBS}"
    # GCC where the preset names no compiler, whatever `cc` is on this machine.
    return single(runner, report, f"build {preset}", ["bash", "-ec", script], 900, {"CC": "gcc"})


def unit_program(runner, report, preset, name, before):
    log, tap = LOGS / f"{preset}-{name}.log", LOGS / f"{preset}-{name}.tap"
    tap.unlink(missing_ok=True)
    seconds, why = runner.command(
        [*before, f"build/{preset}/bin/{name}", f"--tap={tap}", "--jobs", 1, "--timeout", "120"],
        log, 600, SANITIZERS)
    text = tap.read_text(errors="replace") if tap.exists() else ""
    passed = failed = 0
    for verdict, case, rest, detail in TAP.findall(text):
        took = re.search(r"\(([\d.]+)s\)", rest)
        ok = verdict == "ok" and "# SKIP" not in rest
        passed += ok
        failed += not ok
        report.case(case, ok, float(took[1]) if took else 0.0, "" if ok else detail or rest, log)
    said = SANITIZER_SAID.search(tail(log, 100000))
    if said:
        why = said[0]
    if (why and not failed) or not passed + failed:
        report.case(name, False, seconds, f"{tail(log)}\n{why or 'no test in it'}", log)


def preset(name):
    """A suite: build a preset and run its unit tests."""
    def suite(runner, report):
        if not build(runner, report, name):
            return
        before = calm() if name == "asan" else []
        rows = [(name, source.stem, before) for source in sorted(ROOT.glob("tests/unit/test_*.c"))]
        side_by_side(runner, report, JOBS, unit_program, rows)
    return suite


def tsan(runner, report):
    """Criterion and the thread sanitizer exclude each other: these are plain programs."""
    if not build(runner, report, "tsan"):
        return
    for source in sorted(ROOT.glob("tests/race/race_*.c")):
        single(runner, report, source.stem, [*calm(), f"build/tsan/bin/{source.stem}"], 120,
               SANITIZERS)


def fuzz_program(runner, report, name, before):
    program = f"build/fuzz/bin/{name}"
    corpus = f"tests/fuzz/corpus/{name.removeprefix('fuzz_')}"
    # What fuzzing finds stays out of the tree.
    found = LOGS / f"{name}-found"
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    options = ["-timeout=20", "-rss_limit_mb=1024", f"-artifact_prefix={found}/"]
    single(runner, report, f"{name}: corpus", [*before, program, "-runs=0", *options, corpus],
           120, SANITIZERS)
    single(runner, report, f"{name}: {FUZZ_SECONDS} s from a fixed seed",
           [*before, program, "-seed=1", f"-max_total_time={FUZZ_SECONDS}", *options, found,
            corpus], FUZZ_SECONDS + 60, SANITIZERS)


def fuzz(runner, report):
    if not build(runner, report, "fuzz"):
        return
    rows = [(source.stem, calm()) for source in sorted(ROOT.glob("tests/fuzz/fuzz_*.c"))]
    side_by_side(runner, report, JOBS, fuzz_program, rows)


def programs(runner, report):
    """What the programs that were built import."""
    single(runner, report, "weir-switchd moves packets without the vhost library's two functions",
           ["bash", "-c", "symbols=$(nm -D --undefined-only build/release/bin/weir-switchd) && "
            "! grep -E 'rte_vhost_(dequeue|enqueue)_burst' <<<\"$symbols\""], 30)
    single(runner, report, "weirctl links no DPDK",
           ["bash", "-c", "libraries=$(ldd build/release/bin/weirctl) && "
            "! grep librte_ <<<\"$libraries\""], 30)


def install(runner, report):
    several(runner, report, "install", ["tests/install/run"], 180)


def bench(name, only=None):
    """The generator's frames through Weir: are all there, in order and unchanged? No figure is judged."""
    def suite(runner, report):
        words = ["bench/compare", "--smoke", "--preset", name]
        several(runner, report, f"bench {name}", words + (["--only", only] if only else []), 120, SANITIZERS)
    return suite


def rates(name):
    """Rates, short and judged loosely: what is not dropped arrives, in order, about as fast as it is to."""
    def suite(runner, report):
        several(runner, report, f"rates {name}", ["bench/rates", "--smoke", "--preset", name], 120, SANITIZERS)
    return suite


def chains(name):
    """Chains of the generator's network functions: all frames have visited each. No figure is judged."""
    def suite(runner, report):
        several(runner, report, f"chains {name}", ["bench/chains", "--smoke", "--preset", name], 180, SANITIZERS)
    return suite


def oracle(runner, report):
    """Weir's verdicts beside those of Linux's connection tracking, for the same packets."""
    several(runner, report, "oracle", ["tests/oracle/run", "--packets", str(ORACLE_PACKETS)], 120)


def footprint(runner, report):
    """Memory does not depend on how busy the machine is: the one mark that a test can hold."""
    single(runner, report, "an empty switch and a port stay within their marks", ["bench/footprint"],
           120)


def e2e(name, only=None, deadline=2100):
    def suite(runner, report):
        words = ["tests/e2e/run", "--preset", name, "--jobs", JOBS]
        several(runner, report, f"e2e {name}", words + (["--only", only] if only else []), deadline,
                SANITIZERS)
    return suite


def demo(runner, report):
    single(runner, report, "scripts/demo, through libvirt", ["scripts/demo"], 600)
    single(runner, report, "scripts/demo chain, through libvirt", ["scripts/demo", "chain"], 600)


SUITES = {
    "lint": lint,
    "release": preset("release"),
    "debug": preset("debug"),
    "asan": preset("asan"),
    "tsan": tsan,
    "fuzz": fuzz,
    "programs": programs,
    "install": install,
    "bench": bench("release"),
    "bench-asan": bench("asan"),
    "rates": rates("release"),
    "rates-asan": rates("asan"),
    "chains": chains("release"),
    "chains-asan": chains("asan"),
    "oracle": oracle,
    "footprint": footprint,
    "e2e": e2e("release"),
    "e2e-asan": e2e("asan"),
    "demo": demo,
}
QUICK = {
    "lint": lint,
    "release": preset("release"),
    "programs": programs,
    "install": install,
    # Without what has to wait for entries to time out.
    "bench": bench("release", only="^(?!a small table)"),
    "e2e": e2e("release", only="^smoke:", deadline=120),
}


def main(words):
    suites = SUITES
    if words[:1] == ["--quick"]:
        suites, words = QUICK, words[1:]
    unknown = [word for word in words if word not in suites]
    if unknown:
        sys.exit(f"scripts/test: no suite {unknown[0]}; there are {' '.join(suites)}")
    os.environ["LC_ALL"] = "C.UTF-8"
    start = time.monotonic()
    report, runner = Report(), Runner(RUN_SECONDS)
    for name, suite in suites.items():
        if not words or name in words:
            report.suite(name)
            suite(runner, report)
    print(f"\n== {(time.monotonic() - start) / 60:.1f} minutes")
    return report.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
