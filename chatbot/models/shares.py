"""Links to conversations, for readers without an account."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Id, Time, now

from .conversations import Conversation


class ConversationShare(Model):
    """A link to the turns up to `last_sequence`, as they were when it was made, for readers without an account."""

    __tablename__ = "conversation_shares"

    id: Mapped[Id]
    conversation_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Conversation.id, ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    last_sequence: Mapped[int]
    title: Mapped[str | None] = mapped_column(sa.String(200))
    created_at: Mapped[Time] = mapped_column(default=now)
    expires_at: Mapped[Time] = mapped_column(index=True)
