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
    on_free_slot: Callable[[UUID], None]

    @property
    def users(self) -> sa.Select[Any] | None:
        """A query of the ids of all members; None for an answer to the asker alone."""
        return None if self.answer.is_private else rows.select_member_ids(self.answer.room_id)

    def begin(self, collection_ids: Iterable[UUID], withheld: int) -> None:
        """Record the sources of the answer, before its first text; raises AudienceChanged."""
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
            if self.answer.is_private:
                return
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
        """Store the answer."""
        self.on_end(self.answer)

    def go_on(self) -> None:
        """Start the next answer of the room."""
        self.on_free_slot(self.answer.room_id)

    def _is_readable(self) -> sa.ColumnElement[bool]:
        """Return the condition that the answer is there and that its readers may read its sources.

        These are the asker, who also reads the turn, and for all the members that were there before it: others that
        join do not end it, and read it by their rights.
        """
        is_member = rows.is_member_of(self.answer.room_id)
        is_asker = RoomMember.user_id == self.asker_id
        is_there = sa.exists().where(RoomMessage.id == self.answer.id, answers.IS_RUNNING)
        has_asker = sa.exists().where(is_member, is_asker)
        is_hidden = ~message_rows.is_source_readable(User.id, User.role == "admin")
        has_hidden_sources = sa.exists().where(RoomMessageSource.message_id == self.answer.id, is_hidden)
        hears = is_asker if self.answer.is_private else sa.or_(is_asker, RoomMember.joined_seq < self.answer.seq)
        readers = (is_member, hears, User.id == RoomMember.user_id)
        excluded = sa.exists().where(*readers, has_hidden_sources.correlate_except(RoomMessageSource))
        return sa.and_(is_there, has_asker, ~excluded.correlate_except(RoomMember, User))
