"""Summaries of conversations that are too long for a prompt."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Time, now

from .conversations import Conversation


class ConversationSummary(Model):
    """A model's summary of a conversation's turns up to `last_sequence`; a prompt shows it in their place."""

    __tablename__ = "conversation_summaries"

    conversation_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Conversation.id, ondelete="CASCADE"), primary_key=True)
    last_sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(sa.Text)
    facts: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    created_at: Mapped[Time] = mapped_column(default=now)
