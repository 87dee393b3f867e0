"""Attacks on a running server from one address, and an honest client's waits at another address."""

import contextlib
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from tests.support.processes import Server
from tests.support.waiting import wait_for

ATTACKER = "127.0.0.66"
HONEST = "127.0.0.2"
BOUNDED = {
    "RATELIMIT_ENABLED": "true",
    "RATE_LOGIN_ADDRESS": "1000 per minute",
    "RATE_SIGNUP_ADDRESS": "1000 per minute",
}
HEALTH_SECONDS = 0.5  # within which `/healthz` is to be answered all the time


def connect(server: Server, source: str = ATTACKER, receive_buffer: int | None = None) -> socket.socket:
    """Open a connection from an address of loopback."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", server.port))
    return connection


def request(method: str, path: str, token: str = "", length: int | None = None, **headers: str) -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: chat.example.org"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += ["Content-Type: application/json", f"Content-Length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def status(connection: socket.socket) -> int:
    """Return the status of the answer that comes, 0 where the server has closed."""
    with contextlib.suppress(ConnectionError):
        first = connection.recv(65_536)
        return int(first.split(b" ", 2)[1]) if first.startswith(b"HTTP/1.1 ") else 0
    return 0


@contextlib.contextmanager
def flood(
    server: Server, number: int, sent: bytes, receive_buffer: int | None = None, *, wait: bool = False
) -> Iterator[list[socket.socket]]:
    """Hold so many connections of the attacker open, on each of which the same was sent.

    With `wait` each is answered before the next one is opened; the answer stays unread.
    """
    connections: list[socket.socket] = []
    try:
        for _ in range(number):
            with contextlib.suppress(ConnectionError):
                connection = connect(server, receive_buffer=receive_buffer)
                connections.append(connection)
                connection.sendall(sent)
                if wait:
                    connection.recv(1, socket.MSG_PEEK)
        yield connections
    finally:
        for connection in connections:
            connection.close()


class Watch:
    """Asks `/healthz` again and again from an honest address; `slowest` is the longest that an answer took."""

    def __init__(self, server: Server, notice: Callable[[float], object] = lambda _: None, pause: float = 0.02) -> None:
        self._server = server
        self._notice = notice
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.slowest = 0.0
        self.answers = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(30)

    def wait_for_answers(self, number: int) -> None:
        """Wait for so many answers, but no longer than they may take."""
        with contextlib.suppress(AssertionError):  # the test says what too few are
            wait_for(lambda: self.answers >= number, number * HEALTH_SECONDS, interval=0.05)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            started = time.monotonic()
            try:
                answered = self._server.call("GET", "/healthz", source=HONEST, seconds=20)[0] == 200
            except OSError:
                answered = False
            seconds = time.monotonic() - started if answered else float("inf")
            self._notice(seconds)
            self.slowest = max(self.slowest, seconds)
            self.answers += answered


def send_pdf(server: Server, token: str, data: bytes) -> tuple[int, dict[str, Any]]:
    """Upload a PDF; return the status and the document."""
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
    )
    body = part + data + b"\r\n--x--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, source_address=(ATTACKER, 0), timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.closing(connection):
        connection.request("POST", "/api/documents/", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def slow_pdf() -> bytes:
    """Return a PDF of 9,000 pages that share one stream of many words: it takes minutes to read."""
    places = [(50 + 50 * (number % 10), 780 - 2 * (number // 10)) for number in range(3_000)]
    stream = b"BT /F1 9 Tf %sET" % b"".join(b"1 0 0 1 %d %d Tm (slow) Tj " % place for place in places)
    out = io.BytesIO()
    offsets: list[int] = []

    def write(number: int, body: bytes) -> None:
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))

    out.write(b"%PDF-1.4\n")
    pages = range(5, 9_005)
    write(1, b"<</Type/Catalog/Pages 2 0 R>>")
    write(2, b"<</Type/Pages/Count 9000/Kids[%s]>>" % b" ".join(b"%d 0 R" % page for page in pages))
    write(3, b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
    write(4, b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    for page in pages:
        write(page, b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 3 0 R/Resources<</Font<</F1 4 0 R>>>>>>")
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    out.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(offsets) + 1, table))
    return out.getvalue()
