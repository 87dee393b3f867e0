"""The purge: deletes rows older than the retention period, in small committed batches."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import Busy, SuspiciousClock
from chatbot.models import (
    ChatMessage,
    Conversation,
    ConversationSummary,
    Lease,
    SyncChange,
    SyncState,
)
from chatbot.observability import metrics
from chatbot.services.chat import conversation_rows
from chatbot.services.rooms import retention as room_retention
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import clock, expiry

NAME = "purge"
PERIOD = timedelta(days=1)
LENGTH = timedelta(minutes=2)  # of the lease; each batch renews it
# Rows of a batch: it holds SQLite's lock for some milliseconds; PostgreSQL lets others write, and is asked seven times.
BATCH = {"sqlite": 150, "postgresql": 400}
LONG_AGO = datetime.min.replace(tzinfo=UTC)
PAUSE_SECONDS = 0.008  # seconds in which writers come in between two batches

# Made once: a batch holds SQLite's lock while its statements are made.
_cutoff = sa.bindparam("cutoff", type_=ChatMessage.created_at.type)
# From where the batch before ended: PostgreSQL keeps deleted rows in the index until it is vacuumed, and a batch that
# began at the oldest would step over all that went before it.
_reached = sa.bindparam("reached", type_=ChatMessage.created_at.type)
_is_pinned = sa.exists().where(Conversation.id == ChatMessage.conversation_id, Conversation.pinned)
FIND_TURNS = (
    sa.select(
        ChatMessage.id,
        ChatMessage.user_id,
        ChatMessage.conversation_id,
        ChatMessage.root_id,
        ChatMessage.created_at,
        ChatMessage.listed,
    )
    .where(ChatMessage.created_at >= _reached, ChatMessage.created_at < _cutoff, ~_is_pinned)
    .order_by(ChatMessage.created_at)
    .limit(sa.bindparam("most"))
)
_ids: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_these = Conversation.id.in_(_ids)
LOCK_CONVERSATIONS = (
    sa.select(Conversation.id).where(_these, ~Conversation.pinned).order_by(Conversation.id).with_for_update()
)
DELETE_TURNS = sa.delete(ChatMessage).where(ChatMessage.id.in_(_ids))
# A summary covers the oldest turns of its conversation, which are those that go.
DELETE_SUMMARIES = sa.delete(ConversationSummary).where(ConversationSummary.conversation_id.in_(_ids))
# By their whole key, before the turns go: SQLite would go through all changes of all users for the ids alone.
DELETE_CHANGES = sa.delete(SyncChange).where(
    sa.tuple_(SyncChange.user_id, SyncChange.type, SyncChange.object_id).in_(
        sa.select(ChatMessage.user_id, sa.literal_column("'turn'"), ChatMessage.id).where(ChatMessage.id.in_(_ids))
    )
)
_remaining = sa.exists().where(ChatMessage.conversation_id == Conversation.id)
DELETE_EMPTIED = sa.delete(Conversation).where(_these, ~_remaining).returning(Conversation.id, Conversation.user_id)
_shown = (ChatMessage.conversation_id == Conversation.id, ChatMessage.active, ChatMessage.listed)
COUNT_TURNS = (
    sa.update(Conversation)
    .where(_these)
    .values(turns=sa.select(sa.func.count()).where(*_shown).scalar_subquery(), read_turn_id=conversation_rows.READ_TURN)
    .returning(Conversation.id, Conversation.user_id, Conversation.listed)
)
# Answers to the same message tell of each other.
FIND_SIBLINGS = sa.select(ChatMessage.id, ChatMessage.user_id).where(
    ChatMessage.root_id.in_(_ids), ChatMessage.active, ChatMessage.listed
)
_is_later = sa.or_(SyncState.purged_before.is_(None), SyncState.purged_before < _cutoff)
IS_WATERMARK_BEFORE = sa.select(SyncState.id).where(_is_later)
ADVANCE_WATERMARK = sa.update(SyncState).where(_is_later).values(purged_before=_cutoff)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Purged:
    """How much went, and up to when no turn is left."""

    turns: int = 0
    conversations: int = 0
    sessions: int = 0
    reached: datetime = LONG_AGO


Step = Callable[[sa.Connection, datetime, Purged], int]  # deletes a batch of what is older, and returns how many rows


def count(older_than: timedelta) -> int:
    """Return how many turns a purge would delete."""
    with read() as connection:
        statement = sa.select(sa.func.count()).where(ChatMessage.created_at < now() - older_than, ~_is_pinned)
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
        for delete in STEPS:
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
    """Delete the oldest turns, and with them, by their foreign keys, all that belongs to them; but of pinned ones."""
    values = {"reached": purged.reached, "cutoff": cutoff, "most": _most(connection)}
    rows = connection.execute(FIND_TURNS, values).all()
    if not rows:
        return 0
    # Locked in a statement of its own: a turn that comes in meanwhile is seen by the next one.
    among = sorted({row.conversation_id for row in rows})
    unpinned = set(connection.scalars(LOCK_CONVERSATIONS, {"ids": among}))
    ids = [row.id for row in rows if row.conversation_id in unpinned]
    connection.execute(DELETE_CHANGES, {"ids": ids})
    connection.execute(DELETE_TURNS, {"ids": ids})
    connection.execute(DELETE_SUMMARIES, {"ids": list(unpinned)})
    emptied = connection.execute(DELETE_EMPTIED, {"ids": list(unpinned)}).all()
    left = connection.execute(COUNT_TURNS, {"ids": sorted(unpinned - {row.id for row in emptied})}).all()
    conversation_rows.retitle(connection, [row.id for row in left])
    deleted = [row for row in rows if row.conversation_id in unpinned]
    _record(connection, emptied, [row for row in left if row.listed], deleted, cutoff)
    purged.turns += len(ids)
    purged.reached = max(row.created_at for row in rows)
    purged.conversations += len(emptied)
    return len(rows)


def _record(
    connection: sa.Connection,
    emptied: Sequence[Any],
    left: Sequence[Any],
    deleted: Sequence[Any],
    cutoff: datetime,
) -> None:
    """Record the changes of a batch; for turns of emptied conversations the watermark is enough.

    Those of others have tombstones: a conversation that is pinned later is exempt from the watermarks after that. All
    have them where the watermark does not move, since it was longer ago that the conversations were unpinned.
    """
    changed: defaultdict[UUID, list[Change]] = defaultdict(list)
    for row in emptied:
        changed[row.user_id].append(Change("conversation", row.id, is_deleted=True))
    for row in left:
        changed[row.user_id].append(Change("conversation", row.id))
    moves = connection.execute(IS_WATERMARK_BEFORE, {"cutoff": cutoff}).one_or_none() is not None
    covered = {row.id for row in emptied} if moves else set()
    for row in deleted:
        if row.listed and row.conversation_id not in covered:
            changed[row.user_id].append(Change("turn", row.id, is_deleted=True))
    roots = {row.root_id for row in deleted if row.root_id is not None}
    for row in connection.execute(FIND_SIBLINGS, {"ids": sorted(roots)}).all() if roots else ():
        changed[row.user_id].append(Change("turn", row.id))
    changes.record_all(connection, changed)


def _advance_watermark(connection: sa.Connection, cutoff: datetime, _: Purged) -> int:
    """Send to devices that follow the time from which on turns are kept; the clock may have been set back."""
    connection.execute(ADVANCE_WATERMARK, {"cutoff": cutoff})
    return 0


def _delete_sessions(connection: sa.Connection, cutoff: datetime, purged: Purged) -> int:
    deleted = expiry.delete_sessions(connection, cutoff, _most(connection))
    purged.sessions += deleted
    return deleted


def _expire(delete: Callable[[sa.Connection, datetime, int], int]) -> Step:
    """Return the step of rows that no figure of the purge counts."""

    def step(connection: sa.Connection, cutoff: datetime, _: Purged) -> int:
        return delete(connection, cutoff, _most(connection))

    return step


def _most(connection: sa.Connection) -> int:
    return BATCH[connection.dialect.name]


STEPS: tuple[Step, ...] = (
    _delete_turns,
    _expire(expiry.delete_drafts),
    _expire(room_retention.delete_messages),
    _advance_watermark,
    _delete_sessions,
    _expire(room_retention.delete_invites),
    _expire(room_retention.delete_abandoned_rooms),
    *map(_expire, expiry.OTHERS),
)
