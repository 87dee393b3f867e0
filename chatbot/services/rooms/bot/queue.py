"""The queue of a room's questions: the table is the queue, and one answer is written at a time."""

import _thread
from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import BotOff, BudgetExhausted, Busy, ChatbotError, Forbidden, NotFound, TooManyTurns
from chatbot.models import Collection, Room
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import execution, turns
from chatbot.services.chat.conversation_rows import Opening
from chatbot.services.chat.records import OpenedTurn, TurnOptions
from chatbot.services.chat.running_turns import GenerationRequest
from chatbot.services.chat.state import get_chat_state
from chatbot.services.knowledge.permissions import may_read
from chatbot.services.rooms import members, message_rows, rows
from chatbot.services.usage.ledger import Origin

from . import answers, prompts
from .audience import RoomAudience
from .records import Answer

log = structlog.get_logger(__name__)


def start_soon(room_id: UUID) -> None:
    """Start the next answer of a room, apart from the request that asked."""
    app = get_chat_state().app

    def run() -> None:
        with app.app_context():
            _try_start_next(room_id)

    _thread.start_new_thread(run, ())


def start_waiting() -> None:
    """Start the answers that wait for a slot, or for a process that has ended; store those that have ended."""
    for answer in answers.list_ended():
        _try_settle(answer)
    for room_id in answers.list_waiting_rooms():
        _try_start_next(room_id)


def start_next(room_id: UUID) -> None:
    """Start the oldest answer of a room that finds a slot for its asker, unless one is being written."""
    if execution.is_draining():
        return
    for answer in answers.list_queued(room_id):
        if answer.asker is None:
            answers.end_without_turn(answer, "cancelled")
            continue
        try:
            if _start_answer(answer, answer.asker):
                return
        except TooManyTurns:  # of this asker; others need not wait for them
            continue
        except Busy:
            return


def _start_answer(answer: Answer, asker: Caller) -> bool:
    """Open the turn of an answer and let it run; returns False where nothing is left to answer.

    Raises Busy, TooManyTurns.
    """
    with execution.slot(asker) as slot:
        try:
            turn = _claim(answer, asker)
        except IntegrityError:  # another process began one in this moment
            return True
        except (BotOff, Forbidden, NotFound):  # the asker may not write there any more, or the room is gone
            answers.end_without_turn(answer, "cancelled")
            return False
        except BudgetExhausted:
            answers.end_without_turn(answer, "failed")
            return False
        if turn is None:
            return False
        with read(snapshot=True) as connection:
            history = prompts.load_history(connection, answer)
        audience = RoomAudience(
            replace(answer, turn_id=turn.id),
            asker.user_id,
            earlier_sources=history.sources,
            on_end=_try_settle,
            on_free_slot=_try_start_next,
        )
        slot.start(asker, turn, GenerationRequest(history=history.exchanges, recall=history.recall, audience=audience))
        return True


def _claim(answer: Answer, asker: Caller) -> OpenedTurn | None:
    """Open the turn of an answer that waits; raises BotOff, NotFound, Forbidden unless its asker may write there."""
    with write("start_room_answer") as connection:
        rows.lock_room(connection, answer.room_id)
        if not answers.may_start(connection, answer):
            return None
        rows.require_role(connection, asker, answer.room_id, rows.WRITERS)
        members.load_username(connection, asker.user_id)  # not of a disabled account
        question = prompts.load_question(connection, answer)
        if question is None:
            raise NotFound("The question was deleted.")
        options = _load_options(connection, answer, asker)
        origin = Origin("room", answer.room_id)
        opening = Opening(question, now(), instructions=options.instructions, listed=False, origin=origin)
        turn = turns.open_within(connection, asker, opening, options)
        message_rows.change(connection, answer.room_id, answer.id, {"status": "pending", "turn_id": turn.id})
        return turn


def _load_options(connection: sa.Connection, answer: Answer, asker: Caller) -> TurnOptions:
    """Return the options of a room's answers: its instructions, and those of its collections that the asker may read.

    Which of these all members may read is asked for by the search. Raises BotOff in a room without the bot by now.
    """
    settings = sa.select(Room.bot, Room.instructions, Room.collection_ids)
    room = connection.execute(settings.where(Room.id == answer.room_id)).one()
    if room.bot == "off":
        raise BotOff("The bot was taken out of the room.")
    if not room.collection_ids:
        return TurnOptions(instructions=room.instructions)
    named = Collection.id.in_([UUID(one) for one in room.collection_ids])
    readable = tuple(connection.scalars(sa.select(Collection.id).where(named, may_read(asker))))
    return TurnOptions(collection_ids=readable, instructions=room.instructions)


def _try_settle(answer: Answer) -> None:
    """Store an answer that has ended; after a failure a job does it later."""
    try:
        answers.settle(answer)
    except (ChatbotError, SQLAlchemyError) as error:
        log.warning("answer not stored yet", message=str(answer.id), error=type(error).__name__)


def _try_start_next(room_id: UUID) -> None:
    """Start the next answer of a room; after a failure a job does it later."""
    try:
        start_next(room_id)
    except (ChatbotError, SQLAlchemyError) as error:
        log.warning("answer not started yet", room=str(room_id), error=type(error).__name__)
