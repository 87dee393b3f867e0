"""Accounts and sessions: sign up, log in, refresh, log out, change the password, disable."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Busy, EmailTaken, InvalidCredentials, InvalidInput, NotFound, Unauthenticated, UsernameTaken
from chatbot.models import Session, User
from chatbot.models.auth import LONGEST_EMAIL_KEY, LONGEST_USERNAME_KEY
from chatbot.observability import security_log
from chatbot.rag.text import normalization

from . import authentication, passwords, tokens
from .authentication import Caller

GRACE = timedelta(seconds=10)  # in which a spent refresh token gets its lost answer again
FIELDS = (User.id, User.email, User.username, User.role, User.email_verified, User.created_at)


@dataclass(frozen=True, slots=True)
class Login:
    """A new pair of tokens and whose it is."""

    access_token: str
    refresh_token: str
    user: dict[str, Any]
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret
    expires_in: int = int(tokens.ACCESS_LIFETIME.total_seconds())


def folded(name: str) -> str:
    """Return the form in which two names are the same (Unicode 3.13, caseless matching)."""
    return normalization.casefold_nfkc(name)


def sign_up(email: str, username: str, password: str, *, role: str = "user") -> dict[str, Any]:
    """Make an account and return it.

    Raises EmailTaken, UsernameTaken, InvalidInput (a common password), Busy.
    """
    _refuse_unfoldable(email=email, username=username)
    passwords.refuse_common(password, email, username)
    with read() as connection:
        _refuse_taken(connection, email, username)
    user_id = uuid7()
    values = {
        "id": user_id,
        "email": email,
        "email_key": folded(email),
        "username": username,
        "username_key": folded(username),
        "password_hash": passwords.digest(password),
        "role": role,
    }
    try:
        with write("sign_up") as connection:
            connection.execute(sa.insert(User).values(values))
            user = _user(connection, user_id)
    except IntegrityError:
        with read() as connection:
            _refuse_taken(connection, email, username)
        raise
    security_log.record("signup", "ok", user_id=user_id)
    return user


def log_in(email: str, password: str) -> Login:
    """Open a session; raises InvalidCredentials, in the same time whatever is wrong, and Busy."""
    with read() as connection:
        statement = sa.select(User.id, User.password_hash, User.disabled_at).where(User.email_key == folded(email))
        found = connection.execute(statement).one_or_none()
    matches = passwords.verify(password, found.password_hash if found else None)
    if found is None or not matches or found.disabled_at is not None:
        account = security_log.account_hash(folded(email))
        security_log.record("login", "failed", user_id=found.id if found else None, account=account)
        raise InvalidCredentials("The e-mail address or the password is wrong.")
    stored = found.password_hash
    with contextlib.suppress(Busy):  # then the next login keys it anew
        if passwords.is_outdated(password, stored):
            stored = _rehash(found.id, stored, password)
    moment = now()
    refresh = tokens.new_refresh(uuid7())
    with write("log_in") as connection:
        unchanged = _is_unchanged(connection, found.id, stored)
        user = _open(connection, found.id, refresh, moment) if unchanged else None
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
        user = _user(connection, row.user_id) if row and rotated else None
    if user is None or rotated is None:
        security_log.record("refresh", "refused", user_id=row.user_id if row else None, session_id=presented.session_id)
        authentication.forget(presented.session_id)
        raise Unauthenticated("The refresh token is spent or its session has ended.")
    successor, rotated_at = rotated
    security_log.record("refresh", "ok", user_id=user["id"], session_id=successor.session_id)
    return Login(tokens.access(user["id"], successor, rotated_at), successor.token, user)


def log_out(caller: Caller) -> None:
    """End the caller's session: at once in this process, within `authentication.SECONDS` in others."""
    with write("log_out") as connection:
        connection.execute(sa.update(Session).where(Session.id == caller.session_id).values(ended_at=now()))
    authentication.forget(caller.session_id)
    security_log.record("logout", "ok", user_id=caller.user_id, session_id=caller.session_id)


def me(caller: Caller) -> dict[str, Any]:
    """Return the caller's account."""
    with read() as connection:
        return _user(connection, caller.user_id)


def rename(caller: Caller, username: str) -> dict[str, Any]:
    """Change the caller's username; raises UsernameTaken, InvalidInput."""
    _refuse_unfoldable(username=username)
    values = {"username": username, "username_key": folded(username)}
    try:
        with write("rename", waits_as=caller.user_id) as connection:
            connection.execute(sa.update(User).where(User.id == caller.user_id).values(values))
            return _user(connection, caller.user_id)
    except IntegrityError as error:
        raise UsernameTaken("This username is taken.") from error


def change_password(caller: Caller, current_password: str, new_password: str) -> None:
    """Change the caller's password and end all their other sessions.

    Raises InvalidCredentials (the current password is wrong), InvalidInput (the new one is a common one), Busy,
    Unauthenticated (the account was disabled).
    """
    with read() as connection:
        statement = sa.select(User.email, User.username, User.password_hash)
        mine = (User.id == caller.user_id, User.disabled_at.is_(None))
        found = connection.execute(statement.where(*mine)).one_or_none()
    if found is None:
        raise Unauthenticated("The session has ended.")
    facts = {"user_id": caller.user_id, "session_id": caller.session_id}
    if not passwords.verify(current_password, found.password_hash):
        security_log.record("password", "failed", **facts)
        raise InvalidCredentials("The current password is wrong.")
    passwords.refuse_common(new_password, found.email, found.username, field="new_password")
    password_hash = passwords.digest(new_password)
    with write("change_password") as connection:
        is_unchanged = _is_unchanged(connection, caller.user_id, found.password_hash)
        ended = _replace_password(connection, caller, password_hash) if is_unchanged else None
    if ended is None:  # the hash was keyed anew by a login, or the password changed, since it was read
        change_password(caller, current_password, new_password)
        return
    for session_id in ended:
        authentication.forget(session_id)
    security_log.record("password", "changed", sessions_ended=len(ended), **facts)


