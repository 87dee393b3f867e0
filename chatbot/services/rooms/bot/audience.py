"""The members of a room as the readers of an answer: each query asks for them, nothing is remembered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.errors import AudienceChanged
from chatbot.models import Room, RoomMember, RoomMessage, RoomMessageSource, User
from chatbot.services.chat.records import Turn
from chatbot.services.rooms import message_rows, rows

from . import answers
from .records import Answer


@dataclass(frozen=True, slots=True)
class RoomAudience:
    """The members of a room that read an answer, or its asker alone.

    `earlier_sources` are the collections of earlier answers in its prompt.
    """

    answer: Answer
    asker_id: UUID
    earlier_sources: frozenset[UUID]
    on_end: Callable[[Answer], None]

    @property
    def users(self) -> sa.Select[Any] | None:
        """A query of the ids of all members; None for an answer to the asker alone."""
        return None if self.answer.is_private else rows.select_members(self.answer.room_id)

    def begin(self, collection_ids: Iterable[UUID], withheld: int) -> None:
        """Record the sources of the answer, before its first text; raises AudienceChanged."""
        if self.answer.is_private:
            return
        used = set(collection_ids)
        sources = sorted(used | self.earlier_sources)
        with write("begin_room_answer") as connection:
            rows.lock_room(connection, self.answer.room_id)
            if not answers.is_running(connection, self.answer):
                raise AudienceChanged("The message is gone.")
            if sources:
                message_id = self.answer.id
                source_rows = [{"message_id": message_id, "collection_id": one} for one in sources]
                connection.execute(sa.insert(RoomMessageSource), source_rows)
            members = connection.scalar(sa.select(Room.members).where(Room.id == self.answer.room_id))
            audience = {"members": members, "collections": [str(one) for one in sorted(used)]}
            values = {"audience": audience, "withheld": withheld}
            message_rows.change(connection, self.answer.room_id, self.answer.id, values)

    def require_readers(self) -> None:
        """Raise AudienceChanged unless all readers of the answer may read its sources."""
        with read() as connection:
            if not connection.scalar(sa.select(self._is_readable())):
                raise AudienceChanged("A member may not read the sources of the answer any more.")

    def end(self, turn: Turn) -> None:
        """Store the answer, and go on with the next one."""
        self.on_end(self.answer)

    def _is_readable(self) -> sa.ColumnElement[bool]:
        """Return the condition that the answer is there and that its readers may read its sources.

        These are the members that were there before it: others that join do not end it, and read it by their rights.
        """
        is_member = (RoomMember.room_id == self.answer.room_id, RoomMember.state == "member")
        is_there = sa.exists().where(RoomMessage.id == self.answer.id, answers.IS_RUNNING)
        if self.answer.is_private:
            return sa.and_(is_there, sa.exists().where(*is_member, RoomMember.user_id == self.asker_id))
        is_hidden = ~message_rows.is_source_readable(User.id, User.role == "admin")
        has_hidden_sources = sa.exists().where(RoomMessageSource.message_id == self.answer.id, is_hidden)
        was_there = (RoomMember.joined_seq < self.answer.seq, User.id == RoomMember.user_id)
        excluded = sa.exists().where(*is_member, *was_there, has_hidden_sources.correlate_except(RoomMessageSource))
        return sa.and_(is_there, ~excluded.correlate_except(RoomMember, User))
