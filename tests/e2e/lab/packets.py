"""Packets as a guest's kernel makes them, and conversations of them between two front-ends."""
import ipaddress
import struct

V4, V6, ARP = 0x0800, 0x86dd, 0x0806
ICMP, TCP, UDP, GRE, ICMP6, SCTP = 1, 6, 17, 47, 58, 132
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def address(text):
    return ipaddress.ip_address(text).packed


def checksum(data):
    """Internet checksum (RFC 1071)."""
    data = bytes(data) + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _with_sum(message, at, covered=b""):
    return message[:at] + struct.pack(">H", checksum(covered + message)) + message[at + 2:]


def _pseudo(source, destination, protocol, length):
    if len(source) == 4:
        return source + destination + struct.pack(">BBH", 0, protocol, length)
    return source + destination + struct.pack(">IHBB", length, 0, 0, protocol)


def ip(source, destination, protocol, payload, identification=1, fragment=None):
    """A packet from text addresses, v4 or v6. fragment: (offset in bytes, more)."""
    source, destination = address(source), address(destination)
    if len(source) == 4:
        flags = 0 if fragment is None else fragment[0] // 8 | (0x2000 if fragment[1] else 0)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identification, flags, 64, protocol, 0)
        return _with_sum(head + source + destination, 10) + payload
    if fragment is not None:
        payload = struct.pack(">BBHI", protocol, 0, fragment[0] | int(fragment[1]), identification) + payload
        protocol = 44
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload


def tcp(source, destination, sport, dport, seq, ack, flags, payload=b"", window=0xffff):
    head = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff, 5 << 4, flags, window, 0, 0)
    return _l4(source, destination, TCP, head + payload, 16)


def udp(source, destination, sport, dport, payload=b""):
    return _l4(source, destination, UDP, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload, 6)


def _l4(source, destination, protocol, message, at):
    pseudo = _pseudo(address(source), address(destination), protocol, len(message))
    return ip(source, destination, protocol, _with_sum(message, at, pseudo))


def echo(source, destination, identifier, sequence=1, reply=False, payload=b""):
    kind = (129 if reply else 128) if ":" in source else (0 if reply else 8)
    return icmp(source, destination, kind, 0, struct.pack(">HH", identifier, sequence) + payload)


def icmp(source, destination, kind, code, rest):
    message = struct.pack(">BBH", kind, code, 0) + rest
    if ":" not in source:
        return ip(source, destination, ICMP, _with_sum(message, 2))
    return _l4(source, destination, ICMP6, message, 2)


def unreachable(source, destination, quoted):
    """The error "port unreachable" that quotes a packet."""
    kind, code = (1, 4) if ":" in source else (3, 3)
    return icmp(source, destination, kind, code, bytes(4) + quoted[:64])


def sctp(source, destination, sport, dport, tag, chunk, body=b""):
    """A common header and one chunk; its CRC32c is left out, which no switch looks at."""
    chunk = struct.pack(">BBH", chunk, 0, 4 + len(body)) + body
    return ip(source, destination, SCTP, struct.pack(">HHII", sport, dport, tag, 0) + chunk)


def arp(mac, source, target):
    return struct.pack(">HHBBH", 1, V4, 6, 4, 1) + mac + address(source) + bytes(6) + address(target)


def solicitation(mac, source, target):
    """A neighbour solicitation (RFC 4861), with the asker's MAC address unless it is from nowhere."""
    option = b"" if source == "::" else b"\1\1" + mac
    group = f"ff02::1:ff{address(target)[13]:02x}:{int.from_bytes(address(target)[14:], 'big'):x}"
    packet = icmp(source, group, 135, 0, bytes(4) + address(target) + option)
    return packet[:7] + b"\xff" + packet[8:]


def routed(packet):
    """The packet with one hop less to live."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    return _with_sum(packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + bytes(2) + packet[12:20], 10) + packet[20:]


def host(end, version=4):
    """The address of a front-end, after the last byte of its MAC address."""
    return f"10.8.0.{end.mac[5]}" if version == 4 else f"fd08::{end.mac[5]:x}"


class Talk:
    """What is the same for all packets of one conversation between two front-ends."""

    def __init__(self, one, other, sport=40000, dport=80, version=4, ips=None):
        self.ends = (one, other)
        self.ips = ips or (host(one, version), host(other, version))
        self.l4 = (sport, dport)

    def frame(self, way, packet):
        """way: 0 as it began, 1 back."""
        return self.ends[way].frame(self.ends[1 - way].mac, packet, V6 if ":" in self.ips[0] else V4)

    def ports(self, way):
        return self.l4[way], self.l4[1 - way]

    def addresses(self, way):
        return self.ips[way], self.ips[1 - way]


class Udp(Talk):
    def data(self, way=0, payload=b"data"):
        return self.frame(way, udp(*self.addresses(way), *self.ports(way), payload))


class Tcp(Talk):
    """Keeps both sides' sequence numbers; each method makes the next frame of one side."""

    def __init__(self, *words, **more):
        super().__init__(*words, **more)
        self.seq = [1000, 9_000_000]

    def segment(self, way, flags, payload=b"", seq=None):
        ack = self.seq[1 - way] if flags & ACK else 0
        seq = self.seq[way] if seq is None else seq
        return self.frame(way, tcp(*self.addresses(way), *self.ports(way), seq, ack, flags, payload))

    def _next(self, way, flags, payload=b""):
        frame = self.segment(way, flags, payload)
        self.seq[way] += len(payload) + bool(flags & (SYN | FIN))
        return frame

    def handshake(self):
        """[(way, frame)] of the three."""
        return [(0, self._next(0, SYN)), (1, self._next(1, SYN | ACK)), (0, self._next(0, ACK))]

    def data(self, way=0, payload=b"data"):
        return self._next(way, ACK | PSH, payload)

    def ack(self, way=0):
        return self.segment(way, ACK)

    def fin(self, way=0):
        return self._next(way, ACK | FIN)

    def rst(self, way=0):
        return self.segment(way, RST | ACK)

    def goodbye(self):
        """[(way, frame)] of an orderly end."""
        return [(0, self.fin(0)), (1, self.ack(1)), (1, self.fin(1)), (0, self.ack(0))]
