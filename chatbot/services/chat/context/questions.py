"""The question of a running turn, as the pipeline answers it."""

import contextlib
import hmac
import time
from collections.abc import Generator
from functools import partial
from uuid import UUID

from flask import current_app

from chatbot import adapters
from chatbot.rag import pipeline
from chatbot.rag.types import Finish, PromptInfo, Question
from chatbot.services.chat.running_turns import RunningTurn
from chatbot.services.chat.state import get_chat_state

COALESCE_FROM_TURNS = 8  # that run at a time
DELAY_SECONDS_PER_TURN = 0.0025  # that runs, up to the next one
MAX_UNNOTICED_DELAY_SECONDS = 0.075  # with the upstream's own gaps, text still comes within a tenth of a second
CROWDED_DELAY_SECONDS_PER_TURN = 0.001  # that runs, where that is more
MAX_DELAY_SECONDS = 0.4  # a reader still sees the text grow


def stream_answer(running: RunningTurn) -> Generator[PromptInfo | str | Finish]:
    """Yield a turn's prompt, then its answer, as `rag.pipeline.answer` does."""
    llm = get_chat_state().llm_for(running.user_id)
    budget = adapters.get_prompt_budget(current_app.config)
    question = _build_question(running)
    with contextlib.closing(pipeline.answer(question, llm, budget.max_tokens, budget.count)) as pieces:
        yield from pieces


def _build_question(running: RunningTurn) -> Question:
    request = running.request
    grounding = running.grounding
    earlier_messages = request.history
    if earlier_messages is None:
        earlier_messages = () if request.messages else running.context.load()
    retrieves = not request.messages and grounding.is_wanted()
    return Question(
        running.turn.user_message,
        earlier_messages,
        request.following,
        request.messages,
        running.parameters,
        running.cancel_token,
        request.model or running.turn.options.model or "",
        partial(_read_delay_now, running),
        grounding.retrieve if retrieves else None,
        retrieves and grounding.mode == "strict",
        running.attempts,
        cache_salt(running.user_id),
        running.text.add_reasoning,
        running.turn.instructions or "",
        recall=request.recall or (running.context.recall if running.context.is_loaded else None),
        is_history_whole=request.recall is None and running.context.is_whole,
    )


def cache_salt(caller_id: UUID) -> str:
    """Return the secret by which a caller's prompts are kept apart in a server's prompt cache."""
    message = b"chatbot prompt cache" + caller_id.bytes
    return hmac.digest(current_app.config["SECRET_KEY"].encode(), message, "sha256").hex()


def read_delay(turn: RunningTurn, running_count: int) -> float:
    """Return the seconds that a turn waits before it reads on from its model, with so many turns running.

    Nothing while few turns run, and nothing before its first token. With many, the tokens of each are coalesced, and
    the process has room for the first one of the next. At most twice as long as text has been coming already, so that
    a short answer that comes at once is not put off.
    """
    if running_count < COALESCE_FROM_TURNS or turn.first_text_at is None:
        return 0.0
    unnoticed = min(running_count * DELAY_SECONDS_PER_TURN, MAX_UNNOTICED_DELAY_SECONDS)
    crowded = min(running_count * CROWDED_DELAY_SECONDS_PER_TURN, MAX_DELAY_SECONDS)
    return min(max(unnoticed, crowded), 2 * (time.monotonic() - turn.first_text_at))


def _read_delay_now(turn: RunningTurn) -> float:
    return read_delay(turn, len(get_chat_state().running_turns))
