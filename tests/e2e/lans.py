"""Switches with raw front-ends on their ports: lan() for single frames, ground() for connections and groups."""
import contextlib
import itertools
import struct

from cases import check, slow
from lab import Switch, packets, wait_until
from lab.frontend import F_MRG_RXBUF, SIZE, Frontend
from lab.packets import arp

USER = "nobody"
BROADCAST = "ff:ff:ff:ff:ff:ff"
NOBODY = "52:54:00:00:00:99"

# Whoever is in `open` takes all, in `shut` nothing that it did not ask for, in `mute` sends nothing.
GROUPS = {
    "open": {"to-vm": [{"allow": "any"}]},
    "shut": {"to-vm": []},
    "mute": {"to-vm": [{"allow": "any"}], "from-vm": [{"deny": "any"}]},
}
_sports = itertools.count(20000)


def mac(number):
    return f"52:54:00:00:0f:{number:02x}"


def tag(vlan, priority=0, kind=0x8100):
    return struct.pack(">HH", kind, priority << 13 | vlan)


class Lan:
    """A switch and front-ends on its ports: lan.a, lan.b …"""

    def __init__(self, switch, stack):
        self.switch, self.stack, self.ends = switch, stack, {}

    def port(self, name, features=F_MRG_RXBUF, start=True, **keys):
        keys = {"vhost_user__mode": "0666", **keys}
        self.switch.add_port(name, "switch", **keys)
        return self.attach(name, start, queues=int(keys.get("vhost_user__queues", 1)), features=features)

    def attach(self, name, start=True, address=None, queues=1, features=F_MRG_RXBUF):
        """A front-end on a port that is there."""
        end = self.stack.enter_context(Frontend(self.switch.socket(name), "switch", pairs=queues, features=features,
                                                mac=address or mac(len(self.ends) + 1)))
        self.ends[name] = end
        setattr(self, name.replace("-", "_"), end)
        if start:
            end.start()
            self.switch.wait_port(name, "up", slow(10))
        return end

    def learned(self):
        """Every front-end's address is known, and what that took has been read away."""
        for end in self.ends.values():
            end.put(end.frame(BROADCAST, b"here I am"))
            end.wait_sent()
        self.drain()

    def drain(self):
        """Frames arrive before their sender's buffers come back, so one look is enough."""
        for end in self.ends.values():
            for ring in end.vrings[0::2]:
                end.got(ring)

    def send(self, name, frame, vnet=None):
        """Sends and returns {name: frames} of who received what."""
        end = self.ends[name]
        end.put(frame, *([vnet] if vnet else []))
        end.wait_sent(slow(5))
        return {name: frames for name, end in self.ends.items() if (frames := end.got())}

    def drops(self, name):
        rows = self.switch.json("drops", name)
        rows = rows["items"] if isinstance(rows, dict) else rows
        return {row["reason"]: row["count"] for row in rows}

    def expect_drop(self, name, reason, act, count=1):
        before = self.drops(name)
        act()
        after = self.drops(name)
        grown = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
        check(grown == {reason: count}, f"port {name}: drops grew by {grown}, not by {reason}: {count}")


def lan(**switch):
    @contextlib.contextmanager
    def make():
        with Switch(user=USER, **switch) as one, contextlib.ExitStack() as stack:
            yield Lan(one, stack)
    return make()


class Ground(Lan):
    """A lan whose whole configuration is one document; what is changed in it is applied."""

    def __init__(self, switch, stack, document):
        super().__init__(switch, stack)
        self.document = {"switch": {}, "bridges": {"default": {}}, "groups": dict(GROUPS), **document, "ports": {}}

    def apply(self):
        self.switch.ctl("apply", self.switch.write_config(self.document))

    def port(self, name, groups=None, start=True, address=None, **entry):
        """Adds a port, in these groups if any, and its front-end."""
        queues, features = entry.pop("queues", 1), entry.pop("features", F_MRG_RXBUF)
        socket = {"socket": f"{name}.sock", "listens": "switch", "mode": "0666", "queues": queues}
        self.document["ports"][name] = {"vhost-user": socket, **({"groups": groups} if groups else {}), **entry}
        self.apply()
        return self.attach(name, start, address, queues, features)

    def set(self, name, **entry):
        """Changes a port's entry; None removes a key."""
        port = self.document["ports"][name]
        for key, value in entry.items():
            port[key.replace("_", "-")] = value
        self.document["ports"][name] = {key: value for key, value in port.items() if value is not None}
        self.apply()

    def group(self, name, **lists):
        self.document["groups"][name] = {key.replace("_", "-"): rules for key, rules in lists.items()}
        self.apply()

    def name(self, end):
        return next(name for name, one in self.ends.items() if one is end)

    def learned(self):
        """By ARP, which every group lets pass."""
        for end in self.ends.values():
            self.announce(end)
        self.drain()

    def announce(self, end, source=None):
        """Its address, or another's, is learned behind this port."""
        source = source or end.mac
        packet = arp(source, f"10.8.0.{source[5]}", f"10.8.0.{source[5]}")
        end.put((b"\xff" * 6 + source + struct.pack(">H", packets.ARP) + packet).ljust(60, b"\0"))
        end.wait_sent(slow(5))

    # -- what becomes of single frames

    def passes(self, talk, way, frame, to=None):
        """It goes to the other end, or to this port, as it is, and to nobody else."""
        one, other = self.name(talk.ends[way]), to or self.name(talk.ends[1 - way])
        got = self.send(one, frame)
        check(got == {other: [frame]}, f"from {one} to {other}: it went to { {who: len(f) for who, f in got.items()} }; "
                                       f"drops: {self.lost()}")

    def all_pass(self, talk, frames):
        for way, frame in frames:
            self.passes(talk, way, frame)

    def denied(self, name, frame, at=None, reason="group-deny", count=1):
        """It reaches nobody, and is counted at this port."""
        self.expect_drop(at or name, reason, lambda: self.nothing(name, frame), count)

    def nothing(self, name, frame):
        got = self.send(name, frame)
        check(not got, f"from {name}: it went to {set(got)}")

    def lost(self):
        return {name: drops for name in self.ends if (drops := {k: v for k, v in self.drops(name).items() if v})}

    # -- counts

    def connections(self, *filters):
        return self.switch.json("conn", "count", *filters)["connections"]

    def check_one(self, talk):
        """It is one connection, whatever became of it."""
        count = self.connections("--sport", talk.l4[0])
        check(count == 1, f"{count} connections from L4 port {talk.l4[0]}")

    def work(self):
        """(lookups, tracked packets) of all workers so far."""
        workers = self.switch.json("status")["workers"]
        return sum(one["lookups"] for one in workers), sum(one["tracked"] for one in workers)


@contextlib.contextmanager
def ground(**document):
    with Switch({"switch": document.get("switch", {})}, user=USER) as switch, contextlib.ExitStack() as stack:
        yield Ground(switch, stack, document)


def put_all(end, frames, vring=None):
    """Sends as fast as the ring takes them, with one kick for each ring full."""
    vring = vring or end.tx
    for frame in frames:
        if vring.pending() >= SIZE - 1:
            vring.notify()
            wait_until(lambda: vring.pending() < SIZE // 2, slow(10), "room in the ring", 0.0001)
        entry = vring.avail % SIZE
        end.write(frame, entry, vring=vring)
        vring.desc(entry, end.address(vring, entry), 12 + len(frame))
        vring.publish(entry)
    vring.notify()
    end.wait_sent(slow(20), vring)


def talk(kind, one, other, **more):
    """A conversation that none has had before."""
    return kind(one, other, sport=next(_sports), **more)
