"""Two line protocols over Unix sockets: the guest's own agent, and QEMU's QMP."""
import itertools
import json
import select
import socket
import threading

from .procs import Deadline, Failure, wait_until


class Lines:
    """A stream socket read line by line, never past a deadline."""

    def __init__(self, path, timeout=10):
        self.path = path
        self._rest = b""
        self.socket = wait_until(self._connect, timeout, f"a connection to {path}")

    def _connect(self):
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self.path)
            return stream
        except OSError:
            stream.close()
            return None

    def send(self, text):
        try:
            self.socket.sendall(text.encode() + b"\n")
        except OSError as error:
            raise Failure(f"{self.path}: {error.strerror}") from error

    def line(self, deadline):
        """The next line, or None when the deadline passes first."""
        while b"\n" not in self._rest:
            if not select.select([self.socket], [], [], deadline.left())[0]:
                return None
            try:
                data = self.socket.recv(65536)
            except OSError as error:
                raise Failure(f"{self.path}: {error.strerror}") from error
            if not data:
                raise Failure(f"{self.path}: closed by QEMU")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def close(self):
        self.socket.close()


class Agent(Lines):
    """The host's end of guest/agent."""

    def __init__(self, path, timeout=10):
        super().__init__(path, timeout)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def wait_ready(self, timeout, alive=lambda: None, boot=False):
        """Wait until the agent says that it is there; returns the guest's uptime in seconds.

        alive() is called now and then, to raise when waiting has no point. boot: take no answer but the
        one the agent gives when it starts, so that the guest before a reboot is not taken for the one
        after it.
        """
        deadline = Deadline(timeout)
        word = f"asked{next(self._ids)}"
        with self._lock:
            if not boot:
                self.send(f"* {word}")
            while not deadline.passed():
                line = self.line(Deadline(min(0.5, deadline.left())))
                alive()
                if line and line.startswith("* ready "):
                    _, _, what, uptime = line.split(" ")
                    if what == "boot" or what == word and not boot:
                        return float(uptime)
        raise Failure(f"the guest's agent said nothing for {timeout:.0f} s")

    def call(self, command, timeout):
        """Run a command in the guest: its output and its exit status."""
        escaped = command.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
        with self._lock:
            name = str(next(self._ids))
            # The guest gives up first, so that the channel is free again for the next command.
            self.send(f"{name} {max(1, int(timeout))} {escaped}")
            deadline = Deadline(timeout + 5)
            output = []
            while True:
                line = self.line(deadline)
                if line is None:
                    raise Failure(f"no answer after {timeout} s to: {command}")
                if line.startswith(f"{name} >"):
                    output.append(line[len(name) + 2:])
                elif line.startswith(f"{name} ="):
                    return "\n".join(output), int(line.split("=")[1])
                elif line.startswith("* ready boot "):
                    raise Failure(f"the guest restarted during: {command}")


class Qmp(Lines):
    """QEMU's monitor."""

    def __init__(self, path, timeout=10):
        super().__init__(path, timeout)
        self.events = []
        if self.line(Deadline(timeout)) is None:
            # QEMU listens at once, but greets only when its devices are set up.
            self.close()
            raise Failure(f"{path}: QEMU does not answer; it may be waiting for a vhost-user socket")
        self.call("qmp_capabilities")

    def call(self, command, timeout=30, **arguments):
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.send(json.dumps({"execute": command, "arguments": words}))
        deadline = Deadline(timeout)
        while True:
            line = self.line(deadline)
            if line is None:
                raise Failure(f"QMP {command}: no answer after {timeout} s")
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise Failure(f"QMP {command}: {answer['error'].get('desc')}")
            else:
                return answer["return"]

    def wait_event(self, name, timeout=10):
        """The next event of that name, seen or still to come."""
        deadline = Deadline(timeout)
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(index)
            line = self.line(deadline)
            if line is None:
                raise Failure(f"QMP: no event {name} within {timeout} s")
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
