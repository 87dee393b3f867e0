"""The statements that open and close a turn without further ado, as most chats do.

On PostgreSQL each is a single one, a transaction by itself: a statement is a way there and back, and SQLAlchemy's work.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.models import ChatMessage, Conversation
from chatbot.models.chat import IS_RUNNING
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.search import readable
from chatbot.services.sync import changes
from chatbot.services.usage import ledger

from . import conversation_rows
from .records import Measurements, OpenedTurn
from .spending import demands

LEASE = timedelta(seconds=15)
CONVERSATION = "first_"  # in front of the parameters of its columns: some are called as those of the turn
SETTLED_BY_TURN = ("status", "error", "model", "prompt_tokens", "completion_tokens", "grounded")
OUTCOME = "ended_"  # in front of new values
CLOSED = (ChatMessage.id, ChatMessage.user_id, ChatMessage.listed)
_conversation = Conversation.__table__.c
# Names of no column: those would be set, in each part of a statement.
_is_held = (
    ChatMessage.id == sa.bindparam("held_id"),
    ChatMessage.lease_token == sa.bindparam("held_token"),
    IS_RUNNING,
)
CLOSE = Prepared(sa.update(ChatMessage).where(*_is_held))


def insert(connection: sa.Connection, caller: Caller, turn: OpenedTurn, root_id: UUID | None = None) -> OpenedTurn:
    """Insert a turn and its entry of the ledger, and reserve of the budgets that the caller has.

    Returns the turn with its reservation, and whether there is anything to look for passages in. Raises
    BudgetExhausted.
    """
    row = build_row(caller, turn, root_id)
    searchable = _is_searchable(caller, _insert_turn(caller.role).run(connection, row).scalar_one())
    ledger.open_entry(connection, _build_entry(caller, turn, row))
    reserved = demands.reserve(connection, caller, turn) if caller.has_budgets else None
    return replace(turn, has_searchable_collections=searchable, reserved=reserved)


def open_first(
    connection: sa.Connection, caller: Caller, turn: OpenedTurn, conversation: Mapping[str, Any]
) -> OpenedTurn:
    """Insert a conversation with its first turn, and record that; returns the same as `insert`."""
    if connection.dialect.name != "postgresql":
        conversation_rows.INSERT.run(connection, conversation)
        opened = insert(connection, caller, turn)
        if turn.listed:
            changes.record_turn(connection, caller.user_id, turn.id)
        return opened
    row = build_row(caller, turn)
    values = {f"{CONVERSATION}{name}": conversation.get(name) for name in _conversation.keys()}  # noqa: SIM118 - of columns
    entry = {f"{ledger.ENTRY_PREFIX}{name}": value for name, value in _build_entry(caller, turn, row).items()}
    ids = {"owner_id": caller.user_id, "opened_id": turn.id}
    statement = _open_first(caller.role, listed=turn.listed)
    searchable = _is_searchable(caller, statement.run(connection, {**row, **values, **entry, **ids}).scalar_one())
    return replace(turn, has_searchable_collections=searchable)


def close(
    connection: sa.Connection, turn: OpenedTurn, *, values: Mapping[str, Any], measurements: Measurements
) -> bool:
    """Close a turn that its token holds, and settle its entry; returns whether it was still held.

    On PostgreSQL the change is recorded too.
    """
    held = {"held_id": turn.id, "held_token": turn.lease_token}
    settlement = build_settlement(values, measurements)
    if connection.dialect.name == "postgresql":
        changed = {f"{OUTCOME}{name}": value for name, value in values.items()} | settlement.to_row()
        return _close(tuple(values)).run(connection, {**held, **changed}).one_or_none() is not None
    if CLOSE.run(connection, {**values, **held}).rowcount != 1:
        return False
    ledger.settle(connection, turn.id, settlement)
    return True


def build_settlement(values: Mapping[str, Any], measurements: Measurements) -> ledger.Settlement:
    """Return the settlement of a turn by its new values."""
    shared = {name: values[name] for name in SETTLED_BY_TURN}
    return ledger.Settlement(
        **shared,
        first_text_ms=measurements.first_text_ms,
        total_ms=measurements.total_ms,
        passages=measurements.passages,
        requested_model=measurements.requested_model,
    )


def build_row(caller: Caller, turn: OpenedTurn, root_id: UUID | None = None) -> dict[str, Any]:
    """Return the columns of a turn that was opened."""
    return {
        "id": turn.id,
        "user_id": caller.user_id,
        "caller_id": caller.user_id,
        "conversation_id": turn.conversation_id,
        "sequence": turn.sequence,
        "user_message": turn.user_message,
        "bot_response": "",  # said here, because an INSERT with another inside forgets the defaults of its columns
        "status": "pending",
        "active": True,
        "created_at": turn.created_at,
        "lease_token": turn.lease_token,
        "lease_expires_at": turn.created_at + LEASE,
        "listed": turn.listed,
        "root_id": root_id,
        "asked": turn.options.to_json(),
    }


def _build_entry(caller: Caller, turn: OpenedTurn, row: Mapping[str, Any]) -> dict[str, Any]:
    collection_ids = turn.options.collection_ids or ()
    collection_id = collection_ids[0] if len(collection_ids) == 1 else None
    return ledger.build_row(caller, turn.origin, row, collection_id)


def _is_searchable(caller: Caller, has_own: object) -> bool:
    """Return whether there may be anything to search; the statements look for collections that were not granted."""
    return bool(has_own if caller.grant is None else caller.grant.collection_ids)


@functools.cache
def _insert_turn(role: str) -> Prepared:
    return Prepared(sa.insert(ChatMessage).returning(readable.has_searchable_collections(role)))


@functools.cache
def _open_first(role: str, *, listed: bool) -> Prepared:
    columns = {column.name: sa.bindparam(f"{CONVERSATION}{column.name}", type_=column.type) for column in _conversation}
    insert = sa.insert(ChatMessage).add_cte(sa.insert(Conversation).values(columns).cte("opened"), ledger.build_entry())
    if listed:
        user_id, turn_id = (sa.bindparam(name, type_=sa.Uuid()) for name in ("owner_id", "opened_id"))
        insert = insert.add_cte(changes.build_turn(user_id, turn_id, is_new=True))
    return Prepared(insert.returning(readable.has_searchable_collections(role)))


@functools.cache
def _close(names: tuple[str, ...]) -> Prepared:
    columns = ChatMessage.__table__.c
    changed = {name: sa.bindparam(f"{OUTCOME}{name}", type_=columns[name].type) for name in names}
    ended = sa.update(ChatMessage).where(*_is_held).values(changed).returning(*CLOSED).cte("ended")
    recorded = changes.build_turn(ended.c.user_id, ended.c.id, ended.c.listed)
    return Prepared(sa.select(ended.c.id).add_cte(recorded, ledger.build_settlement(ended.c.id)))
