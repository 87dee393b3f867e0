"""The question of a running turn, as the pipeline answers it."""

import contextlib
import hmac
from collections.abc import Generator
from functools import partial
from uuid import UUID

from flask import current_app

from chatbot import adapters
from chatbot.rag import pipeline
from chatbot.rag.types import Finish, PromptInfo, Question
from chatbot.services.chat.running_turns import RunningTurn, read_delay
from chatbot.services.chat.state import get_chat_state


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


def _read_delay_now(turn: RunningTurn) -> float:
    return read_delay(turn, len(get_chat_state().running_turns))
