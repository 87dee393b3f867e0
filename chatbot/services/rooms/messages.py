"""Messages of rooms, which are in the database before they are shown, and numbered without gaps."""

import re
from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Forbidden, NotFound
from chatbot.models import Room, RoomMember, RoomMessage, User
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.accounts.names import fold_name
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import members, message_rows, rows
from .bot import cancellation, questions, queue, texts
from .records import Message, MessagePage, PostResult, ReadMark

MAX_MENTIONS = 50
_of_room = sa.bindparam("of_room", type_=sa.Uuid())
_given = sa.bindparam("reached", type_=sa.BigInteger())
_last = sa.select(Room.last_seq).where(Room.id == _of_room).scalar_subquery()
_reached = sa.case((_last < _given, _last), else_=_given)
_is_own = RoomMember.user_id == sa.bindparam("caller_id", type_=sa.Uuid())
_is_behind = sa.and_(rows.is_member_of(_of_room), _is_own, RoomMember.read_seq < _reached)
MARK_READ = Prepared(sa.update(RoomMember).where(_is_behind).values(read_seq=_reached))
MENTION = re.compile(r"(?<![\w.@-])@(\w[\w.-]{2,31})(?![\w-])")


def list_messages(
    caller: Caller, room_id: UUID, *, limit: int, since_seq: int | None = None, before_seq: int | None = None
) -> MessagePage:
    """Return up to `limit` messages by `seq`: behind one, before one, or the last; raises NotFound."""
    view = message_rows.view_of(caller)
    statement = view.statement.where(RoomMessage.room_id == room_id)
    if before_seq is not None:
        statement = statement.where(RoomMessage.seq < before_seq)
    if since_seq is not None:
        statement = statement.where(RoomMessage.seq > since_seq)
    order = RoomMessage.seq.desc() if since_seq is None else RoomMessage.seq
    with read() as connection:
        rows.require_role(connection, caller, room_id, rows.READERS)
        found = view.fetch(connection, statement.order_by(order).limit(limit + 1))
    items = texts.with_texts(caller, found[:limit])
    return MessagePage(items[::-1] if since_seq is None else items, more=len(found) > limit)


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

    One that asks the bot is followed by its answer, which is queued. Raises NotFound for a room, or a message to reply
    to, that the caller may not read; Forbidden for a member who only reads, IdempotencyKeyReused, BotOff, BotBusy.
    """
    with write("post_room_message") as connection:
        # Behind the room's lock, where a request with the same key or `client_id` has written or has not begun.
        before = rows.lock(connection, caller, room_id, rows.WRITERS)
        known = idempotency.find(connection, caller.user_id, key) if key else None
        known = known or _find_double(connection, caller, room_id, client_id)
        if known is not None:
            return PostResult(message_rows.load_own(connection, caller, known), is_new=False)
        if reply_to is not None:
            _require_in_room(message_rows.load(connection, caller, reply_to), room_id)
        question = questions.find(connection, caller, room_id, text)
        message_id = uuid7()
        visible_to = caller.user_id if question is not None and question.is_private else None
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
            "visible_to": visible_to,
        }
        message = message_rows.insert(connection, values, members.load_username(connection, caller.user_id))
        written = [Change("room_message", message_id)]
        if question is not None:
            written.append(questions.add_answer(connection, caller, question, values))
        rows.advance_room(connection, room_id, messages=len(written))
        _mark_read(connection, caller, room_id, message.seq)
        if key:
            idempotency.store(connection, caller.user_id, key, thing_id=message_id)
        _record_new(connection, room_id, written, visible_to)
    if question is not None:
        queue.start_soon(room_id)
    return PostResult(message, is_new=True)


def edit(caller: Caller, room_id: UUID, message_id: UUID, text: str) -> Message:
    """Change the text of a message of the caller's own; raises NotFound, Forbidden."""
    with write("edit_room_message") as connection:
        rows.lock(connection, caller, room_id, rows.WRITERS)
        message = _load_writable(connection, caller, room_id, message_id)
        if message.text == text:
            return message
        mentions = _find_mentions(connection, room_id, text)
        values = {"text": text, "mentions": mentions, "edited_at": now()}
        message_rows.change(connection, room_id, message_id, values)
        return message_rows.load(connection, caller, message_id)


