"""The parent's side of the process in which loaders run: warm, limited, replaced when it breaks or is used up.

Plain sockets and subprocess: under gevent's patches they wait without blocking the others.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatbot.rag import errors
from chatbot.rag.types import Parsed, ParserLimits

from . import frames

CHILD = Path(__file__).with_name("child.py")
PIECE = 2**20  # bytes received at a time
ENDING = 5.0  # seconds that a child has to end by itself after its last answer
ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (errors.UnreadableDocument, errors.ParserCrashed, errors.UnknownAdapter, errors.MissingLibrary)
}
DEFAULT_LIMITS = ParserLimits()
# The parser gets no keys.
PASSED_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}  # less address space, given back soon
TOO_LONG = "Reading the document took too long."
TOO_MUCH = "Reading the document broke its reader: it may be damaged or take too much memory."


class Parser:
    """Runs loaders in a child process, one document at a time; threads and greenlets take turns."""

    def __init__(self, limits: ParserLimits = DEFAULT_LIMITS, loaders: Mapping[str, str] | None = None) -> None:
        """Take limits, and loaders ("module:Class" by media type) beside those of the registry."""
        self._limits = limits
        self._loaders = dict(loaders or {})
        self._turn = threading.Lock()
        self._child: _Child | None = None

    def parse(self, media_type: str, size: int, pieces: Iterable[bytes]) -> Parsed:
        """Parse a file of so many bytes, which comes in pieces, with the loader of a media type.

        Raises UnreadableDocument, ParserCrashed or ParserTimeout, each with a sentence for the sender of the file;
        UnknownAdapter or MissingLibrary when the media type has no loader or its library is not installed.
        """
        head = {"media_type": media_type, "loader": self._loaders.get(media_type)}
        with self._turn:
            child = self._ready()
            try:
                outcome, last = child.ask(head, size, pieces, self._limits.wall)
            except BaseException:  # a greenlet may be killed here: half a frame must not meet the next document
                child.kill()
                self._child = None
                raise
            if last:
                child.leave()
                self._child = _Child(self._limits)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def start(self) -> None:
        """Start the child, so that the first document finds it warm."""
        with self._turn:
            self._ready()

    def close(self) -> None:
        """End the child; a document that is being read is waited for."""
        with self._turn:
            if self._child is not None:
                self._child.kill()
                self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self) -> "_Child":
        if self._child is not None and self._child.ended:
            self._child.kill()
            self._child = None
        if self._child is None:
            self._child = _Child(self._limits)
        return self._child


class _Child:
    """One child process and the connection to it."""

    def __init__(self, limits: ParserLimits) -> None:
        numbers = (limits.memory, limits.cpu, limits.wall, limits.documents)
        command = [sys.executable, "-P", str(CHILD), *map(str, numbers)]
        environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ} | MALLOC
        self._until = 0.0
        self._connection, theirs = socket.socketpair()
        with theirs:
            end = theirs.fileno()
            self._process = subprocess.Popen(command, stdin=end, stdout=end, env=environment)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def ask(
        self, head: dict[str, Any], size: int, pieces: Iterable[bytes], seconds: float
    ) -> tuple[Parsed | Exception, bool]:
        """Send a request; return its result and whether the child ends; raises ParserTimeout or ParserCrashed."""
        self._until = time.monotonic() + seconds
        try:
            self._connection.settimeout(seconds)
            self._connection.sendall(frames.packed(head, size))
            for piece in filter(None, pieces):  # sending nothing fails too, when the child has answered and left
                self._connection.sendall(piece)
            answer, text = frames.read(self._exactly)
            return _outcome(answer, text), bool(answer.get("last"))
        except TimeoutError as error:
            raise errors.ParserTimeout(TOO_LONG) from error
        except frames.Garbled as error:
            raise errors.ParserCrashed(TOO_MUCH) from error
        except (EOFError, OSError) as error:
            raise self._crash() from error

    def leave(self) -> None:
        """See off a child that ends by itself."""
        self._connection.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the child."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _exactly(self, size: int) -> bytearray:
        """Return so many bytes; pieces that are put together would take twice as much memory."""
        whole = bytearray(size)
        missing = memoryview(whole)
        while missing:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            count = self._connection.recv_into(missing, min(len(missing), PIECE))
            if not count:
                raise EOFError
            missing = missing[count:]
        return whole

    def _crash(self) -> errors.DocumentError:
        try:
            status = self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            return errors.ParserCrashed(TOO_MUCH)
        if status in (-signal.SIGXCPU, -signal.SIGALRM):
            return errors.ParserTimeout(TOO_LONG)
        crash = errors.ParserCrashed(TOO_MUCH)
        crash.add_note(f"The parser's process ended with status {status}.")
        return crash


def _outcome(answer: dict[str, Any], body: bytes | bytearray) -> Parsed | Exception:
    """Return the child's answer, checked because it has read hostile files. Raises Garbled for nonsense."""
    try:
        if "error" not in answer:
            title = answer["title"]
            pages = tuple(map(int, answer["pages"]))
            warnings = tuple(map(str, answer["warnings"]))
            return Parsed(body.decode(), None if title is None else str(title), pages, warnings)
        error = ERRORS[answer["error"]](str(answer["detail"]))
    except (KeyError, TypeError, ValueError) as broken:
        raise frames.Garbled("an answer that makes no sense") from broken
    if answer.get("cause"):
        error.add_note(str(answer["cause"]))
    return error
