"""Conversations and their tags."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Id, Time, now

from .auth import User


class Conversation(Model):
    """A thread of turns; `last_sequence` numbers them, and `turns` counts those that its user sees.

    One that a caller of `/v1` opened without `store` is not `listed`. `activity_at` is the time of its last turn, or of
    its creation. The turns up to `read_sequence` were read. `revision` counts the changes of its settings.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        sa.Index("uq_conversations_user_id_external_id", "user_id", "external_id", unique=True),
        sa.Index(None, "user_id", "activity_at", "id"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    last_sequence: Mapped[int] = mapped_column(default=0)
    external_id: Mapped[str | None] = mapped_column(sa.String(255))
    title: Mapped[str | None] = mapped_column(sa.String(200))
    title_source: Mapped[str | None] = mapped_column(sa.String(4))
    pinned: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    archived: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    listed: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    instructions: Mapped[str | None] = mapped_column(sa.Text)
    collection_ids: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    forked_from: Mapped[UUID | None]
    read_turn_id: Mapped[UUID | None]
    read_sequence: Mapped[int] = mapped_column(default=0, server_default="0")
    turns: Mapped[int] = mapped_column(default=0, server_default="0")
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[Time] = mapped_column(default=now)
    updated_at: Mapped[Time] = mapped_column(default=now)
    activity_at: Mapped[Time] = mapped_column(default=now)


class ConversationTag(Model):
    """A word under which a user finds conversations."""

    __tablename__ = "conversation_tags"

    conversation_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Conversation.id, ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(sa.String(50), primary_key=True)
    position: Mapped[int] = mapped_column(sa.SmallInteger)
