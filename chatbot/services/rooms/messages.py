"""Messages of rooms, which are in the database before they are shown, and numbered without gaps."""

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Forbidden, NotFound
from chatbot.models import Room, RoomMember, RoomMessage, User
from chatbot.services import idempotency
from chatbot.services.accounts.accounts import fold_name
from chatbot.services.accounts.callers import Caller
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import rows
from .records import Author, Message, MessagePage, PostResult, ReadMark

MAX_MENTIONS = 50
MENTION = re.compile(r"(?<![\w.@-])@(\w[\w.-]{2,31})(?![\w-])")
COLUMNS = [getattr(RoomMessage, one.name) for one in fields(Message) if one.name != "author"]
FIELDS = (*COLUMNS, RoomMessage.author_id, User.username)
# What was written before a member joined shows them nothing where the room says so.
IS_SHOWN = sa.or_(Room.history == "all", RoomMessage.seq > rows.Own.joined_seq)


def list_messages(
    caller: Caller, room_id: UUID, *, limit: int, since_seq: int | None = None, before_seq: int | None = None
) -> MessagePage:
    """Return up to `limit` messages by `seq`: behind one, before one, or the last; raises NotFound."""
    statement = select_messages(caller).where(RoomMessage.room_id == room_id)
    if before_seq is not None:
        statement = statement.where(RoomMessage.seq < before_seq)
    if since_seq is not None:
        statement = statement.where(RoomMessage.seq > since_seq)
    order = RoomMessage.seq.desc() if since_seq is None else RoomMessage.seq
    with read() as connection:
        rows.require_role(connection, caller, room_id, rows.READERS)
        found = [build(**row._mapping) for row in connection.execute(statement.order_by(order).limit(limit + 1))]
    items = found[:limit]
    return MessagePage(items[::-1] if since_seq is None else items, more=len(found) > limit)


def load_all(connection: sa.Connection, caller: Caller, ids: Any) -> list[Message]:
    """Return those of some messages that the caller may read, in no order."""
    statement = select_messages(caller).where(RoomMessage.id.in_(ids))
    return [build(**row._mapping) for row in connection.execute(statement)]


def post(
    caller: Caller,
    room_id: UUID,
    text: str,
    *,
    client_id: str | None = None,
    reply_to: UUID | None = None,
    key: idempotency.Key | None = None,
) -> PostResult:
    """Write a message into a room; one that came before with the same `client_id` or key is returned as it is.

    Raises NotFound for a room, or a message to reply to, that the caller may not read; Forbidden for a member who only
    reads, IdempotencyKeyReused.
    """
    with write("post_room_message") as connection:
        # Behind the room's lock, where a request with the same key or `client_id` has written or has not begun.
        before = rows.lock(connection, caller, room_id, rows.WRITERS)
        known = idempotency.find(connection, caller.user_id, key) if key else None
        known = known or _find_double(connection, caller, room_id, client_id)
        if known is not None:
            return PostResult(_load_double(connection, caller, known), is_new=False)
        if reply_to is not None:
            _require_in_room(load(connection, caller, reply_to), room_id)
        message_id = uuid7()
        values = {
            "id": message_id,
            "room_id": room_id,
            "seq": before.seq + 1,
            "rev": before.rev + 1,
            "author_id": caller.user_id,
            "text": text,
            "reply_to": reply_to,
            "mentions": _find_mentions(connection, room_id, text),
            "client_id": client_id,
        }
        connection.execute(sa.insert(RoomMessage).values(values))
        rows.move_on(connection, room_id, messages=1)
        _mark_read(connection, caller, room_id, before.seq + 1)
        if key:
            idempotency.store(connection, caller.user_id, key, thing_id=message_id)
        rows.record(connection, room_id, Change("room_message", message_id), Change("room", room_id))
        return PostResult(load(connection, caller, message_id), is_new=True)


def edit(caller: Caller, room_id: UUID, message_id: UUID, text: str) -> Message:
    """Change the text of a message of the caller's own; raises NotFound, Forbidden."""
    with write("edit_room_message") as connection:
        before = rows.lock(connection, caller, room_id, rows.WRITERS)
        message = _load_own(connection, caller, room_id, message_id)
        if message.text == text:
            return message
        mentions = _find_mentions(connection, room_id, text)
        values = {"text": text, "mentions": mentions, "edited_at": now(), "rev": before.rev + 1}
        return _change(connection, caller, room_id, message_id, values)


def delete(caller: Caller, room_id: UUID, message_id: UUID) -> None:
    """Delete a message of the caller's own, or any of a room that they own; raises NotFound, Forbidden.

    It keeps its place without its text.
    """
    with write("delete_room_message") as connection:
        before = rows.lock(connection, caller, room_id, rows.WRITERS)
        is_owner = rows.load(connection, caller, room_id).role in rows.OWNERS
        _load_own(connection, caller, room_id, message_id, is_owner=is_owner)
        values = {"text": "", "mentions": [], "deleted": True, "rev": before.rev + 1}
        _change(connection, caller, room_id, message_id, values)


