"""A room's row: read with the caller's membership, locked, and moved on by each change."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.database.compiled import Prepared
from chatbot.database.types import now, uuid7
from chatbot.errors import Forbidden, NotFound
from chatbot.models import Room, RoomMember, RoomMessage
from chatbot.services.accounts.callers import Caller
from chatbot.services.sync import audiences
from chatbot.services.sync.changes import Change

from .records import RoomRecord

READERS = ("owner", "member", "reader")
WRITERS = ("owner", "member")
OWNERS = ("owner",)


def is_member_of(room_id: Any) -> sa.ColumnElement[bool]:
    """Return the condition on memberships for the members of a room."""
    return sa.and_(RoomMember.room_id == room_id, RoomMember.state == "member")


OwnMembership = aliased(RoomMember)  # the caller's membership
_is_private_of_others = sa.and_(  # with the index of private messages, of which there are few
    RoomMessage.room_id == Room.id,
    RoomMessage.seq > OwnMembership.read_seq,
    RoomMessage.visible_to.is_not(None),
    RoomMessage.visible_to != OwnMembership.user_id,
)
_hidden_count = sa.select(sa.func.count()).where(_is_private_of_others).correlate(Room, OwnMembership).scalar_subquery()
FIELDS = (
    Room.id,
    Room.name,
    Room.topic,
    Room.history,
    Room.bot,
    Room.instructions,
    Room.collection_ids,
    Room.members,
    OwnMembership.role,
    Room.last_seq,
    Room.rev,
    OwnMembership.read_seq,
    (Room.last_seq - OwnMembership.read_seq - _hidden_count).label("unread"),
    Room.created_at,
    Room.activity_at,
)

ROOM_ID = sa.bindparam("room_id", type_=sa.Uuid())
_is_own = sa.and_(
    OwnMembership.room_id == Room.id,
    OwnMembership.user_id == sa.bindparam("caller_id", type_=sa.Uuid()),
    OwnMembership.state == "member",
)
POSITION = Prepared(
    sa.select(OwnMembership.role, Room.rev, Room.last_seq).join(OwnMembership, _is_own).where(Room.id == ROOM_ID)
)
LOCK = Prepared(sa.select(Room.id).where(Room.id == ROOM_ID, sa.exists().where(_is_own)).with_for_update())
_written = sa.bindparam("written", type_=sa.Integer())
ADD_MESSAGES = Prepared(
    sa.update(Room)
    .where(Room.id == ROOM_ID)
    .values(rev=Room.rev + _written, last_seq=Room.last_seq + _written, activity_at=sa.bindparam("moment"))
)
MEMBERS = sa.select(RoomMember.user_id).where(is_member_of(ROOM_ID))
MEMBER = MEMBERS.where(RoomMember.user_id == sa.bindparam("reader_id", type_=sa.Uuid()))
_is_open = sa.exists().where(Room.id == ROOM_ID, Room.history == "all")
MEMBERS_BEFORE = MEMBERS.where(sa.or_(RoomMember.joined_seq < sa.bindparam("seq", type_=sa.BigInteger()), _is_open))


@dataclass(frozen=True, slots=True)
class Position:
    """The numbers of a room's last change and last message."""

    rev: int
    seq: int


def join_own(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition that joins rooms with the caller's memberships."""
    is_own = (OwnMembership.room_id == Room.id, OwnMembership.user_id == caller.user_id)
    return sa.and_(*is_own, OwnMembership.state == "member")


def select_rooms(caller: Caller) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the rooms that the caller is a member of."""
    return sa.select(*FIELDS).join(OwnMembership, join_own(caller))


def load(connection: sa.Connection, caller: Caller, room_id: UUID) -> RoomRecord:
    """Return a room of the caller's; raises NotFound."""
    row = connection.execute(select_rooms(caller).where(Room.id == room_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such room.")
    return RoomRecord(**row._mapping)


def load_all(connection: sa.Connection, caller: Caller, ids: Any) -> list[RoomRecord]:
    """Return those of some rooms that the caller is a member of, in no order."""
    rows = connection.execute(select_rooms(caller).where(Room.id.in_(ids)))
    return [RoomRecord(**row._mapping) for row in rows]


def require_role(connection: sa.Connection, caller: Caller, room_id: UUID, roles: tuple[str, ...]) -> Position:
    """Return the position of a room; raises NotFound for no member of it, Forbidden for one in another role."""
    found = POSITION.run(connection, {"room_id": room_id, "caller_id": caller.user_id}).one_or_none()
    if found is None:
        raise NotFound("There is no such room.")
    if found.role not in roles:
        raise Forbidden(f"This needs the role {' or '.join(roles)}.")
    return Position(found.rev, found.last_seq)


def lock(connection: sa.Connection, caller: Caller, room_id: UUID, roles: tuple[str, ...] = READERS) -> Position:
    """Lock a room of the caller's until the transaction ends, and return its position; raises NotFound, Forbidden.

    The role is asked for behind the lock: the query that waits for it sees what was there before.
    """
    LOCK.run(connection, {"room_id": room_id, "caller_id": caller.user_id}).all()
    return require_role(connection, caller, room_id, roles)


def lock_room(connection: sa.Connection, room_id: UUID) -> None:
    """Lock a room until the transaction ends, if it is there."""
    connection.execute(sa.select(Room.id).where(Room.id == room_id).with_for_update()).all()


def select_member_ids(room_id: UUID) -> sa.Select[UUID]:
    """Return the query of the ids of a room's members."""
    return sa.select(RoomMember.user_id).where(is_member_of(room_id))


def lock_members(connection: sa.Connection, room_id: UUID, *conditions: sa.ColumnElement[bool]) -> None:
    """Lock memberships of a locked room, before the counters of their users: read marks do so in this order."""
    of_room = (is_member_of(room_id), *conditions)
    members = sa.select(RoomMember.id).where(*of_room).order_by(RoomMember.user_id)
    connection.execute(members.with_for_update()).all()


def advance_room(
    connection: sa.Connection, room_id: UUID, *, changes: int = 0, messages: int = 0, **values: Any
) -> None:
    """Count changes of a locked room, and messages, each of which is also a change."""
    if messages:
        ADD_MESSAGES.execute(connection, {"room_id": room_id, "written": messages, "moment": now()})
    if changes or values:
        values["rev"] = Room.rev + changes
        connection.execute(sa.update(Room).where(Room.id == room_id).values(values))


def add_system_message(
    connection: sa.Connection, room_id: UUID, position: Position, *, text: str, subject_id: UUID
) -> Change:
    """Add a message that tells of a change, at a position which the room was moved on to; return the change.

    Its text names a member, the subject.
    """
    message_id = uuid7()
    values = {
        "id": message_id,
        "room_id": room_id,
        "seq": position.seq,
        "rev": position.rev,
        "kind": "system",
        "text": text,
        "subject_id": subject_id,
    }
    connection.execute(sa.insert(RoomMessage).values(values))
    return Change("room_message", message_id)


def record(
    connection: sa.Connection, room_id: UUID, *changed: Change, readers: sa.Select[UUID] = MEMBERS, **values: Any
) -> None:
    """Record changes of a room for the devices of its members, all or some, at the end of the transaction.

    `readers` is one of the queries above, `values` are those of its parameters beside the room. The first record of a
    transaction is for all: it locks their counters, in the order of the users.
    """
    audiences.record(connection, readers, {"room_id": room_id, **values}, changed)
