"""Forks: another conversation that begins with the turns of one.

The turns are copied in batches into a conversation that is not listed, so that others' writes need not wait for a long
one; the last transaction shows it, with all its turns.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Conversation, ConversationTag
from chatbot.models.chat import RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import conversation_rows, conversations, deletion
from chatbot.services.chat.conversations import ConversationRecord
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import quotes

ROW_BYTES = 1_000  # of a turn, beside its texts: with its places in indexes, and its change
MEASURED = tuple(
    sa.cast(ChatMessage.__table__.c[name], sa.Text)
    for name in ("user_message", "bot_response", "asked", "retrieval_query", "citations", "extras", "error")
)
BATCH = 100  # turns in one transaction: it holds SQLite's lock for some milliseconds
SHOWN = 500  # turns in one statement of the last transaction: on SQLite every stream waits for it
SETTINGS = (
    Conversation.title,
    Conversation.title_source,
    Conversation.pinned,
    Conversation.instructions,
    Conversation.collection_ids,
)
COPIED = tuple(
    ChatMessage.__table__.c[name]
    for name in (
        *("user_message", "bot_response", "status", "error", "model", "prompt_tokens", "completion_tokens"),
        *("created_at", "completed_at", "asked", "retrieval_query", "citations", "grounded", "extras"),
    )
)


def fork(
    caller: Caller,
    conversation_id: UUID,
    turn_id: UUID | None = None,
    key: idempotency.Key | None = None,
    *,
    charge: Callable[[int], None] | None = None,
) -> ConversationRecord:
    """Return a new conversation with copies of the turns up to one, or of all; a running one is left out.

    It has the title, the tags, the instructions and the collections of the other, and is pinned as that is: its turns
    are as old. `charge` is called with the approximate bytes before anything is copied, and may raise. Raises NotFound
    for a conversation that is absent or another user's and for a turn of another one, IdempotencyKeyReused.
    """
    with read(snapshot=True) as connection:
        known = idempotency.find(connection, caller.user_id, key, writes=False) if key else None
        if known:
            return conversations.load(connection, caller, known)
        values, tags = _load_settings(connection, caller, conversation_id)
        turn_ids = _list_turns(connection, conversation_id, turn_id)
    if charge:
        charge(_count_bytes(turn_ids))
    fork_id = uuid7()
    is_pinned = values.pop("pinned")
    row = conversation_rows.build_row(caller, fork_id, now()) | values
    try:
        _begin({**row, "forked_from": conversation_id, "listed": False}, tags)
        for start in range(0, len(turn_ids), BATCH):
            _copy_turns(caller, fork_id, turn_ids[start : start + BATCH], start)
        return _show(caller, fork_id, is_pinned=is_pinned, key=key)
    except BaseException as error:
        deletion.delete_conversation(caller, fork_id)
        if not isinstance(error, IntegrityError) or key is None:
            raise
    # A request with the same key came in the same moment.
    return fork(caller, conversation_id, turn_id, key, charge=charge)


def _load_settings(
    connection: sa.Connection, caller: Caller, conversation_id: UUID
) -> tuple[dict[str, Any], Sequence[str]]:
    own = (Conversation.id == conversation_id, Conversation.user_id == caller.user_id, Conversation.listed)
    row = connection.execute(sa.select(*SETTINGS).where(*own)).one_or_none()
    if row is None:
        raise NotFound("There is no such conversation.")
    tags = sa.select(ConversationTag.tag).where(ConversationTag.conversation_id == conversation_id)
    return dict(row._mapping), connection.scalars(tags.order_by(ConversationTag.position)).all()


def _list_turns(connection: sa.Connection, conversation_id: UUID, turn_id: UUID | None) -> Sequence[UUID]:
    """Return the ids of the active turns up to one, in their order; raises NotFound.

    That one itself may be a sibling which another answer replaced.
    """
    statement = sa.select(ChatMessage.id).where(
        ChatMessage.conversation_id == conversation_id, ChatMessage.listed, ChatMessage.status.not_in(RUNNING)
    )
    if turn_id is None:
        return connection.scalars(statement.where(ChatMessage.active).order_by(ChatMessage.sequence)).all()
    named = sa.select(ChatMessage.sequence).where(
        ChatMessage.id == turn_id, ChatMessage.conversation_id == conversation_id, ChatMessage.listed
    )
    last = connection.scalar(named)
    if last is None:
        raise NotFound("There is no such turn in this conversation.")
    shown = sa.or_(ChatMessage.active, ChatMessage.id == turn_id)
    return connection.scalars(statement.where(shown, ChatMessage.sequence <= last).order_by(ChatMessage.sequence)).all()


def _count_bytes(turn_ids: Sequence[UUID]) -> int:
    """Return about how many bytes copies of turns take."""
    length = sum((sa.func.octet_length(sa.func.coalesce(text, "")) for text in MEASURED), sa.literal(0))
    size = ROW_BYTES * len(turn_ids)
    for start in range(0, len(turn_ids), BATCH):
        these = ChatMessage.id.in_(turn_ids[start : start + BATCH])
        with read() as connection:
            size += connection.scalar(sa.select(sa.func.sum(length)).where(these)) or 0
    return size


def _begin(row: dict[str, Any], tags: Sequence[str]) -> None:
    with write("begin_fork", durable=False) as connection:
        connection.execute(sa.insert(Conversation).values(row))
        conversations.write_tags(connection, row["id"], tags)


def _copy_turns(caller: Caller, fork_id: UUID, turn_ids: Sequence[UUID], first: int) -> None:
    """Copy turns, those that were not deleted since; `first` of the fork's are there."""
    statement = sa.select(*COPIED).where(ChatMessage.id.in_(turn_ids)).order_by(ChatMessage.sequence)
    common: dict[str, Any] = {"user_id": caller.user_id, "caller_id": caller.user_id, "conversation_id": fork_id}
    common |= {"active": True, "listed": False}
    with write("copy_turns", durable=False) as connection:
        rows = [
            {**row._mapping, **common, "id": uuid7(), "sequence": sequence}
            for sequence, row in enumerate(connection.execute(statement), first + 1)
        ]
        gone = quotes.lock_cited_documents(connection, [row["citations"] for row in rows])
        for row in rows:
            row["citations"] = row["citations"] and quotes.blank(row["citations"], gone)
        if rows:
            connection.execute(sa.insert(ChatMessage), rows)


