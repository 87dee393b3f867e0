"""The bot's messages in the database: queued, being written and ended."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.models import ChatMessage, RoomMessage, User
from chatbot.models.chat import RUNNING
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.copies import quotes
from chatbot.services.rooms import message_rows, rows

from .records import Answer

# Literals, since bound values would not match the partial indexes.
IS_QUEUED = RoomMessage.status == sa.literal_column("'queued'")
IS_RUNNING = RoomMessage.status == sa.literal_column("'pending'")


def list_queued(room_id: UUID) -> list[Answer]:
    """Return the answers that wait in a room, the oldest first; none while one is being written."""
    is_busy = sa.exists().where(RoomMessage.room_id == room_id, IS_RUNNING)
    with read() as connection:
        if connection.scalar(sa.select(is_busy)):
            return []
        return _list(connection, RoomMessage.room_id == room_id, IS_QUEUED)


def list_running(room_ids: Sequence[UUID]) -> list[Answer]:
    """Return the answers that are being written in some rooms."""
    with read() as connection:
        return _list(connection, RoomMessage.room_id.in_(room_ids), IS_RUNNING)


def find(message_id: UUID) -> Answer | None:
    """Return the answer of a message in any state, None for a message of another kind."""
    with read() as connection:
        found = _list(connection, RoomMessage.id == message_id, RoomMessage.kind == "bot")
        return found[0] if found else None


def list_waiting_rooms() -> list[UUID]:
    """Return the rooms in which answers wait and none is being written."""
    with read() as connection:
        busy = sa.select(RoomMessage.room_id).where(IS_RUNNING)
        waiting = sa.select(RoomMessage.room_id).distinct().where(IS_QUEUED, RoomMessage.room_id.not_in(busy))
        return list(connection.scalars(waiting))


def list_ended() -> list[Answer]:
    """Return the answers that have ended as turns, and not yet in their rooms."""
    runs = sa.exists().where(ChatMessage.id == RoomMessage.turn_id, ChatMessage.status.in_(RUNNING))
    with read() as connection:
        return _list(connection, IS_RUNNING, ~runs)


def settle(answer: Answer) -> None:
    """Store an answer as its turn has ended, or as cancelled where the turn is gone, unless that was done before."""
    with write("settle_room_answer") as connection:
        rows.lock_room(connection, answer.room_id)
        if not is_running(connection, answer):
            return
        statement = sa.select(ChatMessage).with_only_columns(
            ChatMessage.status, ChatMessage.error, ChatMessage.bot_response, ChatMessage.citations
        )
        turn = connection.execute(statement.where(ChatMessage.id == answer.turn_id)).one_or_none()
        if turn is not None and turn.status in RUNNING:
            return
        values: dict[str, Any] = {"status": "cancelled"}
        if turn is not None:
            values = {"status": turn.status, "error": turn.error, "text": turn.bot_response}
            gone = quotes.lock_cited_documents(connection, [turn.citations])
            values["citations"] = turn.citations and quotes.blank(turn.citations, gone)
        message_rows.change(connection, answer.room_id, answer.id, values)


def end_without_turn(answer: Answer, status: str) -> bool:
    """End an answer that waits; returns whether it still did."""
    with write("end_room_answer") as connection:
        rows.lock_room(connection, answer.room_id)
        if connection.scalar(sa.select(RoomMessage.id).where(RoomMessage.id == answer.id, IS_QUEUED)) is None:
            return False
        message_rows.change(connection, answer.room_id, answer.id, {"status": status})
        return True


def may_start(connection: sa.Connection, answer: Answer) -> bool:
    """Return whether an answer waits, in a locked room in which none is being written."""
    busy = sa.exists().where(RoomMessage.room_id == answer.room_id, IS_RUNNING)
    return bool(connection.scalar(sa.select(RoomMessage.id).where(RoomMessage.id == answer.id, IS_QUEUED, ~busy)))


def is_running(connection: sa.Connection, answer: Answer) -> bool:
    """Return whether an answer is being written."""
    of_turn = (RoomMessage.id == answer.id, RoomMessage.turn_id == answer.turn_id, IS_RUNNING)
    return bool(connection.scalar(sa.select(RoomMessage.id).where(*of_turn)))


def _list(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Answer]:
    columns = (
        RoomMessage.id,
        RoomMessage.room_id,
        RoomMessage.seq,
        RoomMessage.visible_to,
        RoomMessage.reply_to,
        RoomMessage.turn_id,
        RoomMessage.asker_id,
        User.role,
    )
    statement = sa.select(*columns).outerjoin(User, User.id == RoomMessage.asker_id).where(*conditions)
    return [_build(**row._mapping) for row in connection.execute(statement.order_by(RoomMessage.seq))]


def _build(asker_id: UUID | None, role: str | None, **columns: Any) -> Answer:
    asker = None if asker_id is None or role is None else Caller(asker_id, asker_id, role)
    return Answer(asker=asker, **columns)
