"""dpdk-testpmd's `io` between vhost ports: the floor. It switches nothing, it only moves packets."""
import contextlib
import os
import re
import select
import shlex
import shutil
import subprocess

from weirvm.procs import Deadline, Failure, Workdir, end, run, spawn, tail, wait_until

from . import Side

PROGRAM = "dpdk-testpmd"
PROMPT = "testpmd> "
PORTS_MAX = 32          # RTE_MAX_ETHPORTS of Debian's DPDK
MEMORY = 1024           # MiB for packet buffers, without huge pages
JUMBO_MBUFS, JUMBO_MBUF = 32768, 9728   # a frame of 9000 bytes and its headroom in one buffer; fewer fit


class Testpmd(Side):
    name = "testpmd"
    thread = r"(lcore|rte)-worker-"

    def __init__(self, preset="release"):
        super().__init__(preset)
        self.work = None
        self.commands = []
        self.pipes = []
        self.rest = ""

    def absent(self):
        for program in (PROGRAM, "stdbuf"):
            if not shutil.which(program):
                return f"{program} is not installed; scripts/setup bench installs it"
        return None

    def version(self):
        done = run([PROGRAM, "-v", "--no-huge", "-m", "64", "--no-pci", "--in-memory", "--no-telemetry",
                    "--help"], check=False)
        found = re.search(r"RTE Version: '(.*)'", done.stderr + done.stdout)
        return f"dpdk-testpmd, {found[1] if found else 'DPDK of unknown version'}"

    def refuses(self, setup):
        if len(setup.ports) > PORTS_MAX:
            return f"it has {PORTS_MAX} ports at the most, not {len(setup.ports)}"
        return None

    # -- life

    def start(self, setup):
        self.work = Workdir("weir-testpmd-")
        self.begin(setup, self.work.path)
        theirs, self.stdin = os.pipe()
        self.stdout, ours = os.pipe()
        self.pipes = [self.stdin, self.stdout]
        # DPDK keeps files of its own, which would else stay behind.
        env = dict(os.environ, RUNTIME_DIRECTORY=self.work.sub("dpdk"))
        try:
            with open(self.work.file("log"), "w") as log:
                # Without stdbuf the C library writes in blocks, as to a file.
                self.children = [spawn([*setup.prefix, "stdbuf", "-oL", *self.command(setup.ports)], env=env,
                                       stdin=theirs, stdout=ours, stderr=log)]
        finally:
            os.close(theirs)
            os.close(ours)

    def command(self, paths):
        setup = self.setup
        argv = [PROGRAM, "--lcores", f"0@0,1@{setup.cpu}", "--no-huge", "-m", str(MEMORY), "--no-pci",
                "--no-telemetry", f"--file-prefix={os.path.basename(self.work.path)}"]
        for number, path in enumerate(paths):
            argv += ["--vdev", self.device(number, path)]
        argv += ["--", "-i", "--forward-mode=io", f"--rxq={setup.queues}", f"--txq={setup.queues}",
                 "--no-mlockall", "--no-lsc-interrupt", "--disable-link-check"]
        if setup.jumbo:
            argv += [f"--mbuf-size={JUMBO_MBUF}", f"--total-num-mbufs={JUMBO_MBUFS}", "--max-pkt-len=9018"]
        return argv

    def device(self, number, path):
        if path.startswith("iface="):
            return f"net_af_packet{number},{path}"
        device = f"net_vhost{number},iface={path},client=1,queues={self.setup.queues}"
        # The older handling of offloads is what passes a frame's claims from ring to ring.
        return device + (",tso=1,legacy-ol-flags=1" if self.setup.tso else "")

    def ready(self, timeout=30):
        deadline = Deadline(timeout)
        self.answer(deadline)
        self.commands = ["set record-core-cycles on", "set record-burst-stats on", "start"]
        for command in self.commands:
            self.ask(command, deadline)
        wait_until(lambda: not self.down(deadline), deadline.left(),
                   lambda: f"links of testpmd's ports {self.down(Deadline(5))}")

    def down(self, deadline):
        """Numbers of the ports without a link."""
        text = self.ask("show port summary all", deadline)
        links = dict(re.findall(r"^(\d+)\s+\S+\s+\S+\s+\S+\s+(\S+)", text, re.M))
        return [number for number in range(len(self.setup.ports)) if links.get(str(number)) != "up"]

    def end(self):
        for child in self.children:
            # The prompt closes rings in good order; a signal does not find one that waits for a line.
            with contextlib.suppress(Failure, OSError, subprocess.TimeoutExpired):
                self.say("quit")
                child.wait(5)
            end(child)
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes = []
        if self.work:
            self.work.remove()

    # -- its prompt

    def say(self, command):
        os.write(self.stdin, f"{command}\n".encode())

    def ask(self, command, deadline=None):
        self.say(command)
        return self.answer(deadline or Deadline(10))

    def answer(self, deadline):
        """What it writes before the next prompt; each command is followed by one."""
        while PROMPT not in self.rest:
            if not select.select([self.stdout], [], [], min(deadline.left(), 0.5))[0]:
                self.check_alive()
                if deadline.passed():
                    raise Failure(f"testpmd: no prompt after {deadline.seconds} s: {self.rest[-500:]}\n"
                                  f"{self.log_tail()}")
                continue
            data = os.read(self.stdout, 1 << 16)
            if not data:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.children[0].wait(5)
                self.check_alive()
            self.rest += data.decode(errors="replace").replace("\r", "")
        text, self.rest = self.rest.split(PROMPT, 1)
        return text

    # -- what it says

    def counts(self):
        text = self.ask("show fwd stats all")
        cycles = re.search(r"total cycles=(\d+) / total \w+ packets=(\d+)\) at (\d+) MHz", text)
        # Each burst that was received is sent, in one call: the count of those that were received holds
        # the empty ones, too.
        bursts = sum(map(int, re.findall(r"TX-bursts\s*:\s*(\d+)", text)))
        ports = re.split(r"Accumulated forward statistics", text)[0]

        def total(key):
            return sum(map(int, re.findall(rf"{key}:\s*(\d+)", ports)))
        drops = {"to-vm-ring-full": total("TX-dropped"), "from-vm-dropped": total("RX-dropped"),
                 "from-vm-errors": total("RX-error")}
        # It says nothing of cycles before the first packet.
        busy, packets, megahertz = map(int, cycles.groups()) if cycles else (0, 0, 0)
        return {"packets": packets, "busy_cycles": busy, "tsc_hz": megahertz * 1000000, "bursts": bursts,
                "drops": drops}

    def describe(self):
        lines = [self.plain(shlex.join(self.command(self.setup.sockets))), *self.setup.others,
                 f"commands: {'; '.join(self.commands)}", f"memory: {MEMORY} MiB without huge pages"]
        if self.setup.jumbo:
            lines.append(f"mbufs: {JUMBO_MBUFS} of {JUMBO_MBUF} bytes, each for a whole frame of 9000 bytes")
        if self.setup.tso:
            lines.append("tso=1, legacy-ol-flags=1: else it does not pass TSO frames on")
        lines.append("its cycles are those of bursts with packets; those of polls without are not counted")
        return lines

    def log_tail(self):
        return f"{self.rest[-1000:]}\n{tail(self.work.file('log'))}" if self.work else ""
