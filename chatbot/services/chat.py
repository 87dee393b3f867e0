"""A turn's life in the database: opened before the model is called, closed exactly once."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ..errors import ConversationBusy, LeaseLost, NotFound
from ..models import ChatMessage, Conversation
from ..models.chat import RUNNING
from ..models.columns import now, uuid7
from .identity import Caller
from .transactions import read, write

LEASE = timedelta(seconds=15)
FIELDS = tuple(column for column in ChatMessage.__table__.c if not column.name.startswith("lease_"))
RELEASED: dict[str, Any] = {"lease_token": None, "lease_expires_at": None}

# Each chat runs these: made once, because making a statement costs more than running it.
INSERT_CONVERSATION = sa.insert(Conversation)
INSERT_TURN = sa.insert(ChatMessage)
CLOSE_TURN = sa.update(ChatMessage).where(
    ChatMessage.id == sa.bindparam("turn_id"),
    ChatMessage.lease_token == sa.bindparam("held_token"),
    ChatMessage.status.in_(RUNNING),
)


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """A turn that runs, and the token with which alone it may be closed."""

    id: UUID
    conversation_id: UUID
    user_message: str
    created_at: datetime
    lease_token: UUID


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended. `error` is the name of an error's class."""

    status: str
    bot_response: str = ""
    error: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def open_turn(caller: Caller, message: str, conversation_id: UUID | None = None) -> OpenedTurn:
    """Commit the user's message as a pending turn, in a new conversation unless one is named.

    Raises NotFound for a conversation that is absent or somebody else's, ConversationBusy.
    """
    turn = OpenedTurn(uuid7(), conversation_id or uuid7(), message, now(), uuid7())
    try:
        with write() as connection:
            next_turn = _next_in_conversation if conversation_id else _first_in_conversation
            values = {
                "id": turn.id,
                "user_id": caller.user_id,
                "conversation_id": turn.conversation_id,
                "sequence": next_turn(connection, caller, turn),
                "user_message": message,
                "created_at": turn.created_at,
                "lease_token": turn.lease_token,
                "lease_expires_at": turn.created_at + LEASE,
            }
            connection.execute(INSERT_TURN, values)
    except IntegrityError as error:
        raise ConversationBusy("The conversation's last turn is still running.", retry_after=1) from error
    return turn


def close_turn(turn: OpenedTurn, outcome: Outcome) -> dict[str, Any]:
    """Write a turn's terminal state and return the turn.

    Raises LeaseLost when it was closed by somebody else meanwhile.
    """
    values = {**asdict(outcome), "completed_at": now()}
    key = {"turn_id": turn.id, "held_token": turn.lease_token}
    with write() as connection:
        ended = connection.execute(CLOSE_TURN, {**values, **key, **RELEASED})
        if ended.rowcount != 1:
            raise LeaseLost(f"Turn {turn.id} was closed by another process.")
    opened = {name: getattr(turn, name) for name in ("id", "conversation_id", "user_message", "created_at")}
    return opened | values


def get_turn(caller: Caller, turn_id: UUID) -> dict[str, Any]:
    """Return one of the caller's turns, whatever its state; raises NotFound."""
    statement = sa.select(*FIELDS).where(ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("There is no such turn.")
    return dict(row._mapping)


def _first_in_conversation(connection: sa.Connection, caller: Caller, turn: OpenedTurn) -> int:
    values = {"id": turn.conversation_id, "user_id": caller.user_id, "last_sequence": 1, "created_at": turn.created_at}
    connection.execute(INSERT_CONVERSATION, values)
    return 1


def _next_in_conversation(connection: sa.Connection, caller: Caller, turn: OpenedTurn) -> int:
    sequence: int | None = connection.scalar(
        sa.update(Conversation)
        .where(Conversation.id == turn.conversation_id, Conversation.user_id == caller.user_id)
        .values(last_sequence=Conversation.last_sequence + 1)
        .returning(Conversation.last_sequence)
    )
    if sequence is None:
        raise NotFound("There is no such conversation.")
    return sequence
