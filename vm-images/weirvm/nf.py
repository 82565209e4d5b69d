"""Network functions: kinds of guests that stand between others, made of Debian programs and nf/.

Of a kind is what its image has beyond the common one. eth0 is its left card, eth1 its right one; a kind
that changes no address also works with eth0 alone.
"""
import os
import shutil
from dataclasses import dataclass, field

from .images import TOP, image
from .overlay import Overlay
from .procs import Failure

FOLDER = os.path.join(TOP, "nf")
ROOT = os.path.dirname(TOP)


@dataclass(frozen=True)
class Kind:
    """What one is.

    start     the file in nf/ that sets it up, before the guest is ready
    files     what the user gives: {name: a file in nf/ if none is given, None: it need not be given}
    must      those of them without which it is nothing
    run       the file in nf/ that starts its program, kept running
    programs  what it has to have
    """
    says: str
    start: str
    files: dict = field(default_factory=dict)
    must: tuple = ()
    run: str = ""
    programs: tuple = ()


KINDS = {
    "firewall": Kind("a bridge that filters: --rules", "bridge", {"rules": None}),
    "monitor": Kind("a bridge that counts", "bridge", {"rules": "monitor.nft"}),
    "router": Kind("routes, and filters: --rules", "route", {"rules": None}),
    "nat": Kind("routes and masquerades, or does what --rules says", "route", {"rules": "nat.nft"}),
    "proxy": Kind("haproxy with --config, which gets the TCP connections that enter on the left", "route",
                  {"rules": "proxy.nft", "config": None}, ("config",), "proxy.run", ("haproxy",)),
    "ids": Kind("drops what has one of --signatures", "forward", {"signatures": None}, ("signatures",),
                "ids.run", ("weir-ids",)),
}
FILES = {"rules": "for nft", "config": "of haproxy", "signatures": "one a line"}


def program(name):
    """Where a program is: ours are in the build, the others the machine's."""
    if not name.startswith("weir-"):
        path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        hint = "run scripts/setup"
    else:
        build = os.path.join(ROOT, "build", os.environ.get("WEIR_PRESET", "release"))
        path = os.path.join(build, "bin", name)
        hint = f"build it, with libhyperscan-dev: cmake --build {os.path.relpath(build, ROOT)} --target {name}"
    if not path or not os.path.exists(path):
        raise Failure(f"{name} is not there; {hint}")
    return path


def files_of(kind, given):
    """{name: path} of the files of one; complains of what it has no use for, and of what is missing."""
    if kind not in KINDS:
        raise Failure(f"no network function {kind!r}; there are {', '.join(KINDS)}")
    known = KINDS[kind]
    given = {name: path for name, path in given.items() if path}
    for name in sorted(set(given) - set(known.files)):
        raise Failure(f"{kind} has no {name}")
    for name in known.must:
        if name not in given:
            raise Failure(f"{kind} needs {name}")
    found = {name: os.path.join(FOLDER, path) for name, path in known.files.items() if path}
    return {**found, **given}


def nf_image(kind, folder, base=None, **given):
    """The image of one: nf_image("firewall", folder, rules="rules.nft"). It lies in the folder, which
    must last as long as the guest; base: the image it is made of."""
    files = files_of(kind, given)
    known = KINDS[kind]
    overlay = Overlay(folder)
    overlay.add(os.path.join(FOLDER, known.start), "/etc/nf/start")
    for name, path in files.items():
        overlay.add(path, f"/etc/nf/{name}")
    for name in known.programs:
        overlay.add_program(program(name), f"/usr/bin/{name}")
    if known.run:
        overlay.add(os.path.join(FOLDER, known.run), "/etc/nf/run")
        overlay.append(os.path.join(TOP, "guest", "inittab"), "/etc/inittab", "::respawn:/bin/sh /etc/nf/run\n")
    return overlay.over(base or image())


def route_words(routes):
    """The kernel's word for what is behind which card: ["eth0:10.0.0.1/32", "eth1:10.0.0.0/24"]."""
    return "weir.route=" + ",".join(routes) if routes else ""


def add_arguments(parser):
    """The words of a command that can start one."""
    kinds = "; ".join(f"{name}: {kind.says}" for name, kind in KINDS.items())
    parser.add_argument("--nf", choices=KINDS, metavar="KIND", help=f"a network function. {kinds}")
    for name, what in FILES.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"a network function's {name}, {what}")
    parser.add_argument("--route", action="append", default=[], metavar="ethN[.TAG]:NETWORK",
                        help="what is behind which card")


def image_of(words, folder, base=None):
    """The image that the words ask for, or None if they ask for the common one."""
    given = {name: getattr(words, name) for name in FILES}
    if words.nf:
        return nf_image(words.nf, folder, base, **given)
    for name, path in given.items():
        if path:
            raise Failure(f"--{name} is a network function's: --nf")
    return None
