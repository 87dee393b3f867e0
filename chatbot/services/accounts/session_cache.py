"""A cache of the callers of open sessions."""

from uuid import UUID

from cachetools import TTLCache

from .callers import Caller

SESSION_CACHE_SECONDS = 5  # in which another process's logout or disabling may stay unnoticed
MAX_SESSIONS = 100_000


class SessionCache:
    """Keeps the callers of open sessions for SESSION_CACHE_SECONDS."""

    def __init__(self) -> None:
        self._callers: TTLCache[UUID, Caller] = TTLCache(maxsize=MAX_SESSIONS, ttl=SESSION_CACHE_SECONDS)
        self.generation = 0  # number of invalidations

    def get(self, session_id: UUID) -> Caller | None:
        """Return the caller of a session, or None where the database must be asked."""
        caller: Caller | None = self._callers.get(session_id)
        return caller

    def add(self, caller: Caller, generation: int) -> None:
        """Add a caller that was read at a generation; without effect when a session has been invalidated since."""
        if generation == self.generation:
            self._callers[caller.session_id] = caller

    def invalidate(self, session_id: UUID) -> None:
        """Remove a session, so that the database is asked at its next request."""
        self.generation += 1
        self._callers.pop(session_id, None)

    def clear(self) -> None:
        """Remove all sessions."""
        self.generation += 1
        self._callers.clear()
