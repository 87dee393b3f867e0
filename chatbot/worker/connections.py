"""The gunicorn worker: a bound on the connections of one address, and a deadline for each piece of an answer.

`server.py` loads it by its path, as the arbiter loads everything: it imports nothing of the application. gunicorn's own
gevent worker has a deadline for headers alone; web/deadlines.py has the one for bodies.
"""

import errno
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
from gunicorn import util
from gunicorn.workers.ggevent import GeventWorker

UNREAD_BYTES = 65_536  # of a body that are read after its answer
UNREAD_PIECE = 256  # bytes that are read without a break: each may be a chunk, which takes gunicorn some 40 us
UNREAD_SECONDS = 1.0
YIELD_BYTES = 16_384  # of requests that are read without a break
SEND_BYTES = 65_536  # of an answer, for each of which `send_seconds` hold
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: unread bytes leave the kernel's memory too


class BoundedWorker(GeventWorker):
    """A gevent worker in which no address takes all connections and no client keeps an answer in memory for long."""

    networks: Callable[[str], dict[str, int]]  # of an address, each with the factor of its bound
    connections_per_address: int | None = None  # None: all come from a proxy, whose matter this is
    send_seconds = 30.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open: Counter[str] = Counter()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection, or refuse it where its address or a network of it has too many."""
        # Behind a Unix socket is a proxy, which has to bound its clients itself.
        keys = type(self).networks(str(addr[0])) if isinstance(addr, tuple) else {}
        if any(self._open[key] >= self.find_bound(factor) for key, factor in keys.items()):
            util.write_error(client, 429, "Too Many Requests", "too_many_connections")
            util.close(client)
            return
        for key in keys:
            self._open[key] += 1
        try:
            super().handle(listener, YieldingSocket(client), addr)
        finally:
            for key in keys:
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]

    def find_bound(self, factor: int) -> float:
        """Return how many connections a network may have: wider ones half of the worker's at most."""
        bound = self.connections_per_address
        if bound is None:
            return float("inf")
        half: int = self.worker_connections // 2
        return min(bound * factor, max(bound, half))

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> None:
        """Serve one request; a client that takes nothing of its answer is dropped like one that is gone."""
        sock.settimeout(self.send_seconds)  # of reading too; bodies have less
        try:
            super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            raise ConnectionResetError(errno.ECONNRESET, "The client took nothing of its answer.") from error
        sock.settimeout(None)  # headers have a deadline of gunicorn's
        if not is_drained(req.body):
            raise StopIteration  # which closes the connection: gunicorn itself would read on without end


class YieldingSocket:
    """A socket that lets other greenlets run between reads, and that has a deadline for each piece of an answer.

    A socket that always has data never waits. Answers are sent in pieces, so that slow clients get all of a large one.
    """

    def __init__(self, wrapped: socket.socket) -> None:
        self._wrapped = wrapped
        self._received = 0
        self.settimeout = wrapped.settimeout  # asked for in each request

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped socket."""
        return getattr(self._wrapped, name)

    def recv(self, *args: Any) -> bytes:
        """Receive as the socket does."""
        data = self._wrapped.recv(*args)
        self._received += len(data)
        if self._received > YIELD_BYTES:
            self._received = 0
            gevent.sleep(0)
        return data

    def sendall(self, data: bytes) -> None:
        """Send all data; the timeout of the socket holds for each piece."""
        if len(data) <= SEND_BYTES:
            self._wrapped.sendall(data)
            return
        for start in range(0, len(data), SEND_BYTES):
            self._wrapped.sendall(data[start : start + SEND_BYTES])


def is_drained(body: Any) -> bool:
    """Read the rest of a small body; return whether its end was reached.

    A client that is answered before it has sent all, and whose connection is closed, meets a reset and not the answer.
    """
    if getattr(body.reader, "length", None) == 0:  # as nearly always; the timer below takes 30 us
        return True
    deadline = time.monotonic() + UNREAD_SECONDS
    left = UNREAD_BYTES
    try:
        with gevent.Timeout(UNREAD_SECONDS, False):
            while left > 0 and time.monotonic() < deadline:
                piece = body.read(UNREAD_PIECE)
                if not piece:
                    return True
                left -= len(piece)
                gevent.sleep(0)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the next request's beginning is unknown
        return False
    return False
