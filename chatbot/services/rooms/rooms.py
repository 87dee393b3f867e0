"""Rooms and their settings."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import TooManyRooms
from chatbot.models import Room, RoomInvite, RoomMember
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.search import readable
from chatbot.services.sync.changes import Change

from . import members, retention, rows
from .records import RoomRecord
from .rows import Position

ORDER = (Room.activity_at, Room.id)
BATCH = 150  # messages of a deleted room in one transaction: it holds SQLite's lock for some milliseconds


def list_rooms(caller: Caller, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[RoomRecord]:
    """Return up to `limit` rooms that the caller is a member of, the one with the newest message first."""
    statement = rows.select_rooms(caller)
    with read() as connection:
        return keyset.fetch_page(
            connection, statement, RoomRecord, order=ORDER, limit=limit, after=after, descending=True
        )


def get(caller: Caller, room_id: UUID) -> RoomRecord:
    """Return one of the caller's rooms; raises NotFound."""
    with read() as connection:
        return rows.load(connection, caller, room_id)


def create(caller: Caller, values: Mapping[str, Any], key: idempotency.Key | None = None) -> RoomRecord:
    """Make a room that the caller owns, with the settings that are given.

    Raises NotFound for a collection that is absent or not readable, TooManyRooms, IdempotencyKeyReused.
    """
    values = _check(caller, values)
    room_id = uuid7()
    member_id = uuid7()
    try:
        with write("create_room") as connection:
            known = idempotency.find(connection, caller.user_id, key) if key else None
            if known is not None:
                return rows.load(connection, caller, known)
            _require_allowance(connection, caller)
            row = {"id": room_id, "creator_id": caller.user_id, "members": 1, "rev": 1, "settings_rev": 1, **values}
            connection.execute(sa.insert(Room).values(row))
            membership = {"id": member_id, "room_id": room_id, "user_id": caller.user_id, "role": "owner", "rev": 1}
            connection.execute(sa.insert(RoomMember).values(membership))
            if key:
                idempotency.store(connection, caller.user_id, key, thing_id=room_id)
            rows.record(connection, room_id, Change("membership", member_id), Change("room", room_id))
            return rows.load(connection, caller, room_id)
    except IntegrityError:
        # A request with the same idempotency key came in the same moment.
        known = idempotency.find_committed(caller.user_id, key)
        if known is None:
            raise
        return get(caller, known)


def change(caller: Caller, room_id: UUID, values: Mapping[str, Any]) -> RoomRecord:
    """Change settings of a room that the caller owns.

    Raises Forbidden, NotFound for the room, or for a collection that is absent or not readable.
    """
    values = _check(caller, values)
    with write("change_room", contention_key=caller.user_id) as connection:
        before = rows.lock(connection, caller, room_id, rows.OWNERS)
        changed = [Change("room", room_id)]
        is_named = "name" in values
        rows.advance_room(connection, room_id, changes=1, messages=int(is_named), settings_rev=before.rev + 1, **values)
        if is_named:
            username = members.load_username(connection, caller.user_id)
            text = f"{username} named the room {values['name']}."
            position = Position(before.rev + 2, before.seq + 1)
            changed.append(rows.add_system_message(connection, room_id, position, text=text, subject_id=caller.user_id))
        rows.record(connection, room_id, *changed)
        return rows.load(connection, caller, room_id)


def delete(caller: Caller, room_id: UUID) -> None:
    """Delete a room that the caller owns with all its messages; no list has it any more. Raises NotFound, Forbidden."""
    with write("delete_room", contention_key=caller.user_id) as connection:
        rows.lock(connection, caller, room_id, rows.OWNERS)
        rows.lock_members(connection, room_id)
        rows.record(connection, room_id, Change("room", room_id, is_deleted=True))
        closed = sa.update(RoomMember).where(rows.is_member_of(room_id))
        connection.execute(closed.values(state="removed", left_at=now()))
        connection.execute(sa.delete(RoomInvite).where(RoomInvite.room_id == room_id))
        rows.advance_room(connection, room_id, changes=1, members=0)
    while _delete_some(room_id):
        pass


def _delete_some(room_id: UUID) -> int:
    """Delete a batch of a closed room's messages, or the room without any; returns how much went."""
    with write("delete_room_messages") as connection:
        deleted = retention.delete_room_messages(connection, room_id, BATCH)
        return deleted or retention.delete_emptied_room(connection, room_id)


def _check(caller: Caller, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they are stored; raises NotFound for a collection that the caller may not read."""
    named = values.get("collection_ids")
    if named:
        readable.find_searched_collections(caller, named)
    return {**values, "collection_ids": [str(one) for one in named]} if named is not None else dict(values)


def _require_allowance(connection: sa.Connection, caller: Caller) -> None:
    """Raise TooManyRooms where the caller has made as many rooms as one may."""
    bound = current_app.config["ROOMS_PER_USER"]
    made = connection.scalar(sa.select(sa.func.count()).where(Room.creator_id == caller.user_id)) or 0
    if current_app.config["RATELIMIT_ENABLED"] and made >= bound:
        raise TooManyRooms(f"You have made {bound} rooms, the most that one user may; delete one first.")
