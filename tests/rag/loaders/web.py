"""A scripted web server on loopback, on which all connections of a test may be made to land."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.support.waiting import let_pass

PUBLIC = "93.184.216.34"
Answer = Iterable[bytes]
CONNECT = socket.socket.connect


class Web:
    """Gives each connection the next answer, the last one again and again; an answer is sent piece by piece."""

    def __init__(self, answers: tuple[Answer, ...], context: ssl.SSLContext | None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.server = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.server}/"
        self.requests: list[bytes] = []
        self.names: list[str | None] = []  # that TLS was asked for
        self.hits = 0
        self.dialled: list[Any] = []  # where connections that were made to land here were meant to go
        self._answers = list(answers)
        self._context = context
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.hits += 1
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            threading.Thread(target=self._answer, args=[connection, answer], daemon=True).start()

    def _answer(self, connection: socket.socket, answer: Answer) -> None:
        with contextlib.suppress(OSError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    more = connection.recv(65_536)
                    if not more:  # the client has left in the middle
                        return
                    request += more
                self.requests.append(request)
                for piece in answer:
                    connection.sendall(piece)


@contextlib.contextmanager
def web(*answers: Answer, context: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Serve these answers inside the block."""
    server = Web(answers, context)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()


def catch_all(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each connection land here, for any host and port."""

    def connect(self: socket.socket, place: Any) -> None:
        server.dialled.append(place)
        CONNECT(self, ("127.0.0.1", server.port))

    monkeypatch.setattr(socket.socket, "connect", connect)


class Names:
    """A resolver: the first time it gives a name these places, later the next ones, the last ones again and again."""

    def __init__(self, *times: list[str]) -> None:
        self.times = list(times)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        self.asked.append((host, port))
        places = self.times.pop(0) if len(self.times) > 1 else self.times[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (place, port, 0, 0))
            if ":" in place
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port))
            for place in places
        ]


def answer(body: bytes = b"whole", *headers: str, status: str = "200 OK") -> list[bytes]:
    """Make a plain answer that tells its length."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return ["\r\n".join(head).encode("latin-1") + body]


class Endless:
    """Sends a beginning and then the same again and again, with pauses (seconds)."""

    def __init__(self, beginning: bytes, again: bytes, pause: float = 0) -> None:
        self.beginning = beginning
        self.again = again
        self.pause = pause
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        yield self.beginning
        while True:
            let_pass(self.pause)
            self.sent += len(self.again)
            yield self.again


def quickest(do: Callable[[], object], enough: float) -> float:
    """Do something up to three times, until it takes less than enough; returns the seconds of the quickest.

    A bound on time holds for the code, and the machine may stand still in one of them.
    """
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        do()
        seconds.append(time.monotonic() - started)
        if seconds[-1] < enough:
            break
    return min(seconds)
