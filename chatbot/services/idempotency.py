"""Idempotency keys: the same key and body get the same turn, however often and from wherever they come.

(draft-ietf-httpapi-idempotency-key-header-07.) A key is the user's and the route's; it is written in the
transaction that opens its turn, so that neither is ever there without the other.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.errors import IdempotencyKeyReused
from chatbot.models import IdempotencyKey

LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that came with a request, for which route, and the SHA-256 of the validated body.

    `retryable` are the errors of a turn (names of classes) after which the same key opens a sibling.
    """

    route: str
    key: str
    body_hash: bytes
    retryable: frozenset[str]


def find(connection: sa.Connection, user_id: UUID, key: Key, *, writes: bool = True) -> UUID | None:
    """Return the turn or thing of this key, or None; raises IdempotencyKeyReused for another body.

    With `writes` an expired key is deleted, and a valid one is locked until the transaction ends.
    """
    made = sa.func.coalesce(IdempotencyKey.turn_id, IdempotencyKey.thing_id).label("made")
    statement = sa.select(IdempotencyKey.body_hash, made, IdempotencyKey.created_at).where(*_matches(user_id, key))
    row = connection.execute(statement.with_for_update() if writes else statement).one_or_none()
    if row is None:
        return None
    if row.created_at < now() - LIFETIME:
        if writes:
            connection.execute(sa.delete(IdempotencyKey).where(*_matches(user_id, key)))
        return None
    if row.body_hash != key.body_hash:
        raise IdempotencyKeyReused("This Idempotency-Key came with another body before.")
    return row.made  # type: ignore[no-any-return]  # a turn's id or another thing's


def find_turn_id(connection: sa.Connection, user_id: UUID, key: Key) -> UUID | None:
    """Return the turn of this key, of any age and body, or None; nothing is locked."""
    return connection.scalar(sa.select(IdempotencyKey.turn_id).where(*_matches(user_id, key)))


def find_committed(user_id: UUID, key: Key | None) -> UUID | None:
    """Return the turn or thing that another request made of this key, or None; raises IdempotencyKeyReused."""
    if key is None:
        return None
    with read() as connection:
        return find(connection, user_id, key, writes=False)


def store(
    connection: sa.Connection, user_id: UUID, key: Key, turn_id: UUID | None = None, *, thing_id: UUID | None = None
) -> None:
    """Store a key with the turn or other thing that was created with it."""
    values = {"route": key.route, "key": key.key, "body_hash": key.body_hash, "created_at": now()}
    connection.execute(sa.insert(IdempotencyKey).values(user_id=user_id, turn_id=turn_id, thing_id=thing_id, **values))


def reassign(connection: sa.Connection, user_id: UUID, key: Key, turn_id: UUID) -> None:
    """Assign the key to another turn: the next attempt of the same request."""
    connection.execute(sa.update(IdempotencyKey).where(*_matches(user_id, key)).values(turn_id=turn_id))


def _matches(user_id: UUID, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    return (IdempotencyKey.user_id == user_id, IdempotencyKey.route == key.route, IdempotencyKey.key == key.key)
