"""Authenticate credentials, the same for every entry point."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.errors import Unauthenticated
from chatbot.models import Session, User

from . import tokens
from .callers import Caller
from .state import get_accounts_state


def authenticate(credential: str) -> Caller:
    """Return the caller of an access token; raises Unauthenticated unless it is valid and its session open."""
    claims = tokens.read_access(credential)
    caller = get_accounts_state().session_cache.get(claims.session_id) or _look_up(claims.session_id)
    if caller.user_id != claims.user_id:
        raise Unauthenticated("The access token is not valid.")
    return caller


def require_open(caller: Caller) -> None:
    """Raise Unauthenticated when the caller's session has ended, within `session_cache.SESSION_CACHE_SECONDS`."""
    if get_accounts_state().session_cache.get(caller.session_id) is None:
        _look_up(caller.session_id)


def invalidate_session(session_id: UUID) -> None:
    """Let the database be asked about a session at its next request."""
    get_accounts_state().session_cache.invalidate(session_id)


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
    cache = get_accounts_state().session_cache
    generation = cache.generation
    with read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise Unauthenticated("The session has ended.")
    caller = Caller(row.user_id, session_id, row.role)
    cache.add(caller, generation)
    return caller
