"""The writer of summaries: after a turn has ended, in a slot of its own kind, so that no answer waits for it."""

from uuid import UUID

import structlog
from flask import current_app

from chatbot import adapters
from chatbot.database.transactions import read
from chatbot.errors import ChatbotError
from chatbot.observability import metrics
from chatbot.rag import summaries as summary_prompt
from chatbot.rag.errors import Aborted, AdapterError
from chatbot.rag.ports import LLM
from chatbot.rag.summaries import Summary
from chatbot.rag.types import CancelToken
from chatbot.services.chat.state import get_chat_state

from . import earlier_turns, summaries

# Characters that are read for a token of the prompt's budget; more would hardly fit.
CHARACTERS_PER_TOKEN = 6

log = structlog.get_logger(__name__)


def summarize(user_id: UUID, conversation_id: UUID, up_to: int, *, cache_salt: str = "") -> None:
    """Write and store a new summary of the turns up to a sequence number, if there is a free slot for it.

    As many turns are covered as fit into one prompt. A failure is logged and counted, and raised to nobody.
    """
    state = get_chat_state()
    if not state.summary_slots.acquire(user_id, 0.0):
        return
    cancel_token = CancelToken()
    state.summaries.add(cancel_token)
    try:
        if not state.slots.closed and summaries.claim(conversation_id, up_to):
            _write(conversation_id, up_to, state.llm_for_summary(user_id), cancel_token, cache_salt)
    except Aborted:
        _end("dropped", conversation_id)
    except Exception as error:
        _end("failed", conversation_id, error=type(error).__name__)
        if not isinstance(error, AdapterError | ChatbotError):
            log.error("unforeseen error", conversation=str(conversation_id), exc_info=error)
    finally:
        state.summaries.discard(cancel_token)
        state.summary_slots.release(user_id)


def _write(conversation_id: UUID, up_to: int, llm: LLM, cancel_token: CancelToken, cache_salt: str) -> None:
    budget = adapters.get_prompt_budget(current_app.config)
    with read(snapshot=True) as connection:
        former = summaries.find(connection, conversation_id)
        turns = earlier_turns.list_between(
            connection,
            conversation_id,
            after=former.last_sequence if former else 0,
            up_to=up_to,
            max_characters=budget.max_tokens * CHARACTERS_PER_TOKEN,
        )
    texts = [(turn.user_message, turn.bot_response) for turn in turns]
    max_tokens = min(summary_prompt.MAX_TOKENS, current_app.config["OPENAI_MAX_TOKENS"])
    messages, fitting = summary_prompt.build_prompt(
        former.text if former else "", texts, max_tokens=max_tokens, budget=budget.max_tokens, count=budget.count
    )
    if not fitting:
        return
    summary = summary_prompt.write(messages, llm, cancel_token, max_tokens=max_tokens, cache_salt=cache_salt)
    _count_tokens(summary)
    if not summary.text:
        _end("failed", conversation_id, error="empty")
        return
    covered = fitting + (former.turns if former else 0)
    is_stored = summaries.store(
        conversation_id, claimed=up_to, last_sequence=turns[fitting - 1].sequence, turns=covered, summary=summary
    )
    _end(
        "stored" if is_stored else "dropped",
        conversation_id,
        turns=covered,
        model=summary.model,
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
    )


def _count_tokens(summary: Summary) -> None:
    metrics.SUMMARY_TOKENS.labels("prompt").inc(summary.prompt_tokens or 0)
    metrics.SUMMARY_TOKENS.labels("completion").inc(summary.completion_tokens or 0)


def _end(status: str, conversation_id: UUID, **facts: object) -> None:
    metrics.SUMMARIES.labels(status).inc()
    say = log.warning if status == "failed" else log.info
    say(f"summary {status}", conversation=str(conversation_id), **facts)
