"""What was said: conversations and their turns."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Model
from .auth import User
from .columns import Id, Time, now

RUNNING = ("pending", "streaming")
IS_RUNNING = sa.text("status IN ('pending', 'streaming')")


class Conversation(Model):
    """A thread of turns; `last_sequence` numbers them."""

    __tablename__ = "conversations"

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), index=True)
    last_sequence: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Time] = mapped_column(default=now)


class ChatMessage(Model):
    """One turn: what the user said, what the bot answered, and how that ended.

    While it runs, whoever holds `lease_token` until `lease_expires_at` may write it.
    """

    __tablename__ = "chat_messages"
    __table_args__ = (
        sa.UniqueConstraint("conversation_id", "sequence"),
        # The history's pages: keyset on (created_at, id), of one user or of one conversation.
        sa.Index(None, "user_id", "created_at", "id"),
        sa.Index(None, "conversation_id", "created_at", "id"),
        # The purge's batches, and the few turns that run.
        sa.Index(None, "created_at"),
        sa.Index(None, "lease_expires_at", sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING),
        sa.Index(
            "uq_chat_messages_running",
            "conversation_id",
            unique=True,
            sqlite_where=IS_RUNNING,
            postgresql_where=IS_RUNNING,
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    conversation_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Conversation.id))
    sequence: Mapped[int]
    user_message: Mapped[str] = mapped_column(sa.Text)
    bot_response: Mapped[str] = mapped_column(sa.Text, default="")
    status: Mapped[str] = mapped_column(sa.String(12), default="pending")
    error: Mapped[str | None] = mapped_column(sa.String(40))
    model: Mapped[str | None] = mapped_column(sa.String(200))
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    created_at: Mapped[Time] = mapped_column(default=now)
    completed_at: Mapped[Time | None]
    lease_token: Mapped[UUID | None]
    lease_expires_at: Mapped[Time | None]
