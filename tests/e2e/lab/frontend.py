"""A vhost-user front-end without a VM: it speaks the protocol and plays the driver on rings in its own
memory, as soundly or as badly as a test wants (vhost-user specification; virtio 1.2, 2.7).

Layout of the memory, one memfd: for each vring 64 KiB of ring (descriptors, available, used and a page
for indirect tables), then its buffers.
"""
import array
import mmap
import os
import socket
import struct

from weirvm.procs import Deadline, Failure, wait_until

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE = 1, 2, 3, 4, 5, 6
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES = 12, 13, 15, 16
GET_QUEUE_NUM, SET_VRING_ENABLE, SEND_RARP = 17, 18, 19
NEED_REPLY = 1 << 3
NO_FD = 1 << 8      # beside a vring's index

F_CSUM, F_GUEST_CSUM, F_MRG_RXBUF, F_MQ, F_LOG_ALL, F_INDIRECT, F_EVENT_IDX, F_PROTOCOL, F_VERSION_1 = (
    1 << bit for bit in (0, 1, 15, 22, 26, 28, 29, 30, 32))
PROTOCOL_MQ, PROTOCOL_LOG_SHMFD, PROTOCOL_RARP, PROTOCOL_REPLY_ACK = (1 << bit for bit in range(4))

NEXT, WRITE, INDIRECT = 1, 2, 4     # descriptor flags
SIZE = 256                          # entries of each ring
BUFFER = 4096                       # bytes of each buffer
VNET = 12                           # virtio-net header of a virtio 1 device

GUEST = 0x10000000                  # guest physical address of the memory
USER = 0x7e0000000000               # its address in the "VMM", which only the protocol sees
RING_BYTES = 0x10000
AVAIL, USED, TABLE = 0x2000, 0x4000, 0x8000


