"""The texts that the index of the history follows, from the tables."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.query_plans import without_index
from chatbot.database.transactions import read
from chatbot.models import ChatMessage, Conversation, SyncChange, SyncCounter, SyncState, User
from chatbot.rag.lexical.history import IndexedText

ROWS = 50  # in one reading, after which others' turn may come: of long texts they are a third of a second
NOBODY = UUID(int=0)

_is_shown = (ChatMessage.active, ChatMessage.listed)
_turns = sa.select(
    ChatMessage.id,
    ChatMessage.user_id,
    ChatMessage.conversation_id,
    ChatMessage.created_at,
    ChatMessage.user_message,
    ChatMessage.bot_response,
)


@dataclass(frozen=True, slots=True)
class Head:
    """The position of a user's last change, and the epoch and the watermark of the database."""

    epoch: UUID
    purged_before: datetime | None
    user_id: UUID
    position: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of a user's changes: ids to remove, texts to add then, and the position of the last one."""

    removed: dict[Literal["turn", "title", "conversation"], list[UUID]]
    texts: list[IndexedText]
    position: int


def read_heads(user_ids: Sequence[UUID]) -> list[Head]:
    """Return the heads of those of some users that are there."""
    position = sa.func.coalesce(SyncCounter.position, 0)
    statement = (
        sa.select(SyncState.epoch, SyncState.purged_before, User.id, position)
        .select_from(User)
        .join(SyncState, sa.true())
        .outerjoin(SyncCounter, SyncCounter.user_id == User.id)
        .where(User.id.in_(user_ids))
    )
    with read() as connection:
        return [Head(*row) for row in connection.execute(statement)]


def read_database_head() -> Head:
    """Return the head of the database alone."""
    with read() as connection:
        row = connection.execute(sa.select(SyncState.epoch, SyncState.purged_before)).one()
    return Head(row.epoch, row.purged_before, NOBODY, 0)


def list_changes(head: Head, position: int) -> Iterator[Batch]:
    """Yield a user's changes of turns and titles after a position, in order."""
    columns = (SyncChange.type, SyncChange.object_id, SyncChange.deleted, SyncChange.position)
    followed = (SyncChange.user_id == head.user_id, SyncChange.type.in_(("turn", "conversation")))
    while True:
        later = (SyncChange.position > position, SyncChange.position <= head.position)
        statement = sa.select(*columns).where(*followed, *later).order_by(SyncChange.position).limit(ROWS)
        with read() as connection:
            rows = connection.execute(statement).all()
            if rows:
                batch = _read_batch(connection, head.user_id, rows)
        if rows:
            position = batch.position
            yield batch
        if len(rows) < ROWS:
            return
        time.sleep(0)


def list_turns_before(moment: datetime, user_ids: Sequence[UUID]) -> Iterator[list[IndexedText]]:
    """Yield those turns of some users that are older than the purge's watermark: of pinned conversations."""
    order = (ChatMessage.created_at, ChatMessage.id)
    statement = _turns.where(ChatMessage.user_id.in_(user_ids), ChatMessage.created_at < moment, *_is_shown)
    after: keyset.Key | None = None
    while True:
        with read() as connection:
            page = keyset.fetch_page(connection, statement, _build_turn, order=order, limit=ROWS, after=after)
        yield page.items
        after = page.last_key
        if after is None:
            return
        time.sleep(0)


def _read_batch(connection: sa.Connection, user_id: UUID, rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> Batch:
    turns = [row.object_id for row in rows if row.type == "turn"]
    conversations = {row.object_id for row in rows if row.type == "conversation" and not row.deleted}
    gone = [row.object_id for row in rows if row.type == "conversation" and row.deleted]
    shown = (ChatMessage.id.in_(turns), without_index(ChatMessage.user_id) == user_id, *_is_shown)
    texts = [_build_turn(**row._mapping) for row in connection.execute(_turns.where(*shown))]
    conversations |= {text.conversation_id for text in texts}  # a turn's change is its conversation's too
    titled = (Conversation.id.in_(conversations), without_index(Conversation.user_id) == user_id, Conversation.listed)
    statement = sa.select(Conversation.id, Conversation.title, Conversation.activity_at)
    for row in connection.execute(statement.where(*titled, Conversation.title.is_not(None))):
        texts.append(IndexedText("title", row.id, user_id, row.id, row.activity_at, row.title))
    return Batch({"conversation": gone, "turn": turns, "title": list(conversations)}, texts, rows[-1].position)


def _build_turn(
    id: UUID,
    user_id: UUID,
    conversation_id: UUID,
    created_at: datetime,
    user_message: str,
    bot_response: str,
) -> IndexedText:
    text = f"{user_message}\n{bot_response}"
    return IndexedText("turn", id, user_id, conversation_id, created_at, text)
