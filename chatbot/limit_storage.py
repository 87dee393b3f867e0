"""Rate-limit storage in bounded memory, for one process without Redis."""

import threading
import time
from bisect import bisect_left
from typing import Any

from cachetools import LRUCache
from flask import Flask
from flask_limiter import Limiter
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

MAX_KEYS = 100_000  # of counters
MAX_ENTRIES = 2_000_000  # of windows: 32 bytes each
KEY_ENTRIES = 12  # that a key takes as much memory as


class LeastRecentlyUsedStorage(Storage, MovingWindowSupport):
    """Counts for up to MAX_KEYS and MAX_ENTRIES; the least recently used key is evicted first.

    The library's own storage looks through all its keys a hundred times a second: with the 100,000 that one customer's
    /48 makes in minutes, the process did nothing else.
    """

    STORAGE_SCHEME = ["lru"]

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._lock = threading.Lock()
        self._moments: LRUCache[str, list[float]] = LRUCache(MAX_ENTRIES, _size)  # of each acquired entry
        self._counters: LRUCache[str, tuple[int, float]] = LRUCache(MAX_KEYS)  # each with the end of its time

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Return the errors that this storage raises of its own: none."""
        return ()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count so many more within the last `expiry` seconds; return False where that would be over the limit."""
        with self._lock:
            moments = self._recent(key, expiry)
            if len(moments) + amount > limit:
                return False
            moments.extend([time.time()] * amount)
            self._moments[key] = moments
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the moment of the oldest entry of the last `expiry` seconds, and how many there are."""
        with self._lock:
            moments = self._recent(key, expiry)
            return (moments[0] if moments else time.time()), len(moments)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter, which lives for `expiry` seconds from its first addition; return its value."""
        with self._lock:
            now = time.time()
            count, ends = self._counters.get(key, (0, 0.0))
            count, ends = (count + amount, ends) if ends > now else (amount, now + expiry)
            self._counters[key] = (count, ends)
            return count

    def get(self, key: str) -> int:
        """Return the value of a counter."""
        with self._lock:
            count, ends = self._counters.get(key, (0, 0.0))
            return count if ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Return when a counter's life ends, as seconds since the epoch."""
        with self._lock:
            return self._counters.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """Return whether the storage is there."""
        return True

    def reset(self) -> int:
        """Forget everything; return how many keys there were."""
        with self._lock:
            keys = len(self._moments) + len(self._counters)
            self._moments.clear()
            self._counters.clear()
            return keys

    def clear(self, key: str) -> None:
        """Forget one key."""
        with self._lock:
            self._moments.pop(key, None)
            self._counters.pop(key, None)

    def _recent(self, key: str, expiry: float) -> list[float]:
        """Return a key's moments without those that are over."""
        moments = self._moments.get(key, [])
        del moments[: bisect_left(moments, time.time() - expiry)]
        return moments


def _size(moments: list[float]) -> int:
    return KEY_ENTRIES + len(moments)


class BoundedLimiter(Limiter):
    """Flask-Limiter with bounded memory, also while Redis is away."""

    def init_app(self, app: Flask) -> None:
        """Set an application up."""
        super().init_app(app)
        self._storage_dead = False  # the Redis of another application of this process may be away
        self._fallback_limiter = MovingWindowRateLimiter(LeastRecentlyUsedStorage())
