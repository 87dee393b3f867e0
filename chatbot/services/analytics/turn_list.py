"""The turns behind a report: rows of the ledger, which have no text."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.keyset import Key, Page
from chatbot.database.transactions import read
from chatbot.models import LedgerEntry
from chatbot.services.accounts.authentication import require_admin
from chatbot.services.accounts.callers import Caller
from chatbot.services.usage.ledger import to_milliseconds
from chatbot.services.usage.sums import build_time_conditions, split_span

from .periods import Period


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """The usage of a turn; `error` is the name of an error's class, None of turns without one.

    `user_id` is None where the account was deleted, `micro_usd` where the model has no price.
    """

    at: datetime
    turn_id: UUID
    user_id: UUID | None
    api_key_id: UUID | None
    conversation_id: UUID | None
    room_id: UUID | None
    entry: str
    model: str | None
    status: str
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    micro_usd: int | None
    first_text_ms: int | None
    total_ms: int | None
    passages: int | None
    grounded: float | None
    rating: int | None


ORDER = (LedgerEntry.opened_at_ms, LedgerEntry.turn_id)
COLUMNS = [LedgerEntry.opened_at_ms, *(getattr(LedgerEntry, one.name) for one in fields(TurnUsage)[1:])]


def list_turns(
    caller: Caller, period: Period, *, status: str | None = None, limit: int = 50, after: Key | None = None
) -> Page[TurnUsage]:
    """Return turns of all users, the newest first, perhaps those of one status alone; raises Forbidden."""
    require_admin(caller)
    span = (period.start_ms, period.end_ms)
    if after:
        span = (period.start_ms, min(period.end_ms, to_milliseconds(after[0]) + 1))
    rows: list[sa.Row[*tuple[Any, ...]]] = []
    with read() as connection:
        # No index has the status: few turns may have it among many.
        parts = split_span(connection, span) if status else [span]
        while parts and len(rows) <= limit:
            statement = _select_turns(parts.pop(), status, after)
            rows += connection.execute(statement.limit(limit + 1 - len(rows)))
    items = [TurnUsage(datetime.fromtimestamp(row[0] / 1000, UTC), *row[1:]) for row in rows[:limit]]
    return Page(items, (items[-1].at, items[-1].turn_id) if len(rows) > limit else None)


def _select_turns(span: tuple[int, int], status: str | None, after: Key | None) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the turns of a time, the newest first."""
    statement = sa.select(*COLUMNS).where(*build_time_conditions(*span))
    if status:
        statement = statement.where(LedgerEntry.status == status)
    if after:
        last = (to_milliseconds(after[0]), after[1])
        key = (sa.literal(value, column.type) for value, column in zip(last, ORDER, strict=True))
        statement = statement.where(sa.tuple_(*ORDER) < sa.tuple_(*key))
    return statement.order_by(*(column.desc() for column in ORDER))
