"""The chat history: one turn, pages of turns, and the messages that a prompt repeats."""

import functools
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.transactions import read
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Conversation, TurnLogPiece
from chatbot.models.chat import RUNNING
from chatbot.rag.types import Message
from chatbot.services.accounts.callers import Caller

from . import grounding
from .turns import OpenedTurn

HIDDEN = {"lease_token", "lease_expires_at", "cancel_requested_at", "asked"}
FIELDS = tuple(column for column in ChatMessage.__table__.c if column.name not in HIDDEN)
SAID = ("completed", "truncated", "cancelled", "interrupted")  # answers that the user saw, or a part of
PAGE_BYTES = 1 << 20  # of text, after which a page ends
ROOTS_WITHOUT_BREAK = 25  # whose siblings are read at a time: 2 ms
MOST_REPEATED = 100  # turns that are looked at for a prompt; a budget of tokens decides among them


def get_turn(caller: Caller, turn_id: UUID) -> dict[str, Any]:
    """Return one of the caller's turns, in any state, with the text so far; raises NotFound."""
    statement = sa.select(*FIELDS).where(ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with read() as connection:
        rows = [dict(row._mapping) for row in connection.execute(statement)]
        if not rows:
            raise NotFound("There is no such turn.")
        _add_texts(connection, rows)
        _add_siblings(connection, rows)
        grounding.refresh(connection, caller, rows)
    return rows[0]


def ended_turn(turn: OpenedTurn) -> dict[str, Any] | None:
    """Return how a turn ended in the database, or None while it runs there or when it is gone."""
    statement = sa.select(*FIELDS).where(ChatMessage.id == turn.id, ChatMessage.status.not_in(RUNNING))
    with read() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else {**row._mapping, "siblings": turn.siblings}


def page(
    caller: Caller,
    *,
    limit: int,
    after: keyset.Key | None = None,
    order: Literal["asc", "desc"] = "asc",
    conversation_id: UUID | None = None,
) -> keyset.Page[dict[str, Any]]:
    """Return up to `limit` of the caller's active turns by time.

    A page ends at PAGE_BYTES of text. Raises NotFound for a conversation that is absent or somebody else's.
    """
    statement = _page(order, after is not None, conversation_id is not None)
    values: dict[str, Any] = {"caller_id": caller.user_id, "most": limit + 1}
    if after:
        values |= keyset.parameters(after)
    with read() as connection:
        if conversation_id:
            _require_conversation(connection, caller, conversation_id)
            values["conversation_id"] = conversation_id
        rows, more = _rows_that_fit(connection.execute(statement, values), limit)
        _add_texts(connection, rows)
        _add_siblings(connection, rows)
        grounding.refresh(connection, caller, rows)
    return keyset.Page(rows, (rows[-1]["created_at"], rows[-1]["id"]) if more else None)


@functools.cache
def _page(direction: str, has_key: bool, has_conversation: bool) -> sa.Select[*tuple[Any, ...]]:
    """Return the statement of a page of `:caller_id`, after a key and of `:conversation_id` where said."""
    order = (ChatMessage.created_at, ChatMessage.id)
    conditions = (ChatMessage.user_id == sa.bindparam("caller_id"), ChatMessage.active, ChatMessage.listed)
    statement = sa.select(*FIELDS).where(*conditions).limit(sa.bindparam("most"))
    if has_key:
        statement = statement.where(keyset.is_after(order, descending=direction == "desc"))
    if has_conversation:
        statement = statement.where(ChatMessage.conversation_id == sa.bindparam("conversation_id"))
    return statement.order_by(*(column.desc() if direction == "desc" else column.asc() for column in order))


def _rows_that_fit(found: sa.CursorResult[Any], limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the first turns of a result, up to `limit` and PAGE_BYTES but at least one, and whether there are more."""
    rows: list[dict[str, Any]] = []
    left = PAGE_BYTES
    for one in found:  # from SQLite one at a time: what does not fit is not read
        row = dict(one._mapping)
        left -= _size(row)
        if rows and (left < 0 or len(rows) == limit):
            found.close()
            return rows, True
        rows.append(row)
    return rows, False


def _size(row: dict[str, Any]) -> int:
    """Return how many bytes of text a turn has; counting them costs nothing where all are ASCII."""
    texts = [row["user_message"], row["bot_response"], *(one["quote"] for one in row["citations"] or ())]
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def before(turn: OpenedTurn) -> list[Message]:
    """Return the messages of the conversation before this turn, oldest first, for a prompt."""
    if turn.sequence == 1:
        return []
    statement = sa.select(ChatMessage.user_message, ChatMessage.bot_response).where(
        ChatMessage.conversation_id == turn.conversation_id,
        ChatMessage.sequence < turn.sequence,
        ChatMessage.active,
        ChatMessage.status.in_(SAID),
        ChatMessage.bot_response != "",
    )
    pairs: list[tuple[Message, Message]] = []
    left = PAGE_BYTES
    with read() as connection:
        found = connection.execute(statement.order_by(ChatMessage.sequence.desc()).limit(MOST_REPEATED))
        for row in found:
            left -= len(row.user_message) + len(row.bot_response)
            if left < 0:
                found.close()
                break
            pairs.append((Message("user", row.user_message), Message("assistant", row.bot_response)))
    return [message for pair in reversed(pairs) for message in pair]


def logged_text(connection: sa.Connection, turn_id: UUID) -> str:
    """Return the text of a running turn from the log."""
    statement = sa.select(TurnLogPiece.text).where(TurnLogPiece.turn_id == turn_id).order_by(TurnLogPiece.start)
    return "".join(connection.scalars(statement))


def _add_texts(connection: sa.Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Add the saved texts of running turns, of which each user has few."""
    for row in rows:
        if row["status"] not in RUNNING:
            continue
        row["bot_response"] = logged_text(connection, row["id"])
        if not row["bot_response"]:  # nothing is saved yet, or it ended between the two queries: then its row has it
            ended = connection.execute(sa.select(*FIELDS).where(ChatMessage.id == row["id"])).one_or_none()
            row.update({} if ended is None else ended._mapping)


def _add_siblings(connection: sa.Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Tell each turn which others answer the same message, in their order."""
    roots = [row["root_id"] for row in rows if row["root_id"]]
    ids_by_root: defaultdict[UUID | None, list[UUID]] = defaultdict(list)
    for start in range(0, len(roots), ROOTS_WITHOUT_BREAK):
        if start:
            time.sleep(0)  # others' requests need not wait for a page of many siblings
        among = ChatMessage.root_id.in_(roots[start : start + ROOTS_WITHOUT_BREAK])
        statement = sa.select(ChatMessage.id, ChatMessage.root_id).where(among).order_by(ChatMessage.sequence)
        for turn_id, root_id in connection.execute(statement):
            ids_by_root[root_id].append(turn_id)
    for row in rows:
        row["siblings"] = [one for one in ids_by_root.get(row["root_id"], ()) if one != row["id"]]


def _require_conversation(connection: sa.Connection, caller: Caller, conversation_id: UUID) -> None:
    own = sa.select(Conversation.id).where(Conversation.id == conversation_id, Conversation.user_id == caller.user_id)
    if connection.scalar(own) is None:
        raise NotFound("There is no such conversation.")
