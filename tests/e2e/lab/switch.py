"""The switch under test: a weir-switchd process, its weirctl and its log."""
import json
import os
import re
import shutil
import signal
import socket

from weirvm.procs import Deadline, Failure, Workdir, as_user, end, kill, run, spawn, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# A line of the log is "<level> subsystem: text".
LEVEL = re.compile(r"^<?(error|warning)>? ")
SANITIZER = re.compile(r"(Address|Thread|Leak|Memory|UndefinedBehavior)Sanitizer|runtime error:")


def calm(preset):
    """Words before a program built with a sanitizer: GCC 12 and Clang 14 place their shadow memory where
    a kernel that randomises more bits may have put something else."""
    if preset not in ("asan", "tsan") or run(["setarch", "-R", "true"], check=False).returncode:
        return []
    return ["setarch", "-R"]


def reachable(path, user):
    """Whether `user` may run the program; a checkout in a home folder often is not."""
    return run(["setpriv", *as_user(user), "--", "test", "-x", path], check=False).returncode == 0


class Switch:
    """A weir-switchd process; a context manager.

    config     a dict, or text in YAML; None: started without --config
    preset     which build; WEIR_PRESET, else release
    user       run as that user; None: as the caller
    eal        words for DPDK, after "--"
    prefix     words before the program, e.g. ["ip", "netns", "exec", "one"]
    expected   patterns of warnings and errors that belong to the test; any other fails it at the end
    """

    def __init__(self, config=None, preset=None, user=None, eal=(), prefix=(), expected=(), run_dir=None,
                 env=None, start=True):
        self.preset = preset or os.environ.get("WEIR_PRESET", "release")
        self.bin = os.path.join(ROOT, "build", self.preset, "bin")
        self.user = user
        self.eal = list(eal)
        self.prefix = list(prefix)
        self.env = env
        self.expected = list(expected)
        self.work = Workdir("weir-switch-")
        # The folder of the control socket belongs to the switch's user: it makes vm/ inside by itself.
        self.run_dir = run_dir or self.work.sub("run", user)
        self.control = os.path.join(self.run_dir, "control.sock")
        self.log = self.work.file("log")
        self.config = None
        self.child = None
        self.program = os.path.join(self.bin, "weir-switchd")
        try:
            if not os.path.exists(self.program):
                raise Failure(f"{self.program} is not there; build it: cmake --preset {self.preset} && "
                              f"cmake --build build/{self.preset}")
            if user and not reachable(self.program, user):
                self.program = shutil.copy2(self.program, self.work.sub("bin"))
            if config is not None:
                self.write_config(config)
            if start:
                self.start()
        except BaseException:
            self.work.remove()
            raise

    # -- life

    def write_config(self, config):
        self.config = self.work.file("weir.yaml")
        with open(self.config, "w") as file:
            # JSON is YAML.
            file.write(config if isinstance(config, str) else json.dumps(config, indent=1) + "\n")
        return self.config

    def command(self):
        argv = [*self.prefix, *calm(self.preset), self.program]
        if self.config:
            argv += ["--config", self.config]
        argv += ["--run-dir", self.run_dir]
        return argv + (["--", *self.eal] if self.eal else [])

    def launch(self):
        """Start the process and return at once; for a start that is meant to fail."""
        path = self.work.file("notify")
        if os.path.exists(path):
            os.unlink(path)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(path)
        os.chmod(path, 0o777)
        # DPDK keeps files of its own, which would else stay behind in /run or /tmp.
        env = dict(os.environ, NOTIFY_SOCKET=path, RUNTIME_DIRECTORY=self.work.sub("dpdk", self.user))
        env.update(self.env or {})
        # Appended: a switch that is started again adds to the same log.
        with open(self.log, "a") as log:
            self.child = spawn(self.command(), user=self.user, env=env, stdout=log, stderr=log)
        return self

    def start(self, timeout=30):
        """Start the process and wait until it says that it is ready."""
        self.launch()
        deadline = Deadline(timeout)
        self._notify.settimeout(0.1)
        try:
            while True:
                try:
                    if "READY=1" in self._notify.recv(4096).decode(errors="replace").split("\n"):
                        return self
                except TimeoutError:
                    pass
                if self.child.poll() is not None:
                    raise Failure(f"weir-switchd ended with {self.child.returncode} before it was ready")
                if deadline.passed():
                    raise Failure(f"weir-switchd was not ready after {timeout} s")
        except Failure as error:
            text = self.log_text()
            kill(self.child)
            raise Failure(f"{error}; its log:\n{text[-3000:]}") from None
        finally:
            self._notify.close()

    def wait_exit(self, timeout=10):
        """The exit status of a process that ends by itself."""
        return wait_until(lambda: (self.child.poll(),) if self.child.poll() is not None else None,
                          timeout, "weir-switchd to end")[0]

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """kill -9."""
        return kill(self.child)

    def stop(self, timeout=15):
        """SIGTERM; the switch must end by itself, with status 0."""
        if self.child is None:
            return
        if self.child.poll() is not None:
            raise Failure(f"weir-switchd had ended with {self.child.returncode}; its log:\n"
                          f"{self.log_text()[-3000:]}")
        self.child.send_signal(signal.SIGTERM)
        wait_until(lambda: self.child.poll() is not None, timeout,
                   lambda: f"weir-switchd to end on SIGTERM; its log:\n{self.log_text()[-3000:]}")
        if self.child.returncode != 0:
            raise Failure(f"weir-switchd ended with {self.child.returncode} on SIGTERM; its log:\n"
                          f"{self.log_text()[-3000:]}")
        self.child = None

    def close(self, check=True):
        """Stop, look at the log, and remove every file."""
        try:
            if check:
                # One that a test killed and did not start again has no status to look at.
                if self.child is not None and self.child.returncode != -signal.SIGKILL:
                    self.stop()
                self.check_log()
        finally:
            if self.child is not None:
                end(self.child)
            self.work.remove()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and isinstance(error, Exception):
            error.add_note(f"log of weir-switchd ({'running' if self.alive() else 'ended'}):\n"
                           f"{self.log_text()[-4000:]}")
        self.close(check=error is None)

    @property
    def pid(self):
        return self.child.pid

    def cpu_seconds(self):
        """CPU time of all its threads so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    # -- the log

    def log_text(self):
        try:
            with open(self.log, errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def wait_log(self, pattern, timeout=10):
        """Wait for a line that matches; the match."""
        return wait_until(lambda: re.search(pattern, self.log_text(), re.M), timeout,
                          lambda: f"{pattern!r} in the log:\n{self.log_text()[-2000:]}")

    def expect(self, *patterns):
        """Declare warnings and errors that the test provokes."""
        self.expected += patterns

    def check_log(self):
        """Fail on a warning, an error or a sanitizer's report that nobody declared."""
        bad = [line for line in self.log_text().splitlines()
               if (LEVEL.search(line) or SANITIZER.search(line))
               and not any(re.search(pattern, line) for pattern in self.expected)]
        if bad:
            # A sanitizer's report is no use without the lines after its first.
            whole = self.log_text()[-6000:] if any(map(SANITIZER.search, bad)) else "\n".join(bad)
            raise Failure(f"weir-switchd logged what the test does not expect:\n{whole}")

    # -- weirctl

    def ctl_argv(self, *words):
        return [os.path.join(self.bin, "weirctl"), "--socket", self.control, *map(str, words)]

    def weirctl(self, *words, timeout=30, **options):
        """Run weirctl, whatever comes of it; the CompletedProcess."""
        return run(self.ctl_argv(*words), timeout=timeout, check=False, **options)

    def ctl(self, *words, timeout=30):
        """Run weirctl, which must succeed; its output."""
        done = self.weirctl(*words, timeout=timeout)
        if done.returncode:
            raise Failure(f"weirctl {' '.join(map(str, words))}: exit {done.returncode}: "
                          f"{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def json(self, *words, timeout=30):
        """Run a reading command with -o json; what it printed, parsed."""
        text = self.ctl("-o", "json", *words, timeout=timeout)
        try:
            return json.loads(text)
        except ValueError as error:
            raise Failure(f"weirctl -o json {' '.join(words)}: {error}: {text[:500]}") from None

    def add_port(self, name, listens=None, **keys):
        """weirctl port add NAME vhost-user.socket=NAME.sock ...; returns the path of the socket.

        Further keys as for weirctl, "." written "__" and "-" as "_": vlan__access=10.
        """
        words = [f"vhost-user.socket={name}.sock"]
        if listens:
            words.append(f"vhost-user.listens={listens}")
        words += [f"{key.replace('__', '.').replace('_', '-')}={value}" for key, value in keys.items()]
        self.ctl("port", "add", name, *words)
        return self.socket(name)

    def socket(self, name):
        """The path of a VM socket that add_port() made."""
        return os.path.join(self.run_dir, "vm", f"{name}.sock")

    def ports(self):
        """{name: port} of `port list`."""
        return {port["name"]: port for port in self.json("port", "list")}

    def port(self, name):
        return self.ports()[name]

    def wait_port(self, name, state="up", timeout=20):
        self.ctl("port", "wait", name, state, "--timeout", f"{timeout}s", timeout=timeout + 10)

    def libvirt_xml(self, name):
        """(<memoryBacking>, <interface>) that `port libvirt` prints."""
        text = self.ctl("port", "libvirt", name)
        parts = [re.search(rf"<{tag}\b.*?</{tag}>", text, re.S) for tag in ("memoryBacking", "interface")]
        if None in parts:
            raise Failure(f"weirctl port libvirt {name} lacks an element:\n{text}")
        return parts[0][0], parts[1][0]
