"""VMs that always have something to send: their rings are filled again and again with one frame, to the
second of the generator's ports, which counts what comes of each.

All of them are front-ends without a VM in one process. A ring that is full needs nobody until it has been
emptied, so the process looks only now and then, and costs the generator, whose CPU it shares, little.
"""
import os
import select
import struct
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.idle import IdlePeers, allow_files, bring_up, FILES_EACH       # noqa: E402 -- follows the path above
from packets import checksum        # noqa: E402

RECEIVER = 1            # the generator's port
LOOK = 0.004            # seconds; a ring that lasts for less runs empty
NO_INTERRUPT = 1        # a flag of the available ring: nobody waits for signals, as with the generator


class Backlog(IdlePeers):
    """The process; `first` is the number of the first one's port. They are silent until send()."""
    script = "bench/lab/backlog.py"
    what = "senders"

    def __init__(self, sockets, first, cpu):
        self.sockets = list(sockets)
        self._begin([str(first), str(cpu)])

    def send(self, frame):
        """Frames of so many bytes from now on; 0: none."""
        os.write(self.stdin, f"{frame}\n".encode())


def mac(port):
    """As the generator numbers its ports (bench/load/frames.h)."""
    return bytes((2, 0x57, port, 0, 0, 0))


def frame_of(port, stream, length):
    """A UDP frame as the generator makes them, with the tag of a stream that others send."""
    ip = bytearray(struct.pack(">BBHHHBBH4B4B", 0x45, 0, length - 14, 0, 0, 64, 17, 0, 10, port, 0, 0, 10,
                               RECEIVER, 0, 0))
    struct.pack_into(">H", ip, 10, checksum(ip))
    udp = struct.pack(">HHHH", 1024 + port, 80, length - 34, 0)
    head = mac(RECEIVER) + mac(port) + b"\x08\x00" + ip + udp + struct.pack("<IHI", 0, stream, 0)
    return head.ljust(length, b"\0")


def prepare(peer, frame):
    """All descriptors of the ring point to the same frame; the device only reads it."""
    from frontend import AVAIL, SIZE, VNET
    ring = peer.tx
    ring.words[(ring.base + AVAIL) // 2] = NO_INTERRUPT
    peer.write(frame, 0)
    for entry in range(SIZE):
        ring.desc(entry, peer.address(ring, 0), VNET + len(frame))
        struct.pack_into("<H", peer.memory, ring.base + AVAIL + 4 + entry * 2, entry)


def refill(peer):
    """Whatever the device has given back is available again. It goes round in order, so the entries need
    not be written."""
    from frontend import SIZE, USED
    ring = peer.tx
    ring.set_index((ring.used_index() + SIZE) & 0xffff)
    # As a driver does: only where the device asks for it.
    if not ring.words[(ring.base + USED) // 2]:
        ring.notify()


def main(first, cpu, sockets):
    """The process itself."""
    from frontend import Frontend

    os.sched_setaffinity(0, {cpu})
    allow_files(64 + len(sockets) * FILES_EACH)
    peers = bring_up(sockets, lambda path, listener: Frontend(path, listens=listener, timeout=120))
    length = 0
    while True:
        if select.select([sys.stdin], [], [], LOOK if length else None)[0]:
            words = os.read(0, 4096).split()
            if not words:
                break
            length = int(words[-1])
            for number, peer in enumerate(peers if length else []):
                prepare(peer, frame_of(first + number, number, length))
        for peer in peers if length else []:
            refill(peer)
    for peer in peers:
        peer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
