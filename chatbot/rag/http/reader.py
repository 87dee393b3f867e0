"""Buffered reading of a socket in large pieces: the standard library's reader does not expose its buffer.

An event stream sends a chunk for each token; taken one by one through http.client they cost more than all the rest.
"""

import http.client
import io
import re
import socket
import sys
from collections.abc import Iterator
from typing import Any

PIECE = 4_096  # bytes received at a time, at most: their content is read without a break for others
MAX_HEAD_BYTES = 1_024  # bytes of a chunk's size and extensions, or of a trailer
MAX_TRAILERS = 100
SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


class SocketReader(io.RawIOBase):
    """A connection's incoming bytes, with the methods that http.client calls."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._hold = connection.makefile("rb")  # never read: an open file keeps the connection open for its response
        self._bytes = b""
        self._at = 0

    @property
    def held(self) -> int:
        """How many bytes have come and are not taken yet."""
        return len(self._bytes) - self._at

    def readable(self) -> bool:
        """Return True: http.client asks."""
        return True

    def readline(self, limit: int | None = -1) -> bytes:
        """Return the next line, or as much of it as `limit` allows or the connection's end leaves."""
        max_bytes = sys.maxsize if limit is None or limit < 0 else limit
        while True:
            end = self._bytes.find(b"\n", self._at)
            if end >= 0 or self.held >= max_bytes or not self.more():
                return self.take(min(self.held if end < 0 else end + 1 - self._at, max_bytes))

    def read1(self, max_bytes: int = -1) -> bytes:
        """Return the buffered bytes, or the next ones, at most so many."""
        if max_bytes and not self.held:
            self.more()
        return self.take(self.held if max_bytes < 0 else max_bytes)

    def read(self, size: int = -1) -> bytes:
        """Return exactly so many bytes, or fewer at the connection's end."""
        while (size < 0 or self.held < size) and self.more():
            pass
        return self.take(self.held if size < 0 else size)

    def close(self) -> None:
        """Let go of the connection."""
        self._hold.close()
        super().close()

    def more(self) -> bool:
        """Wait for more bytes; False at the connection's end."""
        came = self._connection.recv(PIECE)
        self._bytes = self._bytes[self._at :] + came
        self._at = 0
        return bool(came)

    def take(self, size: int) -> bytes:
        """Return so many of the held bytes, or all that there are."""
        start = self._at
        self._at = min(self._at + size, len(self._bytes))
        return self._bytes[start : self._at]

    def held_chunks(self, left: int | None) -> tuple[list[bytes], int | None, bool]:
        """Decode the buffered chunks; returns their data, the rest of the current chunk, and whether the last one came.

        Of a chunk whose text has come as a whole 0 bytes are left; None before the head of the next one. Written
        without a call for each step: a stream has a chunk for each token, and calls were an eighth of its cost.
        """
        data = self._bytes
        at = self._at
        end = len(self._bytes)
        parts: list[bytes] = []
        last = False
        while at < end and not last:
            if left:
                parts.append(data[at : at + left])
                at = at + len(parts[-1])
                left = left - len(parts[-1])
                continue
            stop = data.find(b"\n", at)
            if stop < 0:
                break
            line = data[at:stop].rstrip(b"\r")
            at = stop + 1
            if left == 0 and line:
                raise http.client.HTTPException("a chunk longer than it was said to be")
            left = None if left == 0 else _size(line)
            last = left == 0
        self._at = at
        return parts, left, last


class Response(http.client.HTTPResponse):
    """The standard library's response over a SocketReader."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.reader = SocketReader(sock)
        self.fp.close()
        self.fp = self.reader  # type: ignore[assignment]  # which has all that http.client calls


def read_chunked_body(reader: SocketReader) -> Iterator[bytes]:
    """Yield the data of chunks (RFC 9112, 7.1), all that has come at a time, to the end of the last one.

    Raises http.client.HTTPException when they break off or are none.
    """
    left: int | None = None
    while True:
        parts, left, ended = reader.held_chunks(left)
        if parts:
            yield b"".join(parts)
        if ended:
            _pass_trailers(reader)
            return
        if reader.held > MAX_HEAD_BYTES or not reader.more():
            raise http.client.IncompleteRead(b"")


def _size(head: bytes) -> int:
    digits = head.partition(b";")[0].strip()
    if not SIZE.fullmatch(digits):
        raise http.client.HTTPException("a chunk without a size")
    return int(digits, 16)


def _pass_trailers(reader: SocketReader) -> None:
    for _ in range(MAX_TRAILERS):
        if not reader.readline(MAX_HEAD_BYTES).strip():
            return
    raise http.client.HTTPException("trailers without an end")
