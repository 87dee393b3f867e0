"""Sessions: log in, log out, list and end them."""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Busy, InvalidCredentials, NotFound
from chatbot.models import Session, User
from chatbot.observability import security_log

from . import authentication, devices, passwords, tokens
from .accounts import Account, is_unchanged, load_account
from .callers import Caller
from .names import fold_name


@dataclass(frozen=True, slots=True)
class Login:
    """A new pair of tokens, and the account."""

    access_token: str
    refresh_token: str
    expires_in: int  # seconds until the access token expires
    user: Account
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret

    @classmethod
    def issue(cls, user: Account, refresh: tokens.Refresh, issued_at: datetime, moment: datetime) -> "Login":
        """Return the pair of a refresh token, with an access token of some time."""
        passed = int(moment.timestamp()) - int(issued_at.timestamp())
        expires_in = int(tokens.ACCESS_LIFETIME.total_seconds()) - passed
        return cls(tokens.access(user.id, refresh, issued_at), refresh.token, expires_in, user)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as its user sees it; `current` is that of the request."""

    id: UUID
    device: str
    address: str | None  # the network of the last login or refresh
    created_at: datetime
    last_used_at: datetime
    current: bool


def log_in(email: str, password: str, device: devices.Device = devices.UNKNOWN) -> Login:
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
        user = _insert_session(connection, found.id, refresh, moment, device) if is_current else None
    if user is None:  # the password was changed, keyed anew, or the account disabled, since it was read
        return log_in(email, password, device)
    security_log.record("login", "ok", user_id=found.id, session_id=refresh.session_id)
    return Login.issue(user, refresh, moment, moment)


def log_out(caller: Caller) -> None:
    """End the caller's session: here at once, elsewhere within `credential_cache.CREDENTIAL_CACHE_SECONDS`."""
    with write("log_out") as connection:
        connection.execute(sa.update(Session).where(Session.id == caller.credential_id).values(ended_at=now()))
    authentication.invalidate(caller.credential_id)
    security_log.record("logout", "ok", user_id=caller.user_id, session_id=caller.credential_id)


def list_sessions(caller: Caller, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[OpenSession]:
    """Return up to `limit` of the caller's open sessions, the newest first."""
    used_at = sa.func.coalesce(Session.last_used_at, Session.rotated_at).label("last_used_at")
    columns = (Session.id, Session.user_agent, Session.network.label("address"), Session.created_at, used_at)
    statement = sa.select(*columns).where(*_are_open(caller))

    def build(id: UUID, user_agent: str | None, **facts: Any) -> OpenSession:
        device = devices.name_device(user_agent)
        return OpenSession(id, device, **facts, current=id == caller.credential_id)

    order = (Session.created_at, Session.id)
    with read() as connection:
        return keyset.fetch_page(connection, statement, build, order=order, limit=limit, after=after, descending=True)


def end(caller: Caller, session_id: UUID) -> None:
    """End a session of the caller's; raises NotFound."""
    if not _end(caller, Session.id == session_id):
        raise NotFound("There is no such session.")


def end_others(caller: Caller) -> None:
    """End all sessions of the caller's but that of the request."""
    _end(caller, Session.id != caller.credential_id)


def _end(caller: Caller, condition: sa.ColumnElement[bool]) -> int:
    """End sessions: here at once, elsewhere within `credential_cache.CREDENTIAL_CACHE_SECONDS`; return their number."""
    with write("end_sessions") as connection:
        statement = sa.update(Session).where(*_are_open(caller), condition).values(ended_at=now())
        ended = connection.scalars(statement.returning(Session.id)).all()
    for session_id in ended:
        authentication.invalidate(session_id)
        security_log.record("session", "ended", **caller.to_log_fields(), ended=session_id)
    return len(ended)


def _are_open(caller: Caller) -> tuple[sa.ColumnElement[bool], ...]:
    return Session.user_id == caller.user_id, Session.ended_at.is_(None), Session.expires_at > now()


def _insert_session(
    connection: sa.Connection, user_id: UUID, refresh: tokens.Refresh, moment: datetime, device: devices.Device
) -> Account:
    """Insert a session; return its account."""
    values = {
        "id": refresh.session_id,
        "user_id": user_id,
        "refresh_hash": refresh.hash,
        "access_jti": refresh.jti,
        "created_at": moment,
        "rotated_at": moment,
        "last_used_at": moment,
        "expires_at": moment + tokens.REFRESH_LIFETIME,
        "user_agent": device.user_agent,
        "network": device.network,
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
