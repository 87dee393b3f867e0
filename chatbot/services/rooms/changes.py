"""Changes of a room since a `rev`, each thing once and in its newest state."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.errors import CursorExpired, NotFound
from chatbot.models import Room, RoomMember, RoomMessage, User
from chatbot.services.accounts.callers import Caller

from . import members, message_rows, rows
from .message_rows import MessageView, Statement
from .records import ChangesPage, Member, Message, RoomChange, RoomReaders, RoomSettings

SETTINGS: Statement = sa.select(*(getattr(Room, one.name) for one in fields(RoomSettings))).where(
    Room.id == rows.ROOM_ID
)
MAX_PAGE_CHARACTERS = 1 << 19  # of texts in a page, beyond which it ends: a socket takes it as one packet
JOINED = (
    sa.select(RoomMember.user_id, RoomMember.joined_seq, Room.history)
    .join(Room, Room.id == RoomMember.room_id)
    .where(rows.is_member_of(rows.ROOM_ID))
)


def read_changes(caller: Caller, room_id: UUID, *, since_rev: int, limit: int) -> ChangesPage:
    """Return up to `limit` changes of a room after one, in the order of `rev`.

    Raises NotFound for a room that the caller is no member of, CursorExpired for a `since_rev` ahead of the room.
    """
    with read(snapshot=True) as connection:
        rows.require_role(connection, caller, room_id, rows.READERS)
        return _read_page(connection, room_id, message_rows.view_of(caller), since_rev=since_rev, limit=limit)


def read_for_members(room_id: UUID, *, since_rev: int, limit: int) -> tuple[ChangesPage, RoomReaders]:
    """Return up to `limit` changes of a room after one, with those of its members that may be told of each.

    Raises NotFound for a room that was deleted, CursorExpired as `read_changes`.
    """
    with read(snapshot=True) as connection:
        view = message_rows.view_of_all(room_id)
        page = _read_page(connection, room_id, view, since_rev=since_rev, limit=limit)
        found = [one.data for one in page.items if isinstance(one.data, Message)]
        return page, _read_readers(connection, room_id, [one.id for one in found if one.kind == "bot"])


def _read_readers(connection: sa.Connection, room_id: UUID, answers: Sequence[UUID]) -> RoomReaders:
    """Return the members of a room with their rights to its messages, and to some answers."""
    found = connection.execute(JOINED, {"room_id": room_id}).all()
    withheld: defaultdict[UUID, set[UUID]] = defaultdict(set)
    if answers:
        for row in connection.execute(_select_withheld(answers)):
            withheld[row.id].add(row.user_id)
    is_open = any(row.history == "all" for row in found)
    return RoomReaders({row.user_id: row.joined_seq for row in found}, is_open, withheld)


def _select_withheld(answers: Sequence[UUID]) -> Statement:
    """Return the query of members that see some answers without their texts."""
    of_room = rows.is_member_of(RoomMessage.room_id)
    is_withheld = message_rows.is_withheld(User.id, User.role == "admin")
    statement = sa.select(RoomMessage.id, RoomMember.user_id).join(RoomMember, of_room)
    return statement.join(User, User.id == RoomMember.user_id).where(RoomMessage.id.in_(answers), is_withheld)


def _read_page(
    connection: sa.Connection, room_id: UUID, view: MessageView, *, since_rev: int, limit: int
) -> ChangesPage:
    row = connection.execute(SETTINGS, {"room_id": room_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such room.")
    room = RoomSettings(**row._mapping)
    if since_rev > room.rev:
        raise CursorExpired("`since_rev` is ahead of the room; load the room again.")
    values = {**view.values, "room_id": room_id, "since_rev": since_rev, "row_limit": limit + 1}
    found = connection.execute(_select_revs(view.statement), values).all()
    fitting = _take_fitting(found, limit)
    more = len(found) > len(fitting)
    items = _load(connection, room, view, fitting)
    return ChangesPage(items, fitting[-1].rev if more else room.rev, more)


def _take_fitting(found: Sequence[Any], limit: int) -> Sequence[Any]:
    """Return the first things, up to `limit` and MAX_PAGE_CHARACTERS but at least one."""
    left = MAX_PAGE_CHARACTERS
    for number, row in enumerate(found[:limit]):
        left -= row.size
        if number and left < 0:
            return found[:number]
    return found[:limit]


@cache
def _select_revs(shown: Statement) -> Statement:
    """Return the query of the first `:row_limit` things of `:room_id` that were last changed after `:since_rev`."""
    room_id = rows.ROOM_ID
    since_rev = sa.bindparam("since_rev", type_=sa.BigInteger())
    row_limit = sa.bindparam("row_limit", type_=sa.Integer())
    revs: Statement = shown.with_only_columns(
        RoomMessage.rev.label("rev"),
        sa.literal_column("'message'").label("type"),
        RoomMessage.id.label("id"),
        sa.func.length(RoomMessage.text).label("size"),
    )
    revs = revs.where(RoomMessage.room_id == room_id, RoomMessage.rev > since_rev)
    # The messages first by themselves: of a long room no more are read than are shown.
    first = revs.order_by(RoomMessage.rev).limit(row_limit).subquery()
    memberships: Statement = sa.select(
        RoomMember.rev, sa.literal_column("'member'"), RoomMember.id, sa.literal_column("0")
    )
    settings: Statement = sa.select(Room.settings_rev, sa.literal_column("'room'"), Room.id, sa.literal_column("0"))
    changed = sa.union_all(
        sa.select(first),
        memberships.where(RoomMember.room_id == room_id, RoomMember.rev > since_rev),
        settings.where(Room.id == room_id, Room.settings_rev > since_rev),
    ).subquery()
    return sa.select(changed).order_by(changed.c.rev).limit(row_limit)


def _load(connection: sa.Connection, room: RoomSettings, view: MessageView, found: Sequence[Any]) -> list[RoomChange]:
    ids = {kind: [row.id for row in found if row.type == kind] for kind in ("message", "member")}
    data: dict[UUID, Any] = {room.id: room}
    if ids["message"]:
        data |= {message.id: message for message in view.fetch_all(connection, ids["message"])}
    ended: dict[UUID, UUID] = {}
    if ids["member"]:
        for row in connection.execute(members.select_members().where(RoomMember.id.in_(ids["member"]))):
            if row.state == "member":
                data[row.id] = Member(**row._mapping)
            else:
                ended[row.id] = row.user_id
    return [_build(row, data.get(row.id), ended) for row in found]


def _build(row: Any, data: Any, ended: dict[UUID, UUID]) -> RoomChange:
    """Return a change; a member's is known by the id of the user."""
    if row.type == "member":
        user_id = ended.get(row.id) or data.user_id
        return RoomChange(row.rev, row.type, "delete" if data is None else "upsert", user_id, data)
    return RoomChange(row.rev, row.type, "upsert", row.id, data)
