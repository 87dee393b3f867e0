"""The runner of one turn: apart from the request that opened it, from the opened row to its terminal state."""

import contextlib
import hmac
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from uuid import UUID

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import DataError

from chatbot.errors import ChatbotError, DatabaseBusy, DatabaseUnavailable, LeaseLost, StorageFull
from chatbot.observability import metrics
from chatbot.rag import pipeline, prompt
from chatbot.rag.errors import LLMError, ModelUnavailable, UpstreamGarbled, UpstreamIncomplete
from chatbot.rag.types import Abort, Finish, Message, Prompted, Question, Try
from chatbot.services import wiring
from chatbot.services.accounts.authentication import Caller
from chatbot.services.chat.turn_log.port import TurnText

from . import history
from . import turns as chat
from .grounding import Grounding, candidate
from .turns import OpenedTurn, Outcome

STATUS = {"stop": "completed", "length": "truncated", "content_filter": "filtered"}
FEW = 8  # turns that run at a time
# Seconds for each of them, as long as text still comes within a tenth of a second; with many, for each of those.
PAUSE_EACH, UNSEEN_PAUSE = 0.0025, 0.075
PAUSE_OF_MANY, LONGEST_PAUSE = 0.001, 0.4  # a reader still sees the text grow
PAUSES = (0.1, 0.3, 1.0, 3.0, 5.0)  # seconds between tries to write a turn's end

log = structlog.get_logger(__name__)

Stop = Literal["cancelled", "interrupted", "lost"]


@dataclass(frozen=True, slots=True)
class Brief:
    """What a caller brings along: a whole prompt or what was said before, parameters, the model to ask first."""

    said: Sequence[Message] | None = None
    verbatim: Sequence[Message] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""


class Running:
    """A turn that runs in this process: its text, what it was asked, how far it is saved, and how to stop it."""

    def __init__(self, caller: Caller, turn: OpenedTurn, text: TurnText, brief: Brief) -> None:
        self.user_id = caller.user_id
        self.turn, self.text, self.brief = turn, text, brief
        self.caller_id = caller.user_id
        self.grounding = Grounding(caller, turn.asked, is_there_any=turn.is_there_any)
        self.tries: list[Try] = []
        self.prompted = Prompted()
        self.abort = Abort()
        self.opened = time.monotonic()
        self.began: float | None = None  # when its first text came, in seconds of steady time
        self.saved = 0  # code points of the text that are in `turn_logs`
        self.logged = False  # whether anything may be there
        self.stopped: Stop | None = None

    def stop(self, why: Stop) -> None:
        """End it: the user cancelled, the process ends, or the lease went to another process."""
        self.stopped = self.stopped or why
        self.abort.request()


def run(app: Flask, running: Running, facts: Mapping[str, Any]) -> None:
    """Answer a turn, write its end, tell its readers and free its slot, whatever happens."""
    turn, ended = running.turn, running.turn.shown() | {"status": "interrupted"}
    structlog.contextvars.bind_contextvars(**facts)
    with app.app_context():
        try:
            ended = _closed(running, *_answered(running))
        except Exception as error:
            log.error("turn without an end", turn=str(turn.id), exc_info=error)
            ended = _interrupted(running)
        finally:
            _count(running, ended)
            wiring.running().pop(turn.id, None)
            wiring.turn_log().close(turn.id)
            running.text.end(ended)
            wiring.slots().release(running.user_id)


def _answered(running: Running) -> tuple[Outcome, float | None]:
    """Let the model answer; returns the outcome and, of a failure, the seconds after which to come back."""
    started = time.monotonic()
    try:
        for piece in _pieces(running):
            if isinstance(piece, Finish):
                return _finished(running, piece), None
            if isinstance(piece, Prompted):
                _begin(running, piece)
                if running.abort.requested:
                    break
            else:
                running.began = running.began or time.monotonic()
                running.text.append(piece)
        raise UpstreamIncomplete("The answer ended without saying how.")
    except Exception as error:  # noqa: BLE001 - whatever it was, the turn gets its end
        text, prompted = running.text.since(0), running.prompted
        if running.stopped is not None:
            status = "cancelled" if running.stopped == "cancelled" else "interrupted"
            # The server did not come to tell them.
            counts = prompt.tokens(prompted.messages, prompted.count), prompted.count(text)
            return Outcome(status, text, None, prompted.model, *counts, prompted.query), None
        _log_failure(running, error, started)
        failed = Outcome("failed", text, type(error).__name__, retrieval_query=prompted.query)
        return failed, getattr(error, "retry_after", None)


def _begin(running: Running, prompted: Prompted) -> None:
    """Remember what is asked; readers are told the passages before the first text."""
    running.prompted = prompted
    if prompted.query is not None:
        running.text.candidates = [candidate(marker, one) for marker, one in enumerate(prompted.passages, 1)]


