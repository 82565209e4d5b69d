"""A guest run by plain QEMU."""
import os
import shlex

from . import qemu
from .channel import Agent, Qmp
from .procs import Deadline, Failure, Workdir, end, kill, spawn, tail, wait_until
from .shell import Result, Shell


class Guest(Shell):
    """Guest("a", [Nic(socket)], ip=["10.0.0.1/24", "fd00::1/64"]); a context manager.

    The words are those of qemu.command: memory ("shared", "private", "ram"), megabytes, cpus, ip, mtu,
    words (for the kernel), extra (for QEMU). user: run QEMU as that user, e.g. "libvirt-qemu".
    incoming: QEMU waits for a guest of the same kind to migrate to file("incoming").
    fds: descriptors that QEMU is to find open under their numbers.
    """

    def __init__(self, name, nics=(), user=None, start=True, incoming=False, fds=(), **how):
        self.name = name
        self.nics = list(nics)
        self.user = user
        self.fds = tuple(fds)
        self.how = how
        self.work = Workdir(f"weir-{name}-")
        self.folder = self.work.sub("qemu", user)
        self.child = None
        self._agent = None
        self._qmp = None
        if incoming:
            self.how["extra"] = [*how.get("extra", ()), "-incoming", f"unix:{self.file('incoming')}"]
        if start:
            self.start()

    # -- life

    def start(self):
        """Start QEMU and return at once; wait_ready() waits for the guest."""
        if "found" not in self.how and self.user:
            self.how["found"] = qemu.image().copy_to(self.work.file("image"))
        argv = qemu.command(self.name, self.nics, self.folder, **self.how)
        with open(self.file("command"), "w") as file:
            file.write(shlex.join(argv) + "\n")
        with open(self.file("stderr"), "w") as log:
            # As libvirt does it: a socket that QEMU creates takes its group's rights from the umask, and
            # with an ACL on the folder those bound what the ACL grants to the switch's user.
            self.child = spawn(argv, user=self.user, umask=0o002, stdout=log, stderr=log,
                               pass_fds=self.fds)
        return self

    def wait_ready(self, timeout=60):
        """Wait until the guest takes commands."""
        deadline = Deadline(timeout)
        try:
            if self._agent is None:
                wait_until(lambda: self._alive() or os.path.exists(self.file("agent")), timeout,
                           "QEMU to start")
                self._agent = Agent(self.file("agent"), deadline.left() + 1)
            self._agent.wait_ready(deadline.left() + 1, self._alive)
        except Failure as error:
            raise Failure(f"guest {self.name} did not come up: {error}\n{self.report()}") from None
        return self

    def expect_guest(self, timeout=20):
        """Wait until QEMU is ready for the guest that will migrate here. Its agent must not see its host
        go, so the host is there before it comes."""
        wait_until(lambda: self._alive() or os.path.exists(self.file("incoming")), timeout,
                   "QEMU to wait for a guest")
        self._agent = Agent(self.file("agent"), timeout)
        return self

    def _alive(self):
        if self.child.poll() is not None:
            raise Failure(f"QEMU ended with {self.child.returncode}")
        if "Kernel panic" in tail(self.file("console"), 60):
            raise Failure("the guest's kernel panicked")

    def reboot(self, timeout=60):
        """Reboot from inside; returns when the guest takes commands again. Its memory is new: what a
        test configured is gone, what the kernel command line says is done again."""
        self._agent.send("0 5 reboot -f")
        self._agent.wait_ready(timeout, self._alive, boot=True)

    def kill(self):
        """kill -9 of QEMU."""
        kill(self.child)
        self._forget()

    def stop(self):
        if self.child is not None:
            end(self.child)
        self._forget()

    def close(self):
        """Stop, and remove every file."""
        self.stop()
        for nic in self.nics:
            # QEMU removes a socket it created, unless it was killed.
            if nic.listens == "vmm" and os.path.exists(nic.socket):
                os.unlink(nic.socket)
        self.work.remove()

    def restart(self):
        """A new QEMU for the same guest, after kill() or stop()."""
        self.stop()
        for name in ("agent", "qmp"):
            if os.path.exists(self.file(name)):
                os.unlink(self.file(name))
        return self.start()

    def _forget(self):
        for channel in (self._agent, self._qmp):
            if channel is not None:
                channel.close()
        self._agent = self._qmp = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    # -- talking to it

    def sh(self, command, timeout=60):
        if self._agent is None:
            self.wait_ready()
        return Result(*self._agent.call(command, timeout))

    @property
    def qmp(self):
        if self._qmp is None:
            self._qmp = Qmp(self.file("qmp"))
        return self._qmp

    def plug(self, nic, bus="spare0"):
        """Plug a network card into one of the buses that spare_cards made; returns its index. With
        listens="vmm" QEMU blocks until the switch has connected, and QMP with it."""
        index = len(self.nics)
        listen = nic.listens == "vmm"
        backend = {"addr": {"type": "unix", "data": {"path": nic.socket}}, "server": listen}
        backend.update({"wait": False} if listen else {"reconnect": nic.reconnect})
        self.qmp.call("chardev-add", id=f"vhost{index}", backend={"type": "socket", "data": backend})
        self.qmp.call("netdev_add", type="vhost-user", id=f"net{index}", chardev=f"vhost{index}",
                      queues=nic.queues)
        self.qmp.call("device_add", driver="virtio-net-pci", **nic.device(index, bus))
        self.nics.append(nic)
        return index

    def unplug(self, index):
        """Unplug a network card; returns when the guest has let go of it."""
        self.qmp.call("device_del", id=f"nic{index}")
        deadline = Deadline(20)
        while self.qmp.wait_event("DEVICE_DELETED", deadline.left())["data"].get("device") != f"nic{index}":
            pass
        # Takes the socket's chardev along.
        self.qmp.call("netdev_del", id=f"net{index}")

    def plug_memory(self, megabytes=128):
        """Plug a DIMM of shared memory (spare_slots must allow it); the switch gets a new memory table.
        The guest uses it, which is what sends the switch addresses there."""
        number = len(self.qmp.call("query-memory-devices"))
        before = int(self.ok("awk '/MemTotal/ { print $2 }' /proc/meminfo"))
        self.qmp.call("object-add", qom_type="memory-backend-memfd", id=f"more{number}",
                      size=megabytes << 20, share=True)
        self.qmp.call("device_add", driver="pc-dimm", id=f"dimm{number}", memdev=f"more{number}")
        # Debian's kernel leaves it to user space to put new memory to use.
        online = "for file in /sys/devices/system/memory/memory*/state; do " \
                 "grep -q offline $file && echo online >$file; done; awk '/MemTotal/ { print $2 }' /proc/meminfo"
        wait_until(lambda: int(self.sh(online).output.split()[-1]) >= before + megabytes * 900, 20,
                   f"{self.name} to use {megabytes} MiB more")

    def file(self, name):
        """A file of this guest: console, stderr, command, agent, qmp."""
        return os.path.join(self.folder, name)

    @property
    def pid(self):
        return self.child.pid

    def report(self):
        """What QEMU and the guest's console said last."""
        said = [f"  {name}: {text}" for name in ("stderr", "console")
                if (text := tail(self.file(name)))]
        return "\n".join(said)
