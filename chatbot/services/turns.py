"""Running a turn: from the opened row to its terminal state, whatever happens on the way."""

import time
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from ..errors import ChatbotError, LeaseLost
from ..models import ChatMessage
from ..models.chat import RUNNING
from ..models.columns import now
from ..rag import pipeline
from ..rag.errors import LLMError, ModelUnavailable, UpstreamIncomplete
from ..rag.types import Finish
from . import chat, wiring
from .chat import LEASE, OpenedTurn, Outcome
from .transactions import read, write

STATUS = {"stop": "completed", "length": "truncated", "content_filter": "filtered"}

log = structlog.get_logger(__name__)
_running: dict[Any, OpenedTurn] = {}


def run(turn: OpenedTurn) -> dict[str, Any]:
    """Answer an opened turn and return it in its terminal state.

    When the model fails, the turn is closed as `failed` with the text so far, and the LLMError goes on.
    """
    _running[turn.id] = turn
    pieces: list[str] = []
    started = time.monotonic()
    try:
        return chat.close_turn(turn, _answer(turn, pieces))
    except (ChatbotError, DBAPIError):
        raise  # the database does not take the end: the lease runs out, and the turn ends as interrupted
    except BaseException as error:
        _record(turn, Outcome("failed", "".join(pieces), type(error).__name__))
        if isinstance(error, LLMError):
            _log_failure(turn, error, started)
        raise
    finally:
        _running.pop(turn.id, None)


def renew_leases() -> int:
    """Keep the turns that run in this process; returns how many there are."""
    held = {turn.lease_token for turn in _running.values()}
    if held:
        statement = sa.update(ChatMessage).where(ChatMessage.lease_token.in_(held), ChatMessage.status.in_(RUNNING))
        with write() as connection:
            connection.execute(statement.values(lease_expires_at=now() + LEASE))
    return len(held)


def close_abandoned() -> int:
    """Close every turn without a live lease as `interrupted`; returns how many there were."""
    abandoned = (ChatMessage.status.in_(RUNNING), ChatMessage.lease_expires_at < now())
    with read() as connection:
        if connection.scalar(sa.select(ChatMessage.id).where(*abandoned).limit(1)) is None:
            return 0
    values = {"status": "interrupted", "completed_at": now(), "lease_token": None, "lease_expires_at": None}
    with write() as connection:
        statement = sa.update(ChatMessage).where(*abandoned).values(values).returning(ChatMessage.id)
        closed = connection.scalars(statement).all()
    log.warning("turns interrupted", turns=[str(turn) for turn in closed])
    return len(closed)


def _answer(turn: OpenedTurn, pieces: list[str]) -> Outcome:
    for piece in pipeline.answer(turn.user_message, wiring.llm()):
        if isinstance(piece, Finish):
            text = "".join(pieces)
            return Outcome(STATUS[piece.reason], text, None, piece.model, piece.prompt_tokens, piece.completion_tokens)
        pieces.append(piece)
    raise UpstreamIncomplete("The answer ended without saying how.")


def _record(turn: OpenedTurn, outcome: Outcome) -> None:
    try:
        chat.close_turn(turn, outcome)
    except LeaseLost:
        log.warning("turn closed elsewhere", turn=str(turn.id))


def _log_failure(turn: OpenedTurn, error: LLMError, started: float) -> None:
    say = log.error if isinstance(error, ModelUnavailable) else log.warning
    facts = {"turn": str(turn.id), "error": type(error).__name__, "detail": error.detail}
    say("upstream failed", **facts, milliseconds=round((time.monotonic() - started) * 1000))
