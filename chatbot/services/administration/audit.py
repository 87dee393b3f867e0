"""The audit log: acts of administrators, recorded in the transactions of the acts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

import sqlalchemy as sa

from chatbot.database import keyset
from chatbot.database.transactions import read
from chatbot.models import AuditEntry, User
from chatbot.observability import security_log
from chatbot.services.accounts.authentication import require_admin
from chatbot.services.accounts.callers import OPERATOR, Caller

ReadAction = Literal["turn_read", "trace_read"]
Action = Literal["user_changed", "sessions_ended"] | ReadAction
READ_ACTIONS: tuple[ReadAction, ...] = get_args(ReadAction)


@dataclass(frozen=True, slots=True)
class Entry:
    """An act of an administrator; the actor is None for the operator's commands, and once their account is gone."""

    id: UUID
    at: datetime
    actor_id: UUID | None
    actor: str | None
    action: str
    user_id: UUID | None
    reason: str | None
    details: dict[str, Any]


def record(
    connection: sa.Connection,
    caller: Caller,
    action: Action,
    user_id: UUID,
    *,
    reason: str | None = None,
    **details: Any,
) -> None:
    """Record an act in its transaction."""
    actor_id = None if caller is OPERATOR else caller.user_id
    values = {"actor_id": actor_id, "action": action, "user_id": user_id, "reason": reason, "details": details}
    connection.execute(sa.insert(AuditEntry).values(values))
    security_log.record("administration", action, **caller.to_log_fields(), subject=user_id, **details)


def list_entries(
    caller: Caller, *, limit: int, after: keyset.Key | None = None, user_id: UUID | None = None
) -> keyset.Page[Entry]:
    """Return up to `limit` acts of administrators, the newest first; of one user where named. Raises Forbidden."""
    require_admin(caller)
    return _fetch(limit, after, *([] if user_id is None else [AuditEntry.user_id == user_id]))


def list_accesses(caller: Caller, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[Entry]:
    """Return up to `limit` of the times at which administrators read the caller's data, the newest first."""
    return _fetch(limit, after, AuditEntry.user_id == caller.user_id, AuditEntry.action.in_(READ_ACTIONS))


def _fetch(limit: int, after: keyset.Key | None, *conditions: sa.ColumnElement[bool]) -> keyset.Page[Entry]:
    statement = sa.select(AuditEntry.__table__, User.username.label("actor"))
    statement = statement.join(User, User.id == AuditEntry.actor_id, isouter=True).where(*conditions)
    order = (AuditEntry.at, AuditEntry.id)
    with read() as connection:
        return keyset.fetch_page(connection, statement, Entry, order=order, limit=limit, after=after, descending=True)
