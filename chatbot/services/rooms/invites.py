"""Invites: links by which users join a room, until they expire or are used up."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import NotFound, TooManyInvites
from chatbot.models import Room, RoomInvite, RoomMember
from chatbot.observability import security_log
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller

from . import members, rows
from .records import Invite, RoomRecord
from .rows import Position

MAX_INVITES = 100  # of one room, at a time
TOKEN_BYTES = 32
FIELDS = (RoomInvite.id, RoomInvite.max_uses, RoomInvite.uses, RoomInvite.created_at, RoomInvite.expires_at)


def list_invites(caller: Caller, room_id: UUID, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[Invite]:
    """Return up to `limit` open invites of a room that the caller owns, by time; raises NotFound, Forbidden."""
    statement = sa.select(*FIELDS).where(*_is_open(), RoomInvite.room_id == room_id)
    order = (RoomInvite.created_at, RoomInvite.id)
    with read() as connection:
        rows.require_role(connection, caller, room_id, rows.OWNERS)
        return keyset.fetch_page(connection, statement, Invite, order=order, limit=limit, after=after)


def create(
    caller: Caller,
    room_id: UUID,
    *,
    expires_in: timedelta,
    max_uses: int | None = None,
    key: idempotency.Key | None = None,
) -> Invite:
    """Make an invite to a room that the caller owns; the same key again returns it without its token.

    Raises NotFound, Forbidden, TooManyInvites, IdempotencyKeyReused.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with write("create_room_invite", contention_key=caller.user_id) as connection:
        rows.lock(connection, caller, room_id, rows.OWNERS)
        known = idempotency.find(connection, caller.user_id, key) if key else None
        if known is not None:
            return _load(connection, room_id, known)
        _require_allowance(connection, room_id)
        moment = now()
        invite = Invite(uuid7(), max_uses, 0, moment, moment + expires_in, token)
        values = {
            "id": invite.id,
            "room_id": room_id,
            "token_hash": _hash(token),
            "max_uses": max_uses,
            "created_at": moment,
            "expires_at": invite.expires_at,
        }
        connection.execute(sa.insert(RoomInvite).values(values))
        if key:
            idempotency.store(connection, caller.user_id, key, thing_id=invite.id)
        return invite


def delete(caller: Caller, room_id: UUID, invite_id: UUID) -> None:
    """Delete an invite to a room that the caller owns; raises NotFound, Forbidden."""
    with write("delete_room_invite", contention_key=caller.user_id) as connection:
        rows.lock(connection, caller, room_id, rows.OWNERS)
        this = (RoomInvite.id == invite_id, RoomInvite.room_id == room_id)
        if connection.execute(sa.delete(RoomInvite).where(*this)).rowcount != 1:
            raise NotFound("There is no such invite.")


def join(caller: Caller, token: str) -> RoomRecord:
    """Become a member of the room of an invite and return it; a member's invite is not used up by it.

    Raises NotFound for a token that is unknown, expired or used up, and for a user who was removed after it was made;
    RoomFull.
    """
    with write("join_room", contention_key=caller.user_id) as connection:
        this = (RoomInvite.token_hash == _hash(token), RoomInvite.expires_at > now())
        room_id = connection.scalar(sa.select(RoomInvite.room_id).where(*this))
        if room_id is None:
            raise NotFound("There is no such invite.")
        # The room is locked before the invite, as owners lock them.
        locked = sa.select(Room.rev, Room.last_seq).where(Room.id == room_id).with_for_update()
        room = connection.execute(locked).one_or_none()
        state = connection.execute(
            sa.select(RoomMember.state, RoomMember.left_at).where(
                RoomMember.room_id == room_id, RoomMember.user_id == caller.user_id
            )
        ).one_or_none()
        if room is None or (state is not None and state.state == "member"):
            return rows.load(connection, caller, room_id)
        if connection.scalar(rows.select_member_ids(room_id).limit(1)) is None:  # it waits for its deletion
            raise NotFound("There is no such invite.")
        _use(connection, token, state)
        text = f"{members.load_username(connection, caller.user_id)} joined."
        before = Position(room.rev, room.last_seq)
        members.add(connection, room_id, caller.user_id, role="member", before=before, text=text)
        joined = rows.load(connection, caller, room_id)
    security_log.record("room", "joined", **caller.to_log_fields(), room=room_id)
    return joined


def _use(connection: sa.Connection, token: str, state: Any) -> None:
    """Count a use of an invite; raises NotFound where it does not let this user in."""
    conditions = [RoomInvite.token_hash == _hash(token), *_is_open()]
    if state is not None and state.state == "removed":
        conditions.append(RoomInvite.created_at > state.left_at)
    used = sa.update(RoomInvite).where(*conditions).values(uses=RoomInvite.uses + 1)
    if connection.execute(used).rowcount != 1:
        raise NotFound("There is no such invite.")


def _is_open() -> tuple[sa.ColumnElement[bool], ...]:
    has_uses_left = sa.or_(RoomInvite.max_uses.is_(None), RoomInvite.uses < RoomInvite.max_uses)
    return RoomInvite.expires_at > now(), has_uses_left


def _load(connection: sa.Connection, room_id: UUID, invite_id: UUID) -> Invite:
    this = (RoomInvite.id == invite_id, RoomInvite.room_id == room_id)
    row = connection.execute(sa.select(*FIELDS).where(*this)).one_or_none()
    if row is None:
        raise NotFound("There is no such invite.")
    return Invite(**row._mapping)


def _require_allowance(connection: sa.Connection, room_id: UUID) -> None:
    """Raise TooManyInvites where a locked room has as many open invites as one may have."""
    of_room = (RoomInvite.room_id == room_id, *_is_open())
    if (connection.scalar(sa.select(sa.func.count()).where(*of_room)) or 0) >= MAX_INVITES:
        raise TooManyInvites(f"A room may have {MAX_INVITES} open invites.")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