def mark_read(caller: Caller, room_id: UUID, seq: int) -> None:
    """Mark the messages of a room up to one as read by the caller; a mark does not go back. Raises NotFound."""
    with write("mark_room_read") as connection:
        if _mark_read(connection, caller, room_id, seq):
            changes.record(connection, caller.user_id, [Change("read_mark", room_id)])
            return
        rows.require_role(connection, caller, room_id, rows.READERS)


def load_read_marks(connection: sa.Connection, caller: Caller, ids: Sequence[UUID]) -> list[ReadMark]:
    """Return how far the caller has read some of their rooms, in no order."""
    return [ReadMark(room.id, room.read_seq, room.unread) for room in rows.load_all(connection, caller, ids)]


def select_messages(caller: Caller) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the messages that the caller may read, in all their rooms."""
    return select_all().join(rows.Own, rows.join_own(caller)).where(IS_SHOWN)


def select_all() -> sa.Select[*tuple[Any, ...]]:
    """Return the query of messages of all rooms, for any reader."""
    statement = sa.select(*FIELDS).join(Room, Room.id == RoomMessage.room_id)
    return statement.outerjoin(User, User.id == RoomMessage.author_id)


def load(connection: sa.Connection, caller: Caller, message_id: UUID) -> Message:
    """Return a message that the caller may read; raises NotFound."""
    for message in load_all(connection, caller, [message_id]):
        return message
    raise NotFound("There is no such message.")


def build(author_id: UUID | None, username: str | None, **columns: Any) -> Message:
    """Return the message of a row of these queries."""
    author = None if author_id is None or username is None else Author(author_id, username)
    return Message(author=author, **columns)


def _find_double(connection: sa.Connection, caller: Caller, room_id: UUID, client_id: str | None) -> UUID | None:
    """Return the caller's message of a `client_id` in a locked room, or None."""
    if client_id is None:
        return None
    own = (RoomMessage.room_id == room_id, RoomMessage.author_id == caller.user_id, RoomMessage.client_id == client_id)
    return connection.scalar(sa.select(RoomMessage.id).where(*own))


def _load_double(connection: sa.Connection, caller: Caller, message_id: UUID) -> Message:
    """Return a message of the caller's own, also one from before they joined again; raises NotFound."""
    own = (RoomMessage.id == message_id, RoomMessage.author_id == caller.user_id)
    for row in connection.execute(select_all().where(*own)):
        return build(**row._mapping)
    raise NotFound("There is no such message.")


def _find_mentions(connection: sa.Connection, room_id: UUID, text: str) -> list[str]:
    """Return the ids of the members that a text names with an `@`, in no order."""
    names = {name for found in MENTION.findall(text)[:MAX_MENTIONS] for name in (found, found.rstrip(".-"))}
    if not names:
        return []
    keys = [fold_name(name) for name in names]
    members = sa.select(RoomMember.user_id).join(User, User.id == RoomMember.user_id)
    of_room = (RoomMember.room_id == room_id, RoomMember.state == "member", User.username_key.in_(keys))
    return [str(user_id) for user_id in connection.scalars(members.where(*of_room))]


def _require_in_room(message: Message, room_id: UUID) -> None:
    """Raise NotFound for a message of another room."""
    if message.room_id != room_id:
        raise NotFound("There is no such message.")


def _load_own(
    connection: sa.Connection, caller: Caller, room_id: UUID, message_id: UUID, *, is_owner: bool = False
) -> Message:
    """Return a message that the caller may change, or delete as the room's owner; raises NotFound, Forbidden."""
    message = load(connection, caller, message_id)
    _require_in_room(message, room_id)
    if message.deleted:
        raise NotFound("The message was deleted.")
    is_own = message.author is not None and message.author.id == caller.user_id
    if not is_own and not is_owner:
        raise Forbidden("The message is another member's.")
    return message


def _change(
    connection: sa.Connection, caller: Caller, room_id: UUID, message_id: UUID, values: dict[str, Any]
) -> Message:
    changed = sa.update(RoomMessage).where(RoomMessage.id == message_id).values(values)
    seq = connection.scalar(changed.returning(RoomMessage.seq))
    rows.move_on(connection, room_id, changes=1)
    rows.record(connection, room_id, Change("room", room_id))
    is_shown = sa.or_(RoomMember.joined_seq < seq, sa.exists().where(Room.id == room_id, Room.history == "all"))
    rows.record(connection, room_id, Change("room_message", message_id), among=is_shown)
    return load(connection, caller, message_id)


def _mark_read(connection: sa.Connection, caller: Caller, room_id: UUID, seq: int) -> bool:
    """Move the caller's mark on to a message, at most to the last one; returns whether it moved."""
    last = sa.select(Room.last_seq).where(Room.id == room_id).scalar_subquery()
    reached = sa.case((last < seq, last), else_=seq)
    own = (RoomMember.room_id == room_id, RoomMember.user_id == caller.user_id, RoomMember.state == "member")
    statement = sa.update(RoomMember).where(*own, RoomMember.read_seq < reached).values(read_seq=reached)
    return connection.execute(statement).rowcount == 1
