"""Huge pages for the length of a lane: reserved before the switch starts, given back when it has ended."""
import re

from weirvm.procs import Failure

RESERVED = "/proc/sys/vm/nr_hugepages"
PACKETS = 256 << 20     # bytes: the default of switch.memory
CONNECTION = 256        # at most, of the connection table


class Unavailable(Failure):
    """The machine lacks what a comparison needs: it is left out by name, and no failure."""


def figure(name):
    with open("/proc/meminfo") as file:
        return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.M)[1])


class HugePages:
    """So many of the kernel's default size that a switch with `connections` finds them free."""

    def __init__(self, connections):
        self.before = None
        try:
            free, size = figure("HugePages_Free"), figure("Hugepagesize") << 10
            needed = -(-PACKETS // size) + -(-connections * CONNECTION // size)
            if free >= needed:
                return
            before = figure("HugePages_Total")
            self._reserve(before + needed - free)
        except (OSError, TypeError) as error:   # no such file, or no such line of it
            raise Unavailable(f"no huge pages can be reserved here: {error}") from None
        self.before = before
        if figure("HugePages_Free") < needed:
            free = figure("HugePages_Free")
            self.close()
            raise Unavailable(f"{needed} huge pages are needed, and {free} were to be had")

    @staticmethod
    def _reserve(count):
        with open(RESERVED, "w") as file:
            file.write(f"{count}\n")

    def close(self):
        if self.before is not None:
            self._reserve(self.before)
            self.before = None
