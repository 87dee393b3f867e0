"""The port of the turn log."""

import sys
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from chatbot.services.chat.records import StoredCitation, Turn


class TurnText(Protocol):
    """The text of one running turn; offsets are in Unicode code points. Appended text never changes."""

    length: int
    ended: Turn | None  # the turn in its terminal state
    candidates: list[StoredCitation] | None  # passages that the answer may rest on; None where none were looked for

    def append(self, piece: str) -> None:
        """Append to the text and wake waiting readers."""

    def add_reasoning(self, piece: str) -> None:
        """Append to the reasoning, which is kept for the readers in this process alone, and wake them."""

    def end(self, turn: Turn) -> None:
        """Say that nothing follows and how the turn ended."""

    def since(self, offset: int) -> str:
        """Return the text from an offset on."""

    def reasoning_since(self, offset: int) -> str:
        """Return the reasoning from an offset on."""

    def wait(self, offset: int, seconds: float, *, reasoning_offset: int = sys.maxsize) -> bool:
        """Wait until there is text or reasoning beyond its offset or the turn ended.

        False when the time went by before.
        """


class News(Protocol):
    """The news of a turn that another process runs, as far as the log reaches there."""

    def since(self, offset: int) -> str:
        """Return the text from an offset on, as far as it is known."""

    def wait(self, seconds: float) -> bool:
        """Wait for more text, at most so long; returns whether to look at the turn's row."""


class TurnLog(Protocol):
    """The texts of the turns that run."""

    def open(self, turn_id: UUID) -> TurnText:
        """Begin the text of a turn."""

    def find(self, turn_id: UUID) -> TurnText | None:
        """Return a running turn's text, or None when it is not (any more) in the log: then the row tells all."""

    def close(self, turn_id: UUID) -> None:
        """Remove a turn that has ended; readers keep the text that they hold."""

    def elsewhere(self, turn_id: UUID) -> AbstractContextManager[News]:
        """Follow a turn that another process runs, or that has ended."""
