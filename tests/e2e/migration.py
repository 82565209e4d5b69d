"""Guests that move: the announcement in a guest's name."""
import contextlib
import struct

from cases import BOTH, case, check, slow
from lab import Switch
from lab.frontend import F_MRG_RXBUF, SEND_RARP, Frontend
from traffic import items

USER = "nobody"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac(number):
    return f"52:54:00:00:0e:{number:02x}"


@contextlib.contextmanager
def ends(switch, features, **ports):
    """{name: Frontend} on ports of these names, with these keys."""
    with contextlib.ExitStack() as stack:
        made = {}
        for number, (name, keys) in enumerate(ports.items(), 1):
            path = switch.add_port(name, "switch", vhost_user__mode="0666", **keys)
            made[name] = stack.enter_context(
                Frontend(path, "switch", mac=mac(number), features=features)).start()
        for name in ports:
            switch.wait_port(name, "up", slow(10))
        yield made


# -- the announcement

@case("migration: SEND_RARP", presets=BOTH)
def send_rarp():
    """A guest that cannot announce itself was at `old` and is now at `new`."""
    with Switch(user=USER) as switch, \
            ends(switch, F_MRG_RXBUF, old={"vlan__access": 10}, new={"vlan__access": 10},
                 peer={"vlan__access": 10}, trunk={"vlan__trunk": "[10,20]", "vlan__native": 20},
                 alien={"vlan__access": 20}) as made:
        old, new, peer = made["old"], made["new"], made["peer"]
        old.put(old.frame(BROADCAST))
        old.wait_sent()

        def place():
            return {one["mac"]: one["port"] for one in items(switch.json("fdb", "list"))}.get(mac(1))
        check(place() == "old", f"before: {place()}")
        for end in made.values():
            end.got()
        # Idle: the workers sleep, and must be woken.
        check(new.tell(SEND_RARP, old.mac + bytes(2)), "SEND_RARP failed")
        frame = peer.wait_frames(1, slow(5))[0]
        wanted = (b"\xff" * 6 + old.mac + struct.pack(">HHHBBH", 0x8035, 1, 0x0800, 6, 4, 3) + old.mac +
                  bytes(4) + old.mac + bytes(4)).ljust(60, b"\0")
        check(frame == wanted, f"not the RARP request: {frame.hex()}")
        tagged = made["trunk"].wait_frames(1, slow(5))[0]
        check(tagged == wanted[:12] + struct.pack(">HH", 0x8100, 10) + wanted[12:], f"trunk: {tagged.hex()}")
        check(old.wait_frames(1, slow(5)) == [wanted], "the old place did not hear of it")
        check(place() == "new", f"after: {place()}")
        peer.put(peer.frame(old.mac, b"for the guest"))
        got = new.wait_frames(1, slow(5))
        check(len(got) == 1 and b"for the guest" in got[0], "its frames go elsewhere, or its own came back")
        check(not made["alien"].got(), "another VLAN heard of it")
        return "RARP to all of its VLAN, tagged on the trunk; its MAC has moved"
