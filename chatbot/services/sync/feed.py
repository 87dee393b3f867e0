"""The feed of a user's changes: the state of all things that a device lacks, page by page.

A device without a cursor gets its newest conversations first, then all else backwards; from then on what changed
since, each thing once, in the state that it has now. What it gets may come twice and never too late: a page is one
snapshot, and its cursor tells how far that is.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.errors import CursorExpired
from chatbot.models import ChatMessage, SyncChange, SyncCounter, SyncState
from chatbot.services.accounts.callers import Caller

from . import cursors
from .changes import KEPT_FOR, Kind
from .cursors import Cursor

TURNS_OF_WINDOW = 10  # of each conversation
# Made once, for each kind: returns those of some things that the caller may read, each with its id.
Loader = Callable[[sa.Connection, Caller, Sequence[UUID]], Sequence[Any]]

COLUMNS = (SyncChange.type, SyncChange.object_id, SyncChange.position, SyncChange.deleted)
_conversation_change = aliased(SyncChange)
_of_turn = (SyncChange.type == "turn", ~SyncChange.deleted, ChatMessage.id == SyncChange.object_id)
_of_conversation_later = (
    _conversation_change.user_id == SyncChange.user_id,
    _conversation_change.type == "conversation",
    _conversation_change.object_id == ChatMessage.conversation_id,
    _conversation_change.position > SyncChange.position,
)
# A turn's change has the conversation too, unless that changed by itself later.
CHANGES = (
    sa.select(
        *COLUMNS,
        sa.case((_conversation_change.position.is_(None), ChatMessage.conversation_id)).label("conversation_id"),
    )
    .outerjoin(ChatMessage, sa.and_(*_of_turn))
    .outerjoin(_conversation_change, sa.and_(*_of_conversation_later))
    .where(SyncChange.user_id == sa.bindparam("user_id"))
)
_position = sa.bindparam("position", type_=sa.BigInteger())
_limit = sa.bindparam("limit", type_=sa.Integer())
NEWER = CHANGES.where(SyncChange.position > _position).order_by(SyncChange.position).limit(_limit)
_older = (SyncChange.position < _position, ~SyncChange.deleted)
OLDER = CHANGES.where(*_older).order_by(SyncChange.position.desc()).limit(_limit)
LAST_POSITION = sa.select(SyncCounter.position).where(SyncCounter.user_id == sa.bindparam("user_id"))


@dataclass(frozen=True, slots=True)
class Item:
    """A thing as it is now, or that it is gone; `revision` is the position of its last change."""

    type: Kind
    op: Literal["upsert", "delete"]
    id: UUID
    revision: int
    data: Any = None


@dataclass(frozen=True, slots=True)
class Watermark:
    """The purge has deleted all turns from before a time, but those of some conversations."""

    before: datetime
    kept_conversation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A part of the feed; `cursor` continues it, at once where there is `more`."""

    items: list[Item]
    watermark: Watermark | None
    cursor: str
    position: int
    more: bool


