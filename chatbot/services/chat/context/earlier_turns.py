"""The turns of a conversation that a prompt may show: active ones, with an answer that the user saw."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.models import ChatMessage
from chatbot.rag.types import Message
from chatbot.services.chat.history import SHOWN_STATUSES
from chatbot.services.chat.records import OpenedTurn

MAX_REPEATED = 100  # turns that are looked at to be repeated in a prompt; a budget of tokens decides among them
MAX_REPEATED_CHARACTERS = 1 << 20
MAX_SEARCHED = 2000  # older turns; their analysis takes .1 ms per 1,000 characters
MAX_SEARCHED_CHARACTERS = 1 << 19


@dataclass(frozen=True, slots=True)
class EarlierTurn:
    """A turn that has ended, as a prompt repeats it."""

    id: UUID
    sequence: int
    user_message: str
    bot_response: str

    def to_messages(self) -> tuple[Message, Message]:
        """Return the turn as messages of a prompt."""
        return Message("user", self.user_message), Message("assistant", self.bot_response)


def list_newest(connection: sa.Connection, turn: OpenedTurn) -> tuple[list[EarlierTurn], bool]:
    """Return the turns before this one, oldest first, and whether these are all of them."""
    statement = _shown(turn.conversation_id).where(ChatMessage.sequence < turn.sequence)
    found = connection.execute(statement.order_by(ChatMessage.sequence.desc()).limit(MAX_REPEATED + 1))
    turns, is_whole = _take(found, MAX_REPEATED, MAX_REPEATED_CHARACTERS)
    return turns[::-1], is_whole


def list_older(connection: sa.Connection, conversation_id: UUID, before: int) -> list[EarlierTurn]:
    """Return the turns before a place in the conversation, oldest first: the last of them, where there are many."""
    statement = _shown(conversation_id).where(ChatMessage.sequence < before)
    found = connection.execute(statement.order_by(ChatMessage.sequence.desc()).limit(MAX_SEARCHED))
    return _take(found, MAX_SEARCHED, MAX_SEARCHED_CHARACTERS)[0][::-1]


def list_between(
    connection: sa.Connection, conversation_id: UUID, *, after: int, up_to: int, max_characters: int
) -> list[EarlierTurn]:
    """Return the turns between two places, oldest first, of the first so many characters."""
    statement = _shown(conversation_id).where(ChatMessage.sequence > after, ChatMessage.sequence <= up_to)
    found = connection.execute(statement.order_by(ChatMessage.sequence).limit(MAX_SEARCHED))
    return _take(found, MAX_SEARCHED, max_characters)[0]


def _shown(conversation_id: UUID) -> sa.Select[*tuple[Any, ...]]:
    columns = (ChatMessage.id, ChatMessage.sequence, ChatMessage.user_message, ChatMessage.bot_response)
    return sa.select(*columns).where(
        ChatMessage.conversation_id == conversation_id,
        ChatMessage.active,
        ChatMessage.status.in_(SHOWN_STATUSES),
        ChatMessage.bot_response != "",
    )


def _take(rows: Iterable[Any], number: int, characters: int) -> tuple[list[EarlierTurn], bool]:
    """Return the first rows as turns, as many as fit but at least one, and whether these are all of them."""
    turns: list[EarlierTurn] = []
    for row in rows:
        characters -= len(row.user_message) + len(row.bot_response)
        if len(turns) == number or (turns and characters < 0):
            return turns, False
        turns.append(EarlierTurn(*row))
    return turns, True
