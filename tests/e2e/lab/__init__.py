"""The end-to-end laboratory: guests, libvirt and the switch process, each cleaned up by `with`."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "vm-images"))

from weirvm.accel import accelerator    # noqa: E402 -- all of these follow the path above
from weirvm.guest import Guest          # noqa: E402
from weirvm.images import image         # noqa: E402
from weirvm.libvirt import Domain, Libvirt    # noqa: E402
from weirvm.procs import (              # noqa: E402
    Deadline, Failure, Workdir, descendants, run, spawn, wait_until)
from weirvm.qemu import Nic             # noqa: E402

from .switch import Switch              # noqa: E402

__all__ = ["ROOT", "Deadline", "Domain", "Failure", "Guest", "Libvirt", "Nic", "Switch", "Workdir",
           "accelerator", "descendants", "image", "run", "spawn", "wait_until"]
