"""Old rows of rooms: each function deletes up to `most` of a kind and returns their number."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.types import now
from chatbot.models import Room, RoomInvite, RoomMember, RoomMessage, SyncChange
from chatbot.services.sync.changes import Change

from . import rows

MAX_RECORDS = 2_000  # of devices in one transaction: as many rows go as the messages have members
MESSAGES = (RoomMessage.id, RoomMessage.room_id, RoomMessage.seq)
# By their whole key, before the messages go: SQLite would go through all changes of all users for the ids alone.
RECORDED: sa.Select[*tuple[Any, ...]] = (
    sa.select(RoomMember.user_id, sa.literal_column("'room_message'"), RoomMessage.id)
    .join(RoomMessage, RoomMessage.room_id == RoomMember.room_id)
    .where(RoomMessage.id.in_(sa.bindparam("ids", expanding=True)))
)
DELETE_RECORDED = sa.delete(SyncChange).where(
    sa.tuple_(SyncChange.user_id, SyncChange.type, SyncChange.object_id).in_(RECORDED)
)
BEHIND = rows.MEMBERS.where(RoomMember.read_seq < sa.bindparam("reached", type_=sa.BigInteger()))
HAS_MEMBERS = sa.exists().where(rows.is_member_of(Room.id))


def delete_messages(connection: sa.Connection, cutoff: datetime, most: int) -> int:
    """Delete messages from before a time, of one room; the purge's watermark tells it to devices.

    A deleted message counts as read, so that `unread` leaves it out.
    """
    old = sa.select(*MESSAGES).where(RoomMessage.created_at < cutoff).order_by(RoomMessage.created_at).limit(most)
    found = connection.execute(old).all()
    if not found:
        return 0
    room_id = found[0].room_id
    rows.lock_room(connection, room_id)
    deleted = _delete(connection, room_id, [row for row in found if row.room_id == room_id])
    _mark_read(connection, room_id, max(row.seq for row in deleted))
    return len(deleted)


def delete_room_messages(connection: sa.Connection, room_id: object, most: int) -> int:
    """Delete messages of a room."""
    found = connection.execute(sa.select(*MESSAGES).where(RoomMessage.room_id == room_id).limit(most)).all()
    return len(_delete(connection, room_id, found))


def delete_invites(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete invites that have expired."""
    old = sa.select(RoomInvite.id).where(RoomInvite.expires_at < now()).limit(most)
    return connection.execute(sa.delete(RoomInvite).where(RoomInvite.id.in_(old))).rowcount


def delete_abandoned_rooms(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete messages of a room without members, and after the last one the room.

    A process that ended while it deleted a room left it, or the accounts of all its members are gone.
    """
    room_id = connection.scalar(sa.select(Room.id).where(~HAS_MEMBERS).limit(1))
    if room_id is None:
        return 0
    return delete_room_messages(connection, room_id, most) or delete_emptied_room(connection, room_id)


def delete_emptied_room(connection: sa.Connection, room_id: object) -> int:
    """Delete a room without messages, with its memberships and their records; its tombstones stay."""
    memberships = sa.select(RoomMember.id).where(RoomMember.room_id == room_id)
    were_members = sa.select(RoomMember.user_id).where(RoomMember.room_id == room_id)
    for kind, ids in (("membership", memberships), ("read_mark", [room_id])):
        of_these = (SyncChange.user_id.in_(were_members), SyncChange.type == kind, SyncChange.object_id.in_(ids))
        connection.execute(sa.delete(SyncChange).where(*of_these))
    return connection.execute(sa.delete(Room).where(Room.id == room_id)).rowcount


def _delete(connection: sa.Connection, room_id: object, found: Sequence[Any]) -> Sequence[Any]:
    """Delete the first of some messages of a room: as many as have MAX_RECORDS records, one for each member."""
    counted = sa.select(sa.func.count()).where(RoomMember.room_id == room_id)
    members = connection.scalar(counted) or 1
    some = found[: -(-MAX_RECORDS // members)]
    if some:
        ids = [row.id for row in some]
        connection.execute(DELETE_RECORDED, {"ids": ids})
        connection.execute(sa.delete(RoomMessage).where(RoomMessage.id.in_(ids)))
    return some


def _mark_read(connection: sa.Connection, room_id: UUID, reached: int) -> None:
    """Move the marks of a locked room's members on, where they are behind a message."""
    is_behind = RoomMember.read_seq < reached
    rows.lock_members(connection, room_id, is_behind)
    rows.record(connection, room_id, Change("read_mark", room_id), readers=BEHIND, reached=reached)
    behind = sa.update(RoomMember).where(rows.is_member_of(room_id), is_behind)
    connection.execute(behind.values(read_seq=reached))
