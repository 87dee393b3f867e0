"""The purge: deletes rows older than the retention period, in small committed batches."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import Busy, SuspiciousClock
from chatbot.models import ApiKey, ChatMessage, Conversation, IdempotencyKey, KnowledgeChange, Lease, Session
from chatbot.observability import metrics
from chatbot.services import idempotency

from . import clock

NAME = "purge"
PERIOD = timedelta(days=1)
LENGTH = timedelta(minutes=2)  # of the lease; each batch renews it
# Rows of a batch: it holds SQLite's lock for some milliseconds; PostgreSQL lets others write, and is asked seven times.
BATCH = {"sqlite": 150, "postgresql": 400}
FOLLOWED_FOR = timedelta(days=2)  # how long a change of the knowledge base is kept for processes that follow
LONG_AGO = datetime.min.replace(tzinfo=UTC)
PAUSE_SECONDS = 0.008  # seconds in which writers come in between two batches

# Made once: a batch holds SQLite's lock while its statements are made.
_cutoff = sa.bindparam("cutoff", type_=ChatMessage.created_at.type)
# From where the batch before ended: PostgreSQL keeps deleted rows in the index until it is vacuumed, and a batch that
# began at the oldest would step over all that went before it.
_reached = sa.bindparam("reached", type_=ChatMessage.created_at.type)
_oldest = (
    sa.select(ChatMessage.id)
    .where(ChatMessage.created_at >= _reached, ChatMessage.created_at < _cutoff)
    .order_by(ChatMessage.created_at)
)
DELETE_TURNS = (
    sa.delete(ChatMessage)
    .where(ChatMessage.id.in_(_oldest.limit(sa.bindparam("most"))))
    .returning(ChatMessage.conversation_id, ChatMessage.created_at)
)
_emptied = Conversation.id.in_(sa.bindparam("emptied", expanding=True))
LOCK_EMPTIED = sa.select(Conversation.id).where(_emptied).with_for_update()
_remaining = sa.exists().where(ChatMessage.conversation_id == Conversation.id)
DELETE_EMPTIED = sa.delete(Conversation).where(_emptied, ~_remaining).returning(Conversation.id)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Purged:
    """How much went, and up to when no turn is left."""

    turns: int = 0
    conversations: int = 0
    sessions: int = 0
    reached: datetime = LONG_AGO


def count(older_than: timedelta) -> int:
    """Return how many turns a purge would delete."""
    with read() as connection:
        statement = sa.select(sa.func.count()).where(ChatMessage.created_at < now() - older_than)
        return connection.scalar(statement) or 0


def purge(older_than: timedelta, *, force: bool = False, on_batch: Callable[[int], None] = lambda _: None) -> Purged:
    """Delete turns older than this, conversations that this empties, sessions and API keys that expired as long ago.

    Raises SuspiciousClock unless forced, Busy while another purge runs, LeaseLost when another took over.
    """
    not_before = clock.heartbeat(NAME, clock.Watch())
    if not_before and not force:
        raise SuspiciousClock(f"The clock jumped; nothing is purged before {not_before:%Y-%m-%d %H:%M} UTC.")
    purged = _purge(older_than, on_batch)
    if purged is None:
        raise Busy("Another purge is running.")
    return purged


def purge_if_due(older_than: timedelta, watch: clock.Watch) -> Purged | None:
    """Purge when a day has passed since the last time and the clock can be believed; else return None."""
    if clock.heartbeat(NAME, watch) is not None or not _is_due():
        return None
    return _purge(older_than, lambda _: None, only_if_due=True)


def _is_due() -> bool:
    with read() as connection:
        last = connection.scalar(sa.select(Lease.last_run_at).where(Lease.name == NAME))
    # One in the future was left by a clock that was set right since.
    return last is None or abs(now() - last) >= PERIOD


def _purge(older_than: timedelta, on_batch: Callable[[int], None], *, only_if_due: bool = False) -> Purged | None:
    held = leases.acquire(NAME, LENGTH)
    if held is None:
        return None
    if only_if_due and not _is_due():  # another process has done it since we looked
        leases.release(held, completed=False)
        return None
    cutoff = now() - older_than
    purged = Purged()
    completed = False
    try:
        for delete in (_delete_turns, _delete_sessions, _delete_api_keys, _delete_keys, _delete_changes):
            while True:
                started = time.monotonic()
                with write("purge", durable=False) as connection:
                    leases.confirm(connection, held)
                    deleted = delete(connection, cutoff, purged)
                if not deleted:
                    break
                on_batch(deleted)
                # Writers have half of the time; where the disk is slow, half of more.
                time.sleep(max(PAUSE_SECONDS, time.monotonic() - started))
        completed = True
    finally:
        leases.release(held, completed=completed)
    for what in ("turns", "conversations", "sessions"):
        metrics.PURGED.labels(what).inc(getattr(purged, what))
    log.info("purged", turns=purged.turns, conversations=purged.conversations, sessions=purged.sessions)
    return purged


def _delete_turns(connection: sa.Connection, cutoff: datetime, purged: Purged) -> int:
    """Delete the oldest turns, and with them, by their foreign keys, all that belongs to them."""
    values = {"reached": purged.reached, "cutoff": cutoff, "most": _most(connection)}
    rows = connection.execute(DELETE_TURNS, values).all()
    emptied = sorted({conversation_id for conversation_id, _ in rows})
    if connection.dialect.name == "postgresql":
        # Locked in a statement of its own: a turn that comes in meanwhile is seen by the next one.
        connection.execute(LOCK_EMPTIED, {"emptied": emptied}).all()
    purged.turns += len(rows)
    purged.reached = max((created_at for _, created_at in rows), default=purged.reached)
    purged.conversations += len(connection.scalars(DELETE_EMPTIED, {"emptied": emptied}).all())
    return len(rows)


def _most(connection: sa.Connection) -> int:
    return BATCH[connection.dialect.name]


def _delete_sessions(connection: sa.Connection, cutoff: datetime, purged: Purged) -> int:
    ids = connection.scalars(sa.select(Session.id).where(Session.expires_at < cutoff).limit(_most(connection))).all()
    connection.execute(sa.delete(Session).where(Session.id.in_(ids)))
    purged.sessions += len(ids)
    return len(ids)


def _delete_api_keys(connection: sa.Connection, cutoff: datetime, _: Purged) -> int:
    old = sa.select(ApiKey.id).where(ApiKey.expires_at < cutoff).limit(_most(connection))
    return connection.execute(sa.delete(ApiKey).where(ApiKey.id.in_(old))).rowcount


def _delete_keys(connection: sa.Connection, _: datetime, __: Purged) -> int:
    old = IdempotencyKey.created_at < now() - idempotency.LIFETIME
    name = sa.tuple_(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key)
    oldest = sa.select(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key).where(old)
    return connection.execute(sa.delete(IdempotencyKey).where(name.in_(oldest.limit(_most(connection))))).rowcount


def _delete_changes(connection: sa.Connection, _: datetime, __: Purged) -> int:
    old = sa.select(KnowledgeChange.id).where(KnowledgeChange.created_at < now() - FOLLOWED_FOR)
    return connection.execute(
        sa.delete(KnowledgeChange).where(KnowledgeChange.id.in_(old.limit(_most(connection))))
    ).rowcount