def _finished(running: Running, finish: Finish) -> Outcome:
    text, prompted = running.text.since(0), running.prompted
    running.grounding.first_text = running.began
    cited, grounded = running.grounding.cited(text, prompted.passages)
    counts = finish.prompt_tokens, finish.completion_tokens
    return Outcome(STATUS[finish.reason], text, None, finish.model, *counts, prompted.query, cited or None, grounded)


def _pieces(running: Running) -> Generator[Prompted | str | Finish]:
    brief, grounding = running.brief, running.grounding
    said = brief.said if brief.said is not None else () if brief.verbatim else history.before(running.turn)
    retrieves = not brief.verbatim and grounding.wanted()
    question = Question(
        running.turn.user_message,
        said,
        brief.verbatim,
        brief.parameters,
        running.abort,
        brief.model,
        partial(pause, running, wiring.running()),
        grounding.retrieve if retrieves else None,
        retrieves and grounding.mode == "strict",
        running.tries,
        cache_salt(running.caller_id),
    )
    llm = wiring.llm_for(running.user_id)
    with contextlib.closing(pipeline.answer(question, llm, *wiring.prompt_budget())) as pieces:
        yield from pieces


def cache_salt(caller_id: UUID) -> str:
    """Return the secret by which a caller's prompts are kept apart in a server's prompt cache."""
    message = b"chatbot prompt cache" + caller_id.bytes
    return hmac.digest(current_app.config["SECRET_KEY"].encode(), message, "sha256").hex()


def pause(running: Running, beside: Mapping[Any, Any]) -> float:
    """Return how long a reader of an answer waits before it reads on, in seconds.

    Nothing while few turns run, and nothing before its first token. With many, the tokens of each come in handfuls,
    and the process has room for the first one of the next. At most twice as long as text has been coming already, so
    that a short answer that comes at once is not put off.
    """
    turns = len(beside)
    if turns < FEW or running.began is None:
        return 0.0
    wanted = max(min(turns * PAUSE_EACH, UNSEEN_PAUSE), min(turns * PAUSE_OF_MANY, LONGEST_PAUSE))
    return min(wanted, 2 * (time.monotonic() - running.began))


def _closed(running: Running, outcome: Outcome, retry_after: float | None) -> dict[str, Any]:
    """Write the end and return the turn; when the database does not take it for long, its readers are sent away."""
    retrieved = running.prompted.query is not None
    trace = running.grounding.trace(running.prompted, running.tries) if retrieved else None
    for pause in (*PAUSES, None):
        try:
            ended = chat.close_turn(running.turn, outcome, logged=running.logged, trace=trace)
            return ended | {"retry_after": retry_after}
        except LeaseLost:
            # By the reaper; or by us, in a commit whose acknowledgement was lost on the way.
            log.warning("turn closed elsewhere", turn=str(running.turn.id))
            return history.ended_turn(running.turn) or _interrupted(running)
        except DataError as error:  # there is something in it that the database does not take: all but that
            log.error("turn's end refused", turn=str(running.turn.id), error=type(error.orig).__name__)  # not its words
            outcome, trace = Outcome("failed", error=UpstreamGarbled.__name__), None
        except (DatabaseBusy, DatabaseUnavailable, StorageFull) as error:
            log.warning("turn not closed yet", turn=str(running.turn.id), detail=error.detail)
            if pause is not None:
                time.sleep(pause)
    return _interrupted(running)


def _interrupted(running: Running) -> dict[str, Any]:
    """Return what the row will say when the lease has run out."""
    return running.turn.shown() | {"status": "interrupted", "bot_response": running.text.since(0), "retry_after": None}


def _count(running: Running, ended: Mapping[str, Any]) -> None:
    metrics.TURNS.labels(ended["status"]).inc()
    metrics.TURN_SECONDS.observe(time.monotonic() - running.opened)
    if running.began is not None:
        metrics.FIRST_TEXT_SECONDS.observe(running.began - running.opened)
    for kind in ("prompt", "completion"):
        metrics.TOKENS.labels(kind).inc(ended.get(f"{kind}_tokens") or 0)


def _log_failure(running: Running, error: Exception, started: float) -> None:
    metrics.UPSTREAM_ERRORS.labels(type(error).__name__).inc()
    facts = {"turn": str(running.turn.id), "error": type(error).__name__}
    if not isinstance(error, ChatbotError | LLMError):
        log.error("unforeseen error", **facts, exc_info=error)
        return
    say = log.error if isinstance(error, ModelUnavailable) else log.warning
    milliseconds = round((time.monotonic() - started) * 1000)
    say("upstream failed", **facts, detail=error.detail, milliseconds=milliseconds)
