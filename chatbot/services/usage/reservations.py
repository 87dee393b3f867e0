"""Reservations of running turns: made at the opening, extended with the prompt, settled with the end.

Each change locks the rows of the budgets, in the order of their ids, so that turns which are opened at the same time
never use more than a limit, and what a process that was killed had reserved is settled with its turns by the reaper.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import BudgetExhausted
from chatbot.models import Budget, BudgetReservation
from chatbot.services.accounts.callers import Caller

from . import prices
from .budgets import FIELDS, BudgetState, Row, applies_to, build_state, find_window_start
from .ledger import Settlement
from .prices import Price

MIN_COMPLETION_TOKENS = 64  # an answer for which less is left is not begun


@dataclass(frozen=True, slots=True)
class Demand:
    """The need or the use of a turn; `price` is that of its model, or the highest of the possible ones."""

    prompt_tokens: int
    completion_tokens: int
    price: Price
    turns: int = 1

    def measure(self, metric: str) -> int:
        """Return the amount in a budget's metric."""
        if metric == "turns":
            return self.turns
        if metric == "tokens":
            return self.prompt_tokens + self.completion_tokens
        return prices.compute_cost(self.price, self.prompt_tokens, self.completion_tokens)

    def fit(self, metric: str, room: int) -> int:
        """Return the tokens of an answer for which there is room beside the prompt, up to the wanted ones."""
        if metric == "turns":
            return self.completion_tokens if self.turns <= room else 0
        if metric == "tokens":
            return max(0, min(self.completion_tokens, room - self.prompt_tokens))
        left = room - self.prompt_tokens * self.price[0]
        if left < 0:
            return 0
        return (
            min(self.completion_tokens, math.floor(left / self.price[1])) if self.price[1] else self.completion_tokens
        )


def reserve(connection: sa.Connection, caller: Caller, turn_id: UUID, demand: Demand) -> None:
    """Reserve for a turn, in the transaction of its opening; raises BudgetExhausted."""
    moment = now()
    rows = _lock(connection, applies_to(caller))
    for row in rows:
        _require_room(build_state(row, moment), demand.measure(row.metric), moment)
    for row in rows:
        amount = demand.measure(row.metric)
        _change(connection, row, moment, reserved=amount)
        reservation = {"turn_id": turn_id, "budget_id": row.id, "amount": amount}
        connection.execute(sa.insert(BudgetReservation).values(reservation))


def extend(turn_id: UUID, demand: Demand) -> int:
    """Reserve for a turn with its known prompt, and return the largest number of tokens of its answer.

    They are lowered to what fits into each of its budgets. Raises BudgetExhausted where that is too little.
    """
    moment = now()
    with write("extend_reservation") as connection:
        rows = _lock(connection, Budget.id.in_(_select_budget_ids([turn_id])))
        if not rows:
            return demand.completion_tokens
        amounts = _load_amounts(connection, turn_id)
        allowed = demand.completion_tokens
        least = min(allowed, MIN_COMPLETION_TOKENS)
        for row in rows:
            state = build_state(row, moment)
            room = state.limit - state.used - state.reserved + amounts[row.id]
            allowed = min(allowed, demand.fit(row.metric, room))
            if allowed < least:
                raise _build_error(state, moment)
        lowered = replace(demand, completion_tokens=allowed)
        for row in rows:
            amount = lowered.measure(row.metric)
            _change(connection, row, moment, reserved=amount - amounts[row.id])
            of_this = (BudgetReservation.turn_id == turn_id, BudgetReservation.budget_id == row.id)
            connection.execute(sa.update(BudgetReservation).where(*of_this).values(amount=amount))
    return allowed


