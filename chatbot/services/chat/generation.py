"""The runner of one turn: apart from the request that opened it, from the opened row to its terminal state."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import structlog
from flask import Flask
from sqlalchemy.exc import DataError

from chatbot.errors import ChatbotError, DatabaseBusy, DatabaseUnavailable, LeaseLost, StorageFull
from chatbot.observability import metrics
from chatbot.rag import prompt
from chatbot.rag.errors import AdapterError, ModelUnavailable, UpstreamGarbled, UpstreamIncomplete
from chatbot.rag.types import Finish, PromptInfo
from chatbot.services.usage import deleted_turns

from . import history, turn_statements
from . import turns as chat
from .audiences import Piece, guard
from .context import questions, summarizer
from .grounding import to_candidate
from .records import Measurements, Outcome, Trace, Turn
from .running_turns import RunningTurn
from .spending import demands
from .state import get_chat_state

STATUS = {"stop": "completed", "length": "truncated", "content_filter": "filtered"}
RETRY_SECONDS = (0.1, 0.3, 1.0, 3.0, 5.0)  # between tries to write a turn's end

log = structlog.get_logger(__name__)


def run(app: Flask, running: RunningTurn, facts: Mapping[str, Any]) -> None:
    """Answer a turn, write its end, wake its readers and release its slot, after any error too."""
    turn = running.turn
    ended = running.turn.to_turn(status="interrupted")
    structlog.contextvars.bind_contextvars(**facts)
    with app.app_context():
        try:
            ended = _close(running, *_answer(running))
        except Exception as error:
            log.error("turn without an end", turn=str(turn.id), exc_info=error)
            ended = _build_turn_without_row(running)
        finally:
            _end_for_audience(running, ended)
            _count(running, ended)
            if running.request.audience is None:
                get_chat_state().running_turns.pop(turn.id, None)
            get_chat_state().turn_log.close(turn.id)
            running.text.end(ended)
            get_chat_state().slots.release(running.user_id)
            _go_on(running)
        _summarize_if_due(running, ended)


def _go_on(running: RunningTurn) -> None:
    """Begin the next answer; a process that ends waits for that."""
    if running.request.audience is None:
        return
    try:
        running.request.audience.go_on()
    finally:
        get_chat_state().running_turns.pop(running.turn.id, None)


def _end_for_audience(running: RunningTurn, ended: Turn) -> None:
    """Store the answer for its readers, while its process still waits for the turn."""
    if running.request.audience is None:
        return
    try:
        running.request.audience.end(ended)
    except Exception as error:
        log.error("answer not stored", turn=str(running.turn.id), exc_info=error)


def _answer(running: RunningTurn) -> tuple[Outcome, float | None]:
    """Let the model answer; returns the outcome and, of a failure, the seconds after which to come back."""
    started = time.monotonic()
    try:
        for piece in _guard(running, questions.stream_answer(running)):
            if isinstance(piece, Finish):
                return _build_outcome(running, piece), None
            if isinstance(piece, PromptInfo):
                _begin(running, piece)
                if running.cancel_token.requested:
                    break
            else:
                running.first_text_at = running.first_text_at or time.monotonic()
                running.text.append(piece)
        raise UpstreamIncomplete("The answer ended without saying how.")
    except Exception as error:  # noqa: BLE001 - whatever it was, the turn gets its end
        if running.stop_reason is None:
            _log_failure(running, error, started)
        return _build_broken_outcome(running, error), getattr(error, "retry_after", None)


def _build_broken_outcome(running: RunningTurn, error: Exception) -> Outcome:
    """Return the outcome of an answer that was stopped or has failed; the model's server did not come to count it."""
    text = running.text.since(0)
    prompt_info = running.prompt_info
    if running.stop_reason is None and not text:
        return Outcome("failed", error=type(error).__name__, retrieval_query=prompt_info.query)
    counts = prompt.tokens(prompt_info.messages, prompt_info.count), prompt_info.count(text)
    if running.stop_reason is None:
        return Outcome("failed", text, type(error).__name__, prompt_info.model, *counts, prompt_info.query)
    status = "cancelled" if running.stop_reason == "cancelled" else "interrupted"
    return Outcome(status, text, None, prompt_info.model, *counts, prompt_info.query)


def _guard(running: RunningTurn, pieces: Iterable[Piece]) -> Iterable[Piece]:
    """Return the pieces of an answer, guarded where others than the caller hear it."""
    audience = running.request.audience
    return pieces if audience is None else guard(pieces, audience)


def _begin(running: RunningTurn, prompt_info: PromptInfo) -> None:
    """Keep the prompt and reserve its tokens of budgets; readers get its passages before the first text."""
    running.prompt_info = prompt_info
    if running.caller.has_budgets:
        demands.extend(running)
    if running.request.audience is not None:
        collection_ids = running.grounding.find_collections(prompt_info.passages)
        running.request.audience.begin(collection_ids, running.grounding.withheld)
    if prompt_info.query is not None:
        running.text.candidates = [to_candidate(marker, one) for marker, one in enumerate(prompt_info.passages, 1)]


