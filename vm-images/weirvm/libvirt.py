"""Guests run by libvirt: the machine's own libvirtd if one answers, else a private one.

The machine's libvirtd is only asked to run transient domains. The private one gets a mount namespace in
which /etc/libvirt, /run/libvirt, /var/{lib,log,cache}/libvirt are folders of ours, and a PID namespace, so
that its guests cannot outlive it whatever happens to us.
"""
import base64
import contextlib
import json
import os
import pwd
import re
import select

from . import domain
from .accel import accelerator
from .images import image
from .procs import Failure, Workdir, as_user, kill, run, spawn, tail, wait_until
from .shell import Result, Shell

QEMU_USER = "libvirt-qemu"

# PID 1 of the namespace must reap QEMU, which libvirt detaches from itself: libvirtd would wait for ever
# for a process that has ended and is a zombie. bash reaps whatever it is given.
PRIVATE = r"""
set -eu
folder=$1
for pair in etc:/etc/libvirt run:/run/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
    mkdir -p "${pair#*:}"
    mount --bind "$folder/${pair%%:*}" "${pair#*:}"
done
# libvirtd looks at every start whether QEMU's user may open /dev/kvm, asks QEMU the same as root, and begins
# anew for ever when the answers differ. A file that nobody can make a machine with gives one answer.
if [ "$2" = tcg ] && [ -e /dev/kvm ]; then
    : >"$folder/no-kvm"
    chmod 0 "$folder/no-kvm"
    mount --bind "$folder/no-kvm" /dev/kvm
fi
libvirtd -f "$folder/etc/libvirtd.conf" -p "$folder/libvirtd.pid" &
while kill -0 $! 2>/dev/null; do wait $! || true; done
"""

# Output goes through a file, as in guest/agent: a process that a command leaves behind would else keep
# the guest agent's pipe open.
EXEC = """out=/run/exec.$$
timeout $0 /bin/sh -c "$1" >$out 2>&1 </dev/null
status=$?
cat $out
rm -f $out
exit $status"""