def settle(connection: sa.Connection, turn_ids: Sequence[UUID], used: Demand | None = None) -> None:
    """Turn the reservations of turns into use, in the transaction of their closing.

    `used` is what a single turn has used; of turns of which nothing is known, all that was reserved counts.
    """
    moment = now()
    rows = _lock(connection, Budget.id.in_(_select_budget_ids(turn_ids)))
    if not rows:
        return
    of_turns = sa.delete(BudgetReservation).where(BudgetReservation.turn_id.in_(turn_ids))
    amounts: defaultdict[UUID, list[int]] = defaultdict(list)
    for taken in connection.execute(of_turns.returning(BudgetReservation.budget_id, BudgetReservation.amount)):
        amounts[taken.budget_id].append(taken.amount)
    for row in rows:
        reserved = sum(amounts[row.id])
        spent = reserved if used is None else used.measure(row.metric)
        _change(connection, row, moment, reserved=-reserved, used=spent)


def spend(caller: Caller, demand: Demand) -> None:
    """Use budgets for work outside of turns, before it is done; raises BudgetExhausted."""
    moment = now()
    with write("spend_budget") as connection:
        rows = _lock(connection, applies_to(caller))
        for row in rows:
            _require_room(build_state(row, moment), demand.measure(row.metric), moment)
        for row in rows:
            _change(connection, row, moment, used=demand.measure(row.metric))


def fit(states: Iterable[BudgetState], demand: Demand) -> int:
    """Return the tokens of an answer for which budgets have room, without reserving any."""
    return min(
        (demand.fit(state.metric, state.limit - state.used - state.reserved) for state in states),
        default=demand.completion_tokens,
    )


def find_use(settlement: Settlement) -> Demand | None:
    """Return the use of a turn; None where the model's server told no tokens of its answer."""
    if settlement.model is not None and (settlement.prompt_tokens is None or settlement.completion_tokens is None):
        return None
    price = prices.find_price((settlement.model, settlement.requested_model)) or prices.UNKNOWN
    return Demand(settlement.prompt_tokens or 0, settlement.completion_tokens or 0, price)


def _select_budget_ids(turn_ids: Sequence[UUID]) -> sa.Select[UUID]:
    return sa.select(BudgetReservation.budget_id).where(BudgetReservation.turn_id.in_(turn_ids))


def _lock(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Sequence[Row]:
    """Lock budgets in the order of their ids, before any change of theirs."""
    return connection.execute(sa.select(*FIELDS).where(condition).order_by(Budget.id).with_for_update()).all()


def _load_amounts(connection: sa.Connection, turn_id: UUID) -> dict[UUID, int]:
    """Return the reserved amounts of a turn, by the ids of the budgets."""
    columns = (BudgetReservation.budget_id, BudgetReservation.amount)
    rows = connection.execute(sa.select(*columns).where(BudgetReservation.turn_id == turn_id))
    return {row.budget_id: row.amount for row in rows}


def _change(connection: sa.Connection, row: Row, moment: datetime, *, reserved: int = 0, used: int = 0) -> None:
    """Add to a locked budget, in its next window where the last one has ended."""
    start = find_window_start(row.window, moment)
    before = row.used if row.started_at >= start else 0
    values: dict[str, Any] = {"reserved": row.reserved + reserved, "used": before + used}
    if row.started_at < start:
        values["started_at"] = start
    connection.execute(sa.update(Budget).where(Budget.id == row.id).values(values))


def _require_room(state: BudgetState, amount: int, moment: datetime) -> None:
    if state.used + state.reserved + amount > state.limit:
        raise _build_error(state, moment)


def _build_error(state: BudgetState, moment: datetime) -> BudgetExhausted:
    """Return the error for a full budget; a retry is worth it when the next window begins, or the limit is raised."""
    seconds = ((state.resets_at or moment + timedelta(days=1)) - moment).total_seconds()
    whose = "the API key" if state.applies_to == "api_key" else "this account"
    detail = f"The budget of {state.limit} {state.metric} of {whose} ({state.window}) has too little left."
    return BudgetExhausted(detail, budget={**asdict(state), "remaining": state.remaining}, retry_after=seconds)
