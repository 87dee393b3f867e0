"""A cache of the callers of open sessions and valid API keys."""

from datetime import datetime
from uuid import UUID

from cachetools import LRUCache, TTLCache

from chatbot.database.types import now

from .callers import Caller

CREDENTIAL_CACHE_SECONDS = 5  # in which another process's logout, deletion or disabling may stay unnoticed
MAX_CREDENTIALS = 100_000


class CredentialCache:
    """Keeps the callers of credentials for CREDENTIAL_CACHE_SECONDS."""

    def __init__(self) -> None:
        self._callers: TTLCache[UUID, tuple[Caller, datetime]] = TTLCache(
            maxsize=MAX_CREDENTIALS, ttl=CREDENTIAL_CACHE_SECONDS
        )
        self.api_key_ids: LRUCache[bytes, UUID] = LRUCache(MAX_CREDENTIALS)  # by the key's hash, for good
        self.generation = 0  # number of invalidations

    def get(self, credential_id: UUID) -> Caller | None:
        """Return the caller of a credential, or None where the database must be asked."""
        caller, expires_at = self._callers.get(credential_id, (None, None))
        return None if expires_at is None or expires_at <= now() else caller

    def add(self, caller: Caller, generation: int, expires_at: datetime) -> None:
        """Add a caller that was read at a generation; without effect when any has been invalidated since."""
        if generation == self.generation:
            self._callers[caller.credential_id] = (caller, expires_at)

    def invalidate(self, credential_id: UUID) -> None:
        """Remove a credential, so that the database is asked at its next request."""
        self.generation += 1
        self._callers.pop(credential_id, None)

    def clear(self) -> None:
        """Remove all credentials."""
        self.generation += 1
        self._callers.clear()
