"""Who is let in: one after the other, or few at a time."""

import threading
from collections import Counter, deque
from collections.abc import Hashable


class Turnstile:
    """Lets one in at a time, first come, first served.

    `threading.Lock` lets whoever comes at the right moment in before those who wait, and some of 32 waited for seconds.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()  # each locked until it is its turn

    def is_waited_for(self) -> bool:
        """Tell whether somebody wants to be let in."""
        return bool(self._waiting)

    def let_others_in(self) -> None:
        """Let in who waits now, one after the other, and come back after them, whatever is raised meanwhile."""
        self.release()
        try:
            self.acquire(-1)
        except BaseException:
            self.acquire(-1)
            raise

    def acquire(self, timeout: float) -> bool:
        """Wait for one's turn for up to `timeout` seconds, -1 for ever; tells whether it came."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            came = turn.acquire(timeout=timeout)
        except BaseException:  # a greenlet was killed, somebody pressed Ctrl-C
            if not self._left(turn):
                self.release()
            raise
        return came or not self._left(turn)

    def _left(self, turn: threading.Lock) -> bool:
        """Leave the queue; tells whether one was still in it, and not let in at the last moment."""
        with self._guard:
            if turn not in self._waiting:
                return False
            self._waiting.remove(turn)
            return True

    def release(self) -> None:
        """Let the next one in."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class Crowd:
    """Lets few in at a time, and fewer of each."""

    def __init__(self, each: int, all_in_all: int) -> None:
        self._each, self._most = each, all_in_all
        self._changed = threading.Condition()
        self._inside = Counter[Hashable]()

    def acquire(self, who: Hashable, timeout: float) -> bool:
        """Wait for a place for up to `timeout` seconds; tells whether there was one."""
        with self._changed:
            there = self._changed.wait_for(
                lambda: self._inside[who] < self._each and self._inside.total() < self._most, timeout
            )
            if there:
                self._inside[who] += 1
            return there

    def release(self, who: Hashable) -> None:
        """Give a place back."""
        with self._changed:
            self._inside[who] -= 1
            self._inside += Counter()  # who is not inside takes no memory
            self._changed.notify_all()