def _show(caller: Caller, fork_id: UUID, *, is_pinned: bool, key: idempotency.Key | None) -> ConversationRecord:
    """Show the fork and its turns, which their user has read; others' statements need not wait for those of many."""
    of_fork = ChatMessage.conversation_id == fork_id
    newest = sa.select(ChatMessage.id, ChatMessage.sequence).where(of_fork).order_by(ChatMessage.sequence.desc())
    with write("show_fork", is_long=True) as connection:
        if key:
            idempotency.store(connection, caller.user_id, key, thing_id=fork_id)
        values: dict[str, Any] = {"listed": True, "pinned": is_pinned}
        last = connection.execute(newest.limit(1)).one_or_none()
        if last is not None:
            show = sa.update(ChatMessage).values(listed=True)
            shown = [connection.execute(show.where(*some)).rowcount for some in _split(fork_id, last.sequence)]
            values |= {"turns": sum(shown), "last_sequence": last.sequence}
            values |= {"read_turn_id": last.id, "read_sequence": last.sequence}
        connection.execute(sa.update(Conversation).where(Conversation.id == fork_id).values(values))
        for some in _split(fork_id, last.sequence if last else 0):
            changes.record_turns(connection, caller.user_id, *some)
        changes.record(connection, caller.user_id, [Change("conversation", fork_id)])
        return conversations.load(connection, caller, fork_id)


def _split(fork_id: UUID, last: int) -> Iterator[tuple[sa.ColumnElement[bool], ...]]:
    """Yield the conditions of some turns after the others; meanwhile others may run."""
    for start in range(0, last, SHOWN):
        yield ChatMessage.conversation_id == fork_id, ChatMessage.sequence.between(start + 1, start + SHOWN)
        time.sleep(0)
