"""Running turns: reserve a slot, start the runner, cancel, and end all of them before a restart."""

import _thread
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import Busy, NotFound, NotRunning, TooManyTurns
from chatbot.models import ChatMessage
from chatbot.models.chat import RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller

from . import generation
from .records import OpenedTurn, OpenResult
from .running_turns import GenerationRequest, RunningTurn
from .state import get_chat_state

PLAIN_REQUEST = GenerationRequest()
CLOSE_SECONDS = 5.0  # seconds that a turn which was asked to end may take to write its end


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
        # Not a threading.Thread: its start waits until the thread runs, half a millisecond for all.
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
        known = idempotency.find_committed(caller.user_id, key)
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


def drain(seconds: float) -> None:
    """Take no new turns, let those that run end by themselves for so long, then close the rest as interrupted.

    Summaries end at once: a later turn has them written.
    """
    get_chat_state().slots.close()
    for cancel_token in list(get_chat_state().summaries):
        cancel_token.request()
    running = get_chat_state().running_turns
    deadline = time.monotonic() + seconds
    while running and time.monotonic() < deadline:
        time.sleep(0.1)
    for one in list(running.values()):
        one.stop("interrupted")
    deadline = time.monotonic() + CLOSE_SECONDS
    while (running or get_chat_state().summaries) and time.monotonic() < deadline:
        time.sleep(0.05)


def is_draining() -> bool:
    """Return whether this process takes no new turns any more."""
    return get_chat_state().slots.closed
