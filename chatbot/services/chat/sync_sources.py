"""A user's conversations and turns, as the feed of changes shows them to devices."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import ChatMessage, Conversation
from chatbot.models.chat import IS_RUNNING
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge import collections, documents
from chatbot.services.sync.changes import Kind
from chatbot.services.sync.feed import Sources

from . import conversations, history
from .records import Turn

_shown = (ChatMessage.user_id == sa.bindparam("caller_id"), ChatMessage.active, ChatMessage.listed)
LAST_TURNS = (
    sa.select(ChatMessage.id)
    .where(ChatMessage.conversation_id == sa.bindparam("conversation_id"), *_shown)
    .order_by(ChatMessage.sequence.desc())
    .limit(sa.bindparam("most"))
)


def list_window(connection: sa.Connection, caller: Caller, window: int, turns: int) -> list[tuple[Kind, UUID]]:
    """Return the newest conversations, each with its last turns behind it, the newest first."""
    own = (Conversation.user_id == caller.user_id, Conversation.listed)
    newest = sa.select(Conversation.id).where(*own)
    newest = newest.order_by(Conversation.activity_at.desc(), Conversation.id.desc()).limit(window)
    things: list[tuple[Kind, UUID]] = []
    for conversation_id in connection.scalars(newest).all():
        things.append(("conversation", conversation_id))
        values = {"caller_id": caller.user_id, "conversation_id": conversation_id, "most": turns}
        things += [("turn", turn_id) for turn_id in connection.scalars(LAST_TURNS, values)]
    return things


def list_kept(connection: sa.Connection, caller: Caller, before: datetime) -> Sequence[UUID]:
    """Return the conversations with turns from before a time, which the purge left because they were pinned."""
    old = (ChatMessage.user_id == caller.user_id, ChatMessage.created_at < before, ChatMessage.listed)
    return connection.scalars(sa.select(ChatMessage.conversation_id).where(*old).distinct()).all()


def find_running(caller: Caller) -> list[Turn]:
    """Return the running turns of the caller."""
    statement = sa.select(ChatMessage.id).where(ChatMessage.user_id == caller.user_id, ChatMessage.listed, IS_RUNNING)
    with read() as connection:
        return history.load_turns(connection, caller, connection.scalars(statement).all())


SOURCES = Sources(
    {
        "conversation": conversations.load_all,
        "turn": history.load_turns,
        "document": documents.load_documents,
        "collection": collections.load_collections,
    },
    list_window,
    list_kept,
)
