"""The turn log of one process, in its memory."""

import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from chatbot.services.chat.records import StoredCitation, Turn

from .port import News, TurnText

MAX_REASONING_LENGTH = 200_000  # characters of a turn that are kept while it runs
POLL_SECONDS = 0.5  # seconds between two looks at the row of a turn that another process runs


class MemoryText:
    """A text in pieces, and its waiting readers. Appending takes constant time."""

    __slots__ = ("_pieces", "_reasoning", "_starts", "_waiting", "candidates", "ended", "length")

    def __init__(self) -> None:
        self.length = 0
        self.ended: Turn | None = None
        self.candidates: list[StoredCitation] | None = None
        self._pieces: list[str] = []
        self._reasoning = ""
        self._starts: list[int] = []
        self._waiting: list[threading.Event] = []

    def append(self, piece: str) -> None:
        """Append to the text and wake waiting readers."""
        self._starts.append(self.length)
        self._pieces.append(piece)
        self.length += len(piece)
        self._wake()

    def add_reasoning(self, piece: str) -> None:
        """Append to the reasoning, up to MAX_REASONING_LENGTH, and wake waiting readers."""
        self._reasoning += piece[: MAX_REASONING_LENGTH - len(self._reasoning)]
        self._wake()

    def end(self, turn: Turn) -> None:
        """Say that nothing follows and how the turn ended."""
        self.ended = turn
        self._wake()

    def since(self, offset: int) -> str:
        """Return the text from an offset on."""
        if offset <= 0:
            return "".join(self._pieces)
        first = bisect_right(self._starts, offset) - 1
        if first < 0 or offset >= self.length:
            return ""
        return "".join((self._pieces[first][offset - self._starts[first] :], *self._pieces[first + 1 :]))

    def reasoning_since(self, offset: int) -> str:
        """Return the reasoning from an offset on."""
        return self._reasoning[offset:]

    def wait(self, offset: int, seconds: float, *, reasoning_offset: int = sys.maxsize) -> bool:
        """Wait until there is text or reasoning beyond its offset or the turn ended.

        False when the time went by before.
        """
        deadline = time.monotonic() + seconds
        while not self._has_news(offset, reasoning_offset):
            event = threading.Event()
            self._waiting.append(event)
            if self._has_news(offset, reasoning_offset):  # between the look and the queueing
                break
            if not event.wait(max(0.0, deadline - time.monotonic())):
                with suppress(ValueError):  # woken just now
                    self._waiting.remove(event)
                return False
        return True

    def _has_news(self, offset: int, reasoning_offset: int) -> bool:
        return self.length > offset or len(self._reasoning) > reasoning_offset or self.ended is not None

    def _wake(self) -> None:
        waiting = self._waiting
        self._waiting = []
        for event in waiting:
            event.set()


class MemoryTurnLog:
    """The texts of the turns that run in this process."""

    def __init__(self) -> None:
        self._texts: dict[UUID, TurnText] = {}

    def open(self, turn_id: UUID) -> TurnText:
        """Begin the text of a turn."""
        text = self._texts[turn_id] = MemoryText()
        return text

    def find(self, turn_id: UUID) -> TurnText | None:
        """Return a running turn's text, or None when it does not run here."""
        return self._texts.get(turn_id)

    def close(self, turn_id: UUID) -> None:
        """Forget a turn that ended."""
        self._texts.pop(turn_id, None)

    @contextmanager
    def elsewhere(self, turn_id: UUID) -> Iterator[News]:
        """Follow a turn that another process runs, or that has ended: its row has all."""
        yield NoNews()


class NoNews:
    """No news beyond the row."""

    def since(self, offset: int) -> str:
        """Return nothing."""
        return ""

    def wait(self, seconds: float) -> bool:
        """Wait a moment, after which the row may have more."""
        time.sleep(min(seconds, POLL_SECONDS))
        return True
