"""From a credential to a caller, the same for every door."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from cachetools import TTLCache

from chatbot.database.transactions import read
from chatbot.errors import Unauthenticated
from chatbot.models import Session, User

from . import tokens

SECONDS = 5  # how long another process's logout or disabling may stay unnoticed


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and through which session."""

    user_id: UUID
    session_id: UUID
    role: str


OPERATOR = Caller(UUID(int=0), UUID(int=0), "admin")  # whoever runs `flask` commands; has no account
_sessions: TTLCache[UUID, Caller] = TTLCache(maxsize=100_000, ttl=SECONDS)
_forgotten = 0  # how often `forget` was called


def authenticate(credential: str) -> Caller:
    """Return who shows this credential; raises Unauthenticated when it is none that is valid now."""
    claims = tokens.read_access(credential)
    caller = _sessions.get(claims.session_id) or _look_up(claims.session_id)
    if caller.user_id != claims.user_id:
        raise Unauthenticated("The access token is not valid.")
    return caller


def require_open(caller: Caller) -> None:
    """Raise Unauthenticated when the caller's session has ended, within SECONDS."""
    if _sessions.get(caller.session_id) is None:
        _look_up(caller.session_id)


def forget(session_id: UUID) -> None:
    """Ask the database again about a session at its next call."""
    global _forgotten
    _forgotten += 1
    _sessions.pop(session_id, None)


def _look_up(session_id: UUID) -> Caller:
    statement = (
        sa.select(Session.user_id, User.role)
        .join(User, User.id == Session.user_id)
        .where(
            Session.id == session_id,
            Session.ended_at.is_(None),
            Session.expires_at > datetime.now(UTC),
            User.disabled_at.is_(None),
        )
    )
    forgotten = _forgotten
    with read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise Unauthenticated("The session has ended.")
    caller = Caller(row.user_id, session_id, row.role)
    if forgotten == _forgotten:  # else it may have ended since we read
        _sessions[session_id] = caller
    return caller
