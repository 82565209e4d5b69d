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


def of_switch(connections):
    """Bytes of a switch's packets and of its table."""
    return PACKETS, connections * CONNECTION


class HugePages:
    """So many of the kernel's default size that whoever needs so many bytes of each kind finds them free. Those of
    several lanes may be closed in any order."""

    def __init__(self, *sizes):
        self.added = 0
        try:
            free, size = figure("HugePages_Free"), figure("Hugepagesize") << 10
            needed = sum(-(-bytes_ // size) for bytes_ in sizes)
            if free >= needed:
                return
            before = figure("HugePages_Total")
            self._reserve(before + needed - free)
        except (OSError, TypeError) as error:   # no such file, or no such line of it
            raise Unavailable(f"no huge pages can be reserved here: {error}") from None
        self.added = figure("HugePages_Total") - before
        if figure("HugePages_Free") < needed:
            free = figure("HugePages_Free")
            self.close()
            raise Unavailable(f"{needed} huge pages are needed, and {free} were to be had")

    @staticmethod
    def _reserve(count):
        with open(RESERVED, "w") as file:
            file.write(f"{count}\n")

    def close(self):
        if self.added:
            self._reserve(figure("HugePages_Total") - self.added)
            self.added = 0
