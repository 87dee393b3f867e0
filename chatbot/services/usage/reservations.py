"""Reservations of running turns: made at the opening, extended with the prompt, settled with the end.

Each change locks the rows of the budgets, in the order of their ids, so that turns which are opened at the same time
never use more than a limit, and what a process that was killed had reserved is settled with its turns by the reaper.
Most turns reserve for any prompt and answer at their opening; near a limit for little, and again for the prompt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import BudgetExhausted
from chatbot.models import Budget, BudgetReservation
from chatbot.services.accounts.callers import Caller

from .budgets import APPLIES, FIELDS, BudgetState, Row, bind_caller, build_state, find_window_start_ms
from .demand import Demand

MIN_COMPLETION_TOKENS = 64  # an answer for which less is left is not begun

_reserving_id = sa.bindparam("reserving_id", type_=sa.Uuid())
# Rows of budgets are locked in the order of their ids.
_LOCK = Prepared(sa.select(*FIELDS).where(APPLIES).order_by(Budget.id).with_for_update())
_LOCK_OF_TURN = Prepared(
    sa.select(*FIELDS, BudgetReservation.amount)
    .join(BudgetReservation, BudgetReservation.budget_id == Budget.id)
    .where(BudgetReservation.turn_id == _reserving_id)
    .order_by(Budget.id)
    .with_for_update(of=Budget)
)
_INSERT = Prepared(sa.insert(BudgetReservation))
_DELETE = Prepared(sa.delete(BudgetReservation).where(BudgetReservation.turn_id == _reserving_id))
_UPDATE = Prepared(
    sa.update(Budget)
    .where(Budget.id == sa.bindparam("changed_id", type_=sa.Integer()))
    .values(
        used=sa.bindparam("new_used", type_=sa.BigInteger()),
        reserved=sa.bindparam("new_reserved", type_=sa.BigInteger()),
        started_at_ms=sa.bindparam("new_start", type_=sa.BigInteger()),
    )
)


def reserve(connection: sa.Connection, caller: Caller, turn_id: UUID, wanted: Demand, least: Demand) -> Demand | None:
    """Reserve for a turn, in the transaction of its opening; raises BudgetExhausted.

    Returns the wanted demand, or the least one where a budget has no room for more, or None without budgets.
    """
    moment = now()
    rows = _LOCK.run(connection, bind_caller(caller)).all()
    if not rows:
        return None
    states = [build_state(row, moment) for row in rows]
    has_room = all(wanted.measure(one.metric) <= one.limit - one.used - one.reserved for one in states)
    demand = wanted if has_room else least
    for state in states:
        _require_room(state, demand.measure(state.metric), moment)
    for row in rows:
        amount = demand.measure(row.metric)
        _change(connection, row, moment, reserved=amount)
        _INSERT.execute(connection, {"turn_id": turn_id, "budget_id": row.id, "amount": amount})
    return demand


def extend(connection: sa.Connection, turn_id: UUID, demand: Demand) -> int:
    """Reserve for a locked turn with its known prompt, and return the largest number of tokens of its answer.

    They are lowered to what fits into each of its budgets. Raises BudgetExhausted where that is too little.
    """
    moment = now()
    allowed = demand.completion_tokens
    least = min(allowed, MIN_COMPLETION_TOKENS)
    rows = _LOCK_OF_TURN.run(connection, {"reserving_id": turn_id}).all()
    for row in rows:
        state = build_state(row, moment)
        room = state.limit - state.used - state.reserved + row.amount
        allowed = min(allowed, demand.fit(row.metric, room))
        if allowed < least:
            raise _build_error(state, moment)
    lowered = replace(demand, completion_tokens=allowed)
    for row in rows:
        amount = lowered.measure(row.metric)
        _change(connection, row, moment, reserved=amount - row.amount)
        of_this = (BudgetReservation.turn_id == turn_id, BudgetReservation.budget_id == row.id)
        connection.execute(sa.update(BudgetReservation).where(*of_this).values(amount=amount))
    return allowed


def settle(connection: sa.Connection, turn_id: UUID, used: Demand | None = None) -> None:
    """Turn the reservation of a turn into use, in the transaction of its closing.

    `used` is the turn's use; None: nothing is known of it, and all that was reserved counts.
    """
    moment = now()
    rows = _LOCK_OF_TURN.run(connection, {"reserving_id": turn_id}).all()
    for row in rows:
        spent = row.amount if used is None else used.measure(row.metric)
        _change(connection, row, moment, reserved=-row.amount, used=spent)
    if rows:
        _DELETE.execute(connection, {"reserving_id": turn_id})


def settle_all(connection: sa.Connection, turn_ids: Sequence[UUID]) -> None:
    """Turn the reservations of turns of which nothing is known into use, in the transaction of their closing."""
    reserved = sa.select(BudgetReservation.budget_id).where(BudgetReservation.turn_id.in_(turn_ids))
    locked = sa.select(Budget.id).where(Budget.id.in_(reserved)).order_by(Budget.id).with_for_update()
    if connection.execute(locked).all():
        for turn_id in turn_ids:
            settle(connection, turn_id)


def spend(caller: Caller, demand: Demand) -> None:
    """Use budgets for work outside of turns, before it is done; raises BudgetExhausted."""
    moment = now()
    with write("spend_budget") as connection:
        rows = _LOCK.run(connection, bind_caller(caller)).all()
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


def _change(connection: sa.Connection, row: Row, moment: datetime, *, reserved: int = 0, used: int = 0) -> None:
    """Add to a locked budget, in its next window where the last one has ended."""
    start = find_window_start_ms(row.window, moment)
    is_over = row.started_at_ms < start
    values = {
        "changed_id": row.id,
        "new_used": used if is_over else row.used + used,
        "new_reserved": row.reserved + reserved,
        "new_start": start if is_over else row.started_at_ms,
    }
    _UPDATE.execute(connection, values)


def _require_room(state: BudgetState, amount: int, moment: datetime) -> None:
    if state.used + state.reserved + amount > state.limit:
        raise _build_error(state, moment)


def _build_error(state: BudgetState, moment: datetime) -> BudgetExhausted:
    """Return the error for a full budget; a retry is worth it when the next window begins, or the limit is raised."""
    seconds = ((state.resets_at or moment + timedelta(days=1)) - moment).total_seconds()
    whose = "the API key" if state.applies_to == "api_key" else "this account"
    detail = f"The budget of {state.limit} {state.metric} of {whose} ({state.window}) has too little left."
    return BudgetExhausted(detail, budget={**asdict(state), "remaining": state.remaining}, retry_after=seconds)
