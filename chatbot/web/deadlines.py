"""Deadlines for the bodies of requests, for which gunicorn waits without end."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from werkzeug.exceptions import RequestTimeout

from . import fair_starts

MIN_BYTES_PER_SECOND = 16_384  # what keeps coming at this rate, such as an upload, is not cut off
# Bytes that are read without a break: gunicorn takes 10 us for each chunk, and a chunk may be one byte.
PIECE = 65_536
PIECE_OF_CHUNKS = 2_048
WAITED_SECONDS = 0.002  # a read that took longer has waited
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class BodyDeadlines:
    """WSGI middleware that gives up on a body of which nothing comes, or which comes too slowly as a whole."""

    def __init__(self, application: Application, read_seconds: float, total_seconds: float) -> None:
        self._application = application
        self._read_seconds = read_seconds
        self._total_seconds = total_seconds

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the application with a body that has deadlines."""
        piece = PIECE if environ.get("CONTENT_LENGTH") else PIECE_OF_CHUNKS
        environ["wsgi.input"] = _Body(environ, piece, self._read_seconds, self._total_seconds)
        return self._application(environ, start_response)


class _Body:
    """A body with reads that raise werkzeug's RequestTimeout (408) when they take too long."""

    def __init__(self, environ: dict[str, Any], piece: int, read_seconds: float, total_seconds: float) -> None:
        self._environ = environ
        self._stream = environ["wsgi.input"]
        self._piece = piece
        self._read_seconds = read_seconds
        self._total_seconds = total_seconds
        self._started: float | None = None
        self._received = 0

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all of them by default."""
        return self._within_deadline(self._stream.read, min(size, self._piece) if size > 0 else size)

    def readline(self, size: int = -1) -> bytes:
        """Read up to the end of a line."""
        return self._within_deadline(self._stream.readline, size)

    def _within_deadline(self, read: Callable[[int], bytes], size: int) -> bytes:
        now = time.monotonic()
        self._started = self._started or now
        until = self._started + self._total_seconds + self._received / MIN_BYTES_PER_SECOND
        if now >= until:
            raise RequestTimeout
        if self._received >= self._piece:  # a socket that always has data yields to no other, and to no timeout
            gevent.sleep(0)
        try:
            with gevent.Timeout(max(0.0, min(self._read_seconds, until - now)), RequestTimeout()):
                data = read(size)
        finally:
            read_at = time.monotonic()
            if read_at - now > WAITED_SECONDS:  # many bodies may come, or be given up, in one moment
                fair_starts.take_turn(self._environ)
                self._started += time.monotonic() - read_at  # the client is not to blame for this wait
        self._received += len(data)
        return data
