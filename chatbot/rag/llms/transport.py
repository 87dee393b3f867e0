"""A connection pool for httpx2 whose work does not grow with the number of connections.

httpcore2's own pool looks at every connection, and polls every idle one, twice for each request: with 64
clients that was a third of a chat. This one takes the connection that rested last and looks at it alone.
Connections, TLS and HTTP/1.1 stay httpcore2's.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import httpcore2
import httpx2

KEEPALIVE = 30.0  # seconds; servers close theirs after 60 and more
MOST_IDLE = 512  # connections that rest at a time, for each server


class Pool(httpx2.BaseTransport):
    """Sends each request on the connection that rested last, or on a new one."""

    def __init__(self) -> None:
        self._ssl_context = httpx2.create_ssl_context()
        self._idle: dict[str, deque[httpcore2.HTTPConnection]] = defaultdict(deque)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; raises httpx2's errors."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        connection = self._take(url.origin)
        sent = httpcore2.Request(
            method=request.method, url=url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        try:
            with translated():
                response = connection.handle_request(sent)
        except BaseException:
            connection.close()
            raise
        body = Body(cast(Iterable[bytes], response.stream), self, url.origin, connection)
        return httpx2.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)

    def _take(self, origin: httpcore2.Origin) -> httpcore2.HTTPConnection:
        idle = self._idle[str(origin)]
        while True:
            with self._lock:
                connection = idle.pop() if idle else None
            if connection is None:
                return httpcore2.HTTPConnection(origin, ssl_context=self._ssl_context, keepalive_expiry=KEEPALIVE)
            if not connection.has_expired():
                return connection
            connection.close()

    def give_back(self, origin: httpcore2.Origin, connection: httpcore2.HTTPConnection) -> None:
        """Let a connection rest, or close it when its response was not read to the end or too many rest."""
        idle = self._idle[str(origin)]
        with self._lock:
            rests = connection.is_idle() and len(idle) < MOST_IDLE
            if rests:
                idle.append(connection)
        if not rests:
            connection.close()

    def close(self) -> None:
        """Close all that rest."""
        with self._lock:
            resting = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in resting:
            connection.close()


class Body(httpx2.SyncByteStream):
    """A response's body; closing it gives its connection back, once."""

    def __init__(
        self, stream: Iterable[bytes], pool: Pool, origin: httpcore2.Origin, connection: httpcore2.HTTPConnection
    ) -> None:
        self._stream = stream
        self._pool = pool
        self._origin = origin
        self._connection: httpcore2.HTTPConnection | None = connection

    def __iter__(self) -> Iterator[bytes]:
        with translated():
            yield from self._stream

    def close(self) -> None:
        """End the response."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if hasattr(self._stream, "close"):
                self._stream.close()
            self._pool.give_back(self._origin, connection)


@contextmanager
def translated() -> Iterator[None]:
    """Raise httpx2's errors for httpcore2's, which have the same names."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx2, type(error).__name__, None)
        if kind is None or not type(error).__module__.startswith("httpcore2"):
            raise
        raise kind(str(error)) from error
