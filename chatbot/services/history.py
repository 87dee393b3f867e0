"""What was said, in pages."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from ..errors import NotFound
from ..models import ChatMessage, Conversation
from .chat import FIELDS
from .identity import Caller
from .transactions import read

Key = tuple[datetime, UUID]


def page(
    caller: Caller,
    *,
    limit: int,
    after: Key | None = None,
    order: Literal["asc", "desc"] = "asc",
    conversation_id: UUID | None = None,
) -> tuple[list[dict[str, Any]], Key | None]:
    """Return up to `limit` of the caller's turns by time, and the key after which the next page begins.

    Raises NotFound for a conversation that is absent or somebody else's.
    """
    key = sa.tuple_(ChatMessage.created_at, ChatMessage.id)
    statement = sa.select(*FIELDS).where(ChatMessage.user_id == caller.user_id).limit(limit + 1)
    if after:
        bound = sa.tuple_(sa.literal(after[0], ChatMessage.created_at.type), sa.literal(after[1], sa.Uuid()))
        statement = statement.where(key > bound if order == "asc" else key < bound)
    if conversation_id:
        statement = statement.where(ChatMessage.conversation_id == conversation_id)
    direction = sa.asc if order == "asc" else sa.desc
    statement = statement.order_by(direction(ChatMessage.created_at), direction(ChatMessage.id))
    with read() as connection:
        if conversation_id:
            _require_conversation(connection, caller, conversation_id)
        rows = [dict(row._mapping) for row in connection.execute(statement)]
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, (rows[-1]["created_at"], rows[-1]["id"]) if more else None


def _require_conversation(connection: sa.Connection, caller: Caller, conversation_id: UUID) -> None:
    own = sa.select(Conversation.id).where(Conversation.id == conversation_id, Conversation.user_id == caller.user_id)
    if connection.scalar(own) is None:
        raise NotFound("There is no such conversation.")
