"""A conversation's row, as turns are opened in it and deleted."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.transactions import read
from chatbot.database.types import uuid7
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Conversation, ConversationShare, RoomMessage
from chatbot.services.accounts.callers import Caller
from chatbot.services.usage.ledger import API, Origin

MAX_AUTO_TITLE_LENGTH = 80
# The turn up to which a conversation was read, or after its deletion the newest before it.
READ_TURN = (
    sa.select(ChatMessage.id)
    .where(
        ChatMessage.conversation_id == Conversation.id,
        ChatMessage.sequence <= Conversation.read_sequence,
        ChatMessage.listed,
        sa.or_(ChatMessage.active, ChatMessage.id == Conversation.read_turn_id),
    )
    .order_by(ChatMessage.sequence.desc())
    .limit(1)
    .correlate(Conversation)
    .scalar_subquery()
)
# Nobody goes on with the conversation of a room's answer: the room's text enters no private prompt.
IS_OF_ROOM = (
    sa.exists()
    .where(ChatMessage.conversation_id == Conversation.id, RoomMessage.turn_id == ChatMessage.id)
    .correlate(Conversation)
)
INSERT = Prepared(sa.insert(Conversation))  # each chat runs it


@dataclass(frozen=True, slots=True)
class Opening:
    """A message that opens a turn, and the settings of a conversation that it begins."""

    message: str
    created_at: datetime
    conversation_id: UUID | None = None
    external_id: str | None = None
    instructions: str | None = None
    listed: bool = True
    origin: Origin = API

    @property
    def begins_conversation(self) -> bool:
        """Whether it names no conversation."""
        return self.conversation_id is None and self.external_id is None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn belongs, and the settings of its conversation."""

    conversation_id: UUID
    sequence: int
    instructions: str | None = None
    collection_ids: list[str] | None = None


def enter(connection: sa.Connection, caller: Caller, opening: Opening) -> Place:
    """Return the place of a new turn in a conversation, or in the one that it begins; raises NotFound."""
    if opening.conversation_id is not None:
        return add_turn(connection, caller, opening.conversation_id, opening)
    known = find_id(connection, caller, opening.external_id) if opening.external_id is not None else None
    if known is not None:
        with contextlib.suppress(NotFound):  # deleted since it was found
            return add_turn(connection, caller, known, opening)
    row = build_first_row(caller, opening)
    INSERT.run(connection, row)
    return Place(row["id"], 1, opening.instructions)


def add_turn(connection: sa.Connection, caller: Caller, conversation_id: UUID, opening: Opening) -> Place:
    """Count a turn that follows in a conversation; raises NotFound."""
    has_no_title = Conversation.title.is_(None)
    values: dict[str, Any] = {
        "last_sequence": Conversation.last_sequence + 1,
        "turns": Conversation.turns + 1,
        "activity_at": opening.created_at,
        "updated_at": opening.created_at,
        "title": sa.func.coalesce(Conversation.title, build_title(opening.message)),
        "title_source": sa.case((has_no_title, "auto"), else_=Conversation.title_source),
    }
    if opening.listed:
        values["listed"] = True
    return _move_on(connection, caller, conversation_id, values, sa.or_(Conversation.listed, ~IS_OF_ROOM))


def find_place(caller: Caller, opening: Opening) -> Place:
    """Return the place that a turn would take, and write nothing; raises NotFound."""
    named = Conversation.id == opening.conversation_id
    if opening.conversation_id is None:
        named = Conversation.external_id == opening.external_id
    columns = (Conversation.id, Conversation.last_sequence, Conversation.instructions, Conversation.collection_ids)
    statement = sa.select(*columns).where(named, Conversation.user_id == caller.user_id)
    statement = statement.where(sa.or_(Conversation.listed, ~IS_OF_ROOM))
    with read() as connection:
        row = None if opening.begins_conversation else connection.execute(statement).one_or_none()
    if row is not None:
        return Place(row.id, row.last_sequence + 1, row.instructions, row.collection_ids)
    if opening.conversation_id is not None:
        raise NotFound("There is no such conversation.")
    return Place(uuid7(), 1, opening.instructions)


