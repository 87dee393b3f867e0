"""Users' ratings of answers."""

from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Feedback
from chatbot.services.accounts.callers import Caller
from chatbot.services.usage import ledger


def give(caller: Caller, turn_id: UUID, rating: int, comment: str | None = None) -> None:
    """Store the caller's rating (-1 or 1) of one of their turns, in place of an earlier one.

    Raises NotFound.
    """
    own = sa.select(ChatMessage.id).where(ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with write("give_feedback") as connection:
        if connection.scalar(own.with_for_update()) is None:
            raise NotFound("There is no such turn.")
        connection.execute(sa.delete(Feedback).where(Feedback.turn_id == turn_id))
        values = {"turn_id": turn_id, "rating": rating, "comment": comment, "updated_at": now()}
        connection.execute(sa.insert(Feedback).values(values))
        ledger.rate(connection, turn_id, rating)