def disable(email: str) -> dict[str, Any]:
    """Shut an account and end its sessions; raises NotFound."""
    with write("disable") as connection:
        user_id = connection.scalar(sa.select(User.id).where(User.email_key == folded(email)))
        if user_id is None:
            raise NotFound(f"There is no account with the e-mail address {email}.")
        connection.execute(sa.update(User).where(User.id == user_id).values(disabled_at=now()))
        connection.execute(
            sa.update(Session).where(Session.user_id == user_id, Session.ended_at.is_(None)).values(ended_at=now())
        )
        security_log.record("disable", "ok", user_id=user_id)
        return _user(connection, user_id)


def caller_of(email: str) -> Caller:
    """Return the account with this e-mail address as a caller, for an operator who acts for it; raises NotFound."""
    with read() as connection:
        statement = sa.select(User.id, User.role).where(User.email_key == folded(email), User.disabled_at.is_(None))
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound(f"There is no account with the e-mail address {email}.")
    return Caller(row.id, UUID(int=0), row.role)


def enable(email: str) -> dict[str, Any]:
    """Open an account again; its old sessions stay ended. Raises NotFound."""
    with write("enable") as connection:
        statement = sa.update(User).where(User.email_key == folded(email)).values(disabled_at=None)
        user_id = connection.scalar(statement.returning(User.id))
        if user_id is None:
            raise NotFound(f"There is no account with the e-mail address {email}.")
        security_log.record("enable", "ok", user_id=user_id)
        return _user(connection, user_id)


def _rotate(
    connection: sa.Connection, row: sa.Row[Any], presented: tokens.Refresh
) -> tuple[tokens.Refresh, datetime] | None:
    """Move a session on; return the successor and the moment when that happened first, None where the session ends."""
    moment = now()
    latest = row.created_at + tokens.SESSION_LIFETIME
    if row.ended_at is not None or min(row.expires_at, latest) <= moment:
        return None
    if row.previous_hash == presented.hash and moment - row.rotated_at <= GRACE:
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


def _refuse_unfoldable(**names: str) -> None:
    """Raise InvalidInput for a name whose folded form outgrows its column: U+FDFA alone becomes 18 characters."""
    longest = {"email": LONGEST_EMAIL_KEY, "username": LONGEST_USERNAME_KEY}
    errors = {
        field: ["Has too many unusual characters."]
        for field, name in names.items()
        if len(folded(name)) > longest[field]
    }
    if errors:
        raise InvalidInput(errors)


def _refuse_taken(connection: sa.Connection, email: str, username: str) -> None:
    if connection.scalar(sa.select(User.id).where(User.email_key == folded(email))):
        raise EmailTaken("This e-mail address is taken.")
    if connection.scalar(sa.select(User.id).where(User.username_key == folded(username))):
        raise UsernameTaken("This username is taken.")


def _is_unchanged(connection: sa.Connection, user_id: UUID, password_hash: str) -> bool:
    """Return whether an account still has this hash and is not disabled; it stays so until the transaction ends."""
    wanted = (User.id == user_id, User.password_hash == password_hash, User.disabled_at.is_(None))
    return connection.scalar(sa.select(User.id).where(*wanted).with_for_update(key_share=True)) is not None


def _replace_password(connection: sa.Connection, caller: Caller, password_hash: str) -> Sequence[UUID]:
    """Store a password's hash and end the user's other sessions; return their ids."""
    connection.execute(sa.update(User).where(User.id == caller.user_id).values(password_hash=password_hash))
    others = (Session.user_id == caller.user_id, Session.id != caller.session_id, Session.ended_at.is_(None))
    return connection.scalars(sa.update(Session).where(*others).values(ended_at=now()).returning(Session.id)).all()


def _open(connection: sa.Connection, user_id: UUID, refresh: tokens.Refresh, moment: datetime) -> dict[str, Any]:
    """Insert a session; return whose it is."""
    values = {
        "id": refresh.session_id,
        "user_id": user_id,
        "refresh_hash": refresh.hash,
        "created_at": moment,
        "rotated_at": moment,
        "expires_at": moment + tokens.REFRESH_LIFETIME,
    }
    connection.execute(sa.insert(Session).values(values))
    return _user(connection, user_id)


def _rehash(user_id: UUID, old: str, password: str) -> str:
    """Store a password's hash at today's cost and under today's key; return it."""
    password_hash = passwords.digest(password)
    statement = sa.update(User).where(User.id == user_id, User.password_hash == old)
    with write("rehash") as connection:
        connection.execute(statement.values(password_hash=password_hash))
    return password_hash


def _user(connection: sa.Connection, user_id: UUID) -> dict[str, Any]:
    return dict(connection.execute(sa.select(*FIELDS).where(User.id == user_id)).one()._mapping)