@dataclass(frozen=True, slots=True)
class _Moved:
    """A change of a conversation by one of its turns, as a row of `SyncChange`."""

    object_id: UUID
    position: int
    type: Kind = "conversation"
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources of the feed: loaders by kind, the newest conversations, and the conversations that the purge left."""

    loaders: Mapping[Kind, Loader]
    list_window: Callable[[sa.Connection, Caller, int, int], list[tuple[Kind, UUID]]]
    list_kept: Callable[[sa.Connection, Caller, datetime], Sequence[UUID]]


def read_page(
    caller: Caller,
    sources: Sources,
    *,
    since: str | None,
    limit: int,
    window: int,
    types: Collection[Kind] | None = None,
) -> FeedPage:
    """Return the items of up to `limit` changes after a cursor, all or of some types.

    Raises CursorExpired, InvalidInput.
    """
    with read(snapshot=True) as connection:
        state = connection.execute(sa.select(SyncState.epoch, SyncState.purged_before)).one()
        last = connection.scalar(LAST_POSITION, {"user_id": caller.user_id}) or 0
        if since is None:
            cursor = Cursor(state.epoch, caller.user_id, last, last + 1, state.purged_before, now())
            wanted = min(window, max(1, limit // (1 + TURNS_OF_WINDOW)))
            rows: Sequence[Any] = _find_window(connection, caller, sources, wanted) if window else []
            watermark = None
        else:
            cursor = _require_current(cursors.decode(since, epoch=state.epoch, user_id=caller.user_id), last)
            watermark = _find_watermark(connection, caller, sources, cursor, state.purged_before)
            rows, cursor = _find_next(connection, cursor, limit, last)
        shown = [row for row in rows if types is None or row.type in types]
        items = _load(connection, caller, sources.loaders, shown)
    cursor = replace(cursor, purged_before=state.purged_before, at=now())
    # Behind what was there at first comes what changed since it was begun.
    more = bool(cursor.before) or (since is not None and cursor.position < last)
    return FeedPage(items, watermark, cursors.encode(cursor), cursor.position, more)


def build_cursor(caller: Caller) -> str:
    """Return the cursor of a device that knows all there is."""
    with read(snapshot=True) as connection:
        state = connection.execute(sa.select(SyncState.epoch, SyncState.purged_before)).one()
        last = connection.scalar(LAST_POSITION, {"user_id": caller.user_id}) or 0
    return cursors.encode(Cursor(state.epoch, caller.user_id, last, 0, state.purged_before, now()))


def _require_current(cursor: Cursor, last: int) -> Cursor:
    """Return a cursor that can still be continued; raises CursorExpired."""
    if cursor.position > last or cursor.before > last + 1:
        raise CursorExpired("The database was restored since; begin without a cursor.")
    if cursor.at < now() - KEPT_FOR:
        raise CursorExpired(f"The cursor is over {KEPT_FOR.days} days old; begin without one.")
    return cursor


def _find_watermark(
    connection: sa.Connection, caller: Caller, sources: Sources, cursor: Cursor, purged_before: datetime | None
) -> Watermark | None:
    if purged_before is None or (cursor.purged_before is not None and cursor.purged_before >= purged_before):
        return None
    return Watermark(purged_before, tuple(sources.list_kept(connection, caller, purged_before)))


def _find_window(connection: sa.Connection, caller: Caller, sources: Sources, window: int) -> list[Any]:
    """Return the changes of the newest conversations and of their last turns."""
    things = sources.list_window(connection, caller, window, TURNS_OF_WINDOW)
    ids: defaultdict[Kind, list[UUID]] = defaultdict(list)
    for kind, object_id in things:
        ids[kind].append(object_id)
    # By kind: of 220 pairs in one IN, PostgreSQL makes as many scans of the index, and a plan of 10 ms.
    found = [
        row
        for kind, among in ids.items()
        for row in connection.execute(
            CHANGES.where(SyncChange.type == kind, SyncChange.object_id.in_(among)), {"user_id": caller.user_id}
        )
    ]
    order = {thing: number for number, thing in enumerate(things)}
    return sorted(_add_conversations(found), key=lambda row: order[row.type, row.object_id])


def _add_conversations(rows: Sequence[Any]) -> list[Any]:
    """Return changes with the conversations of their turns, each once and before the turn."""
    found: dict[tuple[Kind, UUID], Any] = {}
    for row in rows:
        changed = [row]
        if row.conversation_id is not None:
            changed.insert(0, _Moved(row.conversation_id, row.position))
        for one in changed:
            key = (one.type, one.object_id)
            if key not in found or found[key].position < one.position:
                found[key] = one
    return list(found.values())


def _find_next(connection: sa.Connection, cursor: Cursor, limit: int, last: int) -> tuple[Sequence[Any], Cursor]:
    """Return the next changes, and the cursor behind them."""
    if cursor.before:
        older = {"user_id": cursor.user_id, "position": cursor.before, "limit": limit}
        rows = connection.execute(OLDER, older).all()
        if rows:
            cursor = replace(cursor, before=rows[-1].position if len(rows) == limit else 0)
            return _add_conversations(rows), cursor
    newer = {"user_id": cursor.user_id, "position": cursor.position, "limit": limit}
    rows = connection.execute(NEWER, newer).all()
    # The last positions may have no changes any more.
    cursor = replace(cursor, before=0, position=rows[-1].position if len(rows) == limit else last)
    return _add_conversations(rows), cursor


def _load(connection: sa.Connection, caller: Caller, loaders: Mapping[Kind, Loader], rows: Sequence[Any]) -> list[Item]:
    """Return the items of some changes, in their order; unreadable things are gone for the caller."""
    found: dict[tuple[Kind, UUID], Any] = {}
    for kind, load in loaders.items():
        ids = [row.object_id for row in rows if row.type == kind and not row.deleted]
        if ids:
            found |= {(kind, one.id): one for one in load(connection, caller, ids)}
    return [_build_item(row, found.get((row.type, row.object_id))) for row in rows]


def _build_item(row: Any, data: Any) -> Item:
    return Item(row.type, "delete" if data is None else "upsert", row.object_id, row.position, data)
