"""The part of a room's talk that a prompt shows: messages that each reader of the answer may read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased

from chatbot import adapters
from chatbot.models import Collection, Room, RoomMember, RoomMessage, RoomMessageSource, User
from chatbot.rag import prompt
from chatbot.rag.types import Message
from chatbot.services.knowledge import permissions
from chatbot.services.rooms import rows

from . import questions
from .records import Answer

MAX_MESSAGES = 40  # of the room's newest
MAX_SCANNED = 200  # of the room's newest: of a long one no more are looked at
MAX_CHARACTERS = 2_000  # of one message
ANSWERED = ("completed", "truncated")


@dataclass(frozen=True, slots=True)
class RoomHistory:
    """The talk in a room before a question: exchanges with the bot, other messages, and the exchanges' sources."""

    exchanges: Sequence[Message]
    messages: Sequence[str]
    sources: frozenset[UUID]

    def recall(self, _: int, max_tokens: int) -> Sequence[str]:
        """Return the newest messages that fit into `max_tokens`, in their order."""
        count = adapters.get_prompt_budget(current_app.config).count
        kept: list[str] = []
        for message in reversed(self.messages):
            if prompt.count_earlier([message, *kept], count) > max_tokens:
                break
            kept.insert(0, message)
        return kept


def load_question(connection: sa.Connection, answer: Answer) -> str | None:
    """Return the text that an answer is to, None where it is gone."""
    message = sa.select(RoomMessage.text).where(RoomMessage.id == answer.reply_to, ~RoomMessage.deleted)
    text: str | None = connection.scalar(message)
    return None if text is None else questions.strip_mention(text)


def load_history(connection: sa.Connection, answer: Answer) -> RoomHistory:
    """Return the talk before a question.

    For all: what each member may read by now. In private: the asker's own exchanges in private alone, since no other
    member's text is to enter a prompt with passages that only the asker may read.
    """
    writer = aliased(User)
    columns = (
        RoomMessage.id,
        RoomMessage.kind,
        RoomMessage.text,
        RoomMessage.reply_to,
        RoomMessage.status,
        writer.username,
    )
    statement = sa.select(*columns).join(Room, Room.id == RoomMessage.room_id)
    statement = statement.outerjoin(writer, writer.id == RoomMessage.author_id)
    of_room = (RoomMessage.room_id == answer.room_id, RoomMessage.seq < answer.seq, ~RoomMessage.deleted)
    newest = statement.where(*of_room, RoomMessage.id != answer.reply_to, _is_readable(answer))
    found = connection.execute(newest.order_by(RoomMessage.seq.desc()).limit(MAX_MESSAGES)).all()
    return _build(found[::-1], _load_sources(connection, found))


def _is_readable(answer: Answer) -> sa.ColumnElement[bool]:
    """Return the condition on the messages of a room, of its last MAX_SCANNED, for those that a prompt may show."""
    is_recent = RoomMessage.seq > answer.seq - MAX_SCANNED
    readers = rows.select_member_ids(answer.room_id)
    is_seen: sa.ColumnElement[bool] = RoomMessage.visible_to.is_(None)
    if answer.visible_to is not None:
        readers = sa.select(User.id).where(User.id == answer.visible_to)
        is_seen = RoomMessage.visible_to == answer.visible_to
    is_member = rows.is_member_of(answer.room_id)
    last_joined = sa.select(sa.func.max(RoomMember.joined_seq)).where(is_member).scalar_subquery()
    is_shown = sa.or_(Room.history == "all", RoomMessage.seq > last_joined) if answer.visible_to is None else sa.true()
    # The collections apart from the messages: asked for once, and not for each message and member.
    recent = aliased(RoomMessage)
    used = sa.select(RoomMessageSource.collection_id).join(recent, recent.id == RoomMessageSource.message_id)
    used = used.where(recent.room_id == answer.room_id, recent.seq > answer.seq - MAX_SCANNED)
    readable = sa.select(Collection.id).where(Collection.id.in_(used), permissions.may_all_read(readers))
    has_hidden_sources = sa.exists().where(
        RoomMessageSource.message_id == RoomMessage.id,
        RoomMessageSource.collection_id.not_in(readable.correlate(None)),
    )
    return sa.and_(is_recent, is_seen, is_shown, ~has_hidden_sources.correlate_except(RoomMessageSource))


def _load_sources(connection: sa.Connection, found: Sequence[Any]) -> frozenset[UUID]:
    answered = [row.id for row in found if row.kind == "bot"]
    statement = sa.select(RoomMessageSource.collection_id).where(RoomMessageSource.message_id.in_(answered))
    return frozenset(connection.scalars(statement)) if answered else frozenset()


def _build(found: Sequence[Any], sources: frozenset[UUID]) -> RoomHistory:
    by_id = {row.id: row for row in found}
    answered = [row for row in found if row.kind == "bot" and row.status in ANSWERED and row.reply_to in by_id]
    asked = {row.reply_to for row in answered}
    exchanges: list[Message] = []
    for row in answered:
        exchanges.append(Message("user", questions.strip_mention(_cut(by_id[row.reply_to].text))))
        exchanges.append(Message("assistant", _cut(row.text)))
    others = [row for row in found if row.kind == "message" and row.id not in asked]
    return RoomHistory(exchanges, [f"{row.username or 'somebody'}: {_cut(row.text)}" for row in others], sources)


def _cut(text: str) -> str:
    return text[:MAX_CHARACTERS]
