"""Erasure of a user from rooms: their memberships, their messages, the bot's answers to them, and their name."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.errors import NotFound
from chatbot.models import RoomInvite, RoomMember, RoomMessage
from chatbot.services.accounts.callers import Caller

from . import members, message_rows, rooms, rows
from .bot import cancellation

BATCH = 20  # messages in one transaction
MAX_RECORDS = 2_000  # of devices in one: each message is recorded for the room's members
ERASED: dict[str, Any] = {
    "text": "",
    "mentions": [],
    "deleted": True,
    "client_id": None,
    "citations": None,
    "audience": None,
    "withheld": None,
    "author_id": None,
    "asker_id": None,
    "subject_id": None,
}


def erase(caller: Caller) -> None:
    """Leave the caller's rooms, or delete those without another member, and delete their messages in all rooms.

    A deleted message keeps its place, without its text and its author.
    """
    while room_ids := _list_rooms(caller):
        for room_id in room_ids:
            try:
                if not members.withdraw(caller, room_id):
                    _delete_room(caller, room_id)
            except NotFound:  # its owner deleted it, or removed the caller
                continue
    while found := _list_messages(caller):
        _erase_messages(found)


def _list_rooms(caller: Caller) -> Sequence[Any]:
    is_member = (RoomMember.user_id == caller.user_id, RoomMember.state == "member")
    with read() as connection:
        return connection.scalars(sa.select(RoomMember.room_id).where(*is_member).limit(BATCH)).all()


def _delete_room(caller: Caller, room_id: Any) -> None:
    """Delete a room with the caller as its only member, in any role; one that another has joined stays."""
    own = (RoomMember.room_id == room_id, RoomMember.user_id == caller.user_id)
    with write("take_over_room") as connection:
        rows.lock(connection, caller, room_id)
        others = sa.select(RoomMember.id).where(rows.is_member_of(room_id), RoomMember.user_id != caller.user_id)
        if connection.execute(others.limit(1)).one_or_none() is not None:
            return
        connection.execute(sa.delete(RoomInvite).where(RoomInvite.room_id == room_id))  # no user joins from here on
        connection.execute(sa.update(RoomMember).where(*own).values(role="owner"))
    rooms.delete(caller, room_id)


def _list_messages(caller: Caller) -> Sequence[Any]:
    """Return the next messages of one room that name the caller, were written by them or answer them."""
    columns = (RoomMessage.author_id, RoomMessage.asker_id, RoomMessage.subject_id)
    of_user = sa.or_(*(column == caller.user_id for column in columns))
    statement = sa.select(RoomMessage.id, RoomMessage.room_id, RoomMessage.kind, RoomMessage.status).where(of_user)
    with read() as connection:
        found = connection.execute(statement.limit(BATCH)).all()
    return [row for row in found if row.room_id == found[0].room_id]


def _erase_messages(found: Sequence[Any]) -> None:
    for row in found:
        if row.kind == "bot":
            cancellation.stop(row.id)
    has_ended = RoomMessage.status.not_in(("queued", "pending"))
    status = sa.case((has_ended, RoomMessage.status), else_="cancelled")
    with write("erase_room_messages") as connection:
        rows.lock_room(connection, found[0].room_id)
        members_count = sa.select(sa.func.count()).where(RoomMember.room_id == found[0].room_id)
        found = found[: -(-MAX_RECORDS // (connection.scalar(members_count) or 1))]
        there = set(connection.scalars(sa.select(RoomMessage.id).where(RoomMessage.id.in_([row.id for row in found]))))
        for row in found:
            if row.id in there:
                values = ERASED | ({"status": status} if row.kind == "bot" else {})
                message_rows.change(connection, row.room_id, row.id, values)
