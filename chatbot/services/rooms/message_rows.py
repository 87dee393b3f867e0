"""Messages of rooms as their readers see them, and the record of a change of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.database.compiled import Prepared
from chatbot.database.types import now
from chatbot.errors import NotFound
from chatbot.models import Collection, Room, RoomMessage, RoomMessageSource, User
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import grounding
from chatbot.services.knowledge import permissions
from chatbot.services.sync.changes import Change

from . import rows
from .records import WITHHELD, Message, RoomUser

COLUMNS = {one.name: getattr(RoomMessage, one.name) for one in fields(Message) if one.name != "author"}
Writer = aliased(User)
NEW: dict[str, Any] = {
    **dict.fromkeys(column.name for column in RoomMessage.__table__.c),
    "kind": "message",
    "text": "",
    "mentions": [],
    "deleted": False,
}
INSERT = Prepared(sa.insert(RoomMessage))
Statement = sa.Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class MessageView:
    """The messages that a reader may read, as a query with its values.

    `build_quotable` returns the condition on the collections that the reader may quote.
    """

    statement: Statement
    build_quotable: Callable[[], sa.ColumnElement[bool]]
    values: Mapping[str, Any] = field(default_factory=dict)

    def fetch(self, connection: sa.Connection, statement: Statement) -> list[Message]:
        """Return the messages of a statement that was made from the view's."""
        found = [_build(**row._mapping) for row in connection.execute(statement, self.values)]
        lists = [message.citations or () for message in found]
        if not any(lists):
            return found
        refreshed = grounding.refresh_citations(connection, self.build_quotable(), lists)
        return [
            replace(message, citations=citations) if citations else message
            for message, citations in zip(found, refreshed, strict=True)
        ]

    def fetch_all(self, connection: sa.Connection, ids: Sequence[UUID]) -> list[Message]:
        """Return those of some messages that the reader may read, in no order."""
        return replace(self, values={**self.values, "ids": ids}).fetch(connection, _select_some(self.statement))


def view_of(caller: Caller) -> MessageView:
    """Return the messages that a caller may read, in all their rooms."""
    return MessageView(_select_for(caller.role), partial(permissions.may_read, caller), {"caller_id": caller.user_id})


def view_of_all(room_id: UUID) -> MessageView:
    """Return all messages of a room for its members together, with quotes that each of them may read.

    Whether one of them may read a message is for `RoomReaders` to say.
    """
    return MessageView(ALL, lambda: permissions.may_all_read(rows.select_member_ids(room_id)))


def load_all(connection: sa.Connection, caller: Caller, ids: Sequence[UUID]) -> list[Message]:
    """Return those of some messages that the caller may read, in no order."""
    return view_of(caller).fetch_all(connection, ids)


def load(connection: sa.Connection, caller: Caller, message_id: UUID) -> Message:
    """Return a message that the caller may read; raises NotFound."""
    for message in load_all(connection, caller, [message_id]):
        return message
    raise NotFound("There is no such message.")


def load_own(connection: sa.Connection, caller: Caller, message_id: UUID) -> Message:
    """Return a message that the caller wrote, also one from before they joined again; raises NotFound."""
    own = (RoomMessage.id == message_id, RoomMessage.author_id == caller.user_id)
    view = MessageView(_select(caller.user_id, sa.false()), partial(permissions.may_read, caller))
    for message in view.fetch(connection, view.statement.where(*own)):
        return message
    raise NotFound("There is no such message.")


def is_shown(user_id: Any, joined_seq: Any) -> sa.ColumnElement[bool]:
    """Return the condition on messages, and their rooms, for those that a member sees."""
    is_visible = sa.or_(RoomMessage.visible_to.is_(None), RoomMessage.visible_to == user_id)
    # What was written before a member joined shows them nothing where the room says so.
    return sa.and_(is_visible, sa.or_(Room.history == "all", RoomMessage.seq > joined_seq))


def is_withheld(user_id: Any, user_is_admin: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the condition on messages for answers with sources that a user may not read (any more)."""
    source = RoomMessageSource
    has_hidden_sources = sa.exists().where(
        source.message_id == RoomMessage.id, ~is_source_readable(user_id, user_is_admin)
    )
    return sa.and_(RoomMessage.kind == "bot", has_hidden_sources.correlate_except(source))


def is_source_readable(user_id: Any, user_is_admin: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the condition on sources for collections that are there and that a user may read."""
    is_readable = permissions.is_readable(user_id, user_is_admin)
    return sa.exists().where(Collection.id == RoomMessageSource.collection_id, is_readable).correlate_except(Collection)


def change(connection: sa.Connection, room_id: UUID, message_id: UUID, values: dict[str, Any]) -> None:
    """Change a message of a locked room, and record it for its readers."""
    rev = sa.select(Room.rev).where(Room.id == room_id).scalar_subquery()
    changed = sa.update(RoomMessage).where(RoomMessage.id == message_id).values({**values, "rev": rev + 1})
    row = connection.execute(changed.returning(RoomMessage.seq, RoomMessage.visible_to)).one()
    rows.advance_room(connection, room_id, changes=1)
    rows.record(connection, room_id, Change("room", room_id))
    changed_message = Change("room_message", message_id)
    if row.visible_to is None:
        rows.record(connection, room_id, changed_message, readers=rows.MEMBERS_BEFORE, seq=row.seq)
    else:
        rows.record(connection, room_id, changed_message, readers=rows.MEMBER, reader_id=row.visible_to)


def insert(connection: sa.Connection, values: Mapping[str, Any], username: str) -> Message:
    """Insert a member's message into a locked room, and return it; missing values are those of a new message."""
    row = {**NEW, "created_at": now(), **values}
    INSERT.execute(connection, row)
    return _build(row["author_id"], username, **{name: row[name] for name in COLUMNS})


@cache
def _select_for(role: str) -> Statement:
    """Return the query of the messages that `:caller_id` may read.

    It is cached, since building it takes as long as running it.
    """
    caller = permissions.caller_placeholder(role)
    statement = _select(caller.user_id, is_withheld(caller.user_id, permissions.is_admin(caller)))
    return statement.join(rows.OwnMembership, rows.join_own(caller)).where(
        is_shown(caller.user_id, rows.OwnMembership.joined_seq)
    )


@cache
def _select_some(statement: Statement) -> Statement:
    """Return the query of those of `:ids` among the messages of one; cached as that is."""
    return statement.where(RoomMessage.id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid())))


def _select(user_id: Any, is_withheld: sa.ColumnElement[bool]) -> Statement:
    """Return the query of messages as a user sees them."""
    columns = dict(COLUMNS)
    for name, value in WITHHELD.items():
        hidden = sa.null() if value is None else sa.literal(value)
        columns[name] = sa.case((is_withheld, hidden), else_=columns[name])
    columns["withheld"] = sa.case((RoomMessage.asker_id == user_id, RoomMessage.withheld))
    shown = [column.label(name) for name, column in columns.items()]
    statement = sa.select(*shown, RoomMessage.author_id, Writer.username)
    return statement.join(Room, Room.id == RoomMessage.room_id).outerjoin(Writer, Writer.id == RoomMessage.author_id)


def _build(author_id: UUID | None, username: str | None, **columns: Any) -> Message:
    author = None if author_id is None or username is None else RoomUser(author_id, username)
    return Message(author=author, **columns)


ALL = _select(RoomMessage.asker_id, sa.false())  # messages, as they are
