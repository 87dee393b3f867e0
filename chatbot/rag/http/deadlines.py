"""Closes connections that outlive their deadline.

A read timeout restarts at each byte, so that a server which only pings, or sends one byte a second, holds
a request for ever. One thread (a greenlet in the gevent worker) looks at all guarded connections instead.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TICK = 0.1  # seconds between two looks: how late a deadline may be noticed


class Guard:
    """One exchange and the time (monotonic, seconds) at which its connection is closed."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired = False
        self._socket: socket.socket | None = None
        self._duplicated = False

    def watch(self, connection: socket.socket) -> None:
        """Guard this connection from now on, instead of the one before."""
        self.release()
        # Shut down by its own object, a TLS connection would lose its state under the reader: by a duplicate it
        # sees the end of the file.
        self._duplicated = isinstance(connection, ssl.SSLSocket)
        self._socket = socket.socket(fileno=os.dup(connection.fileno())) if self._duplicated else connection
        if self.expired:
            self.expire()

    def expire(self) -> None:
        """End the connection under its reader, which then sees an end of file."""
        self.expired = True
        if self._socket is not None:
            with suppress(OSError):  # it may have ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of the connection."""
        if self._socket is not None and self._duplicated:
            self._socket.close()
        self._socket = None


class Watchdog:
    """Guards connections; its thread runs only while there are any."""

    def __init__(self) -> None:
        self._guards: set[Guard] = set()
        self._lock = threading.Lock()
        self.is_running = False

    @contextmanager
    def guard(self, deadline: float) -> Iterator[Guard]:
        """Guard an exchange inside the block; its deadline may be moved at any time."""
        guard = Guard(deadline)
        with self._lock:
            self._guards.add(guard)
            if not self.is_running:
                self.is_running = True
                threading.Thread(target=self._watch, name="llm-watchdog", daemon=True).start()
        try:
            yield guard
        finally:
            with self._lock:
                self._guards.discard(guard)
            guard.release()

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            with self._lock:
                for guard in self._guards:
                    if now >= guard.deadline and not guard.expired:
                        guard.expire()
                if not self._guards:
                    self.is_running = False
                    return
