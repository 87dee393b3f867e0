"""Turns that run: reserve a slot, start the runner, read at an offset, cancel, and end them all before a restart."""

import _thread
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa
import structlog
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import Busy, NotFound, NotRunning, TooManyTurns
from chatbot.models import ChatMessage
from chatbot.models.chat import RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.turn_log.port import TurnText

from . import generation, grounding, history, turns
from .records import OpenedTurn, OpenResult, StoredCitation, Turn
from .running_turns import GenerationRequest, RunningTurn
from .state import get_chat_state

HEARTBEAT = 5.0  # seconds without news after which a reader hears that all is well
POLL_SECONDS = 0.5  # seconds between two looks at a turn that another process runs
PLAIN_REQUEST = GenerationRequest()
CLOSE_SECONDS = 5.0  # seconds that a turn which was asked to end may take to write its end


@dataclass(frozen=True, slots=True)
class FirstText:
    """Whether a turn's text has begun; `ended` is the turn where it ended without any."""

    has_begun: bool
    ended: Turn | None = None


class Slot:
    """A slot of this process that is reserved for one turn."""

    def __init__(self) -> None:
        self.used = False

    def start(self, caller: Caller, turn: OpenedTurn, request: GenerationRequest = PLAIN_REQUEST) -> None:
        """Start the generation of an opened turn, independent of any reader."""
        app = get_chat_state().app
        running = RunningTurn(caller, turn, get_chat_state().turn_log.open(turn.id), request)
        get_chat_state().running_turns[turn.id] = running
        self.used = True
        facts = structlog.contextvars.get_contextvars()
        # Not a threading.Thread: its start waits until the thread runs, half a millisecond in which nobody is served.
        _thread.start_new_thread(generation.run, (app, running, facts))


def open_and_start(
    caller: Caller,
    open_turn: Callable[[], OpenResult],
    key: idempotency.Key | None,
    request: GenerationRequest = PLAIN_REQUEST,
) -> OpenResult:
    """Open a turn in a slot and let it run; one that its key opened before needs no slot.

    Raises Busy or TooManyTurns, and nothing is written, and what `open_turn` raises.
    """
    try:
        with slot(caller) as reserved:
            result = open_turn()
            if result.opened is not None:  # else the turn runs already or has ended
                reserved.start(caller, result.opened, request)
            return result
    except (Busy, TooManyTurns):
        known = turns.known_turn(caller, key)
        if known is None:
            raise
        return OpenResult(known)


@contextmanager
def slot(caller: Caller) -> Iterator[Slot]:
    """Reserve a slot for a turn that is about to be opened; given back unless the turn starts.

    Raises Busy or TooManyTurns, and nothing is written.
    """
    get_chat_state().slots.reserve(caller.user_id)
    reserved = Slot()
    try:
        yield reserved
    finally:
        if not reserved.used:
            get_chat_state().slots.release(caller.user_id)


def get_opened(caller: Caller, result: OpenResult) -> Turn:
    """Return the turn of a request, in any state; raises NotFound for one that was deleted meanwhile."""
    return get_turn(caller, result.turn_id) if result.opened is None else result.opened.to_turn()


def get_turn(caller: Caller, turn_id: UUID) -> Turn:
    """Return one of the caller's turns, in any state, with the text so far; raises NotFound."""
    turn = history.get_turn(caller, turn_id)
    text = get_chat_state().turn_log.find(turn_id)
    if turn.status not in RUNNING or text is None:
        return turn
    return replace(turn, bot_response=text.since(0), status="streaming" if text.length else "pending")


def cancel(caller: Caller, turn_id: UUID) -> None:
    """Ask a running turn to end, in whichever process it runs; raises NotFound, NotRunning."""
    conditions = (ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with write("cancel_turn") as connection:
        statement = sa.update(ChatMessage).where(*conditions, ChatMessage.status.in_(RUNNING))
        if connection.execute(statement.values(cancel_requested_at=now())).rowcount != 1:
            if connection.scalar(sa.select(ChatMessage.id).where(*conditions)) is None:
                raise NotFound("There is no such turn.")
            raise NotRunning("The turn has ended.")
    running = get_chat_state().running_turns.get(turn_id)
    if running is not None:
        running.stop("cancelled")


def wait_for_first_text(turn_id: UUID, seconds: float) -> FirstText:
    """Wait until a turn's text begins, or it ends without, for up to `seconds`."""
    text = get_chat_state().turn_log.find(turn_id)
    if text is None or not text.wait(0, seconds):
        return FirstText(has_begun=False)
    return FirstText(has_begun=text.length > 0, ended=None if text.length else text.ended)


def text_of(turn_id: UUID) -> TurnText | None:
    """Return the text of a turn that runs in this process."""
    return get_chat_state().turn_log.find(turn_id)


def wait(caller: Caller, turn_id: UUID) -> Turn:
    """Return a turn when it has ended."""
    text = get_chat_state().turn_log.find(turn_id)
    if text is not None:
        while text.ended is None:
            text.wait(sys.maxsize, HEARTBEAT)
        return _as_readable(caller, text.ended)
    while (turn := history.get_turn(caller, turn_id)).status in RUNNING:
        time.sleep(POLL_SECONDS)
    return turn


def follow(caller: Caller, turn_id: UUID, offset: int) -> Iterator[str | Turn | None]:
    """Yield a turn's text from an offset (in code points) on, as it comes, then the turn in its terminal state.

    None is a heartbeat. Raises NotFound, at once or when the turn is deleted meanwhile.
    """
    app = get_chat_state().app
    text = get_chat_state().turn_log.find(turn_id)
    return _follow_row(app, caller, turn_id, offset) if text is None else _follow_text(app, caller, text, offset)


def drain(seconds: float) -> None:
    """Take no new turns, let those that run end by themselves for so long, then close the rest as interrupted."""
    get_chat_state().slots.close()
    running = get_chat_state().running_turns
    deadline = time.monotonic() + seconds
    while running and time.monotonic() < deadline:
        time.sleep(0.1)
    for one in list(running.values()):
        one.stop("interrupted")
    deadline = time.monotonic() + CLOSE_SECONDS
    while running and time.monotonic() < deadline:
        time.sleep(0.05)


def is_draining() -> bool:
    """Return whether this process takes no new turns any more."""
    return get_chat_state().slots.closed


def candidates(caller: Caller, text: TurnText) -> list[StoredCitation] | None:
    """Return the passages that a turn is answered from, as the caller may read them now; None when none were sought."""
    return None if text.candidates is None else _refresh(caller, text.candidates)


def _as_readable(caller: Caller, turn: Turn) -> Turn:
    """Return a turn with the quotes that the caller may read by now; rights may have gone while it ran."""
    return replace(turn, citations=_refresh(caller, turn.citations)) if turn.citations else turn


def _refresh(caller: Caller, citations: list[StoredCitation]) -> list[StoredCitation]:
    with read() as connection:
        return grounding.refresh(connection, caller, [citations])[0]


def _follow_text(app: Flask, caller: Caller, text: TurnText, offset: int) -> Iterator[str | Turn | None]:
    while True:
        if text.wait(offset, HEARTBEAT):
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
            look = news.wait(HEARTBEAT)
            if time.monotonic() - silent_since >= HEARTBEAT:
                silent_since = time.monotonic()
                yield None
