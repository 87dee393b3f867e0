"""Accounts: sign up, rename, change the password."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import EmailTaken, InvalidCredentials, NotFound, Unauthenticated, UsernameTaken
from chatbot.models import Session, User
from chatbot.observability import security_log

from . import authentication, passwords
from .callers import Caller
from .mails import mail_tokens, outbox
from .names import fold_name, refuse_unfoldable

FIELDS = (User.id, User.email, User.username, User.role, User.email_verified, User.created_at)


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its owner sees it."""

    id: UUID
    email: str
    username: str
    role: str
    email_verified: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """A password as it is stored, and the names of its account."""

    email: str
    username: str
    password_hash: str


def sign_up(email: str, username: str, password: str, *, role: str = "user") -> Account:
    """Make an account and return it.

    Raises EmailTaken, UsernameTaken, InvalidInput (a common password), Busy.
    """
    refuse_unfoldable(email=email, username=username)
    passwords.refuse_common(password, email, username)
    with read() as connection:
        refuse_taken(connection, email, username)
    user_id = uuid7()
    values = {
        "id": user_id,
        "email": email,
        "email_key": fold_name(email),
        "username": username,
        "username_key": fold_name(username),
        "password_hash": passwords.hash_password(password),
        "role": role,
    }
    try:
        with write("sign_up") as connection:
            connection.execute(sa.insert(User).values(values))
            outbox.add(connection, "verification", email, user_id)
            user = load_account(connection, user_id)
    except IntegrityError:
        with read() as connection:
            refuse_taken(connection, email, username)
        raise
    security_log.record("signup", "ok", user_id=user_id)
    return user


def get_account(caller: Caller) -> Account:
    """Return the caller's account."""
    with read() as connection:
        return load_account(connection, caller.user_id)


def rename(caller: Caller, username: str) -> Account:
    """Change the caller's username; raises UsernameTaken, InvalidInput."""
    refuse_unfoldable(username=username)
    values = {"username": username, "username_key": fold_name(username)}
    try:
        with write("rename", contention_key=caller.user_id) as connection:
            connection.execute(sa.update(User).where(User.id == caller.user_id).values(values))
            return load_account(connection, caller.user_id)
    except IntegrityError as error:
        raise UsernameTaken("This username is taken.") from error


def change_password(caller: Caller, current_password: str, new_password: str) -> None:
    """Change the caller's password and end all their other sessions.

    Raises InvalidCredentials (the current password is wrong), InvalidInput (the new one is a common one), Busy,
    Unauthenticated (the account was disabled).
    """
    found = require_password(caller, current_password, event="password")
    passwords.refuse_common(new_password, found.email, found.username, field="new_password")
    password_hash = passwords.hash_password(new_password)
    with write("change_password") as connection:
        is_current = is_unchanged(connection, caller.user_id, found.password_hash)
        ended = _replace_password(connection, caller, password_hash) if is_current else None
        if is_current:
            mail_tokens.revoke(connection, caller.user_id)
            outbox.add(connection, "password_changed", found.email, caller.user_id)
    if ended is None:  # the hash was keyed anew by a login, or the password changed, since it was read
        change_password(caller, current_password, new_password)
        return
    for session_id in ended:
        authentication.invalidate(session_id)
    security_log.record("password", "changed", sessions_ended=len(ended), **caller.to_log_fields())


def require_password(caller: Caller, password: str, *, event: str) -> StoredPassword:
    """Return the caller's stored password if this is it; raises InvalidCredentials, Busy, Unauthenticated.

    A wrong one is in the security log, under the name of an event.
    """
    with read() as connection:
        statement = sa.select(User.email, User.username, User.password_hash)
        conditions = (User.id == caller.user_id, User.disabled_at.is_(None))
        found = connection.execute(statement.where(*conditions)).one_or_none()
    if found is None:
        raise Unauthenticated("The session has ended.")
    if not passwords.verify_password(password, found.password_hash):
        security_log.record(event, "failed", **caller.to_log_fields())
        raise InvalidCredentials("The current password is wrong.")
    return StoredPassword(**found._mapping)


def find_caller_by_email(email: str) -> Caller:
    """Return the account with this e-mail address as a caller, for an operator's command; raises NotFound."""
    with read() as connection:
        statement = sa.select(User.id, User.role).where(User.email_key == fold_name(email), User.disabled_at.is_(None))
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound(f"There is no account with the e-mail address {email}.")
    return Caller(row.id, UUID(int=0), row.role)


def refuse_taken(connection: sa.Connection, email: str, username: str) -> None:
    """Raise EmailTaken or UsernameTaken for a name that another account has."""
    if connection.scalar(sa.select(User.id).where(User.email_key == fold_name(email))):
        raise EmailTaken("This e-mail address is taken.")
    if connection.scalar(sa.select(User.id).where(User.username_key == fold_name(username))):
        raise UsernameTaken("This username is taken.")


def is_unchanged(connection: sa.Connection, user_id: UUID, password_hash: str) -> bool:
    """Return whether an account still has this hash and is not disabled; it stays so until the transaction ends."""
    wanted = (User.id == user_id, User.password_hash == password_hash, User.disabled_at.is_(None))
    return connection.scalar(sa.select(User.id).where(*wanted).with_for_update(key_share=True)) is not None


def _replace_password(connection: sa.Connection, caller: Caller, password_hash: str) -> Sequence[UUID]:
    """Store a password's hash and end the user's other sessions; return their ids."""
    connection.execute(sa.update(User).where(User.id == caller.user_id).values(password_hash=password_hash))
    others = (Session.user_id == caller.user_id, Session.id != caller.credential_id, Session.ended_at.is_(None))
    return connection.scalars(sa.update(Session).where(*others).values(ended_at=now()).returning(Session.id)).all()


def load_account(connection: sa.Connection, user_id: UUID) -> Account:
    """Return an account; raises Unauthenticated for one that was deleted."""
    row = connection.execute(sa.select(*FIELDS).where(User.id == user_id)).one_or_none()
    if row is None:
        raise Unauthenticated("The account was deleted.")
    return Account(**row._mapping)
