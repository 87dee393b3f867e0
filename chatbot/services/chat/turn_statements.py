"""The statements that open and close a turn without further ado, as most chats do.

On PostgreSQL each is a single one, a transaction by itself: a statement is a way there and back, and SQLAlchemy's work.
"""

import functools
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.models import ChatMessage, Conversation
from chatbot.models.chat import IS_RUNNING
from chatbot.services.knowledge.search import hybrid
from chatbot.services.sync import changes

from . import conversation_rows

CONVERSATION = "first_"  # in front of the parameters of its columns: some are called as those of the turn
OUTCOME = "ended_"  # in front of new values
CLOSED = (ChatMessage.id, ChatMessage.user_id, ChatMessage.listed)
_conversation = Conversation.__table__.c
_is_held = (
    ChatMessage.id == sa.bindparam("turn_id"),
    ChatMessage.lease_token == sa.bindparam("held_token"),
    IS_RUNNING,
)
CLOSE = Prepared(sa.update(ChatMessage).where(*_is_held))


@functools.cache
def insert_turn(role: str) -> Prepared:
    """Return the statement that inserts a turn; its result tells whether there is anything to look for passages in."""
    return Prepared(sa.insert(ChatMessage).returning(hybrid.has_searchable_collections(role)))


def open_first(
    connection: sa.Connection, role: str, turn: Mapping[str, Any], conversation: Mapping[str, Any], *, listed: bool
) -> bool:
    """Insert a conversation with its first turn, and record that; returns the result of `insert_turn`."""
    if connection.dialect.name == "postgresql":
        values = {f"{CONVERSATION}{name}": conversation.get(name) for name in _conversation.keys()}  # noqa: SIM118 - of columns
        ids = {"owner_id": turn["user_id"], "opened_id": turn["id"]}
        return bool(_open_first(role, listed=listed).run(connection, {**turn, **values, **ids}).scalar_one())
    conversation_rows.INSERT.run(connection, conversation)
    has_searchable_collections = bool(insert_turn(role).run(connection, turn).scalar_one())
    if listed:
        changes.record_turn(connection, turn["user_id"], turn["id"])
    return has_searchable_collections


def close(connection: sa.Connection, turn_id: UUID, held_token: UUID, values: Mapping[str, Any]) -> bool:
    """Close a turn that is held by a token; returns whether it was still held. On PostgreSQL it is recorded too."""
    held = {"turn_id": turn_id, "held_token": held_token}
    if connection.dialect.name == "postgresql":
        changed = {f"{OUTCOME}{name}": value for name, value in values.items()}
        return _close(tuple(values)).run(connection, {**held, **changed}).one_or_none() is not None
    return CLOSE.run(connection, {**values, **held}).rowcount == 1


@functools.cache
def _open_first(role: str, *, listed: bool) -> Prepared:
    columns = {column.name: sa.bindparam(f"{CONVERSATION}{column.name}", type_=column.type) for column in _conversation}
    insert = sa.insert(ChatMessage).add_cte(sa.insert(Conversation).values(columns).cte("opened"))
    if listed:
        user_id, turn_id = (sa.bindparam(name, type_=sa.Uuid()) for name in ("owner_id", "opened_id"))
        insert = insert.add_cte(changes.build_turn(user_id, turn_id, is_new=True))
    return Prepared(insert.returning(hybrid.has_searchable_collections(role)))


@functools.cache
def _close(names: tuple[str, ...]) -> Prepared:
    columns = ChatMessage.__table__.c
    changed = {name: sa.bindparam(f"{OUTCOME}{name}", type_=columns[name].type) for name in names}
    ended = sa.update(ChatMessage).where(*_is_held).values(changed).returning(*CLOSED).cte("ended")
    recorded = changes.build_turn(ended.c.user_id, ended.c.id, ended.c.listed)
    return Prepared(sa.select(ended.c.id).add_cte(recorded))
