"""A transport for httpx2 over the standard library's HTTP client, with a pool that looks at one connection alone.

httpcore2's pool polls every idle connection twice for each request, and its protocol machine takes 40 µs of
processor for each chunk of a stream: together half of a chat (docs/decisions has the figures).
"""

import contextlib
import http.client
import select
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx2

from .reader import PIECE, Response, read_chunked_body

MAX_IDLE_CONNECTIONS = 512  # connections that rest at a time, for each server
KEEPALIVE_SECONDS = 15.0  # what rested longer may have been dropped by a router on the way, in silence
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Plain(http.client.HTTPConnection):
    """A connection that buffers its output, so that a request's head and body go out together."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.written: list[bytes] = []

    def send(self, data: Any) -> None:
        """Keep some bytes."""
        self.written.append(data)


class Secure(Plain, http.client.HTTPSConnection):
    """The same over TLS."""


class Pool(httpx2.BaseTransport):
    """Sends each request on the connection that rested last, or on a new one."""

    def __init__(self) -> None:
        self._ssl_context: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, str, int | None], deque[tuple[float, Plain]]] = defaultdict(deque)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; raises httpx2's errors."""
        rested = self._take(request.url)
        if rested is not None:
            # Closed in the moment in which we began: take a new one.
            with translate_errors(), contextlib.suppress(*CLOSED):
                return self._exchange(request, rested)
        connection = self._open(request.url, request.extensions.get("timeout", {}).get("connect"))
        with translate_errors():
            return self._exchange(request, connection)

    def _exchange(self, request: httpx2.Request, connection: Plain) -> httpx2.Response:
        try:
            wire = connection.sock  # which a response that ends with its connection takes over
            if "guard" in request.extensions:
                request.extensions["guard"].watch(wire)
            wire.settimeout(request.extensions.get("timeout", {}).get("read"))
            target = request.url.raw_path.decode()
            connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.raw:
                connection.putheader(name, value)
            connection.endheaders(request.read())
            wire.sendall(b"".join(connection.written))
            connection.written.clear()
            response = cast(Response, connection.getresponse())
            if response.status < 200:  # http.client passes over 100 alone; what follows would be the next one's answer
                raise http.client.UnknownProtocol(str(response.status))
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders()]
        except BaseException:
            connection.close()
            raise
        body = Body(self, request.url, connection, response)
        facts = {"socket": wire}
        return httpx2.Response(response.status, headers=headers, stream=body, extensions=facts)

    def give_back(self, url: httpx2.URL, connection: Plain) -> None:
        """Let a connection rest, unless too many do."""
        idle = self._idle[_server(url)]
        with self._lock:
            rests = len(idle) < MAX_IDLE_CONNECTIONS
            if rests:
                idle.append((time.monotonic(), connection))
        if not rests:
            connection.close()

    def close(self) -> None:
        """Close all that rest."""
        with self._lock:
            resting = [connection for idle in self._idle.values() for _, connection in idle]
            self._idle.clear()
        for connection in resting:
            connection.close()

    def _take(self, url: httpx2.URL) -> Plain | None:
        idle = self._idle[_server(url)]
        while True:
            with self._lock:
                since, connection = idle.pop() if idle else (0.0, None)
            fresh = time.monotonic() - since < KEEPALIVE_SECONDS
            if connection is None or (fresh and not _has_ended(connection)):
                return connection
            connection.close()

    def _open(self, url: httpx2.URL, timeout: float | None) -> Plain:
        connection: Plain
        if url.scheme == "https":
            self._ssl_context = self._ssl_context or httpx2.create_ssl_context()
            connection = Secure(url.host, url.port, timeout=timeout, context=self._ssl_context)
        else:
            connection = Plain(url.host, url.port, timeout=timeout)
        connection.response_class = Response
        try:
            with translate_errors(connecting=True):
                connection.connect()  # which switches Nagle's algorithm off
        except BaseException:
            connection.close()
            raise
        return connection


class Body(httpx2.SyncByteStream):
    """A response's body; read to its end it gives its connection back, otherwise closing it closes that too."""

    def __init__(self, pool: Pool, url: httpx2.URL, connection: Plain, response: Response) -> None:
        self._pool = pool
        self._url = url
        self._connection = connection
        self._response = response
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        with translate_errors():
            if self._response.chunked:
                yield from read_chunked_body(self._response.reader)
            else:
                while piece := self._response.read1(PIECE):
                    yield piece
                if self._response.length:  # http.client takes a body that is shorter than told for a whole one
                    raise httpx2.RemoteProtocolError("the answer is shorter than it was said to be")
            self._ended = True

    def close(self) -> None:
        """End the response."""
        # What came after its end was not asked for: nothing good can follow on such a connection.
        whole = (self._ended or self._response.length == 0) and not self._response.reader.held
        self._response.close()
        if whole and not self._response.will_close:
            self._pool.give_back(self._url, self._connection)
        else:
            self._connection.close()


@contextmanager
def translate_errors(*, connecting: bool = False) -> Iterator[None]:
    """Raise httpx2's errors for those of sockets and of the standard library's client."""
    try:
        yield
    except TimeoutError as error:
        raise (httpx2.ConnectTimeout if connecting else httpx2.ReadTimeout)(str(error)) from error
    except OSError as error:
        raise (httpx2.ConnectError if connecting else httpx2.ReadError)(str(error)) from error
    except (http.client.HTTPException, ValueError) as error:
        raise httpx2.RemoteProtocolError(type(error).__name__) from error


def _server(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _has_ended(connection: Plain) -> bool:
    """Return whether the server has closed a resting connection: it is readable, and there is nothing to read."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
