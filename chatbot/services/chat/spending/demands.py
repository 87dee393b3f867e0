"""The demand of a turn on its user's budgets: at its opening, with its prompt, and at its end."""

import orjson
import sqlalchemy as sa
from flask import current_app

from chatbot import adapters
from chatbot.database.compiled import Prepared
from chatbot.database.transactions import write
from chatbot.errors import LeaseLost
from chatbot.models import ChatMessage
from chatbot.models.chat import IS_RUNNING
from chatbot.rag import prompt
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.records import OpenedTurn
from chatbot.services.chat.running_turns import RunningTurn
from chatbot.services.usage import reservations
from chatbot.services.usage.demand import Demand, find_use
from chatbot.services.usage.ledger import Settlement
from chatbot.services.usage.prices import Price, find_dearest, find_price
from chatbot.services.usage.reservations import MIN_COMPLETION_TOKENS

_LOCK = Prepared(
    sa.select(ChatMessage.id)
    .where(
        ChatMessage.id == sa.bindparam("closing_id", type_=sa.Uuid()),
        ChatMessage.lease_token == sa.bindparam("closing_token", type_=sa.Uuid()),
        IS_RUNNING,
    )
    .with_for_update()
)
IN_PROMPT = ("tools", "functions", "response_format")  # parameters that servers write into the prompt


def reserve(connection: sa.Connection, caller: Caller, turn: OpenedTurn) -> Demand | None:
    """Reserve for any prompt and answer, or near a limit for the message and a short answer.

    Returns the reserved demand, None without budgets. Raises BudgetExhausted.
    """
    budget = adapters.get_prompt_budget(current_app.config)
    price = _find_price(turn.options.model)
    wanted = Demand(budget.max_tokens, current_app.config["OPENAI_MAX_TOKENS"], price)
    least = Demand(budget.count(turn.user_message), MIN_COMPLETION_TOKENS, price)
    return reservations.reserve(connection, caller, turn.id, wanted, least)


def extend(running: RunningTurn) -> None:
    """Reserve for the whole prompt and the longest answer, shortened to the room left.

    Raises BudgetExhausted, LeaseLost.
    """
    reserved = running.turn.reserved
    if reserved is None or not running.prompt_info.messages:  # there is no budget, or no model is asked
        return
    demand = build_demand(running)
    if demand.is_within(reserved):
        return
    with write("extend_reservation") as connection:
        if not _is_held(connection, running.turn):  # its reservation is settled
            raise LeaseLost("The turn was closed by another process.")
        allowed = reservations.extend(connection, running.turn.id, demand)
    if allowed < demand.completion_tokens:
        running.parameters["max_tokens"] = allowed


def build_demand(running: RunningTurn) -> Demand:
    """Return the demand of a turn with a known prompt."""
    prompt_info = running.prompt_info
    prompt_tokens = prompt.tokens(prompt_info.messages, prompt_info.count)
    for name in IN_PROMPT:
        if name in running.parameters:
            prompt_tokens += prompt_info.count(orjson.dumps(running.parameters[name]).decode())
    most: int = current_app.config["OPENAI_MAX_TOKENS"]
    wanted: int = min(running.parameters.get("max_tokens", most), most)
    return Demand(prompt_tokens, wanted, _find_price(running.request.model or running.turn.options.model))


def settle(connection: sa.Connection, turn: OpenedTurn, settlement: Settlement) -> None:
    """Settle the reservations of a turn, in the transaction of its closing and before its own row is written.

    That statement takes the counters of the user's devices, which others lock after budgets. A turn that is closed
    already is settled.
    """
    if _is_held(connection, turn):
        reservations.settle(connection, turn.id, find_use(settlement))


def _is_held(connection: sa.Connection, turn: OpenedTurn) -> bool:
    """Lock a turn, before the budgets, and return whether its token still holds it."""
    held = {"closing_id": turn.id, "closing_token": turn.lease_token}
    return _LOCK.run(connection, held).one_or_none() is not None


def has_price(running: RunningTurn) -> bool:
    """Return whether all possible models of a turn have a price."""
    names = _list_models(running.request.model or running.turn.options.model)
    return all(find_price([name]) is not None for name in names)


def _find_price(model: str | None) -> Price:
    """Return the highest prices of the possible models."""
    return find_dearest(_list_models(model))


def _list_models(model: str | None) -> list[str]:
    """Return the names of the possible models: the requested one, the first one and its fallbacks."""
    names = [options.model for options in adapters.build_llm_options(current_app.config)]
    return [*names, model] if model else names
