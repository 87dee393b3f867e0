"""A lock that is handed on in the order in which it was asked for.

`threading.Lock` lets whoever comes at the right moment in before those who wait, and some of 32 waited for seconds.
"""

import threading
from collections import deque


class Turnstile:
    """Lets one in at a time, first come, first served."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()  # each locked until it is its turn

    def acquire(self, timeout: float) -> bool:
        """Wait for one's turn for up to `timeout` seconds; tells whether it came."""
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
