"""The readers of an answer beside its caller, such as the members of a room."""

import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa

from chatbot.rag.errors import AdapterError
from chatbot.rag.types import Finish, PromptInfo

from .records import Turn

CHECK_INTERVAL_SECONDS = 0.1  # of text that is checked and passed on at once
Piece = PromptInfo | str | Finish


class Audience(Protocol):
    """The readers of an answer."""

    @property
    def users(self) -> sa.Select[Any] | None:
        """A query of the ids of all that have to be able to read its passages; None: the caller alone."""

    def begin(self, collection_ids: Iterable[UUID], withheld: int) -> None:
        """Record before the first text of which collections its passages are, and how many were withheld."""

    def require_readers(self) -> None:
        """Raise AudienceChanged unless all readers of the answer may read its sources."""

    def end(self, turn: Turn) -> None:
        """Store the answer with its terminal state."""

    def go_on(self) -> None:
        """Begin the next answer, after the slot of this one is free again."""


class HeldText:
    """Text that waits for the next look at its readers."""

    def __init__(self, audience: Audience, clock: Callable[[], float]) -> None:
        self._audience = audience
        self._clock = clock
        self._text = ""
        self._checked_at = float("-inf")

    def add(self, piece: str) -> str:
        """Add a piece; returns the text that may be passed on now. Raises AudienceChanged."""
        self._text += piece
        return "" if self._clock() - self._checked_at < CHECK_INTERVAL_SECONDS else self.release()

    def release(self) -> str:
        """Return all text after a look at its readers; raises AudienceChanged."""
        self._audience.require_readers()
        self._checked_at = self._clock()
        text = self._text
        self._text = ""
        return text


def guard(pieces: Iterable[Piece], audience: Audience, clock: Callable[[], float] = time.monotonic) -> Generator[Piece]:
    """Yield the pieces of an answer, each text after a look at its readers; raises AudienceChanged.

    Text that comes within CHECK_INTERVAL_SECONDS of a look waits for the next piece.
    """
    held = HeldText(audience, clock)
    try:
        for piece in pieces:
            if isinstance(piece, str):
                if text := held.add(piece):
                    yield text
                continue
            if isinstance(piece, Finish) and (text := held.release()):
                yield text
            yield piece
    except AdapterError:
        if text := held.release():
            yield text
        raise
