"""The chat history: one turn, and pages of turns."""

import functools
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.query_plans import without_index
from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Conversation, TurnLogPiece
from chatbot.models.chat import RUNNING
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.permissions import may_read

from . import grounding
from .records import OpenedTurn, Turn

FIELDS = tuple(ChatMessage.__table__.c[field.name] for field in fields(Turn) if field.name in ChatMessage.__table__.c)
LISTED_FIELDS = tuple(column for column in FIELDS if column.name != "extras")
SHOWN_STATUSES = ("completed", "truncated", "cancelled", "interrupted")  # answers that the user saw, or a part of
PAGE_BYTES = 1 << 20  # of text, after which a page ends
ROOTS_WITHOUT_BREAK = 25  # whose siblings are read at a time: 2 ms
RECENT = timedelta(minutes=10)  # in which a client tries a broken request again


def get_turn(caller: Caller, turn_id: UUID) -> Turn:
    """Return one of the caller's turns, in any state, with the text so far; raises NotFound."""
    statement = sa.select(*FIELDS).where(ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with read() as connection:
        row = connection.execute(statement).one_or_none()
        if row is None:
            raise NotFound("There is no such turn.")
        return _complete(connection, caller, [Turn(**row._mapping)])[0]


def find_ended_turn(turn: OpenedTurn) -> Turn | None:
    """Return how a turn ended in the database, or None while it runs there or when it is gone."""
    statement = sa.select(*FIELDS).where(ChatMessage.id == turn.id, ChatMessage.status.not_in(RUNNING))
    with read() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else Turn(**row._mapping, siblings=turn.siblings)


def list_turns(
    caller: Caller,
    *,
    limit: int,
    after: keyset.Key | None = None,
    order: Literal["asc", "desc"] = "asc",
    conversation_id: UUID | None = None,
) -> keyset.Page[Turn]:
    """Return up to `limit` of the caller's active turns by time.

    A page ends at PAGE_BYTES of text. Raises NotFound for a conversation that is absent or another user's.
    """
    statement = _page(order, after is not None, conversation_id is not None)
    values: dict[str, Any] = {"caller_id": caller.user_id, "most": limit + 1}
    if after:
        values |= keyset.bind_key(after)
    with read() as connection:
        if conversation_id:
            require_conversation(connection, caller, conversation_id)
            values["conversation_id"] = conversation_id
        found = _fetch_page(connection.execute(statement, values), limit)
        return replace(found, items=_complete(connection, caller, found.items))


def load_turns(connection: sa.Connection, caller: Caller, ids: Sequence[UUID]) -> list[Turn]:
    """Return those of some turns that the caller's history lists, in no order."""
    shown = (without_index(ChatMessage.user_id) == caller.user_id, ChatMessage.active, ChatMessage.listed)
    rows = connection.execute(sa.select(*LISTED_FIELDS).where(*shown, ChatMessage.id.in_(ids))).all()
    return _complete(connection, caller, [Turn(**row._mapping) for row in rows])


def find_recent_turn(caller: Caller, message: str, conversation_id: UUID | None) -> UUID | None:
    """Return the caller's newest turn of this message, of the last minutes, or None."""
    conditions = [
        ChatMessage.user_id == caller.user_id,
        ChatMessage.created_at > now() - RECENT,
        ChatMessage.user_message == message,
        ChatMessage.listed,
    ]
    if conversation_id is not None:
        conditions.append(ChatMessage.conversation_id == conversation_id)
    newest = (ChatMessage.created_at.desc(), ChatMessage.id.desc())
    with read() as connection:
        return connection.scalar(sa.select(ChatMessage.id).where(*conditions).order_by(*newest).limit(1))


def find_recent_sibling(caller: Caller, turn_id: UUID) -> UUID | None:
    """Return the newest turn of the last minutes that took the place of one of the caller's turns, or None."""
    old = sa.select(sa.func.coalesce(ChatMessage.root_id, ChatMessage.id).label("root"), ChatMessage.sequence)
    replaced = old.where(ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id).subquery()
    later = (ChatMessage.root_id == replaced.c.root, ChatMessage.sequence > replaced.c.sequence)
    statement = sa.select(ChatMessage.id).where(*later, ChatMessage.created_at > now() - RECENT)
    with read() as connection:
        return connection.scalar(statement.order_by(ChatMessage.sequence.desc()).limit(1))


@functools.cache
def _page(direction: str, has_key: bool, has_conversation: bool) -> sa.Select[*tuple[Any, ...]]:
    """Return the statement of a page of `:caller_id`, after a key and of `:conversation_id` if given."""
    order = (ChatMessage.created_at, ChatMessage.id)
    conditions = (ChatMessage.user_id == sa.bindparam("caller_id"), ChatMessage.active, ChatMessage.listed)
    statement = sa.select(*LISTED_FIELDS).where(*conditions).limit(sa.bindparam("most"))
    if has_key:
        statement = statement.where(keyset.is_after(order, descending=direction == "desc"))
    if has_conversation:
        statement = statement.where(ChatMessage.conversation_id == sa.bindparam("conversation_id"))
    return statement.order_by(*(column.desc() if direction == "desc" else column.asc() for column in order))


def _fetch_page(result: sa.CursorResult[Any], limit: int) -> keyset.Page[Turn]:
    """Return the first turns of a result, up to `limit` and PAGE_BYTES but at least one."""
    items: list[Turn] = []
    left = PAGE_BYTES
    for row in result:  # from SQLite one at a time: what does not fit is not read
        turn = Turn(**row._mapping)
        left -= count_bytes(turn)
        if items and (left < 0 or len(items) == limit):
            result.close()
            return keyset.Page(items, (items[-1].created_at, items[-1].id))
        items.append(turn)
    return keyset.Page(items, None)


def count_bytes(turn: Turn) -> int:
    """Return how many bytes of text a turn has; counting them costs nothing where all are ASCII."""
    texts = [turn.user_message, turn.bot_response, *(citation["quote"] for citation in turn.citations or ())]
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def read_logged_text(connection: sa.Connection, turn_id: UUID) -> str:
    """Return the text of a running turn from the log."""
    statement = sa.select(TurnLogPiece.text).where(TurnLogPiece.turn_id == turn_id).order_by(TurnLogPiece.start)
    return "".join(connection.scalars(statement))


def _complete(connection: sa.Connection, caller: Caller, turns: Iterable[Turn]) -> list[Turn]:
    """Return turns with the saved texts of those that run, their siblings, and citations as they are by now."""
    with_texts = [_with_text(connection, turn) if turn.status in RUNNING else turn for turn in turns]
    ids_by_root = _find_siblings(connection, [turn.root_id for turn in with_texts if turn.root_id])
    citations = grounding.refresh_citations(connection, may_read(caller), [turn.citations or [] for turn in with_texts])
    return [
        replace(turn, siblings=_list_siblings(turn, ids_by_root), citations=refreshed)
        if turn.root_id or refreshed
        else turn
        for turn, refreshed in zip(with_texts, citations, strict=True)
    ]


def _with_text(connection: sa.Connection, turn: Turn) -> Turn:
    """Return a running turn with its saved text. Each user has few running turns."""
    text = read_logged_text(connection, turn.id)
    if text:
        return replace(turn, bot_response=text)
    # Nothing is saved yet, or it ended between the two queries: then its row has the text.
    row = connection.execute(sa.select(*FIELDS).where(ChatMessage.id == turn.id)).one_or_none()
    return turn if row is None else Turn(**row._mapping)


def _find_siblings(connection: sa.Connection, roots: list[UUID]) -> dict[UUID, list[UUID]]:
    """Return the ids of the turns of each root, in their order."""
    ids_by_root: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for start in range(0, len(roots), ROOTS_WITHOUT_BREAK):
        if start:
            time.sleep(0)  # others' requests need not wait for a page of many siblings
        among = ChatMessage.root_id.in_(roots[start : start + ROOTS_WITHOUT_BREAK])
        statement = sa.select(ChatMessage.id, ChatMessage.root_id).where(among).order_by(ChatMessage.sequence)
        for row in connection.execute(statement):
            ids_by_root[row.root_id].append(row.id)
    return ids_by_root


def _list_siblings(turn: Turn, ids_by_root: dict[UUID, list[UUID]]) -> tuple[UUID, ...]:
    if turn.root_id is None:
        return ()
    return tuple(sibling for sibling in ids_by_root.get(turn.root_id, ()) if sibling != turn.id)


def require_conversation(connection: sa.Connection, caller: Caller, conversation_id: UUID) -> None:
    """Raise NotFound for a conversation that is absent or another user's."""
    own = sa.select(Conversation.id).where(Conversation.id == conversation_id, Conversation.user_id == caller.user_id)
    if connection.scalar(own) is None:
        raise NotFound("There is no such conversation.")
