"""Cases, their report, and commands under deadlines that leave nothing running."""
import concurrent.futures
import ctypes
import json
import multiprocessing
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "test-logs"
sys.path.insert(0, str(ROOT / "vm-images"))

from weirvm.procs import descendants    # noqa: E402 -- follows the path above

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None)


class Report:
    """Prints each case as it ends, and the sum at the end."""

    def __init__(self):
        self.cases = []

    def suite(self, name):
        self.name = name
        print(f"\n== {name}", flush=True)

    def case(self, name, ok, seconds, detail="", log=None):
        self.cases.append((seconds, f"{self.name}: {name}", ok))
        # What a passing case has to say is a figure: it stands beside the name.
        said = f"  ({detail})" if ok and detail else ""
        print(f"{'ok  ' if ok else 'FAIL'} {seconds:7.2f}s  {name}{said}", flush=True)
        if ok:
            return
        # The reason stands first, the newest lines of logs last.
        lines = detail.rstrip().splitlines()
        if len(lines) > 40:
            lines = [*lines[:15], "…", *lines[-25:]]
        for line in lines:
            print(f"      | {line[:400]}")
        if log is not None:
            print(f"      log: {pathlib.Path(log).relative_to(ROOT)}", flush=True)

    def end(self):
        print("\n== the ten slowest")
        for seconds, name, _ in sorted(self.cases, reverse=True)[:10]:
            print(f"     {seconds:7.2f}s  {name}")
        failed = [name for _, name, ok in self.cases if not ok]
        if failed:
            print("\n== failed")
            for name in failed:
                print(f"     {name}")
        print(f"\n{len(self.cases) - len(failed)} passed, {len(failed)} failed", flush=True)
        return 1 if failed or not self.cases else 0


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def sweep(patience):
    """Ends whatever still runs below this process. Returns the names of what had not ended by
    itself within `patience` seconds."""
    def gone_after(seconds):
        end = time.monotonic() + seconds
        while descendants():
            _reap()
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        _reap()
        return True

    if gone_after(patience):
        return []
    stayed = sorted(descendants().values())
    for sign, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for pid in descendants():
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        if gone_after(seconds):
            break
    return stayed


class Runner:
    """Runs commands one after another; the whole run has an end, too. Not two in one process."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds
        LOGS.mkdir(parents=True, exist_ok=True)
        # Orphans of a case come back to this process, so that sweep finds daemons as well.
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, lambda number, frame: os._exit(self._abort(number)))

    @staticmethod
    def _abort(number):
        sweep(0)
        print(f"\nended by {signal.Signals(number).name}", flush=True)
        return 128 + number

    def command(self, argv, log, deadline, env=None, watch=lambda: None):
        """Runs argv with its output in `log`. Returns (seconds, why it failed or "")."""
        start = time.monotonic()
        deadline = max(1, min(deadline, self.end - start))
        with open(log, "wb") as out:
            try:
                child = subprocess.Popen(
                    [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                    stderr=subprocess.STDOUT, cwd=ROOT, env=dict(os.environ, **(env or {})),
                    preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0))
            except OSError as error:
                return 0.0, f"{argv[0]}: {error.strerror}"
        why = ""
        while child.poll() is None:
            watch()
            if time.monotonic() - start > deadline:
                # Terminated first, so that a test removes what it made.
                why = f"no end after {deadline:.0f} s"
                child.terminate()
                try:
                    child.wait(15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
                break
            time.sleep(0.02)
        watch()
        if not why and child.returncode < 0:
            why = f"ended by {signal.Signals(-child.returncode).name}"
        elif not why and child.returncode:
            why = f"exit {child.returncode}"
        stayed = sweep(3)
        if stayed:
            why = (why + "; " if why else "") + "left running: " + ", ".join(stayed)
        return time.monotonic() - start, why


class _Heard:
    """Stands for the report in another process."""

    def __init__(self, name):
        self.name, self.cases = name, []

    def case(self, *words):
        self.cases.append(words)


def _begin(seconds):
    global _own
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _own = Runner(seconds)


def _hear(name, function, row):
    heard = _Heard(name)
    function(_own, heard, *row)
    return heard.cases


def side_by_side(runner, report, jobs, function, rows):
    """function(runner, report, *row) for each row, as many at once as `jobs`, each in a process, as a
    runner sweeps away all below its own. Reported in the order of the rows."""
    with concurrent.futures.ProcessPoolExecutor(
            jobs, multiprocessing.get_context("fork"), _begin, [runner.end - time.monotonic()]) as pool:
        for row, heard in [(row, pool.submit(_hear, report.name, function, row)) for row in rows]:
            try:
                for words in heard.result():
                    report.case(*words)
            except Exception as error:
                report.case(" ".join(map(str, row)), False, 0.0, f"{type(error).__name__}: {error}")


def tail(log, lines=25):
    text = pathlib.Path(log).read_text(errors="replace") if os.path.exists(log) else ""
    return "\n".join(text.splitlines()[-lines:])


def single(runner, report, name, argv, deadline, env=None):
    """One command that is one case."""
    log = LOGS / (re.sub(r"[^\w.]+", "-", f"{report.name}-{name}") + ".log")
    seconds, why = runner.command(argv, log, deadline, env)
    report.case(name, not why, seconds, f"{tail(log)}\n{why}" if why else "", log)
    return not why


def several(runner, report, name, argv, deadline, env=None):
    """A program that tells its cases: it takes --results FILE and writes there one JSON object a
    line, {"name", "ok", "seconds", "detail"}, when a case has ended."""
    stem = re.sub(r"[^\w.]+", "-", f"{report.name}-{name}")
    log, results = LOGS / f"{stem}.log", LOGS / f"{stem}.results"
    results.unlink(missing_ok=True)
    told = {"bytes": 0, "cases": 0, "failed": 0}

    def watch():
        if not results.exists():
            return
        with open(results, "rb") as file:
            file.seek(told["bytes"])
            # The last line may still be on its way.
            new = file.read()
            new = new[:new.rfind(b"\n") + 1]
        told["bytes"] += len(new)
        for line in new.decode(errors="replace").splitlines():
            case = json.loads(line)
            told["cases"] += 1
            told["failed"] += not case["ok"]
            report.case(case["name"], case["ok"], case["seconds"], case.get("detail") or "", log)

    seconds, why = runner.command([*argv, "--results", results], log, deadline, env, watch)
    # A program that fails says which case did; else its own end is the case.
    if (why and (not told["failed"] or not why.startswith("exit"))) or not told["cases"]:
        report.case(name, False, seconds, f"{tail(log)}\n{why or 'it told of no case'}", log)
