"""The event stream of a chat-completions server, read straight from its bytes.

The openai package's response models cost twice the processor time of a whole paced stream; no object is
built per token here. Format: WHATWG HTML, "Server-sent events"; payloads: OpenAI chat completion chunks.
"""

import codecs
import json
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from chatbot.rag.errors import AdapterError, UpstreamFailed, UpstreamGarbled

MAX_LINE = 1 << 20  # bytes of a line or an event; an honest chunk has a few hundred
HEARTBEATS = {b"ping", b"pong", b"heartbeat", b"keepalive", b"keep-alive"}  # that some servers send as data


def lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Split bytes that arrive in any pieces into lines, without their ends; yields those that came at a time.

    Lines end in LF, CR or both. Raises UpstreamGarbled for a line over MAX_LINE bytes.
    """
    waiting: list[bytes] = []  # a line's beginning, joined once
    size = 0
    for chunk in _with_line_feeds(chunks):
        first, *others = chunk.split(b"\n")
        waiting.append(first)
        size += len(first)
        if size > MAX_LINE:
            raise UpstreamGarbled("A line of the model's answer has no end.")
        if others:
            whole = b"".join(waiting)
            waiting = [others[-1]]
            size = len(others[-1])
            yield [whole, *others[:-1]]
    if size:
        yield [b"".join(waiting)]


def _with_line_feeds(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces without a byte order mark, and with LF at each line's end."""
    chunk_follows_cr = False
    for chunk in _without_mark(chunks):
        piece = chunk
        if chunk_follows_cr:
            piece = piece.removeprefix(b"\n")
        chunk_follows_cr = chunk.endswith(b"\r")
        yield piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces without a byte order mark, which may come in two of them."""
    arriving = iter(chunks)
    head = b""
    for chunk in arriving:
        head += chunk
        if len(head) >= len(codecs.BOM_UTF8) or not codecs.BOM_UTF8.startswith(head):
            break
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from arriving


def payloads(chunks: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Yield the JSON objects of the events that came at a time, until `[DONE]` or the end.

    Comments, other fields and heartbeats are passed over; one JSON object in place of a stream is one event. Raises
    UpstreamGarbled for bytes that are no event stream, no JSON or no UTF-8, UpstreamFailed for an error frame; what
    came before it is yielded first.
    """
    arriving = lines(chunks)
    events = _Events()
    for batch in arriving:
        done, failure = events.take(batch)
        if events.found:
            yield events.found
        if failure is not None:
            raise failure
        if done:
            deque(arriving, maxlen=0)  # a response that is read to its end leaves its connection to the next
            return
    if last := events.end():
        yield [last]


class _Events:
    """A reader of lines as events: `found` has those of the last batch, others are not whole yet."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self._pending: list[bytes] = []  # lines of one event, or of an object that came in place of a stream
        self._size = 0
        self._is_object = False
        self._has_begun = False

    def take(self, batch: list[bytes]) -> tuple[bool, AdapterError | None]:
        """Read lines; returns whether `[DONE]` was among them, and the error at which reading ended."""
        self.found = []
        try:
            return any(self._take_line(line) for line in batch), None
        except AdapterError as error:
            return False, error

    def end(self) -> dict[str, Any] | None:
        """Return the event that the stream ended in, if any."""
        return self._parse_pending() if self._pending else None

    def _take_line(self, line: bytes) -> bool:
        if self._is_object or (not self._has_begun and line.lstrip().startswith(b"{")):
            self._is_object = True
            self._hold(line)
        elif line.startswith(b"data:"):
            data = line[5:].strip()
            if data == b"[DONE]":
                return True
            self._take_data(data)
        elif not line and self._pending:
            self.found.append(self._parse_pending())
        elif line and not line.startswith((b":", b"event", b"id", b"retry")):
            raise UpstreamGarbled("The model's server did not answer with an event stream.")
        self._has_begun = self._has_begun or bool(line.strip())
        return False

    def _take_data(self, data: bytes) -> None:
        """Read one line of data: nearly always it is a whole event."""
        if self._pending:
            self._hold(data)
        elif data and data.lower() not in HEARTBEATS:
            chunk = parse(data)
            if chunk is None:
                self._hold(data)
            else:
                self.found.append(chunk)

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_LINE:
            raise UpstreamGarbled("An event of the model's answer has no end.")
        self._pending.append(data)

    def _parse_pending(self) -> dict[str, Any]:
        chunk = parse(b"\n".join(self._pending))
        self._pending = []
        self._size = 0
        if chunk is None:
            raise UpstreamGarbled("The model's server sent something that is not JSON.")
        return chunk


def parse(data: bytes) -> dict[str, Any] | None:
    """Parse one payload; returns None for text that is no JSON, or only the beginning of it.

    Raises UpstreamGarbled for a value that is no object, UpstreamFailed for an error frame.
    """
    chunk = _parse_leniently(data)
    if chunk is None:
        return None
    if not isinstance(chunk, dict):
        raise UpstreamGarbled("The model's server sent something that is not an object.")
    if chunk.get("error") or chunk.get("object") == "error":
        raise UpstreamFailed("The model's server reported an error in the middle of its answer.")
    return chunk


def _parse_leniently(data: bytes) -> Any:
    """Parse JSON; halves of surrogate pairs are let through, since some servers cut a character over two events."""
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(data)
    if b"\\u" not in data:
        return None
    with suppress(ValueError, RecursionError):
        return json.loads(data, parse_constant=_refuse)
    return None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
