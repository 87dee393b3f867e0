"""Changes of a room since a `rev`, each thing once and in its newest state."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.errors import CursorExpired
from chatbot.models import Room, RoomMember, RoomMessage
from chatbot.services.accounts.callers import Caller

from . import members, messages, rows
from .records import ChangesPage, Member, RoomChange


def read_changes(caller: Caller, room_id: UUID, *, since_rev: int, limit: int) -> ChangesPage:
    """Return up to `limit` changes of a room after one, in the order of `rev`.

    Raises NotFound for a room that the caller is no member of, CursorExpired for a `since_rev` ahead of the room.
    """
    with read(snapshot=True) as connection:
        room = rows.load(connection, caller, room_id)
        if since_rev > room.rev:
            raise CursorExpired("The room has not come so far; read it anew.")
        found = connection.execute(_select_revs(caller, room_id, since_rev, limit + 1)).all()
        more = len(found) > limit
        items = _load(connection, caller, room, found[:limit])
    return ChangesPage(items, found[limit - 1].rev if more else room.rev, more)


def _select_revs(caller: Caller, room_id: UUID, since_rev: int, most: int) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the first things that were last changed after a change, by that change."""
    revs: sa.Select[*tuple[Any, ...]] = messages.select_messages(caller).with_only_columns(
        RoomMessage.rev.label("rev"), sa.literal_column("'message'").label("type"), RoomMessage.id.label("id")
    )
    revs = revs.where(RoomMessage.room_id == room_id, RoomMessage.rev > since_rev)
    # The messages first by themselves: of a long room no more are read than are shown.
    first = revs.order_by(RoomMessage.rev).limit(most).subquery()
    memberships: sa.Select[*tuple[Any, ...]] = sa.select(RoomMember.rev, sa.literal_column("'member'"), RoomMember.id)
    settings: sa.Select[*tuple[Any, ...]] = sa.select(Room.settings_rev, sa.literal_column("'room'"), Room.id)
    changed = sa.union_all(
        sa.select(first),
        memberships.where(RoomMember.room_id == room_id, RoomMember.rev > since_rev),
        settings.where(Room.id == room_id, Room.settings_rev > since_rev),
    ).subquery()
    return sa.select(changed).order_by(changed.c.rev).limit(most)


def _load(connection: sa.Connection, caller: Caller, room: Any, found: Sequence[Any]) -> list[RoomChange]:
    ids = {kind: [row.id for row in found if row.type == kind] for kind in ("message", "member")}
    data: dict[UUID, Any] = {room.id: room}
    data |= {message.id: message for message in messages.load_all(connection, caller, ids["message"])}
    ended: dict[UUID, UUID] = {}
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
