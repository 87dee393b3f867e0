"""Reports of all users, for administrators."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import LedgerEntry, User
from chatbot.services.accounts.authentication import require_admin
from chatbot.services.accounts.callers import Caller
from chatbot.services.accounts.names import fold_name
from chatbot.services.usage.hours import HOUR_MS
from chatbot.services.usage.sums import FAILED, Usage, build_time_conditions

from . import usage_report
from .periods import BucketSize, Period
from .usage_report import Report, ReportQuery

MAX_ITEMS = 100
ALL_TIME_MS = 10**9 * HOUR_MS  # one bucket
_entry = LedgerEntry.__table__.c
_tokens = sa.func.coalesce(sa.func.sum(_entry.prompt_tokens), 0) + sa.func.coalesce(
    sa.func.sum(_entry.completion_tokens), 0
)


@dataclass(frozen=True, slots=True)
class Overview:
    """The usage of all users, and how many of them sent a message."""

    report: Report
    users: int


@dataclass(frozen=True, slots=True)
class UserUsage:
    """The usage of a user; of accounts that are gone together, without id and name."""

    user_id: UUID | None
    username: str | None
    turns: int
    tokens: int
    micro_usd: int | None
    last_at: datetime


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users; `next_offset` is None on the last one."""

    items: list[UserUsage]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The usage of a model, of turns without one under None."""

    model: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """The turns that ended with an error; `error` is the name of its class, None of interrupted ones."""

    error: str | None
    turns: int
    last_at: datetime
    last_turn_id: UUID


@dataclass(frozen=True, slots=True)
class TurnReference:
    """A turn to which a report refers."""

    turn_id: UUID
    user_id: UUID | None
    at: datetime
    rating: int | None


@dataclass(frozen=True, slots=True)
class KnowledgeUsage:
    """How well answers are grounded: of turns that looked for passages.

    `grounded` is the mean share of their answers that citations support; `unanswered` are the newest of the turns for
    which no passage was found.
    """

    turns: int
    with_passages: int
    grounded: float | None
    unanswered: list[TurnReference]


@dataclass(frozen=True, slots=True)
class FeedbackUsage:
    """Ratings, and the newest turns of which each is."""

    up: int
    down: int
    items: list[TurnReference]


def get_overview(
    caller: Caller, period: Period, *, bucket: BucketSize = "day", group_by: str | None = None
) -> Overview:
    """Return the usage of all users; raises Forbidden, TooManyBuckets."""
    require_admin(caller)
    report = usage_report.build(ReportQuery(period, bucket, group_by))
    with read() as connection:
        # An index finds one entry of each user; to count the distinct users of all entries would read these.
        has_entry = sa.exists().where(LedgerEntry.user_id == User.id, *_build_conditions(period))
        users = connection.scalar(sa.select(sa.func.count()).select_from(User).where(has_entry)) or 0
    return Overview(report, users)


def list_users(caller: Caller, period: Period, *, q: str | None = None, limit: int = 50, offset: int = 0) -> UserPage:
    """Return users by their cost, then by their tokens; `q` is a part of the name or address.

    Raises Forbidden.
    """
    require_admin(caller)
    cost = sa.cast(sa.func.sum(_entry.micro_usd), sa.BigInteger)
    statement = (
        sa.select(
            LedgerEntry.user_id,
            User.username,
            sa.func.count().label("turns"),
            _tokens.label("tokens"),
            cost.label("micro_usd"),
            sa.func.max(LedgerEntry.opened_at_ms).label("last_at_ms"),
        )
        .join(User, User.id == LedgerEntry.user_id, isouter=True)
        .where(*_build_conditions(period))
        .group_by(LedgerEntry.user_id, User.username)
        .order_by(sa.func.coalesce(cost, 0).desc(), _tokens.desc(), LedgerEntry.user_id)
    )
    if q:
        key = fold_name(q)
        has_name = User.username_key.contains(key, autoescape=True) | User.email_key.contains(key, autoescape=True)
        statement = statement.where(has_name)
    with read() as connection:
        rows = connection.execute(statement.limit(limit + 1).offset(offset)).all()
    items = [
        UserUsage(row.user_id, row.username, row.turns, int(row.tokens), row.micro_usd, _to_moment(row.last_at_ms))
        for row in rows[:limit]
    ]
    return UserPage(items, offset + limit if len(rows) > limit else None)


def list_models(caller: Caller, period: Period) -> list[ModelUsage]:
    """Return the usage of each model, the most used first; raises Forbidden."""
    require_admin(caller)
    span = (period.start_ms, period.end_ms)
    with read(snapshot=True) as connection:
        sums = usage_report.read_by_model(connection, span, width_ms=ALL_TIME_MS)
    models = [ModelUsage(None if model is None else str(model), one.to_usage()) for (_, model), one in sums.items()]
    return sorted(models, key=lambda one: (-one.usage.turns, one.model or ""))


def list_errors(caller: Caller, period: Period) -> list[ErrorCount]:
    """Return the errors of turns, the most frequent first; raises Forbidden."""
    require_admin(caller)
    number = sa.func.count().label("turns")
    last = sa.func.max(LedgerEntry.opened_at_ms).label("last_at_ms")
    # UUIDs of version 7 sort by time, but there is no max(uuid) on PostgreSQL 17.
    last_id = sa.func.max(sa.cast(LedgerEntry.turn_id, sa.String(36))).label("last_turn_id")
    is_failed = LedgerEntry.status.in_(FAILED)
    statement = sa.select(LedgerEntry.error, number, last, last_id).where(*_build_conditions(period), is_failed)
    with read() as connection:
        rows = connection.execute(statement.group_by(LedgerEntry.error).order_by(number.desc())).all()
    return [ErrorCount(row.error, row.turns, _to_moment(row.last_at_ms), UUID(row.last_turn_id)) for row in rows]


def get_knowledge(caller: Caller, period: Period) -> KnowledgeUsage:
    """Return how well answers are grounded; raises Forbidden."""
    require_admin(caller)
    has_retrieval = LedgerEntry.passages.is_not(None)
    with_passages = sa.func.coalesce(sa.func.sum(sa.case((LedgerEntry.passages > 0, 1), else_=0)), 0)
    statement = sa.select(sa.func.count(), with_passages, sa.func.avg(LedgerEntry.grounded))
    with read() as connection:
        turns, found, grounded = connection.execute(statement.where(*_build_conditions(period), has_retrieval)).one()
        unanswered = _list_turns(connection, *_build_conditions(period), LedgerEntry.passages == 0)
    return KnowledgeUsage(turns, found, None if grounded is None else round(float(grounded), 4), unanswered)


def get_feedback(caller: Caller, period: Period) -> FeedbackUsage:
    """Return the ratings of turns; raises Forbidden."""
    require_admin(caller)
    is_rated = LedgerEntry.rating.is_not(None)
    numbers = [sa.func.coalesce(sa.func.sum(sa.case((LedgerEntry.rating == one, 1), else_=0)), 0) for one in (1, -1)]
    with read() as connection:
        up, down = connection.execute(sa.select(*numbers).where(*_build_conditions(period), is_rated)).one()
        items = _list_turns(connection, *_build_conditions(period), is_rated)
    return FeedbackUsage(up, down, items)


def _build_conditions(period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    return build_time_conditions(period.start_ms, period.end_ms)


def _list_turns(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[TurnReference]:
    """Return the newest turns for which conditions hold."""
    columns = (LedgerEntry.turn_id, LedgerEntry.user_id, LedgerEntry.opened_at_ms, LedgerEntry.rating)
    statement = sa.select(*columns).where(*conditions).order_by(LedgerEntry.opened_at_ms.desc()).limit(MAX_ITEMS)
    rows: list[Any] = list(connection.execute(statement))
    return [TurnReference(row.turn_id, row.user_id, _to_moment(row.opened_at_ms), row.rating) for row in rows]


def _to_moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
