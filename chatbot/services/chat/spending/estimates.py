"""Estimates of the tokens and the cost of a message, before it is sent."""

import contextlib
from dataclasses import dataclass, replace
from uuid import UUID

from chatbot.database.types import now
from chatbot.rag.types import PromptInfo
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import conversation_rows, turns
from chatbot.services.chat.context import questions
from chatbot.services.chat.conversation_rows import Opening
from chatbot.services.chat.records import DEFAULT_OPTIONS, TurnOptions
from chatbot.services.chat.running_turns import GenerationRequest, RunningTurn
from chatbot.services.chat.turn_log.memory import MemoryText
from chatbot.services.usage import budgets, reservations
from chatbot.services.usage.reservations import MIN_COMPLETION_TOKENS

from . import demands


@dataclass(frozen=True, slots=True)
class Estimate:
    """The tokens of a prompt, the most of its answer, and its highest cost.

    `max_micro_usd` is in millionths of a dollar, None where a model that may answer has no price. `fits` tells whether
    its user's budgets have room for it.
    """

    prompt_tokens: int
    max_tokens: int
    max_micro_usd: int | None
    fits: bool


def estimate(
    caller: Caller,
    message: str,
    conversation_id: UUID | None = None,
    *,
    external_id: str | None = None,
    options: TurnOptions = DEFAULT_OPTIONS,
) -> Estimate:
    """Build the prompt of a message with its history and passages, and write nothing.

    Raises NotFound, ModelNotFound, InvalidInput as `turns.open_turn` does, ModelUnavailable.
    """
    turns.check_options(caller, options)
    opening = Opening(message, now(), conversation_id, external_id, options.instructions)
    turn = turns.build_turn(opening, conversation_rows.find_place(caller, opening), options)
    running = RunningTurn(caller, turn, MemoryText(), GenerationRequest())
    with contextlib.closing(questions.stream_answer(running)) as pieces:
        first = next(pieces)
    if isinstance(first, PromptInfo):
        running.prompt_info = first
    demand = demands.build_demand(running)
    if not running.prompt_info.messages:  # no model would be asked
        demand = replace(demand, completion_tokens=0)
    fitting = reservations.fit(budgets.list_budgets(caller), demand)
    return Estimate(
        prompt_tokens=demand.prompt_tokens,
        max_tokens=demand.completion_tokens,
        max_micro_usd=demand.measure("micro_usd") if demands.has_price(running) else None,
        fits=fitting >= min(demand.completion_tokens, MIN_COMPLETION_TOKENS),
    )
