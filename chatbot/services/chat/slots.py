"""The slots in which a process runs turns: reserved before anything is written, closed while it drains."""

import threading
from collections import Counter
from uuid import UUID

from chatbot.errors import Busy, TooManyTurns


class Slots:
    """A bounded number of slots, and of these for one user; None bounds no user."""

    def __init__(self, number: int, per_user: int | None = None) -> None:
        self.number = number
        self._per_user = per_user
        self._held = Counter[UUID]()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def used(self) -> int:
        """How many slots are taken."""
        return self._held.total()

    @property
    def closed(self) -> bool:
        """Whether this process takes no new turns any more."""
        return self._closed

    def reserve(self, user_id: UUID) -> None:
        """Take a slot; raises Busy when none is free or the process is about to end, TooManyTurns of one user."""
        if self._closed:
            raise Busy("The server restarts; try again in a moment.", retry_after=2)
        with self._lock:
            if self._held.total() >= self.number:
                raise Busy("Too many answers are being written; retry later.", retry_after=2)
            if self._per_user is not None and self._held[user_id] >= self._per_user:
                raise TooManyTurns(f"You may have {self._per_user} answers written at a time.", retry_after=2)
            self._held[user_id] += 1

    def release(self, user_id: UUID) -> None:
        """Give a slot back."""
        with self._lock:
            self._held[user_id] -= 1
            if not self._held[user_id]:
                del self._held[user_id]

    def close(self) -> None:
        """Give out no more slots."""
        self._closed = True
