"""The part of a room's talk that a prompt shows: messages that each reader of the answer may read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased

from chatbot import adapters
from chatbot.models import Room, RoomMember, RoomMessage, RoomMessageSource, User
from chatbot.rag import prompt
from chatbot.rag.types import Message
from chatbot.services.rooms import message_rows

from . import questions
from .records import Answer

MAX_MESSAGES = 40  # of the room's newest
MAX_CHARACTERS = 2_000  # of one message
ANSWERED = ("completed", "truncated")


@dataclass(frozen=True, slots=True)
class Talk:
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


def load_talk(connection: sa.Connection, answer: Answer) -> Talk:
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
    rows = connection.execute(newest.order_by(RoomMessage.seq.desc()).limit(MAX_MESSAGES)).all()
    return _build(rows[::-1], _load_sources(connection, rows))


def _is_readable(answer: Answer) -> sa.ColumnElement[bool]:
    if answer.is_private:
        return RoomMessage.visible_to == answer.visible_to
    member = aliased(RoomMember)
    user = aliased(User)
    is_hidden = message_rows.is_withheld(user.id, user.role == "admin")
    is_before = sa.and_(Room.history != "all", RoomMessage.seq <= member.joined_seq)
    is_member = (member.room_id == RoomMessage.room_id, member.state == "member", user.id == member.user_id)
    excluded = sa.exists().where(*is_member, sa.or_(is_before, is_hidden))
    return sa.and_(RoomMessage.visible_to.is_(None), ~excluded.correlate_except(member, user))


def _load_sources(connection: sa.Connection, rows: Sequence[Any]) -> frozenset[UUID]:
    answered = [row.id for row in rows if row.kind == "bot"]
    statement = sa.select(RoomMessageSource.collection_id).where(RoomMessageSource.message_id.in_(answered))
    return frozenset(connection.scalars(statement)) if answered else frozenset()


def _build(rows: Sequence[Any], sources: frozenset[UUID]) -> Talk:
    by_id = {row.id: row for row in rows}
    answered = [row for row in rows if row.kind == "bot" and row.status in ANSWERED and row.reply_to in by_id]
    asked = {row.reply_to for row in answered}
    exchanges: list[Message] = []
    for row in answered:
        exchanges.append(Message("user", questions.strip_mention(_cut(by_id[row.reply_to].text))))
        exchanges.append(Message("assistant", _cut(row.text)))
    others = [row for row in rows if row.kind == "message" and row.id not in asked]
    return Talk(exchanges, [f"{row.username or 'somebody'}: {_cut(row.text)}" for row in others], sources)


def _cut(text: str) -> str:
    return text[:MAX_CHARACTERS]
