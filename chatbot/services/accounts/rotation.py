"""Refresh by proof: a refresh token is spent for a new pair, and works on until the new pair has been seen.

Each pair is a generation of its session. It was seen when one of its access tokens was used or its refresh token was
spent: then its client has it, and nobody needs the parent any more but requests that were under way. Whoever sends the
parent later holds a copy of it, so that the session ends (RFC 9700, 4.14.2). An answer that was lost is computed again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import SessionEnded
from chatbot.models import Session, User
from chatbot.observability import security_log

from . import authentication, devices, tokens
from .accounts import load_account
from .mails import outbox
from .sessions import Login
from .state import get_accounts_state

GRACE_PERIOD = timedelta(seconds=10)  # after its child was seen, in which a spent token gets the same pair again
HALF_LIFE = tokens.ACCESS_LIFETIME / 2  # of an access token, after which a repeat gets a younger one


@dataclass(frozen=True, slots=True)
class Generation:
    """A refresh token that a client gets, and when it was first given out."""

    refresh: tokens.Refresh
    issued_at: datetime


def refresh(token: str, device: devices.Device = devices.UNKNOWN) -> Login:
    """Spend a refresh token for a new pair, or repeat the last one.

    Raises Unauthenticated for a token that is none of ours, SessionEnded where the session has ended or ends now.
    """
    presented = tokens.read_refresh(token)
    get_accounts_state().uses.store_generations()  # of this process; others' come within a second
    with write("refresh") as connection:
        row = connection.execute(
            sa.select(Session.__table__, User.disabled_at, User.email)
            .join(User, User.id == Session.user_id)
            .where(Session.id == presented.session_id)
            .with_for_update(of=Session.__table__)
        ).one_or_none()
        moment = now()
        given = _rotate(connection, row, presented, moment, device) if row and _is_open(row, moment) else None
        user = load_account(connection, row.user_id) if row and given else None
    if user is None or given is None:
        security_log.record("refresh", "refused", user_id=row.user_id if row else None, session_id=presented.session_id)
        authentication.invalidate(presented.session_id)
        raise SessionEnded("The refresh token is spent or its session has ended.")
    security_log.record("refresh", "ok", user_id=user.id, session_id=presented.session_id)
    issued_at = given.issued_at if moment - given.issued_at < HALF_LIFE else moment
    return Login.issue(user, given.refresh, issued_at, moment)


def _is_open(row: sa.Row[Any], moment: datetime) -> bool:
    is_alive = row.ended_at is None and row.disabled_at is None
    return is_alive and min(row.expires_at, row.created_at + tokens.SESSION_LIFETIME) > moment


def _rotate(
    connection: sa.Connection, row: sa.Row[Any], presented: tokens.Refresh, moment: datetime, device: devices.Device
) -> Generation | None:
    """Return the generation that a refresh token is spent for; None where the session ends."""
    if row.refresh_hash == presented.hash:
        return _add_generation(connection, row, presented, moment, device)
    repeated = _find_repeated(row, presented, moment)
    if repeated is None:
        security_log.record("refresh", "reused", user_id=row.user_id, session_id=row.id)
        connection.execute(sa.update(Session).where(Session.id == row.id).values(ended_at=moment))
        outbox.add(connection, "session_ended", row.email, row.user_id)
    return repeated


def _add_generation(
    connection: sa.Connection, row: sa.Row[Any], presented: tokens.Refresh, moment: datetime, device: devices.Device
) -> Generation:
    successor = presented.successor()
    change = {
        "refresh_hash": successor.hash,
        "access_jti": successor.jti,
        "rotated_at": moment,
        "seen_at": None,
        "previous_hash": presented.hash,
        "previous_issued_at": row.rotated_at,
        "previous_seen_at": row.seen_at or moment,
        "expires_at": min(moment + tokens.REFRESH_LIFETIME, row.created_at + tokens.SESSION_LIFETIME),
        "last_used_at": moment,
        "user_agent": device.user_agent or row.user_agent,
        "network": device.network or row.network,
    }
    connection.execute(sa.update(Session).where(Session.id == row.id).values(change))
    return Generation(successor, moment)


def _find_repeated(row: sa.Row[Any], presented: tokens.Refresh, moment: datetime) -> Generation | None:
    """Return the generation that a spent token was spent for, while its client may still need it."""
    successors = {one.hash: one for one in presented.successors()}  # also where the key was rotated in between
    if row.previous_hash == presented.hash and row.refresh_hash in successors:
        found = Generation(successors[row.refresh_hash], row.rotated_at)
        seen_at = row.seen_at
    elif row.previous_hash in successors and row.previous_issued_at is not None:
        found = Generation(successors[row.previous_hash], row.previous_issued_at)
        seen_at = row.previous_seen_at
    else:
        return None
    return found if seen_at is None or moment - seen_at <= GRACE_PERIOD else None
