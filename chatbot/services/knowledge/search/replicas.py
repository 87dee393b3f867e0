"""How far copies of vectors have followed their collections: those of one process, and those that all share."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import LeaseLost
from chatbot.models import VectorCopy

LEASE = timedelta(seconds=30)
TAKEN = "Another process has taken over this copy of vectors."


@dataclass(frozen=True, slots=True)
class ReplicaPosition:
    """The space of a collection's copy, the last change in it, and when that was known to be the newest (seconds)."""

    space: str
    change: int
    at: float


class ReplicaLease(Protocol):
    """A lease on a replica; `token` is higher than that of each earlier lease."""

    token: int

    def begin(self) -> None:
        """Say that the copy is not whole until it is reached again; raises LeaseLost."""

    def keep(self) -> None:
        """Go on for another while; raises LeaseLost when another process has taken over."""

    def reach(self, reached: ReplicaPosition) -> None:
        """Remember how far the copy is by now; raises LeaseLost."""

    def advance_token(self, fence: int) -> None:
        """Go on with a higher token than the store has from elsewhere; raises LeaseLost when another has taken over."""


class Positions(Protocol):
    """How far each collection was followed."""

    def get(self, collection: UUID) -> ReplicaPosition | None:
        """Return how far a collection's copy is; None while there is none."""

    def hold(self, collection: UUID) -> AbstractContextManager[ReplicaLease | None]:
        """Take the right to change a copy for the time of a block; None while another process has it."""

    def drop(self, collection: UUID) -> None:
        """Forget a collection."""


class MemoryPositions:
    """Positions of this process's replicas; writers lock them."""

    def __init__(self) -> None:
        self._reached: dict[UUID, ReplicaPosition] = {}

    def get(self, collection: UUID) -> ReplicaPosition | None:
        """Return how far a collection's copy is."""
        return self._reached.get(collection)

    @contextmanager
    def hold(self, collection: UUID) -> Iterator[ReplicaLease | None]:
        """Give the right to change a copy."""
        yield _OwnLease(self._reached, collection)

    def drop(self, collection: UUID) -> None:
        """Forget a collection."""
        self._reached.pop(collection, None)


class _OwnLease:
    token = 0

    def __init__(self, reached: dict[UUID, ReplicaPosition], collection: UUID) -> None:
        self._reached = reached
        self._collection = collection

    def begin(self) -> None:
        """Forget how far the copy was."""
        self._reached.pop(self._collection, None)

    def keep(self) -> None:
        """Cannot be lost."""

    def reach(self, reached: ReplicaPosition) -> None:
        """Remember how far the copy is by now."""
        self._reached[self._collection] = reached

    def advance_token(self, fence: int) -> None:
        """Nothing in this process has a higher one."""


class TablePositions:
    """Of the copies in a store that all processes share: one row each, with a lease and a fencing token."""

    def __init__(self, store: str) -> None:
        self._store = store

    def get(self, collection: UUID) -> ReplicaPosition | None:
        """Return how far a collection's copy is."""
        columns = (VectorCopy.space, VectorCopy.change, VectorCopy.followed_at)
        with read() as connection:
            row = connection.execute(sa.select(*columns).where(*self._of(collection))).one_or_none()
        return None if row is None or row.space is None else ReplicaPosition(row.space, row.change, row.followed_at)

    @contextmanager
    def hold(self, collection: UUID) -> Iterator[ReplicaLease | None]:
        """Take the lease of a copy for the time of a block."""
        token = self._taken(collection)
        if token is None:
            yield None
            return
        held = _Leased(token, self._of(collection))
        try:
            yield held
        finally:
            held.release()

    def drop(self, collection: UUID) -> None:
        """Forget how far a collection is; its row goes with it, and until then the token rises."""
        with write("drop_copy") as connection:
            connection.execute(sa.update(VectorCopy).where(*self._of(collection)).values(space=None))

    def _of(self, collection: UUID) -> tuple[sa.ColumnElement[bool], ...]:
        return (VectorCopy.collection_id == collection, VectorCopy.store == self._store)

    def _taken(self, collection: UUID) -> int | None:
        free = sa.or_(VectorCopy.expires_at.is_(None), leases.is_expired(VectorCopy.expires_at, LEASE))
        statement = sa.update(VectorCopy).where(*self._of(collection), free).returning(VectorCopy.token)
        values: dict[str, Any] = {"token": VectorCopy.token + 1, "expires_at": now() + LEASE}
        try:
            with write("take_copy") as connection:
                if connection.scalar(sa.select(VectorCopy.token).where(*self._of(collection))) is None:
                    row = {"collection_id": collection, "store": self._store, "followed_at": time.time()}
                    connection.execute(sa.insert(VectorCopy).values(row))
                return connection.scalar(statement.values(values))
        except IntegrityError:  # another process made the row, or the collection is gone
            return None


class _Leased:
    def __init__(self, token: int, of: tuple[sa.ColumnElement[bool], ...]) -> None:
        self.token = token
        self._of = of

    def begin(self) -> None:
        """Say that the copy is not whole; raises LeaseLost."""
        self._set(expires_at=now() + LEASE, space=None)

    def keep(self) -> None:
        """Renew the lease; raises LeaseLost."""
        self._set(expires_at=now() + LEASE)

    def reach(self, reached: ReplicaPosition) -> None:
        """Remember how far the copy is by now; raises LeaseLost."""
        values = {"space": reached.space, "change": reached.change, "followed_at": reached.at}
        self._set(expires_at=now() + LEASE, **values)

    def advance_token(self, fence: int) -> None:
        """Advance the token: after a restore tokens begin anew, while the store kept its highest."""
        self._set(token=fence + 1)
        self.token = fence + 1

    def release(self) -> None:
        """Give the lease back, unless it is another's by now."""
        with write("release_copy") as connection:
            connection.execute(self._update().values(expires_at=None))

    def _update(self) -> sa.Update:
        return sa.update(VectorCopy).where(*self._of, VectorCopy.token == self.token)

    def _set(self, **values: Any) -> None:
        with write("keep_copy") as connection:
            if connection.execute(self._update().values(**values)).rowcount != 1:
                raise LeaseLost(TAKEN)
