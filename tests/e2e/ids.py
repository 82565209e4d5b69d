"""The example IDS by itself, between two veths: what it does with NSH."""
import contextlib
import re
import subprocess

from cases import BOTH, case, check, slow
from chains_nsh import nsh
from lab import Workdir, wait_until
from lab.wire import Namespaces, Tap
from weirvm.nf import program

SENDER = b"\2Weir\0"
HARMLESS, EVIL = (b"\2\0\0\0\0\2" b"\2\0\0\0\0\1" b"\x88\xb6" + text.ljust(64) for text in (b"harmless", b"evil1234"))


@contextlib.contextmanager
def running():
    """(its two far ends, the addresses of its cards, a function that gives its counts)."""
    with Workdir("weir-ids-") as work, Namespaces("ids", "far") as spaces, contextlib.ExitStack() as stack:
        for side in ("left", "right"):
            spaces.veth("ids", side, "far", side)
        with open(work.file("signatures"), "w") as file:
            file.write("evil[0-9]{4}\n")
        words = [program("weir-ids"), "--socket", work.file("socket")]
        spaces.spawn("ids", [*words, "--signatures", file.name, "left", "right"])

        def show():
            return subprocess.run([*words, "--show"], capture_output=True, text=True)
        wait_until(lambda: not show().returncode, slow(5), lambda: f"it to run: {show().stderr}")
        own = [bytes.fromhex(spaces.run("ids", "cat", f"/sys/class/net/{side}/address").stdout.strip().replace(":", ""))
               for side in ("left", "right")]
        yield [stack.enter_context(Tap(spaces, "far", side)) for side in ("left", "right")], own, lambda: show().stdout


@case("weir-ids: NSH is counted down and goes back where it came from; what it does not know is dropped by name",
      presets=BOTH)
def kinds():
    with running() as (ends, own, show):
        def passes(way, path, index, frame=HARMLESS, before=(), **form):
            """What is sent before it does not pass."""
            for one in before:
                ends[way].put(one)
            ends[way].put(nsh(own[way], SENDER, path, index, **form) + frame)
            wanted = nsh(SENDER, own[1 - way], path, index - 1, **form) + frame
            got = ends[1 - way].got(lambda one: one[12:14] == b"\x89\x4f", slow(5))
            check(got == [wanted], f"{[one.hex() for one in got]}, not {wanted.hex()}")
        bad = {
            "nsh-length": nsh(own[0], SENDER, 7, 255, base=0x0fff) + HARMLESS,
            "nsh-version": nsh(own[0], SENDER, 7, 255, base=0x4fc2) + HARMLESS,
            "nsh-oam": nsh(own[0], SENDER, 7, 255, base=0x2fc2) + HARMLESS,
            "nsh-md-type": nsh(own[0], SENDER, 7, 255, metadata=3) + HARMLESS,
            "nsh-protocol": nsh(own[0], SENDER, 7, 255, inside=1) + HARMLESS[14:],
            "nsh-index": nsh(own[0], SENDER, 7, 0) + HARMLESS,
            "line 1: evil[0-9]{4}": nsh(own[0], SENDER, 7, 255) + EVIL,
        }
        for way in (0, 1):
            passes(way, 0xffffff, 255)
            passes(way, 7, 1, bytes(16) + HARMLESS, base=0x0fc6, metadata=1)
            passes(way, 7, 9, bytes(8) + HARMLESS, base=0x0fc4)
        passes(0, 7, 255, before=bad.values())
        said = show()
        found = dict(reversed(one) for one in re.findall(r"dropped (\d+) (.+)", said))
        check(found == dict.fromkeys(bad, "1"), f"dropped: {found}")
        check("nsh-packets 8\n" in said, f"not the 7 that passed, and one: {said}")
        return f"{len(bad)} kinds dropped"