class Libvirt:
    """A connection to libvirt; a context manager.

    private: None: a private libvirtd only if the machine's does not answer; True: always.
    """

    def __init__(self, private=None, user=QEMU_USER):
        self.user = user
        self.work = Workdir("weir-libvirt-")
        self.child = None
        self.domains = []
        self.uri = "qemu:///system"
        self.accel = self._accelerator()
        self._found = None
        try:
            self.private = (not self._answers()) if private is None else private
            if self.private:
                self._start()
        except BaseException:
            self.close()
            raise

    def _accelerator(self):
        """KVM is of use only if QEMU's user may open it too."""
        words = ["setpriv", *as_user(self.user), "--", "test", "-r", "/dev/kvm", "-a", "-w", "/dev/kvm"]
        if accelerator() == "kvm" and run(words, check=False).returncode:
            return "tcg"
        return accelerator()

    def _answers(self):
        try:
            return run(["virsh", "-q", "-c", self.uri, "version"], timeout=10, check=False).returncode == 0
        except Failure:
            return False

    def _start(self):
        if os.geteuid() != 0:
            raise Failure("no libvirtd answers on qemu:///system, and a private one needs root")
        folder = self.work.path
        for name in ("etc", "run", "lib", "log", "cache", "sock", "lib/qemu", "log/qemu", "cache/qemu"):
            self.work.sub(name)
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(self.user)
            os.chown(self.work.file("lib/qemu"), entry.pw_uid, entry.pw_gid)
        os.chmod(self.work.sub("sock"), 0o700)
        with open(self.work.file("etc/libvirtd.conf"), "w") as file:
            file.write(f'unix_sock_dir = "{folder}/sock"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
                       f'log_outputs = "3:file:{self.log}"\n')
        with open(self.work.file("etc/qemu.conf"), "w") as file:
            # No virtlogd to write the logs, no cgroups to leave behind, no AppArmor to ask. The user is
            # Debian's own; it is named because nothing else in this file says it.
            file.write('stdio_handler = "file"\ncgroup_controllers = []\nsecurity_driver = "none"\n'
                       f'user = "{self.user}"\ngroup = "kvm"\n')
            if self.accel == "tcg":
                # What a guest's own /dev gets: all of libvirt's list but /dev/kvm, which PRIVATE hides.
                file.write('cgroup_device_acl = ["/dev/null", "/dev/full", "/dev/zero", "/dev/random", '
                           '"/dev/urandom", "/dev/ptmx", "/dev/userfaultfd"]\n')
        log = open(self.work.file("start.log"), "w")
        with log:
            self.child = spawn(["unshare", "--mount", "--propagation", "private", "--net", "--pid",
                                "--fork", "--kill-child", "--mount-proc",
                                "bash", "-c", PRIVATE, "private-libvirtd", folder, self.accel],
                               stdout=log, stderr=log)
        self.uri = f"qemu:///system?socket={folder}/sock/libvirt-sock"
        wait_until(self._up, 30, lambda: f"libvirtd; its log {self.log}:\n{self.said()}", 0.1)

    def _up(self):
        if self.child.poll() is not None:
            raise Failure(f"libvirtd ended with {self.child.returncode}:\n{self.said()}")
        return os.path.exists(self.work.file("sock/libvirt-sock")) and self._answers()

    @property
    def log(self):
        return self.work.file("libvirtd.log") if self.private else "the journal of libvirtd"

    def said(self):
        return tail(self.work.file("start.log")) + tail(self.work.file("libvirtd.log"))

    def virsh(self, *words, timeout=60, check=True):
        return run(["virsh", "-q", "-c", self.uri, *words], timeout=timeout, check=check)

    def version(self):
        """e.g. "libvirt 9.0.0, QEMU 7.2.22"."""
        text = self.virsh("version").stdout
        library = re.search(r"Using library: libvirt (\S+)", text)
        emulator = re.search(r"Running hypervisor: QEMU (\S+)", text)
        return f"libvirt {library[1] if library else '?'}, QEMU {emulator[1] if emulator else '?'}"

    def image(self):
        """The guest image where QEMU's user can read it."""
        if self._found is None:
            self._found = image().copy_to(self.work.sub("image"))
        return self._found

    def guest(self, name, interfaces=(), timeout=60, **how):
        """Define and start a transient domain; returns Domain at once, see Domain.wait_ready().

        interfaces: XML texts (`weirctl port libvirt`), or Nic. The words are those of domain.domain().
        """
        unique = f"weir-{name}-{os.getpid()}-{len(self.domains) + 1}"
        made = Domain(self, name, unique)
        self.domains.append(made)
        made.start(interfaces, timeout, **how)
        return made

    def close(self):
        """Destroy what was started here, and the private libvirtd."""
        for one in list(self.domains):
            with contextlib.suppress(Failure):
                one.close()
        self.domains = []
        if self.child is not None:
            self._stop()
        self.work.remove()

    def _stop(self):
        """Kill the namespace: the kernel ends all in it, and only then are its files ours to remove.
        libvirtd has nothing left to save, so it is not asked, which would take seconds."""
        first = None
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{self.child.pid}/task/{self.child.pid}/children") as file:
                first = os.pidfd_open(int(file.read().split()[0]))
        kill(self.child)
        self.child = None
        if first is not None:
            select.select([first], [], [], 10)
            os.close(first)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Domain(Shell):
    """A transient libvirt domain. `name` is the guest's host name, `domain` libvirt's name for it."""

    def __init__(self, libvirt, name, unique):
        self.libvirt = libvirt
        self.name = name
        self.domain = unique
        self.xml = ""
        # libvirt gives the file to QEMU's user before it opens it.
        self.console = libvirt.work.file(f"{unique}.console")

    def start(self, interfaces=(), timeout=60, **how):
        how.setdefault("found", self.libvirt.image())
        how.setdefault("accel", self.libvirt.accel)
        self.xml = domain.domain(self.domain, interfaces, console=self.console, **how)
        path = self.libvirt.work.file(f"{self.domain}.xml")
        with open(path, "w") as file:
            file.write(self.xml)
        # Blocks for as long as QEMU sets up its cards, which is until the switch answers.
        try:
            self.libvirt.virsh("create", path, timeout=timeout)
        except Failure as error:
            raise Failure(f"libvirt did not start {self.name}: {error}\n{self.report()}") from None
        return self

    def wait_ready(self, timeout=90):
        """Wait until the guest's agent answers."""
        said = ""

        def answers():
            nonlocal said
            done = self.libvirt.virsh("qemu-agent-command", "--timeout", "5", self.domain,
                                      '{"execute":"guest-ping"}', timeout=15, check=False)
            said = done.stderr.strip()
            if done.returncode and not self.running():
                raise Failure(f"domain {self.domain} is gone\n{self.report()}")
            return done.returncode == 0

        wait_until(answers, timeout, lambda: f"the agent of {self.name}: {said}\n{self.report()}", 0.3)
        return self

    def running(self):
        done = self.libvirt.virsh("domstate", self.domain, check=False)
        return done.returncode == 0 and done.stdout.strip() == "running"

    def agent(self, command, timeout=10, **arguments):
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        text = json.dumps({"execute": command, "arguments": words})
        done = self.libvirt.virsh("qemu-agent-command", "--timeout", str(timeout), self.domain, text,
                                  timeout=timeout + 5)
        return json.loads(done.stdout)["return"]

    def sh(self, command, timeout=60):
        pid = self.agent("guest-exec", path="/bin/sh", capture_output=True,
                         arg=["-c", EXEC, str(max(1, int(timeout))), command])["pid"]
        done = wait_until(lambda: (now := self.agent("guest-exec-status", pid=pid))["exited"] and now,
                          timeout + 10, f"{self.name}: {command}", interval=0.05, slowest=0.4)
        output = base64.b64decode(done.get("out-data", "")).decode(errors="replace")
        # As the guest's own agent does it: no newline at the end, a signal counted from 128.
        status = done["exitcode"] if "exitcode" in done else 128 + done.get("signal", 0)
        return Result(output[:-1] if output.endswith("\n") else output, status)

    def attach(self, interface, timeout=60):
        """virsh attach-device --live; interface: XML or Nic. Returns the XML to detach it with."""
        return self._device("attach-device", interface, timeout)

    def detach(self, interface, timeout=60):
        return self._device("detach-device", interface, timeout)

    def _device(self, verb, interface, timeout):
        xml = interface if isinstance(interface, str) else domain.interface(interface)
        path = self.libvirt.work.file(f"{self.domain}.device.xml")
        with open(path, "w") as file:
            file.write(xml)
        self.libvirt.virsh(verb, self.domain, path, "--live", timeout=timeout)
        return xml

    def reboot(self, timeout=90):
        """Reboot from inside; returns when the agent answers again."""
        before = self.boot_id()
        with contextlib.suppress(Failure):
            self.agent("guest-exec", path="/sbin/reboot", arg=["-f"])
        wait_until(lambda: self.boot_id() not in (before, None), timeout, f"{self.name} to reboot", 0.2)

    def boot_id(self):
        """A text that differs from boot to boot, or None while the guest does not answer."""
        try:
            return self.sh("cat /proc/sys/kernel/random/boot_id", timeout=5).output
        except Failure:
            return None

    @property
    def pid(self):
        """The process id of QEMU, found by the domain's name, which no other process has."""
        mark = f"guest={self.domain},".encode()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    with open(f"/proc/{entry}/cmdline", "rb") as file:
                        words = file.read().split(b"\0")
                    if b"qemu-system" in words[0] and any(word.startswith(mark) for word in words):
                        return int(entry)
        return None

    def close(self):
        self.libvirt.virsh("destroy", self.domain, check=False)
        if self in self.libvirt.domains:
            self.libvirt.domains.remove(self)

    def report(self):
        said = [f"  console: {tail(self.console)}"]
        # With the machine's libvirtd, /var/log/libvirt is where QEMU's own words are.
        folder = self.libvirt.work.file("log") if self.libvirt.private else "/var/log/libvirt"
        said.append(f"  QEMU: {tail(os.path.join(folder, 'qemu', self.domain + '.log'), 5)}")
        return "\n".join(said)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