def replace_turn(connection: sa.Connection, caller: Caller, conversation_id: UUID, moment: datetime) -> Place:
    """Count another answer to the last message of a conversation; raises NotFound."""
    values = {"last_sequence": Conversation.last_sequence + 1, "activity_at": moment, "updated_at": moment}
    return _move_on(connection, caller, conversation_id, values)


def build_first_row(caller: Caller, opening: Opening) -> dict[str, Any]:
    """Return the columns of a conversation that a message begins."""
    return build_row(caller, uuid7(), opening.created_at) | {
        "external_id": opening.external_id,
        "instructions": opening.instructions,
        "listed": opening.listed,
        "last_sequence": 1,
        "turns": 1,
        "title": build_title(opening.message),
        "title_source": "auto",
    }


def build_row(caller: Caller, conversation_id: UUID, moment: datetime) -> dict[str, Any]:
    """Return the columns of a conversation without turns; `Prepared` statements know no defaults."""
    return {
        "id": conversation_id,
        "user_id": caller.user_id,
        "last_sequence": 0,
        "external_id": None,
        "title": None,
        "title_source": None,
        "pinned": False,
        "archived": False,
        "listed": True,
        "instructions": None,
        "collection_ids": None,
        "forked_from": None,
        "read_sequence": 0,
        "turns": 0,
        "revision": 1,
        "created_at": moment,
        "updated_at": moment,
        "activity_at": moment,
    }


def find_id(connection: sa.Connection, caller: Caller, external_id: str) -> UUID | None:
    """Return the id of the caller's conversation of an external id, or None."""
    own = (Conversation.user_id == caller.user_id, Conversation.external_id == external_id)
    return connection.scalar(sa.select(Conversation.id).where(*own))


def find_by_external_id(caller: Caller, external_id: str | None) -> UUID | None:
    """Return the id of the caller's conversation of an external id, or None."""
    if external_id is None:
        return None
    with read() as connection:
        return find_id(connection, caller, external_id)


def lock(connection: sa.Connection, ids: Any) -> None:
    """Lock conversations, before any of their turns; `ids` are ids or a query of them."""
    connection.execute(sa.select(Conversation.id).where(Conversation.id.in_(ids)).with_for_update()).all()


def retitle(connection: sa.Connection, ids: Iterable[UUID]) -> None:
    """Make automatic titles anew after the first message is gone, so that no deleted words live on in one."""
    titled = sa.select(Conversation.id, Conversation.title).where(
        Conversation.id.in_(list(ids)), Conversation.title_source == "auto"
    )
    for row in connection.execute(titled).all():
        of_this = (ChatMessage.conversation_id == row.id, ChatMessage.listed)
        first = sa.select(ChatMessage.user_message).where(*of_this).order_by(ChatMessage.sequence).limit(1)
        message = connection.scalar(first)
        title = None if message is None else build_title(message)
        values = {"title": title, "title_source": None if title is None else "auto"}
        connection.execute(sa.update(Conversation).where(Conversation.id == row.id).values(values))
        shared = (ConversationShare.conversation_id == row.id, ConversationShare.title == row.title)
        connection.execute(sa.update(ConversationShare).where(*shared).values(title=None))


def build_title(message: str) -> str:
    """Return the first words of a message, cut at a word where there is one to be cut at."""
    words = " ".join("".join(character if character.isprintable() else " " for character in message[:400]).split())
    if len(words) <= MAX_AUTO_TITLE_LENGTH:
        return words
    return words[: MAX_AUTO_TITLE_LENGTH + 1].rpartition(" ")[0] or words[:MAX_AUTO_TITLE_LENGTH]


def _move_on(
    connection: sa.Connection,
    caller: Caller,
    conversation_id: UUID,
    values: dict[str, Any],
    *conditions: sa.ColumnElement[bool],
) -> Place:
    own = (Conversation.id == conversation_id, Conversation.user_id == caller.user_id, *conditions)
    columns = (Conversation.last_sequence, Conversation.instructions, Conversation.collection_ids)
    row = connection.execute(sa.update(Conversation).where(*own).values(values).returning(*columns)).one_or_none()
    if row is None:
        raise NotFound("There is no such conversation.")
    return Place(conversation_id, row.last_sequence, row.instructions, row.collection_ids)
