"""Sessions: log in, refresh, log out."""

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Busy, InvalidCredentials, Unauthenticated
from chatbot.models import Session, User
from chatbot.observability import security_log

from . import authentication, passwords, tokens
from .accounts import Account, fold_name, is_unchanged, load_account
from .callers import Caller

REFRESH_GRACE_PERIOD = timedelta(seconds=10)  # in which a spent refresh token gets its lost answer again


@dataclass(frozen=True, slots=True)
class Login:
    """A new pair of tokens, and the account."""

    access_token: str
    refresh_token: str
    user: Account
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret
    expires_in: int = int(tokens.ACCESS_LIFETIME.total_seconds())


def log_in(email: str, password: str) -> Login:
    """Open a session; raises InvalidCredentials, after the same time for each reason, and Busy."""
    with read() as connection:
        statement = sa.select(User.id, User.password_hash, User.disabled_at).where(User.email_key == fold_name(email))
        found = connection.execute(statement).one_or_none()
    matches = passwords.verify_password(password, found.password_hash if found else None)
    if found is None or not matches or found.disabled_at is not None:
        account = security_log.hash_account_name(fold_name(email))
        security_log.record("login", "failed", user_id=found.id if found else None, account=account)
        raise InvalidCredentials("The e-mail address or the password is wrong.")
    stored = found.password_hash
    with contextlib.suppress(Busy):  # then the next login keys it anew
        if passwords.is_outdated(password, stored):
            stored = _rehash(found.id, stored, password)
    moment = now()
    refresh = tokens.new_refresh(uuid7())
    with write("log_in") as connection:
        is_current = is_unchanged(connection, found.id, stored)
        user = _insert_session(connection, found.id, refresh, moment) if is_current else None
    if user is None:  # the password was changed, keyed anew, or the account disabled, since it was read
        return log_in(email, password)
    security_log.record("login", "ok", user_id=found.id, session_id=refresh.session_id)
    return Login(tokens.access(found.id, refresh, moment), refresh.token, user)


def refresh(token: str) -> Login:
    """Spend a refresh token for a new pair.

    The same token again within 10 s gets the same pair; later reuse ends the session. Raises Unauthenticated.
    """
    presented = tokens.read_refresh(token)
    with write("refresh") as connection:
        row = connection.execute(
            sa.select(Session.__table__, User.disabled_at)
            .join(User, User.id == Session.user_id)
            .where(Session.id == presented.session_id)
            .with_for_update(of=Session.__table__)
        ).one_or_none()
        rotated = _rotate(connection, row, presented) if row and not row.disabled_at else None
        user = load_account(connection, row.user_id) if row and rotated else None
    if user is None or rotated is None:
        security_log.record("refresh", "refused", user_id=row.user_id if row else None, session_id=presented.session_id)
        authentication.invalidate(presented.session_id)
        raise Unauthenticated("The refresh token is spent or its session has ended.")
    successor, rotated_at = rotated
    security_log.record("refresh", "ok", user_id=user.id, session_id=successor.session_id)
    return Login(tokens.access(user.id, successor, rotated_at), successor.token, user)


def log_out(caller: Caller) -> None:
    """End the caller's session: here at once, elsewhere within `credential_cache.CREDENTIAL_CACHE_SECONDS`."""
    with write("log_out") as connection:
        connection.execute(sa.update(Session).where(Session.id == caller.credential_id).values(ended_at=now()))
    authentication.invalidate(caller.credential_id)
    security_log.record("logout", "ok", user_id=caller.user_id, session_id=caller.credential_id)


def _rotate(
    connection: sa.Connection, row: sa.Row[Any], presented: tokens.Refresh
) -> tuple[tokens.Refresh, datetime] | None:
    """Rotate the refresh token; return the successor and the time of its first use, or None where the session ends."""
    moment = now()
    latest = row.created_at + tokens.SESSION_LIFETIME
    if row.ended_at is not None or min(row.expires_at, latest) <= moment:
        return None
    if row.previous_hash == presented.hash and moment - row.rotated_at <= REFRESH_GRACE_PERIOD:
        # A lost answer is computed again, also where the key was rotated in between.
        found = next((one for one in presented.successors() if one.hash == row.refresh_hash), None)
        return None if found is None else (found, row.rotated_at)
    if row.refresh_hash != presented.hash:
        security_log.record("refresh", "reused", user_id=row.user_id, session_id=row.id)
        connection.execute(sa.update(Session).where(Session.id == row.id).values(ended_at=moment))
        return None
    successor = presented.successor()
    change = {
        "refresh_hash": successor.hash,
        "previous_hash": presented.hash,
        "rotated_at": moment,
        "expires_at": min(moment + tokens.REFRESH_LIFETIME, latest),
    }
    connection.execute(sa.update(Session).where(Session.id == row.id).values(change))
    return successor, moment


def _insert_session(connection: sa.Connection, user_id: UUID, refresh: tokens.Refresh, moment: datetime) -> Account:
    """Insert a session; return its account."""
    values = {
        "id": refresh.session_id,
        "user_id": user_id,
        "refresh_hash": refresh.hash,
        "created_at": moment,
        "rotated_at": moment,
        "expires_at": moment + tokens.REFRESH_LIFETIME,
    }
    connection.execute(sa.insert(Session).values(values))
    return load_account(connection, user_id)


def _rehash(user_id: UUID, old: str, password: str) -> str:
    """Store a password's hash at today's cost and under today's key; return it."""
    password_hash = passwords.hash_password(password)
    statement = sa.update(User).where(User.id == user_id, User.password_hash == old)
    with write("rehash") as connection:
        connection.execute(statement.values(password_hash=password_hash))
    return password_hash