class Vring:
    """One ring as its driver sees it. Queue 2i receives (to-vm), 2i+1 transmits (from-vm)."""

    def __init__(self, frontend, index):
        self.memory = frontend.memory
        self.words = frontend.words
        self.index = index
        self.base = index * RING_BYTES
        self.buffers = frontend.nvrings * RING_BYTES + index * SIZE * BUFFER
        self.kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.call = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.reset()

    def reset(self):
        """Empty rings, as a driver leaves them before it starts the device."""
        self.memory[self.base:self.base + RING_BYTES] = bytes(RING_BYTES)
        self.avail = self.used = 0

    def close(self):
        os.close(self.kick)
        os.close(self.call)

    def buffer(self, entry):
        return self.buffers + entry * BUFFER

    def desc(self, number, address, length, flags=0, following=0):
        struct.pack_into("<QIHH", self.memory, self.base + number * 16, address, length, flags, following)

    def table(self, number, address, length, flags=0, following=0):
        """A descriptor of this ring's indirect table."""
        struct.pack_into("<QIHH", self.memory, self.base + TABLE + number * 16, address, length, flags,
                         following)

    def publish(self, *heads):
        """Makes chains available, all at once; kick() tells the device."""
        for head in heads:
            struct.pack_into("<H", self.memory, self.base + AVAIL + 4 + self.avail % SIZE * 2, head)
            self.avail = (self.avail + 1) & 0xffff
        self.set_index(self.avail)

    def set_index(self, index):
        # One store: struct writes byte by byte, and the device would see an index that never was.
        self.words[(self.base + AVAIL + 2) // 2] = index

    def notify(self):
        os.eventfd_write(self.kick, 1)

    def used_index(self):
        return self.words[(self.base + USED + 2) // 2]

    def pending(self):
        """Chains made available that the device has not given back."""
        return (self.avail - self.used_index()) & 0xffff

    def take_used(self):
        """[(head, length)] of what the device has given back since the last call."""
        taken = []
        while self.used != self.used_index():
            taken.append(struct.unpack_from("<II", self.memory, self.base + USED + 4 + self.used % SIZE * 8))
            self.used = (self.used + 1) & 0xffff
        return taken


def listen_at(path):
    """A socket that listens at the path, as a VMM's does."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen(1)
    return listener


class Frontend:
    """Frontend(path, listens="vmm") connects and negotiates; start() starts the rings.

    listens: who listens at the path: "vmm" or "switch"; or what listen_at(path) returned
    features: those wanted besides VERSION_1 and the protocol's own.
    """

    def __init__(self, path, listens="vmm", pairs=1, features=F_MRG_RXBUF, mac="52:54:00:00:0f:01",
                 timeout=10):
        self.path = path
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.pairs = pairs
        self.nvrings = 2 * pairs
        self.wanted = features | F_VERSION_1 | F_PROTOCOL | (F_MQ if pairs > 1 else 0)
        self.bytes = self.nvrings * (RING_BYTES + SIZE * BUFFER)
        self.memory_fd = os.memfd_create("frontend", os.MFD_CLOEXEC)
        os.truncate(self.memory_fd, self.bytes)
        self.memory = mmap.mmap(self.memory_fd, self.bytes)
        self.words = memoryview(self.memory).cast("H")
        self.vrings = [Vring(self, index) for index in range(self.nvrings)]
        self.listener = None
        self.connection = None
        try:
            self._connect(listens, timeout)
            self._negotiate()
        except BaseException:
            self.close()
            raise

    # -- the protocol

    def _connect(self, listens, timeout):
        if listens != "switch":
            self.listener = listen_at(self.path) if listens == "vmm" else listens
            self.listener.settimeout(timeout)
            self.connection = self.listener.accept()[0]
        else:
            wait_until(lambda: os.path.exists(self.path), timeout, f"socket {self.path}")
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(self.path)
        self.connection.settimeout(timeout)

    def send(self, request, payload=b"", fds=(), flags=0):
        header = struct.pack("<III", request, 1 | flags, len(payload))
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.connection.sendmsg([header + payload], ancillary)

    def receive(self):
        header = self._exactly(12)
        return self._exactly(struct.unpack("<III", header)[2])

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                raise Failure(f"the switch closed the connection of {self.path}")
            data += part
        return data

    def ask(self, request, payload=b"", fds=()):
        self.send(request, payload, fds)
        return self.receive()

    def tell(self, request, payload=b"", fds=()):
        """Sends and waits until the switch has done it; False if it says that it could not."""
        self.send(request, payload, fds, NEED_REPLY)
        return struct.unpack("<Q", self.receive())[0] == 0

    def _negotiate(self):
        offered = struct.unpack("<Q", self.ask(GET_FEATURES))[0]
        self.offered = offered
        self.send(SET_OWNER)
        protocol = struct.unpack("<Q", self.ask(GET_PROTOCOL_FEATURES))[0]
        wanted = PROTOCOL_MQ | PROTOCOL_LOG_SHMFD | PROTOCOL_RARP | PROTOCOL_REPLY_ACK
        self.send(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol & wanted))
        self.queue_pairs = struct.unpack("<Q", self.ask(GET_QUEUE_NUM))[0]
        missing = self.wanted & ~offered
        if missing:
            raise Failure(f"{self.path}: features {missing:#x} are not offered")

    def set_memory(self, size=None, fd=None, offset=0):
        """offset: in the file, where it begins."""
        fd = self.memory_fd if fd is None else fd
        region = struct.pack("<QQQQ", GUEST, size or self.bytes, USER, offset)
        return self.tell(SET_MEM_TABLE, struct.pack("<II", 1, 0) + region, [fd])

    def set_log(self, fd, size):
        """The log of dirty pages; its answer is empty and comes when it is in use."""
        self.send(SET_LOG_BASE, struct.pack("<QQ", size, 0), [fd])
        self.receive()

    def set_logging(self, on):
        """As QEMU does when a migration begins or ends: by a feature, and for each used ring."""
        self.tell(SET_FEATURES, struct.pack("<Q", self.wanted | (F_LOG_ALL if on else 0)))
        for vring in self.vrings:
            self.set_address(vring, on)

    def set_address(self, vring, logged=False):
        at = USER + vring.base
        log = GUEST + vring.base + USED if logged else 0
        return self.tell(SET_VRING_ADDR, struct.pack("<IIQQQQ", vring.index, int(logged), at, at + USED,
                                                     at + AVAIL, log))

    def start_vring(self, vring, base=0, call=None):
        index = vring.index
        self.tell(SET_VRING_NUM, struct.pack("<II", index, SIZE))
        self.tell(SET_VRING_BASE, struct.pack("<II", index, base))
        self.set_address(vring)
        self.tell(SET_VRING_CALL, struct.pack("<Q", index), [vring.call if call is None else call])
        self.tell(SET_VRING_KICK, struct.pack("<Q", index), [vring.kick])

    def enable(self, vring, on=True):
        return self.tell(SET_VRING_ENABLE, struct.pack("<II", vring.index, int(on)))

    def stop_kicking(self, vring):
        """From now on the device has to look by itself."""
        self.tell(SET_VRING_KICK, struct.pack("<Q", vring.index | NO_FD))

    def start(self, receive=SIZE, call=None):
        """Starts and enables all rings, with `receive` buffers in each to-vm ring."""
        self.tell(SET_FEATURES, struct.pack("<Q", self.wanted))
        self.set_memory()
        for vring in self.vrings:
            vring.reset()
            if vring.index % 2 == 0:
                self.post(vring, range(receive))
            self.start_vring(vring, call=call)
        for vring in self.vrings:
            self.enable(vring)
        return self

    def stop(self):
        """What a reset of the device comes to: the rings stop, their state is forgotten."""
        for vring in self.vrings:
            self.ask(GET_VRING_BASE, struct.pack("<II", vring.index, 0))

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        for thing in (self.connection, self.listener):
            if thing is not None:
                thing.close()
        if self.listener is not None and os.path.exists(self.path):
            os.unlink(self.path)
        for vring in self.vrings:
            vring.close()
        self.words.release()
        self.memory.close()
        os.close(self.memory_fd)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    # -- frames

    @property
    def rx(self):
        return self.vrings[0]

    @property
    def tx(self):
        return self.vrings[1]

    def address(self, vring, entry):
        return GUEST + vring.buffer(entry)

    def post(self, vring, entries):
        """Gives the device empty buffers."""
        for entry in entries:
            vring.desc(entry, self.address(vring, entry), BUFFER, WRITE)
            vring.publish(entry)

    def frame(self, to, payload=b"", kind=0x88b5):
        """An Ethernet frame; the default type is the one for experiments (IEEE 802)."""
        to = bytes.fromhex(to.replace(":", "")) if isinstance(to, str) else to
        return (to + self.mac + struct.pack(">H", kind) + payload).ljust(60, b"\0")

    def write(self, frame, entry, vnet=bytes(VNET), vring=None):
        vring = vring or self.tx
        at = vring.buffer(entry)
        self.memory[at:at + VNET + len(frame)] = vnet + frame

    def put(self, frame, vnet=bytes(VNET), vring=None):
        """Sends one frame, in one descriptor."""
        self.put_together([frame], vnet, vring)

    def put_together(self, frames, vnet=bytes(VNET), vring=None):
        """Sends frames, each in one descriptor; the device finds them all at once."""
        vring = vring or self.tx
        entries = [(vring.avail + i) % SIZE for i in range(len(frames))]
        for entry, frame in zip(entries, frames):
            self.write(frame, entry, vnet, vring)
            vring.desc(entry, self.address(vring, entry), VNET + len(frame))
        vring.publish(*entries)
        vring.notify()

    def wait_sent(self, timeout=5, vring=None):
        vring = vring or self.tx
        wait_until(lambda: not vring.pending(), timeout,
                   lambda: f"{self.path}: {vring.pending()} frames to be taken", 0.001)

    def got(self, vring=None):
        """The frames received since the last call; their buffers go back."""
        vring = vring or self.rx
        frames = []
        for head, length in vring.take_used():
            at = vring.buffer(head)
            frames.append(self.memory[at + VNET:at + length])
            self.post(vring, [head])
        return frames

    def wait_frames(self, count, timeout=5, wanted=lambda frame: True):
        """At least so many frames that are wanted, in the order they came."""
        frames, deadline = [], Deadline(timeout)
        while len(frames) < count:
            wait_until(lambda: self.rx.used != self.rx.used_index() or deadline.passed(), timeout + 1,
                       "a frame", 0.001)
            frames += filter(wanted, self.got())
            if deadline.passed() and len(frames) < count:
                raise Failure(f"{self.path}: {len(frames)} of {count} frames came in {timeout} s")
        return frames
