"""Semaphores: first come, first served; few of each key at a time; keys in turn."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable

LOOK_SECONDS = 0.5  # between two looks whether a wait is given up
Place = tuple[threading.Lock, Hashable]  # in a queue: what is locked until it is its turn, and of which kind it is


class FairSemaphore:
    """A semaphore that serves its waiters in the order in which they came.

    `threading.Lock` admits a newcomer at the right moment before the waiters, and some of 32 waited for seconds.
    """

    def __init__(self, places: int = 1) -> None:
        # Any allocation may let the garbage collector end a forgotten connection, whose place is then given
        # back in the midst of it: so the guard lets its holder in again, and `acquire` makes nothing behind it.
        self._guard = threading.RLock()
        self._free = places
        self._waiting: deque[Place] = deque()  # each locked until it is its turn

    @property
    def waiting_count(self) -> int:
        """The number of waiters for a place."""
        return len(self._waiting)

    @property
    def free_places(self) -> int:
        """The number of free places."""
        return self._free

    def is_waited_for(self, kind: Hashable) -> bool:
        """Return whether the first waiter is of this kind."""
        with self._guard:
            return bool(self._waiting) and self._waiting[0][1] == kind

    def yield_to(self, kind: Hashable) -> None:
        """Give the place to the waiters of a kind at the head of the queue, and take it back after them.

        An exception meanwhile, such as a greenlet's end, is raised after that.
        """
        turn = threading.Lock()
        interruption = None
        turn.acquire()
        with self._guard:
            place = next((at for at, (_, its) in enumerate(self._waiting) if its != kind), len(self._waiting))
            self._waiting.insert(place, (turn, kind))
            self._waiting.popleft()[0].release()
        acquired = False
        while not acquired:
            try:
                acquired = turn.acquire()
            except BaseException as error:  # noqa: BLE001 - it is raised below
                interruption = error
        if interruption is not None:
            raise interruption

    def acquire(self, timeout: float, kind: Hashable = None) -> bool:
        """Wait for a place for up to `timeout` seconds; return whether it was acquired."""
        if self._take_place():
            return True
        turn = threading.Lock()
        turn.acquire()
        place = (turn, kind)
        if self._take_place(place):  # a place was given back meanwhile
            return True
        try:
            acquired = turn.acquire(timeout=timeout)
        except BaseException:  # a greenlet was killed, or Ctrl-C
            if not self._leave_queue(place):
                self.release()
            raise
        return acquired or not self._leave_queue(place)

    def _take_place(self, place: Place | None = None) -> bool:
        """Take a free place and return True; else queue `place`, if given, and return False."""
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            if place is not None:
                self._waiting.append(place)
            return False

    def _leave_queue(self, place: Place) -> bool:
        """Leave the queue; return False where the place was granted at the last moment."""
        with self._guard:
            try:
                self._waiting.remove(place)
            except ValueError:
                return False
            return True

    def release(self) -> None:
        """Give the place to the first waiter, or back."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft()[0].release()
            else:
                self._free += 1


class KeyedSemaphore:
    """Limits concurrency per key and in total."""

    def __init__(self, per_key: int, total: int) -> None:
        self._per_key = per_key
        self._total = total
        self._changed = threading.Condition()
        self.inside = Counter[Hashable]()

    def acquire(self, key: Hashable, timeout: float) -> bool:
        """Wait for a place for up to `timeout` seconds; return whether it was acquired."""
        with self._changed:
            has_place = self._changed.wait_for(
                lambda: self.inside[key] < self._per_key and self.inside.total() < self._total, timeout
            )
            if has_place:
                self.inside[key] += 1
            return has_place

    def release(self, key: Hashable) -> None:
        """Give a place back."""
        with self._changed:
            self.inside[key] -= 1
            self.inside += Counter()  # a key without places takes no memory
            self._changed.notify_all()


class RoundRobinSemaphore:
    """Grants its places to keys in turn, and no key more of them than its share.

    A key that waits many times is served once before the other keys are served again.
    """

    def __init__(self, places: int, per_key: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._per_key = per_key
        self._held = Counter[Hashable]()
        self._waiting: dict[Hashable, deque[threading.Event]] = {}  # the first key is served next

    @property
    def waiting_count(self) -> int:
        """The number of waiters for a place."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def is_waited_for(self, key: Hashable) -> bool:
        """Return whether anything waits for a place of a key."""
        return key in self._waiting

    def acquire(self, key: Hashable, timeout: float, is_given_up: Callable[[], bool] = bool) -> bool:
        """Wait for a place for up to `timeout` seconds, or until it is given up; return whether it was acquired."""
        event = threading.Event()
        deadline = time.monotonic() + timeout
        with self._lock:
            self._waiting.setdefault(key, deque()).append(event)
            self._grant()
        try:
            granted = event.wait(0)
            while not granted and not is_given_up() and time.monotonic() < deadline:
                granted = event.wait(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        except BaseException:  # a greenlet was killed, Ctrl-C
            if not self._leave(key, event):
                self.release(key)
            raise
        return granted or not self._leave(key, event)

    def release(self, key: Hashable) -> None:
        """Give a place back."""
        with self._lock:
            self._free += 1
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
            self._grant()

    def _leave(self, key: Hashable, event: threading.Event) -> bool:
        """Leave the queue; return False where the place was granted at the last moment."""
        with self._lock:
            if event.is_set():
                return False
            self._waiting[key].remove(event)
            if not self._waiting[key]:
                del self._waiting[key]
            return True

    def _grant(self) -> None:
        while self._free:
            key = next((one for one in self._waiting if self._held[one] < self._per_key), None)
            if key is None:
                return
            queue = self._waiting.pop(key)
            event = queue.popleft()
            if queue:
                self._waiting[key] = queue  # behind the others
            self._held[key] += 1
            self._free -= 1
            event.set()
