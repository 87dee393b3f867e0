"""Accounts as administrators see and change them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import LastAdmin, NotFound
from chatbot.models import Session, User
from chatbot.services.accounts import recent_logins
from chatbot.services.accounts.authentication import require_admin
from chatbot.services.accounts.callers import OPERATOR, Caller
from chatbot.services.accounts.names import fold_name
from chatbot.services.accounts.state import get_accounts_state
from chatbot.services.usage import budgets
from chatbot.services.usage.budgets import BudgetState, Limit

from . import audit

FIELDS = (User.id, User.email, User.username, User.role, User.email_verified, User.created_at, User.disabled_at)


@dataclass(frozen=True, slots=True)
class ManagedAccount:
    """An account as administrators see it."""

    id: UUID
    email: str
    username: str
    role: str
    email_verified: bool
    created_at: datetime
    disabled_at: datetime | None
    budgets: tuple[BudgetState, ...] = ()

    @property
    def disabled(self) -> bool:
        """Whether the account is disabled."""
        return self.disabled_at is not None


def list_users(
    caller: Caller,
    *,
    limit: int,
    after: keyset.Key | None = None,
    q: str | None = None,
    role: str | None = None,
    disabled: bool | None = None,
) -> keyset.Page[ManagedAccount]:
    """Return up to `limit` accounts by time; `q` is a part of the name or address. Raises Forbidden."""
    require_admin(caller)
    statement = sa.select(*FIELDS).where(User.erasure_id.is_(None))
    if q is not None:
        key = fold_name(q)
        names = (User.username_key, User.email_key)
        statement = statement.where(sa.or_(*(name.contains(key, autoescape=True) for name in names)))
    if role is not None:
        statement = statement.where(User.role == role)
    if disabled is not None:
        statement = statement.where(User.disabled_at.is_not(None) if disabled else User.disabled_at.is_(None))
    order = (User.created_at, User.id)
    with read() as connection:
        page = keyset.fetch_page(connection, statement, ManagedAccount, order=order, limit=limit, after=after)
        states = budgets.load_of_users(connection, [account.id for account in page.items])
    return replace(page, items=[replace(one, budgets=tuple(states.get(one.id, ()))) for one in page.items])


def change_user(
    caller: Caller,
    user_id: UUID,
    *,
    role: str | None = None,
    disabled: bool | None = None,
    limits: Sequence[Limit] | None = None,
) -> ManagedAccount:
    """Change an account's role, or disable it, which ends its sessions, or enable it, or set its budgets.

    `limits` take the place of all that it has. Raises Forbidden, NotFound, LastAdmin where no administrator would be
    left, ReauthenticationRequired.
    """
    require_admin(caller)
    with write("change_user") as connection:
        recent_logins.require(connection, caller)
        account = _change(connection, caller, user_id, role=role, disabled=disabled)
        if limits is not None:
            account = _set_limits(connection, caller, account, limits)
    get_accounts_state().credential_cache.clear()
    return account


def _change(
    connection: sa.Connection, caller: Caller, user_id: UUID, *, role: str | None = None, disabled: bool | None = None
) -> ManagedAccount:
    """Change an account and record it; the operator may disable the last administrator, perhaps an intruder."""
    stays_admin = role != "user" and (disabled is not True or caller is OPERATOR)
    if not stays_admin:
        require_other_admin(connection, user_id)
    previous = _load(connection, user_id)
    values: dict[str, Any] = {}
    if role is not None:
        values["role"] = role
    if disabled is not None:
        values["disabled_at"] = (previous.disabled_at or now()) if disabled else None
    if values:
        connection.execute(sa.update(User).where(User.id == user_id).values(values))
    if disabled:
        _end_sessions(connection, user_id)
    account = _load(connection, user_id)
    names = [name for name in ("role", "disabled") if getattr(account, name) != getattr(previous, name)]
    changes = {name: getattr(account, name) for name in names}
    if changes:
        audit.record(connection, caller, "user_changed", user_id, **changes)
    return account


def verify_email(caller: Caller, user_id: UUID) -> ManagedAccount:
    """Call an account's e-mail address verified, where no mail can; raises Forbidden, NotFound."""
    require_admin(caller)
    with write("verify_email_of_user") as connection:
        connection.execute(sa.update(User).where(User.id == user_id).values(email_verified=True))
        audit.record(connection, caller, "user_changed", user_id, email_verified=True)
        return _load(connection, user_id)


def _set_limits(
    connection: sa.Connection, caller: Caller, account: ManagedAccount, limits: Sequence[Limit]
) -> ManagedAccount:
    """Set an account's budgets and record it."""
    budgets.replace_limits(connection, account.id, limits)
    audit.record(connection, caller, "user_changed", account.id, budgets=[asdict(limit) for limit in limits])
    return _load(connection, account.id)


def end_sessions(caller: Caller, user_id: UUID) -> None:
    """End all sessions of a user; their API keys go on. Raises Forbidden, NotFound."""
    require_admin(caller)
    with write("end_sessions_of_user") as connection:
        _load(connection, user_id)
        number = _end_sessions(connection, user_id)
        audit.record(connection, caller, "sessions_ended", user_id, sessions=number)
    get_accounts_state().credential_cache.clear()


def find_user_id(email: str) -> UUID:
    """Return the id of the account with an e-mail address; raises NotFound."""
    with read() as connection:
        user_id = connection.scalar(sa.select(User.id).where(User.email_key == fold_name(email)))
    if user_id is None:
        raise NotFound(f"There is no account with the e-mail address {email}.")
    return user_id


def require_other_admin(connection: sa.Connection, user_id: UUID) -> None:
    """Raise LastAdmin where an account is the only administrator.

    All of them stay locked until the transaction ends, in the order of their ids: two could step down at once.
    """
    is_admin = (User.role == "admin", User.disabled_at.is_(None))
    statement = sa.select(User.id).where(*is_admin).order_by(User.id).with_for_update(key_share=True)
    if connection.scalars(statement).all() == [user_id]:
        raise LastAdmin("Make another account an administrator first.")


def _end_sessions(connection: sa.Connection, user_id: UUID) -> int:
    is_open = (Session.user_id == user_id, Session.ended_at.is_(None))
    return connection.execute(sa.update(Session).where(*is_open).values(ended_at=now())).rowcount


def _load(connection: sa.Connection, user_id: UUID) -> ManagedAccount:
    row = connection.execute(sa.select(*FIELDS).where(User.id == user_id, User.erasure_id.is_(None))).one_or_none()
    if row is None:
        raise NotFound("There is no such user.")
    states = budgets.load_of_users(connection, [user_id])
    return ManagedAccount(**row._mapping, budgets=tuple(states.get(user_id, ())))
