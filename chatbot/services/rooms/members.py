"""Members of rooms: added by an owner or by an invite, in a role, until they leave or are removed."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from chatbot.database import keyset
from chatbot.database.compiled import Prepared
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Forbidden, LastOwner, MemberLeft, NotFound, RoomFull, TooManyRooms
from chatbot.models import Room, RoomMember, RoomMessage, SyncChange, User
from chatbot.observability import security_log
from chatbot.services.accounts.callers import Caller
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import rows
from .records import Member
from .rows import Position

FIELDS = (
    RoomMember.id,
    RoomMember.room_id,
    RoomMember.user_id,
    User.username,
    RoomMember.role,
    RoomMember.rev,
    RoomMember.joined_at,
    RoomMember.state,
)
USERNAME = Prepared(
    sa.select(User.username).where(User.id == sa.bindparam("user_id", type_=sa.Uuid()), User.disabled_at.is_(None))
)
MAX_SYNCED_MESSAGES = 200  # of those from before a user joined; older ones are read page by page


def select_members() -> sa.Select[*tuple[Any, ...]]:
    """Return the query of memberships with their users' names."""
    return sa.select(*FIELDS).join(User, User.id == RoomMember.user_id)


def list_members(caller: Caller, room_id: UUID, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[Member]:
    """Return up to `limit` members of a room in the order in which they joined; raises NotFound."""
    statement = select_members().where(rows.is_member_of(room_id))
    order = (RoomMember.joined_at, RoomMember.id)
    with read() as connection:
        rows.require_role(connection, caller, room_id, rows.READERS)
        return keyset.fetch_page(connection, statement, Member, order=order, limit=limit, after=after)


def load_all(connection: sa.Connection, caller: Caller, ids: Any) -> list[Member]:
    """Return those of some memberships that are of the caller's rooms and have not ended, in no order."""
    among = (RoomMember.id.in_(ids), RoomMember.state == "member")
    statement = (
        select_members().join(Room, Room.id == RoomMember.room_id).join(rows.OwnMembership, rows.join_own(caller))
    )
    return [Member(**row._mapping) for row in connection.execute(statement.where(*among))]


def put(caller: Caller, room_id: UUID, user_id: UUID, role: str) -> None:
    """Add a user to a room that the caller owns, or change a member's role.

    Raises NotFound, Forbidden, MemberLeft for a user who left, who joins again by an invite alone, LastOwner, RoomFull,
    TooManyRooms for a user who is in too many.
    """
    with write("put_room_member", contention_key=caller.user_id) as connection:
        before = rows.lock(connection, caller, room_id, rows.OWNERS)
        username = load_username(connection, user_id)
        member = _find(connection, room_id, user_id)
        if member is not None and member.state == "left":
            raise MemberLeft("They left this room; an invite lets them join again.")
        if member is not None and member.state == "member":
            _change_role(connection, member, room_id, role=role, before=before)
        else:
            _require_allowance(connection, user_id)
            add(connection, room_id, user_id, role=role, before=before, text=f"{username} was added.")
    security_log.record("room", "member", **caller.to_log_fields(), room=room_id, member=user_id, role=role)


def remove(caller: Caller, room_id: UUID, user_id: UUID) -> None:
    """Remove a member from a room that the caller owns, or leave it oneself.

    Raises NotFound, Forbidden, LastOwner.
    """
    is_own = user_id == caller.user_id
    with write("remove_room_member", contention_key=caller.user_id) as connection:
        before = rows.lock(connection, caller, room_id)
        if not is_own and rows.load(connection, caller, room_id).role not in rows.OWNERS:
            raise Forbidden("Only an owner removes others.")
        member = _find(connection, room_id, user_id)
        if member is None or member.state != "member":
            raise NotFound("There is no such member.")
        if member.role == "owner":
            _require_other_owner(connection, room_id, user_id)
        text = f"{member.username} left." if is_own else f"{member.username} was removed."
        _end(connection, member, room_id, state="left" if is_own else "removed", before=before, text=text)
    security_log.record("room", "left" if is_own else "removed", **caller.to_log_fields(), room=room_id, member=user_id)


def withdraw(caller: Caller, room_id: UUID) -> bool:
    """Leave a room in any role; return whether others stay.

    Where no other owner stays, the member who joined first becomes one, before those who only read. Raises NotFound.
    """
    with write("withdraw_from_room", contention_key=caller.user_id) as connection:
        before = rows.lock(connection, caller, room_id)
        own = (RoomMember.room_id == room_id, RoomMember.user_id == caller.user_id)
        connection.execute(sa.select(RoomMember.id).where(*own).with_for_update())  # before any counter
        member = _find(connection, room_id, caller.user_id)
        others = select_members().where(rows.is_member_of(room_id), RoomMember.user_id != caller.user_id)
        is_reader = RoomMember.role == "reader"
        order = (RoomMember.role != "owner", is_reader, RoomMember.joined_at, RoomMember.id)
        heir = connection.execute(others.order_by(*order).limit(1)).one_or_none()
        if heir is None:
            return False
        if heir.role != "owner":
            _change_role(connection, heir, room_id, role="owner", before=before)
            before = Position(before.rev + 1, before.seq)
        _end(connection, member, room_id, state="left", before=before, text=f"{member.username} left.")
    return True


def add(connection: sa.Connection, room_id: UUID, user_id: UUID, *, role: str, before: Position, text: str) -> None:
    """Make a user a member of a locked room, with a membership of another id than any before; raises RoomFull."""
    _require_place(connection, room_id)
    member_id = uuid7()
    values = {
        "id": member_id,
        "room_id": room_id,
        "user_id": user_id,
        "role": role,
        "state": "member",
        "joined_seq": before.seq,
        "read_seq": before.seq + 1,
        "rev": before.rev + 1,
        "joined_at": now(),
        "left_at": None,
    }
    pair = (RoomMember.room_id == room_id, RoomMember.user_id == user_id)
    if connection.execute(sa.update(RoomMember).where(*pair).values(values)).rowcount == 0:
        connection.execute(sa.insert(RoomMember).values(values))
    rows.advance_room(connection, room_id, changes=1, messages=1, members=Room.members + 1)
    position = Position(before.rev + 2, before.seq + 1)
    message = rows.add_system_message(connection, room_id, position, text=text, subject_id=user_id)
    rows.record(connection, room_id, Change("membership", member_id), message, Change("room", room_id))
    _record_room(connection, room_id, user_id)


def load_username(connection: sa.Connection, user_id: UUID) -> str:
    """Return a user's name; raises NotFound for one that is absent or disabled."""
    username: str | None = USERNAME.run(connection, {"user_id": user_id}).scalar()
    if username is None:
        raise NotFound("There is no such user.")
    return username


def _find(connection: sa.Connection, room_id: UUID, user_id: UUID) -> Any:
    pair = (RoomMember.room_id == room_id, RoomMember.user_id == user_id)
    return connection.execute(select_members().where(*pair)).one_or_none()


def _change_role(connection: sa.Connection, member: Any, room_id: UUID, *, role: str, before: Position) -> None:
    if member.role == role:
        return
    if member.role == "owner":
        _require_other_owner(connection, room_id, member.user_id)
    connection.execute(sa.update(RoomMember).where(RoomMember.id == member.id).values(role=role, rev=before.rev + 1))
    rows.advance_room(connection, room_id, changes=1)
    rows.record(connection, room_id, Change("membership", member.id), Change("room", room_id))


def _end(connection: sa.Connection, member: Any, room_id: UUID, *, state: str, before: Position, text: str) -> None:
    """End a membership; for that user's devices the room is gone, with all that is in it.

    The membership's tombstone stays when the user comes back, with another membership: a device that was away all the
    while forgets by it what they may not read any more.
    """
    rows.advance_room(connection, room_id, changes=1, messages=1, members=Room.members - 1)
    position = Position(before.rev + 2, before.seq + 1)
    message = rows.add_system_message(connection, room_id, position, text=text, subject_id=member.user_id)
    rows.lock_members(connection, room_id, RoomMember.id == member.id)
    # With the user that goes: all counters are locked in the order of the users.
    ended = Change("membership", member.id, is_deleted=True)
    rows.record(connection, room_id, ended, message, Change("room", room_id))
    values = {"state": state, "left_at": now(), "rev": before.rev + 1}
    connection.execute(sa.update(RoomMember).where(RoomMember.id == member.id).values(values))
    _delete_recorded(connection, room_id, member.user_id)
    changes.record(connection, member.user_id, [ended, Change("room", room_id, is_deleted=True)])


def _record_room(connection: sa.Connection, room_id: UUID, user_id: UUID) -> None:
    """Record the other members of a room for a new one, and its last messages if its history is open."""
    others = (rows.is_member_of(room_id), RoomMember.user_id != user_id)
    known = changes.changed("membership", connection.scalars(sa.select(RoomMember.id).where(*others)))
    is_shown = (RoomMessage.room_id == room_id, Room.history == "all", RoomMessage.visible_to.is_(None))
    seen = sa.select(RoomMessage.id).join(Room, Room.id == RoomMessage.room_id).where(*is_shown)
    newest = connection.scalars(seen.order_by(RoomMessage.seq.desc()).limit(MAX_SYNCED_MESSAGES)).all()
    known += changes.changed("room_message", reversed(newest))
    changes.record(connection, user_id, known)


def _delete_recorded(connection: sa.Connection, room_id: UUID, user_id: UUID) -> None:
    """Delete the records of a room's messages and members for a user; the room's tombstone stands for them."""
    things: dict[str, Any] = {
        "room_message": sa.select(RoomMessage.id).where(RoomMessage.room_id == room_id),
        "membership": sa.select(RoomMember.id).where(RoomMember.room_id == room_id),
        "read_mark": [room_id],
    }
    for kind, ids in things.items():
        of_user = (SyncChange.user_id == user_id, SyncChange.type == kind, SyncChange.object_id.in_(ids))
        connection.execute(sa.delete(SyncChange).where(*of_user))


def _require_other_owner(connection: sa.Connection, room_id: UUID, user_id: UUID) -> None:
    """Raise LastOwner unless a locked room has another owner than this user."""
    of_room = (rows.is_member_of(room_id), RoomMember.role == "owner")
    if not connection.scalar(sa.select(sa.exists().where(*of_room, RoomMember.user_id != user_id))):
        raise LastOwner("Make another member an owner first, or delete the room.")


def _require_place(connection: sa.Connection, room_id: UUID) -> None:
    """Raise RoomFull where a locked room has as many members as one may have."""
    bound = current_app.config["MEMBERS_PER_ROOM"]
    members = connection.scalar(sa.select(Room.members).where(Room.id == room_id)) or 0
    if current_app.config["RATELIMIT_ENABLED"] and members >= bound:
        raise RoomFull(f"A room may have {bound} members.")


def _require_allowance(connection: sa.Connection, user_id: UUID) -> None:
    """Raise TooManyRooms where a user is in as many rooms as others may add them to."""
    bound = current_app.config["MEMBERSHIPS_PER_USER"]
    of_user = (RoomMember.user_id == user_id, RoomMember.state == "member")
    count = connection.scalar(sa.select(sa.func.count()).where(*of_user)) or 0
    if current_app.config["RATELIMIT_ENABLED"] and count >= bound:
        raise TooManyRooms("They are in too many rooms.")
