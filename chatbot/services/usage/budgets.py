"""Budgets: limits of the usage of a user or of one of their API keys in a window of time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.models import ApiKey, Budget, User
from chatbot.services.accounts.callers import Caller

from .ledger import EPOCH, to_milliseconds

Metric = Literal["turns", "tokens", "micro_usd"]
Window = Literal["day", "month", "ever"]
Row: TypeAlias = sa.Row[*tuple[Any, ...]]

FIELDS = (
    Budget.id, Budget.user_id, Budget.is_of_key, Budget.metric, Budget.window, Budget.limit, Budget.used,
    Budget.reserved, Budget.started_at_ms,
)  # fmt: skip

APPLIES = sa.or_(  # to the turns of a caller
    sa.and_(Budget.user_id == sa.bindparam("owner_id", type_=sa.Uuid()), ~Budget.is_of_key),
    Budget.id == sa.bindparam("key_budget_id", type_=sa.Integer()),
)
_LIST = Prepared(sa.select(*FIELDS).where(APPLIES).order_by(Budget.is_of_key, Budget.metric, Budget.window))


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest use of a metric in a window: a day or a month in UTC, or all time."""

    metric: Metric
    window: Window
    limit: int


@dataclass(frozen=True, slots=True)
class BudgetState(Limit):
    """A limit with its used and reserved parts; `resets_at` is None for all time."""

    applies_to: Literal["user", "api_key"]
    used: int
    reserved: int
    resets_at: datetime | None

    @property
    def remaining(self) -> int:
        """The part that is neither used nor reserved."""
        return max(0, self.limit - self.used - self.reserved)


def find_window_start(window: str, moment: datetime) -> datetime:
    """Return the beginning of the window of a moment in UTC."""
    if window == "ever":
        return EPOCH
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if window == "day" else day.replace(day=1)


def find_window_start_ms(window: str, moment: datetime) -> int:
    """Return the beginning of the window of a moment, in milliseconds since 1970."""
    return to_milliseconds(find_window_start(window, moment))


def find_reset(window: str, moment: datetime) -> datetime | None:
    """Return the end of the window of a moment in UTC; None: it has none."""
    start = find_window_start(window, moment)
    if window == "ever":
        return None
    if window == "day":
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)


def build_state(row: Row, moment: datetime) -> BudgetState:
    """Return the state of a budget's row at a moment; use in an earlier window does not count."""
    used = row.used if row.started_at_ms >= find_window_start_ms(row.window, moment) else 0
    return BudgetState(
        metric=row.metric,
        window=row.window,
        limit=row.limit,
        applies_to="api_key" if row.is_of_key else "user",
        used=used,
        reserved=row.reserved,
        resets_at=find_reset(row.window, moment),
    )


def list_budgets(caller: Caller) -> list[BudgetState]:
    """Return the budgets of a caller: the user's, and the API key's where one is used."""
    moment = now()
    with read() as connection:
        rows = _LIST.run(connection, bind_caller(caller)).all()
    return [build_state(row, moment) for row in rows]


def bind_caller(caller: Caller) -> dict[str, Any]:
    """Return the parameters of `APPLIES`."""
    return {"owner_id": caller.user_id, "key_budget_id": caller.budget_id}


def load_of_users(connection: sa.Connection, user_ids: Iterable[UUID]) -> dict[UUID, list[BudgetState]]:
    """Return the budgets of users by their ids, for users with any."""
    of_users = (Budget.user_id.in_(list(user_ids)), ~Budget.is_of_key)
    statement = sa.select(*FIELDS).where(*of_users).order_by(Budget.metric, Budget.window)
    states: dict[UUID, list[BudgetState]] = {}
    for row in connection.execute(statement):
        states.setdefault(row.user_id, []).append(build_state(row, now()))
    return states


def load_of_keys(caller: Caller, budget_ids: Iterable[int]) -> dict[int, BudgetState]:
    """Return budgets of the caller's API keys by their ids."""
    own = (Budget.user_id == caller.user_id, Budget.id.in_(list(budget_ids)))
    with read() as connection:
        return {row.id: build_state(row, now()) for row in connection.execute(sa.select(*FIELDS).where(*own))}


def replace_limits(connection: sa.Connection, user_id: UUID, limits: Sequence[Limit]) -> None:
    """Set the budgets of a user; the same metric and window stays used as it is, and others are deleted."""
    connection.execute(sa.select(User.id).where(User.id == user_id).with_for_update(key_share=True)).all()
    of_user = (Budget.user_id == user_id, ~Budget.is_of_key)
    statement = sa.select(Budget.id, Budget.metric, Budget.window).where(*of_user)
    known = {
        (row.metric, row.window): row.id
        for row in connection.execute(statement.order_by(Budget.id).with_for_update()).all()
    }
    wanted = {(limit.metric, limit.window): limit for limit in limits}
    gone = [budget_id for key, budget_id in known.items() if key not in wanted]
    connection.execute(sa.delete(Budget).where(Budget.id.in_(gone)))
    for key, limit in wanted.items():
        if key in known:
            connection.execute(sa.update(Budget).where(Budget.id == known[key]).values(limit=limit.limit))
        else:
            _insert(connection, user_id, limit, is_of_key=False)


def prepare_key_budget(user_id: UUID, limit: Limit) -> Callable[[sa.Connection], int]:
    """Return a function to insert the budget of a user's new API key in its transaction; it returns the id."""

    def insert(connection: sa.Connection) -> int:
        return _insert(connection, user_id, limit, is_of_key=True)

    return insert


def delete_without_key(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete up to `most` budgets of deleted API keys; return their number."""
    has_key = sa.exists().where(ApiKey.budget_id == Budget.id)
    old = sa.select(Budget.id).where(Budget.is_of_key, ~has_key).limit(most)
    return connection.execute(sa.delete(Budget).where(Budget.id.in_(old))).rowcount


def _insert(connection: sa.Connection, user_id: UUID, limit: Limit, *, is_of_key: bool) -> int:
    started_at_ms = find_window_start_ms(limit.window, now())
    values = {"user_id": user_id, "is_of_key": is_of_key, "started_at_ms": started_at_ms, **asdict(limit)}
    budget_id: int = connection.execute(sa.insert(Budget).values(values).returning(Budget.id)).scalar_one()
    return budget_id
