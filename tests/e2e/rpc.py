"""The control protocol by hand: a client that may be sound, slow or mad."""
import itertools
import json
import select
import socket

from lab import Deadline, Failure

PROTOCOL = 1


class Refused(Exception):
    """The switch answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.text = error["message"]


class Client:
    """A connection to the control socket; a context manager. hello: say so at once."""

    def __init__(self, path, hello=True):
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.connect(path)
        self._ids = itertools.count(1)
        self._rest = b""
        self.notifications = []
        self.hello = self.call("hello", protocol=PROTOCOL) if hello else None

    def send(self, data, timeout=10):
        """Whole, or an exception: the switch may close what it does not like."""
        self.stream.settimeout(timeout)
        self.stream.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self, timeout=10):
        """The next line as JSON; None when the switch has closed the connection."""
        deadline = Deadline(timeout)
        while b"\n" not in self._rest:
            if not select.select([self.stream], [], [], deadline.left())[0]:
                raise Failure(f"the switch said nothing for {timeout} s")
            try:
                data = self.stream.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def ask(self, text, timeout=10):
        """Sends a line as it is; the answer to it."""
        self.send(text.encode() + b"\n" if isinstance(text, str) else text + b"\n")
        return self.answer(timeout)

    def answer(self, timeout=10):
        while True:
            message = self.line(timeout)
            if message is None:
                raise Failure("the switch closed the connection")
            if "method" not in message:
                return message
            self.notifications.append(message)

    def request(self, method, params=None):
        """The text of a request."""
        return json.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method,
                           "params": params or {}}) + "\n"

    def call(self, method, timeout=10, **params):
        self.send(self.request(method, params))
        answer = self.answer(timeout)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def wait_closed(self, timeout):
        """What the switch still said before it closed the connection, as JSON."""
        said, deadline = [], Deadline(timeout)
        while True:
            message = self.line(deadline.left() + 0.1)
            if message is None:
                return said
            said.append(message)

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
