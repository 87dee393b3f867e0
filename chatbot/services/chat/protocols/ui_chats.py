"""Chats of user-interface protocols: a chat's id is made by the client, and names one conversation."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import ChatMessage, Conversation
from chatbot.models.chat import RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import turns
from chatbot.services.chat.records import OpenResult, TurnOptions
from chatbot.services.usage.ledger import Origin

NO_ID = UUID(int=0)
ORIGIN = Origin("ui")


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The turn that a chat ends with."""

    id: UUID
    user_message: str
    status: str

    @property
    def is_running(self) -> bool:
        """Return whether its answer is being written."""
        return self.status in RUNNING


def find_last_turn(caller: Caller, chat_id: str) -> LastTurn | None:
    """Return the last turn of the caller's chat, or None for one that is empty, absent or another user's."""
    with read() as connection:
        conversation_id = _find_conversation(connection, caller, chat_id)
        return None if conversation_id is None else _find_last_turn(connection, conversation_id)


def send(
    caller: Caller, chat_id: str, message: str, *, options: TurnOptions, key: idempotency.Key | None = None
) -> OpenResult:
    """Open a turn in a chat, which begins with it unless it is there; options and errors are those of `open_turn`."""
    with read() as connection:
        conversation_id = _find_conversation(connection, caller, chat_id)
    place = {"external_id": chat_id} if conversation_id is None else {"conversation_id": conversation_id}
    return turns.open_turn(caller, message, options=options, key=key, origin=ORIGIN, **place)


def regenerate(
    caller: Caller,
    chat_id: str,
    message: str,
    *,
    message_id: str | None = None,
    options: TurnOptions,
    key: idempotency.Key | None = None,
) -> OpenResult:
    """Open another answer to the chat's last message, or the first one to a message that never arrived.

    `message_id` is the id of the turn, or the client's own one of the message. Errors are those of `turns.regenerate`
    and `turns.open_turn`.
    """
    with read() as connection:
        conversation_id = _find_conversation(connection, caller, chat_id)
        found = None if conversation_id is None else _find_answered(connection, conversation_id, message, message_id)
    if found is None:
        return send(caller, chat_id, message, options=options, key=key)
    return turns.regenerate(caller, found, key=key, origin=ORIGIN)


def _find_conversation(connection: sa.Connection, caller: Caller, chat_id: str) -> UUID | None:
    """Return the id of the conversation with this external id, else of the one with this id, or None."""
    if "\0" in chat_id:  # which no database can look for
        return None
    named = Conversation.external_id == chat_id
    identity = _parse_uuid(chat_id)
    condition = named if identity is None else sa.or_(named, Conversation.id == identity)
    statement = sa.select(Conversation.id).where(Conversation.user_id == caller.user_id, condition)
    return connection.scalar(statement.order_by(named.desc()).limit(1))


def _find_last_turn(connection: sa.Connection, conversation_id: UUID) -> LastTurn | None:
    columns = (ChatMessage.id, ChatMessage.user_message, ChatMessage.status)
    statement = sa.select(*columns).where(ChatMessage.conversation_id == conversation_id, ChatMessage.active)
    row = connection.execute(statement.order_by(ChatMessage.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else LastTurn(row.id, row.user_message, row.status)


def _find_answered(
    connection: sa.Connection, conversation_id: UUID, message: str, message_id: str | None
) -> UUID | None:
    """Return the turn that a client wants to have answered anew, or None if no turn has its message."""
    last = _find_last_turn(connection, conversation_id)
    if last is None or last.user_message == message or message_id is None:
        return last.id if last and last.user_message == message else None
    of_chat = ChatMessage.conversation_id == conversation_id
    is_named = ChatMessage.id == (_parse_uuid(message_id) or NO_ID)
    statement = sa.select(ChatMessage.id).where(of_chat, sa.or_(is_named, ChatMessage.user_message == message))
    return connection.scalar(statement.order_by(is_named.desc(), ChatMessage.sequence.desc()).limit(1))


def _parse_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