def delete(caller: Caller, room_id: UUID, message_id: UUID) -> None:
    """Delete a message of the caller's own, an answer to them, or any of a room that they own.

    It keeps its place without its text; an answer that is being written ends. Raises NotFound, Forbidden.
    """
    with write("delete_room_message") as connection:
        rows.lock(connection, caller, room_id, rows.WRITERS)
        is_owner = rows.load(connection, caller, room_id).role in rows.OWNERS
        message = _load_writable(connection, caller, room_id, message_id, is_owner=is_owner, is_deletion=True)
        values = {"text": "", "mentions": [], "deleted": True, "citations": None, "audience": None, "withheld": None}
        if message.kind == "bot":  # by its row: to this reader it may be withheld
            has_ended = RoomMessage.status.not_in(("queued", "pending"))
            values["status"] = sa.case((has_ended, RoomMessage.status), else_="cancelled")
        message_rows.change(connection, room_id, message_id, values)
    if message.kind == "bot":
        cancellation.stop(message_id)


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


def _find_double(connection: sa.Connection, caller: Caller, room_id: UUID, client_id: str | None) -> UUID | None:
    """Return the caller's message of a `client_id` in a locked room, or None."""
    if client_id is None:
        return None
    own = (RoomMessage.room_id == room_id, RoomMessage.author_id == caller.user_id, RoomMessage.client_id == client_id)
    return connection.scalar(sa.select(RoomMessage.id).where(*own))


def _find_mentions(connection: sa.Connection, room_id: UUID, text: str) -> list[str]:
    """Return the ids of the members that a text names with an `@`, in no order."""
    names = {name for found in MENTION.findall(text)[:MAX_MENTIONS] for name in (found, found.rstrip(".-"))}
    if not names:
        return []
    keys = [fold_name(name) for name in names]
    members = sa.select(RoomMember.user_id).join(User, User.id == RoomMember.user_id)
    of_room = (rows.is_member_of(room_id), User.username_key.in_(keys))
    return [str(user_id) for user_id in connection.scalars(members.where(*of_room))]


def _require_in_room(message: Message, room_id: UUID) -> None:
    """Raise NotFound for a message of another room."""
    if message.room_id != room_id:
        raise NotFound("There is no such message.")


def _load_writable(
    connection: sa.Connection,
    caller: Caller,
    room_id: UUID,
    message_id: UUID,
    *,
    is_owner: bool = False,
    is_deletion: bool = False,
) -> Message:
    """Return a message that the caller may change, or delete as the room's owner; raises NotFound, Forbidden."""
    message = message_rows.load(connection, caller, message_id)
    _require_in_room(message, room_id)
    if message.deleted:
        raise NotFound("The message was deleted.")
    is_own = message.author is not None and message.author.id == caller.user_id
    is_answer = is_deletion and message.asker_id == caller.user_id
    if not (is_own or is_owner or is_answer):
        raise Forbidden("The message is another member's.")
    return message


def _record_new(connection: sa.Connection, room_id: UUID, written: Sequence[Change], visible_to: UUID | None) -> None:
    """Record new messages for all members, or for the one that sees them."""
    if visible_to is None:
        rows.record(connection, room_id, *written, Change("room", room_id))
        return
    rows.record(connection, room_id, Change("room", room_id))
    rows.record(connection, room_id, *written, readers=rows.MEMBER, reader_id=visible_to)


def _mark_read(connection: sa.Connection, caller: Caller, room_id: UUID, seq: int) -> bool:
    """Move the caller's mark on to a message, at most to the last one; returns whether it moved."""
    return MARK_READ.run(connection, {"of_room": room_id, "caller_id": caller.user_id, "reached": seq}).rowcount == 1
