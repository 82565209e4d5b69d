"""A program on a terminal of its own, as a person would use it."""
import fcntl
import os
import re
import select
import struct
import termios

from weirvm.procs import Deadline, Failure, kill, spawn, wait_until

SIZE = (24, 160)        # rows, columns
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[@-~]|\x1b[=>]")
UP, TAB, CTRL_C, CTRL_D, CTRL_U = "\x1b[A", "\t", "\x03", "\x04", "\x15"


class Terminal:
    """A context manager. Keys go in by press(), what was drawn is waited for by see()."""

    def __init__(self, argv, env=None):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self._new = ""
        self.text = ""
        try:
            self.child = spawn(["setsid", "--ctty", *argv], stdin=slave, stdout=slave, stderr=slave,
                               env=dict(env or os.environ, TERM="xterm"))
        except BaseException:
            os.close(self.master)
            raise
        finally:
            os.close(slave)

    def press(self, keys):
        os.write(self.master, keys.encode())
        return self

    def _read(self, timeout):
        """False at the end."""
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:     # the last one on the other side has gone
            return False
        self._new += data.decode(errors="replace")
        self.text += data.decode(errors="replace")
        return bool(data)

    def see(self, pattern, timeout=10):
        """Waits until something matches behind what was seen before; the match. Steering is left out."""
        deadline = Deadline(timeout)
        while True:
            plain = ESCAPE.sub("", self._new)
            found = re.search(pattern, plain, re.S)
            if found:
                self._new = plain[found.end():]
                return found
            if deadline.passed() or not self._read(deadline.left()):
                raise Failure(f"{pattern!r} was not drawn; behind what was seen: {plain!r}")

    def ready(self, pattern, timeout=10):
        """Like see(), of a prompt: keys that come between its drawing and the change of the terminal to
        single keys would be taken for lines."""
        self.see(pattern, timeout)
        wait_until(lambda: not termios.tcgetattr(self.master)[3] & termios.ICANON, timeout, "single keys", 0.002)
        return self

    def wait(self, timeout=10):
        """The exit status, when all that was drawn has been read."""
        deadline = Deadline(timeout)
        while not deadline.passed() and self._read(deadline.left()):
            pass
        return self.child.wait(max(1.0, deadline.left()))

    def close(self):
        kill(self.child)
        os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
