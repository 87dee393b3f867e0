"""Turns."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Id, Time, now

from .auth import User
from .conversations import Conversation

RUNNING = ("pending", "streaming")
HAS_SIBLINGS = sa.text("root_id IS NOT NULL")
IS_RUNNING = sa.text("status IN ('pending', 'streaming')")


class ChatMessage(Model):
    """One turn: the user's message, the bot's answer, and its terminal state.

    While it runs, the holder of `lease_token` may write it until `lease_expires_at`. Turns that answer the same
    message are siblings: they share `root_id`, the first one's id, and the newest is `active`. The history lists
    the active ones, but for those that a caller of `/v1` did not ask to store.
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
        sa.Index(None, "root_id", sqlite_where=HAS_SIBLINGS, postgresql_where=HAS_SIBLINGS),
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
    root_id: Mapped[UUID | None]
    active: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    listed: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
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
    cancel_requested_at: Mapped[Time | None]
    asked: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))  # the message's options
    retrieval_query: Mapped[str | None] = mapped_column(sa.Text)
    citations: Mapped[list[dict[str, Any]] | None] = mapped_column(sa.JSON(none_as_null=True))
    grounded: Mapped[float | None]
    extras: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))  # of an answer on `/v1`


class TurnLogPiece(Model):
    """A piece of a running turn's text, so that a crash loses a second of it at most; gone when the turn ends."""

    __tablename__ = "turn_logs"

    turn_id: Mapped[UUID] = mapped_column(sa.ForeignKey(ChatMessage.id, ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(sa.Text)


class Feedback(Model):
    """A user's rating of an answer: -1 or 1, and perhaps a comment."""

    __tablename__ = "feedback"

    turn_id: Mapped[UUID] = mapped_column(sa.ForeignKey(ChatMessage.id, ondelete="CASCADE"), primary_key=True)
    rating: Mapped[int] = mapped_column(sa.SmallInteger)
    comment: Mapped[str | None] = mapped_column(sa.Text)
    updated_at: Mapped[Time] = mapped_column(default=now)


class IdempotencyKey(Model):
    """A user's idempotency key, the request's fingerprint, and the resource that it made."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    route: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    turn_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(ChatMessage.id, ondelete="CASCADE"), index=True)
    thing_id: Mapped[UUID | None]
    created_at: Mapped[Time] = mapped_column(default=now, index=True)
