"""Does KVM work here?

That /dev/kvm opens, and even makes machines, proves nothing: nested in some hosts a guest kernel hangs
under it. So a guest is booted with a deadline, once per boot of this machine and per image.
"""
import functools
import os
import subprocess

from .images import image
from .procs import spawn, kill

DEADLINE = 8


def _boots(found):
    argv = ["qemu-system-x86_64", "-machine", "q35,accel=kvm", "-cpu", "host", "-m", "256",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", found.kernel, "-initrd", found.initrd,
            "-append", "console=ttyS0 quiet panic=-1 weir.probe", "-serial", "stdio"]
    child = spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    try:
        out, _ = child.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        return False
    finally:
        kill(child)
        child.stdout.close()
    return "weir: probe works" in out


@functools.lru_cache(maxsize=None)
def accelerator():
    """'kvm' if a guest boots under it, else 'tcg'. WEIR_ACCEL decides when it is set."""
    given = os.environ.get("WEIR_ACCEL")
    if given:
        return given
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    found = image()
    with open("/proc/sys/kernel/random/boot_id") as file:
        mark = f"{file.read().strip()} {os.geteuid()} {os.path.dirname(found.kernel)}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    note = os.path.join(cache, "weir", "accelerator")
    try:
        with open(note) as file:
            seen, result = file.read().strip().rsplit(" ", 1)
        if seen == mark and result in ("kvm", "tcg"):
            return result
    except (OSError, ValueError):
        pass
    result = "kvm" if _boots(found) else "tcg"
    try:
        os.makedirs(os.path.dirname(note), exist_ok=True)
        with open(f"{note}.{os.getpid()}", "w") as file:
            file.write(f"{mark} {result}\n")
        os.rename(file.name, note)
    except OSError:
        pass    # only costs the next run a probe
    return result
