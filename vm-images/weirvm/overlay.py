"""An image with more files in it: programs of this machine and the libraries they need.

The kernel unpacks archives one behind the other, so the image itself is not built again.
"""
import os
import re
import shutil
import subprocess

from .images import Image
from .procs import Failure, run


def libraries(path):
    """What the dynamic linker loads along with a program or a shared object."""
    text = run(["ldd", path]).stdout
    missing = re.findall(r"(\S+) => not found", text)
    if missing:
        raise Failure(f"{path} needs {', '.join(missing)}")
    return re.findall(r"(?:=> )?(/\S+) \(0x", text)


class Overlay:
    """What is laid over an image, gathered in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.root = os.path.join(folder, "root")
        os.makedirs(self.root)

    def _place(self, target):
        place = self.root + target
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return place

    def add(self, source, target=None):
        """Adds a file, at the path it has here or at `target`.

        A file that has several names here stays one file: a library that is loaded under two of its
        names is else loaded twice.
        """
        real = os.path.realpath(source)
        if target is None and real != source:
            if not os.path.lexists(place := self._place(source)):
                os.symlink(real, place)
            target = real
        place = self._place(target or source)
        if not os.path.lexists(place):
            shutil.copy2(real, place)
        return self

    def add_program(self, source, target=None):
        """Adds a program or a shared object, and the libraries it needs."""
        self.add(source, target)
        for path in libraries(source):
            self.add(path)
        return self

    def append(self, source, target, text):
        """Adds a file with more text at its end."""
        with open(source) as base, open(self._place(target), "w") as out:
            out.write(base.read() + text)
        return self

    def over(self, image):
        """The image with these files: a new one in the folder."""
        names = sorted(os.path.relpath(os.path.join(top, name), self.root)
                       for top, folders, files in os.walk(self.root) for name in folders + files)
        initrd = os.path.join(self.folder, "initramfs")
        with open(initrd, "wb") as out:
            with open(image.initrd, "rb") as base:
                shutil.copyfileobj(base, out)
            out.flush()
            # Parents sort before what is in them, as the kernel wants it.
            done = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=self.root,
                                  input="".join(f"{name}\n" for name in names).encode(),
                                  stdout=out, stderr=subprocess.PIPE)
        if done.returncode:
            raise Failure(f"cpio: {done.stderr.decode(errors='replace').strip()}")
        shutil.rmtree(self.root)
        return Image(image.kernel, initrd)
