"""Network namespaces and the veths between them: what stands at the other end of a NIC port."""
import contextlib
import fcntl
import hashlib
import os
import re
import select
import socket
import struct
import sys
import time

from weirvm.procs import Failure, end, run, spawn, wait_until

SOL_PACKET, PACKET_AUXDATA = 263, 8
VLAN_VALID = 1 << 4
TUNSETIFF = 0x400454ca
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x100, 0x1000, 0x4000
ETH_P_ALL = 3


class Namespaces:
    """Named namespaces, removed at the end with all that lies in them; a context manager."""

    def __init__(self, *names):
        self.names = {name: f"weir-{os.getpid()}-{name}" for name in names}
        self.made = []
        self.children = []

    def __enter__(self):
        try:
            for full in self.names.values():
                run(["ip", "netns", "add", full])
                self.made.append(full)
                run(["ip", "-n", full, "link", "set", "lo", "up"])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for child in self.children:
            end(child)
        for full in self.made:
            run(["ip", "netns", "del", full], check=False)

    def prefix(self, name):
        """Words before a command that runs there."""
        return ["ip", "netns", "exec", self.names[name]]

    def run(self, name, *argv, check=True, timeout=60):
        return run([*self.prefix(name), *argv], check=check, timeout=timeout)

    def ip(self, name, *words):
        return run(["ip", "-n", self.names[name], *words])

    def spawn(self, name, argv, **options):
        child = spawn([*self.prefix(name), *argv], **options)
        self.children.append(child)
        return child

    def veth(self, one, near, other, far, mtu=1500):
        """A veth from interface `near` in namespace `one` to `far` in `other`. A device of DPDK does not
        know partial checksums and frames that are still to be cut: the far end sends neither. An interface
        that is made again has the same address again."""
        address = "02:" + hashlib.sha256(f"{other} {far}".encode()).digest()[:5].hex(":")
        self.ip(one, "link", "add", near, "mtu", str(mtu), "type", "veth", "peer", "name", far, "mtu", str(mtu),
                "address", address, "netns", self.names[other])
        self.run(other, "ethtool", "-K", far, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        for name, interface in ((one, near), (other, far)):
            self.ip(name, "link", "set", interface, "up")

    def tap(self, name, interface, queues=1):
        """An interface whose other end is a card of QEMU's; returns a descriptor for each queue, which are
        the caller's. It goes with the last of them."""
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if queues > 1 else 0)
        fds = []
        with self.inside(name):
            for _ in range(queues):
                fds.append(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
                fcntl.ioctl(fds[-1], TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
        # Its own neighbour discovery would mix with what is counted.
        self.run(name, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
        self.ip(name, "link", "set", interface, "up")
        return fds

    def address(self, name, interface, *addresses):
        for address in addresses:
            self.ip(name, "addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def ping(self, name, address, count=3, size=56, interval=0.1, fragment=True):
        """Pings that were not answered; fails if there was no answer at all."""
        words = [] if fragment else ["-M", "do"]
        done = self.run(name, "ping", "-n", "-c", str(count), "-i", str(interval), "-W", "5", "-s", str(size),
                        *words, address, check=False)
        match = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
        if not match or not int(match[2]):
            raise Failure(f"{name}: no answer from {address} to {size} bytes:\n{done.stdout}{done.stderr}")
        return int(match[1]) - int(match[2])

    def wait_ping(self, name, address, timeout=20):
        wait_until(lambda: not self.run(name, "ping", "-n", "-c", "1", "-W", "1", address, check=False).returncode,
                   timeout, f"{address} to answer {name}", 0.05)

    @contextlib.contextmanager
    def inside(self, name):
        """This thread in the namespace, e.g. to open a socket that stays there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.names[name]}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            yield
        finally:
            _setns(home)
            os.close(home)
            os.close(there)


def _setns(fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


class Tap:
    """Raw frames at an interface, tags included."""

    def __init__(self, namespaces, name, interface):
        with namespaces.inside(name):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.bind((interface, ETH_P_ALL))

    def put(self, frame):
        self.socket.send(frame)

    def _frame(self):
        data, extra, _, address = self.socket.recvmsg(65536, 256)
        if address[2] == socket.PACKET_OUTGOING:
            return None
        for level, kind, value in extra:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
                if status & VLAN_VALID:
                    data = data[:12] + struct.pack(">HH", tpid or 0x8100, tci) + data[12:]
        return data

    def got(self, wanted=lambda frame: True, seconds=0.0):
        """Frames that have come within so many seconds, or the first wanted ones."""
        frames, until = [], time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0.0, until - time.monotonic()) if not frames else 0)[0]:
            frame = self._frame()
            if frame and wanted(frame):
                frames.append(frame)
        return frames

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_TAKE = """
import hashlib, socket, sys
server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
stream, total = hashlib.sha256(), server.accept()[0]
while data := total.recv(1 << 16):
    stream.update(data)
print(stream.hexdigest(), flush=True)
"""
_GIVE = """
import random, socket, sys
noise = random.Random(int(sys.argv[3])).randbytes(int(sys.argv[4]))
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as out:
    out.sendall(noise)
"""


class Taker:
    """A TCP server in a namespace that takes one connection and tells the checksum of what came."""

    def __init__(self, namespaces, name, port):
        reader, writer = os.pipe()
        self.child = namespaces.spawn(name, [sys.executable, "-c", _TAKE, str(port)], stdout=writer)
        os.close(writer)
        self.file = os.fdopen(reader)
        if self.file.readline().strip() != "ready":
            raise Failure(f"no TCP server on port {port} of {name}")

    def checksum(self, timeout=60):
        self.child.wait(timeout)
        with self.file:
            return self.file.readline().strip()


def give(namespaces, name, address, port, megabytes, seed=1, timeout=120):
    """Sends noise over TCP out of a namespace; its checksum."""
    import random
    size = megabytes << 20
    namespaces.run(name, sys.executable, "-c", _GIVE, address, str(port), str(seed), str(size), timeout=timeout)
    return hashlib.sha256(random.Random(seed).randbytes(size)).hexdigest()


__all__ = ["Namespaces", "Taker", "Tap", "give"]
