"""Readers of turns: each follows the text from an offset, wherever the turn runs or has ended."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from flask import Flask

from chatbot.database.transactions import read
from chatbot.models.chat import RUNNING
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.turn_log.port import TurnText
from chatbot.services.knowledge.permissions import may_read

from . import grounding, history
from .records import OpenResult, StoredCitation, Turn
from .state import get_chat_state

HEARTBEAT_SECONDS = 2.0  # without news, after which a reader hears that all is well
POLL_SECONDS = 0.5  # between two looks at a turn that another process runs


@dataclass(frozen=True, slots=True)
class FirstText:
    """Whether a turn's text has begun; `ended` is the turn where it ended without any."""

    has_begun: bool
    ended: Turn | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the reasoning before an answer, and its offset in code points."""

    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class PolledTurn:
    """A turn with its text from an offset on, in code points; None where the client named none."""

    turn: Turn
    text_from: int | None


def poll(caller: Caller, turn_id: UUID, after: int | None, seconds: float) -> PolledTurn:
    """Return a turn with its text from an offset on, as soon as there is more or it has ended; raises NotFound.

    Where neither comes in time, the text is empty. An offset beyond the text, which a crash took back, gets all of it.
    """
    deadline = time.monotonic() + seconds
    turn = get_turn(caller, turn_id)
    if after is None:
        return PolledTurn(turn, None)
    while turn.status in RUNNING and len(turn.bot_response) <= after and (left := deadline - time.monotonic()) > 0:
        text = get_chat_state().turn_log.find(turn_id)
        if text is None:
            time.sleep(min(POLL_SECONDS, left))
        else:
            text.wait(after, left)
        turn = get_turn(caller, turn_id)
    is_taken_back = turn.status not in RUNNING and len(turn.bot_response) < after
    offset = 0 if is_taken_back else after
    return PolledTurn(replace(turn, bot_response=turn.bot_response[offset:]), offset)


def get_result_turn(caller: Caller, result: OpenResult) -> Turn:
    """Return the turn of a request, in any state; raises NotFound for one that was deleted meanwhile."""
    return get_turn(caller, result.turn_id) if result.opened is None else result.opened.to_turn()


def get_turn(caller: Caller, turn_id: UUID) -> Turn:
    """Return one of the caller's turns, in any state, with the text so far; raises NotFound."""
    turn = history.get_turn(caller, turn_id)
    text = get_chat_state().turn_log.find(turn_id)
    if turn.status not in RUNNING or text is None:
        return turn
    return replace(turn, bot_response=text.since(0), status="streaming" if text.length else "pending")


def wait_for_first_text(turn_id: UUID, seconds: float) -> FirstText:
    """Wait until a turn's text begins, or it ends without, for up to `seconds`."""
    text = get_chat_state().turn_log.find(turn_id)
    if text is None or not text.wait(0, seconds):
        return FirstText(has_begun=False)
    return FirstText(has_begun=text.length > 0, ended=None if text.length else text.ended)


def find_text(turn_id: UUID) -> TurnText | None:
    """Return the text of a turn that runs in this process."""
    return get_chat_state().turn_log.find(turn_id)


def wait(caller: Caller, turn_id: UUID) -> Turn:
    """Return a turn when it has ended."""
    text = get_chat_state().turn_log.find(turn_id)
    if text is not None:
        while text.ended is None:
            text.wait(sys.maxsize, HEARTBEAT_SECONDS)
        return _as_readable(caller, text.ended)
    while (turn := history.get_turn(caller, turn_id)).status in RUNNING:
        time.sleep(POLL_SECONDS)
    return turn


def follow(
    caller: Caller, turn_id: UUID, offset: int, *, text: TurnText | None = None, with_reasoning: bool = False
) -> Iterator[str | Reasoning | Turn | None]:
    """Yield a turn's text from an offset (in code points) on, as it comes, then the turn in its terminal state.

    `text` is that of a turn that ran here and may have ended since. None is a heartbeat. The reasoning of a turn that
    runs in this process comes before the text. Raises NotFound, at once or when the turn is deleted meanwhile.
    """
    app = get_chat_state().app
    text = text or get_chat_state().turn_log.find(turn_id)
    if text is None:
        return _follow_row(app, caller, turn_id, offset)
    return _follow_text(app, caller, text, offset, with_reasoning=with_reasoning)


def list_candidates(caller: Caller, text: TurnText) -> list[StoredCitation] | None:
    """Return the passages that a turn is answered from, as the caller may read them now; None when none were sought."""
    return None if text.candidates is None else _refresh(caller, text.candidates)


def _as_readable(caller: Caller, turn: Turn) -> Turn:
    """Return a turn with the quotes that the caller may read by now; rights may have gone while it ran."""
    return replace(turn, citations=_refresh(caller, turn.citations)) if turn.citations else turn


def _refresh(caller: Caller, citations: list[StoredCitation]) -> list[StoredCitation]:
    with read() as connection:
        return grounding.refresh_citations(connection, may_read(caller), [citations])[0]


def _follow_text(
    app: Flask, caller: Caller, text: TurnText, offset: int, *, with_reasoning: bool
) -> Iterator[str | Reasoning | Turn | None]:
    reasoning_offset = 0 if with_reasoning else sys.maxsize
    while True:
        if text.wait(offset, HEARTBEAT_SECONDS, reasoning_offset=reasoning_offset):
            if reasoning := text.reasoning_since(reasoning_offset):
                yield Reasoning(reasoning_offset, reasoning)
                reasoning_offset += len(reasoning)
            piece = text.since(offset)
            if piece:
                offset += len(piece)
                yield piece
            elif text.ended is not None:
                with app.app_context():
                    ended = _as_readable(caller, text.ended)
                yield ended
                return
        else:
            yield None


def _follow_row(app: Flask, caller: Caller, turn_id: UUID, offset: int) -> Iterator[str | Turn | None]:
    """Follow a turn that has ended or that another process runs: its row, and the log's text beyond it."""
    silent_since = time.monotonic()
    look = True
    with app.app_context():
        log = get_chat_state().turn_log
    with log.elsewhere(turn_id) as news:
        while True:
            turn = None
            if look:
                with app.app_context():
                    turn = history.get_turn(caller, turn_id)
            ended = turn is not None and turn.status not in RUNNING
            saved = turn.bot_response[offset:] if turn is not None else ""
            piece = saved if ended else max(saved, news.since(offset), key=len)
            if piece:
                offset += len(piece)
                silent_since = time.monotonic()
                yield piece
            if ended:
                yield turn
                return
            look = news.wait(max(0.0, silent_since + HEARTBEAT_SECONDS - time.monotonic()))
            if time.monotonic() - silent_since >= HEARTBEAT_SECONDS:
                silent_since = time.monotonic()
                yield None
