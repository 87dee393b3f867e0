"""The end of answers before they are whole: by their askers, and by owners."""

from uuid import UUID

from chatbot.database.transactions import read
from chatbot.errors import Forbidden, NotFound, NotRunning
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import execution
from chatbot.services.rooms import message_rows, rows

from . import answers


def cancel(caller: Caller, room_id: UUID, message_id: UUID) -> None:
    """End an answer that the caller asked for, or of a room that they own; raises NotFound, Forbidden, NotRunning."""
    with read() as connection:
        role = rows.load(connection, caller, room_id).role
        message = message_rows.load(connection, caller, message_id)
    if message.room_id != room_id:
        raise NotFound("There is no such message.")
    if message.kind != "bot":
        raise NotRunning("The message is not an answer of the bot.")
    if message.asker_id != caller.user_id and role not in rows.OWNERS:
        raise Forbidden("Only the asker and the room's owners can cancel an answer.")
    answer = answers.find(message_id)
    if answer is not None and answer.turn_id is None and answers.end_without_turn(answer, "cancelled"):
        return
    if not stop(message_id):
        raise NotRunning("The answer has ended.")


def stop(message_id: UUID) -> bool:
    """End the turn of an answer; returns whether it was running."""
    answer = answers.find(message_id)
    if answer is None or answer.turn_id is None or answer.asker is None:
        return False
    try:
        execution.cancel(answer.asker, answer.turn_id)
    except (NotFound, NotRunning):
        return False
    return True