def _build_outcome(running: RunningTurn, finish: Finish) -> Outcome:
    text = running.text.since(0)
    prompt_info = running.prompt_info
    running.grounding.first_text = running.first_text_at
    cited = running.grounding.cite(text, prompt_info.passages)
    counts = finish.prompt_tokens, finish.completion_tokens
    return Outcome(
        STATUS[finish.reason],
        text,
        None,
        finish.model,
        *counts,
        retrieval_query=prompt_info.query,
        citations=cited.citations or None,
        grounded=cited.grounded,
        extras=dict(finish.extras) or None,
    )


def _close(running: RunningTurn, outcome: Outcome, retry_after: float | None) -> Turn:
    """Write the end and return the turn; when the database does not take it for long, its readers are sent away."""
    trace = _build_trace(running)
    measurements = running.measure()
    for retry_seconds in (*RETRY_SECONDS, None):
        try:
            return _write_end(running, outcome, measurements, trace=trace, retry_after=retry_after)
        except (DataError, UnicodeError) as error:  # something in it cannot be stored, such as half a character
            kind = type(getattr(error, "orig", error)).__name__  # not its words
            log.error("turn's end refused", turn=str(running.turn.id), error=kind)
            outcome = Outcome("failed", error=UpstreamGarbled.__name__)
            trace = None
        except (DatabaseBusy, DatabaseUnavailable, StorageFull) as error:
            log.warning("turn not closed yet", turn=str(running.turn.id), detail=error.detail)
            if retry_seconds is not None:
                time.sleep(retry_seconds)
    return _build_turn_without_row(running)


def _write_end(
    running: RunningTurn,
    outcome: Outcome,
    measurements: Measurements,
    *,
    trace: Trace | None,
    retry_after: float | None,
) -> Turn:
    """Write the end and return the turn, or the end that it has; of a deleted turn the ledger's entry is settled."""
    turn = running.turn
    try:
        closed = chat.close_turn(
            running.caller, turn, outcome, measurements=measurements, logged=running.is_logged, trace=trace
        )
        return replace(closed, retry_after=retry_after)
    except LeaseLost:
        # By the reaper; or by us, in a commit whose acknowledgement was lost on the way.
        log.warning("turn closed elsewhere", turn=str(turn.id))
    ended = history.find_ended_turn(turn)
    if ended is not None:
        return ended
    # Its user deleted it.
    status = outcome.status if running.stop_reason is None else "cancelled"
    settlement = turn_statements.build_settlement({**asdict(outcome), "status": status}, measurements)
    deleted_turns.settle(turn.id, settlement)
    return _build_turn_without_row(running, is_deleted=True)


def _build_trace(running: RunningTurn) -> Trace | None:
    """Return the trace of a turn for which passages or earlier turns were looked for; of others there is none."""
    context = running.context
    prompt_info = running.prompt_info
    if prompt_info.query is None and not context.is_recalled:
        return None
    record = context.to_record(prompt_info.repeated) if context.is_loaded else None
    return running.grounding.build_trace(prompt_info, running.attempts, record)


def _summarize_if_due(running: RunningTurn, ended: Turn) -> None:
    """Let the model sum up the turns that no prompt repeats any more; the turn has ended, and its readers have gone."""
    up_to = running.context.summary_due_up_to
    if up_to is None or ended.status not in {"completed", "truncated"}:
        return
    salt = questions.cache_salt(running.user_id)
    summarizer.summarize(running.user_id, running.turn.conversation_id, up_to, cache_salt=salt)


def _build_turn_without_row(running: RunningTurn, *, is_deleted: bool = False) -> Turn:
    """Return the turn as its row will be when the lease has expired, or as one that was deleted."""
    status = "cancelled" if is_deleted else "interrupted"
    return running.turn.to_turn(status=status, bot_response=running.text.since(0))


def _count(running: RunningTurn, ended: Turn) -> None:
    metrics.TURNS.labels(ended.status).inc()
    metrics.TURN_SECONDS.observe(time.monotonic() - running.opened_at)
    if running.first_text_at is not None:
        metrics.FIRST_TEXT_SECONDS.observe(running.first_text_at - running.opened_at)
    metrics.TOKENS.labels("prompt").inc(ended.prompt_tokens or 0)
    metrics.TOKENS.labels("completion").inc(ended.completion_tokens or 0)


def _log_failure(running: RunningTurn, error: Exception, started: float) -> None:
    metrics.UPSTREAM_ERRORS.labels(type(error).__name__).inc()
    facts = {"turn": str(running.turn.id), "error": type(error).__name__}
    if not isinstance(error, ChatbotError | AdapterError):
        log.error("unforeseen error", **facts, exc_info=error)
        return
    say = log.error if isinstance(error, ModelUnavailable) else log.warning
    milliseconds = round((time.monotonic() - started) * 1000)
    say("upstream failed", **facts, detail=error.detail, milliseconds=milliseconds)
