"""The guest image: built when it is needed, handed out as two paths."""
import functools
import os
import shutil
import subprocess
from dataclasses import dataclass

from .procs import Failure

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass(frozen=True)
class Image:
    kernel: str
    initrd: str

    def copy_to(self, folder):
        """A copy that another user may read: the cache lies in a home folder, and libvirt changes the
        owner of the files it boots."""
        os.makedirs(folder, exist_ok=True)
        paths = []
        for path in (self.kernel, self.initrd):
            paths.append(shutil.copyfile(path, os.path.join(folder, os.path.basename(path))))
            os.chmod(paths[-1], 0o644)
        return Image(*paths)


@functools.lru_cache(maxsize=None)
def image():
    """The image, built now if there is none for the current scripts and packages."""
    given = os.environ.get("WEIR_IMAGE")
    if not given:
        done = subprocess.run([os.path.join(TOP, "build-image")], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"the guest image was not built: {done.stderr.strip()[-2000:]}")
        given = done.stdout.strip()
    return Image(os.path.join(given, "vmlinuz"), os.path.join(given, "initramfs"))
