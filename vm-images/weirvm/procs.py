"""Processes, deadlines and working folders: what guests, libvirt and the switch all need.

Nothing here outlives the Python process, however that ends: each child asks the kernel to be killed
with its parent. The kernel means the parent *thread*, so one thread that lives as long as the process
starts them all.
"""
import atexit
import contextlib
import os
import pwd
import queue
import shutil
import subprocess
import tempfile
import threading
import time


class Failure(Exception):
    """Something did not happen; the text says what, why, and where to read on."""


class Deadline:
    """A point in time that a wait must not pass."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def passed(self):
        return time.monotonic() >= self.end


def wait_until(condition, timeout=10, what="the condition", interval=0.02, slowest=None):
    """Call condition() until it returns something true, and return that.

    slowest: the pause between two looks doubles up to this; for looks that cost CPU time. The text of the failure comes from `what`, which may be a function: it is called when time is up,
    to say how far things got.
    """
    deadline = Deadline(timeout)
    while True:
        # Looked at before the condition, so that a slow condition gets its last look after the end.
        late = deadline.passed()
        value = condition()
        if value:
            return value
        if late:
            text = what() if callable(what) else what
            raise Failure(f"timed out after {timeout} s waiting for {text}")
        time.sleep(min(interval, max(deadline.left(), 0.001)))
        interval = min(interval * 2, slowest) if slowest else interval


def run(argv, timeout=60, check=True, **options):
    """Run a command to its end. Returns subprocess.CompletedProcess with text output."""
    options.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True,
                              errors="replace", timeout=timeout, **options)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(map(str, argv))}: no end after {timeout} s") from error
    except OSError as error:
        raise Failure(f"{argv[0]}: {error.strerror}") from error
    if check and done.returncode:
        raise Failure(f"{' '.join(map(str, argv))}: exit {done.returncode}: "
                      f"{(done.stderr or done.stdout).strip()[-2000:]}")
    return done


def _no_starter():
    global _requests, _starter, _starter_lock
    _requests = queue.SimpleQueue()
    _starter = None
    _starter_lock = threading.Lock()


# A forked process has no thread but the one that forked; queue and lock may be as another one held them.
_no_starter()
os.register_at_fork(after_in_child=_no_starter)


def _start_forever(requests):
    while True:
        argv, options, answer = requests.get()
        try:
            answer.put(subprocess.Popen(argv, **options))
        except Exception as error:  # handed to the caller, whose thread it belongs to
            answer.put(error)


def as_user(user):
    """The words before a command that run it as `user`, with that user's groups and no more."""
    if user is None or os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(user)
    return ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--init-groups",
            "--inh-caps=-all"]


def spawn(argv, user=None, **options):
    """Start a command that dies with this Python process. Returns subprocess.Popen."""
    global _starter
    with _starter_lock:
        if _starter is None:
            _starter = threading.Thread(target=_start_forever, args=(_requests,), name="starter",
                                        daemon=True)
            _starter.start()
    options.setdefault("stdin", subprocess.DEVNULL)
    answer = queue.SimpleQueue()
    words = ["setpriv", "--pdeathsig", "KILL", *as_user(user), "--", *map(str, argv)]
    _requests.put((words, options, answer))
    child = answer.get()
    if isinstance(child, Exception):
        raise child
    return child


def descendants():
    """{pid: name} of all living processes below this one."""
    parents, names = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):      # it has ended meanwhile
            with open(f"/proc/{entry}/stat", errors="replace") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            state, parent = rest.split()[:2]
            parents[int(entry)] = int(parent)
            if state not in "ZX":
                names[int(entry)] = name
    found = {}
    for pid, name in names.items():
        above = parents[pid]
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid():
            found[pid] = name
    return found


def end(child, timeout=10):
    """SIGTERM, then SIGKILL if that is not enough. Returns the exit status, negative for a signal."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def kill(child):
    if child.poll() is None:
        child.kill()
    return child.wait()


class Workdir:
    """A folder that others may enter but not list, removed at the end.

    It lies in /tmp, whatever TMPDIR says: the users that QEMU and the switch run as must be able to
    reach it, and the path of a Unix socket has room for 107 bytes.
    """

    made = set()    # the paths of all so far, for a test that looks whether they are gone

    def __init__(self, prefix="weir-", keep=False):
        self.path = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
        self.made.add(self.path)
        os.chmod(self.path, 0o711)
        self.keep = keep
        atexit.register(self.remove)

    def sub(self, name, user=None, mode=0o755):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        if user and os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def file(self, name):
        return os.path.join(self.path, name)

    def remove(self):
        atexit.unregister(self.remove)
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


def tail(path, lines=15):
    """The end of a text file, for messages; empty when it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-lines:]).strip()
    except OSError:
        return ""
