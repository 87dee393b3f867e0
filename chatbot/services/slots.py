"""The slots in which a process runs turns: reserved before anything is written, closed while it drains."""

import threading

from ..errors import Busy


class Slots:
    """A bounded number of slots."""

    def __init__(self, number: int) -> None:
        self.number, self.used = number, 0
        self._free = threading.BoundedSemaphore(number)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether this process takes no new turns any more."""
        return self._closed

    def reserve(self) -> None:
        """Take a slot; raises Busy when none is free, or when the process is about to end."""
        if self._closed:
            raise Busy("The server restarts; try again in a moment.", retry_after=2)
        if not self._free.acquire(blocking=False):
            raise Busy("Too many answers are being written; try again soon.", retry_after=2)
        self.used += 1

    def release(self) -> None:
        """Give a slot back."""
        self._free.release()
        self.used -= 1

    def close(self) -> None:
        """Give out no more slots."""
        self._closed = True
