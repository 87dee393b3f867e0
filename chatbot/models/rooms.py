"""Rooms: their members, invites and messages."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import BIG, Id, Time, now

from .auth import User

IS_RUNNING = sa.text("status = 'pending'")
IS_QUEUED = sa.text("status = 'queued'")
HAS_TURN = sa.text("turn_id IS NOT NULL")
HAS_SUBJECT = sa.text("subject_id IS NOT NULL")
IS_PRIVATE = sa.text("visible_to IS NOT NULL")


class Room(Model):
    """A chat of several users. `last_seq` numbers its messages, `rev` its changes, both without gaps.

    `settings_rev` is the change that its settings are of. `history` says whether members see what was written before
    they joined, `bot` when the bot answers. `members` counts those who have not left.
    """

    __tablename__ = "rooms"

    id: Mapped[Id]
    creator_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="SET NULL"), index=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    topic: Mapped[str] = mapped_column(sa.String(500), default="")
    history: Mapped[str] = mapped_column(sa.String(8), default="joined")
    bot: Mapped[str] = mapped_column(sa.String(8), default="mention", server_default="mention")
    instructions: Mapped[str | None] = mapped_column(sa.Text)
    collection_ids: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    members: Mapped[int] = mapped_column(default=0)
    last_seq: Mapped[int] = mapped_column(BIG, default=0)
    rev: Mapped[int] = mapped_column(BIG, default=0)
    settings_rev: Mapped[int] = mapped_column(BIG, default=0)
    created_at: Mapped[Time] = mapped_column(default=now)
    activity_at: Mapped[Time] = mapped_column(default=now)


class RoomMember(Model):
    """A user's membership of a room; one that has ended keeps its row, with another `state`.

    They joined behind the message `joined_seq`, have read up to `read_seq`, and `rev` is the room's change that the
    membership was changed by.
    """

    __tablename__ = "room_members"
    __table_args__ = (sa.UniqueConstraint("room_id", "user_id"), sa.Index(None, "user_id", "state"))

    id: Mapped[Id]
    room_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Room.id, ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(sa.String(8))
    state: Mapped[str] = mapped_column(sa.String(8), default="member")
    joined_seq: Mapped[int] = mapped_column(BIG, default=0)
    read_seq: Mapped[int] = mapped_column(BIG, default=0)
    rev: Mapped[int] = mapped_column(BIG)
    joined_at: Mapped[Time] = mapped_column(default=now)
    left_at: Mapped[Time | None]


class RoomInvite(Model):
    """A link by which users join a room, `max_uses` times or, where it is None, any number of times."""

    __tablename__ = "room_invites"

    id: Mapped[Id]
    room_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Room.id, ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    max_uses: Mapped[int | None]
    uses: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Time] = mapped_column(default=now)
    expires_at: Mapped[Time] = mapped_column(index=True)


class RoomMessage(Model):
    """A message in a room; `rev` is the room's change that it was last changed by.

    A deleted one keeps its place without its text. One of kind `system` tells of a change and has no author, but the
    member that it names (`subject_id`); nor has one whose author's account is gone. One of kind `bot` answers the
    asker's question in `reply_to`: it is `queued`, then `pending` with a turn, then as the turn ended. Only the user of
    `visible_to` sees a message that has one.
    """

    __tablename__ = "room_messages"
    __table_args__ = (
        sa.UniqueConstraint("room_id", "seq"),
        sa.UniqueConstraint("room_id", "author_id", "client_id"),
        sa.Index(None, "room_id", "rev"),
        sa.Index(None, "created_at"),  # the purge's batches
        sa.Index(
            "uq_room_messages_running", "room_id", unique=True, sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING
        ),
        sa.Index("ix_room_messages_queued", "room_id", "seq", sqlite_where=IS_QUEUED, postgresql_where=IS_QUEUED),
        sa.Index("ix_room_messages_turn", "turn_id", sqlite_where=HAS_TURN, postgresql_where=HAS_TURN),
        sa.Index("ix_room_messages_subject", "subject_id", sqlite_where=HAS_SUBJECT, postgresql_where=HAS_SUBJECT),
        sa.Index("ix_room_messages_private", "room_id", "seq", sqlite_where=IS_PRIVATE, postgresql_where=IS_PRIVATE),
    )

    id: Mapped[Id]
    room_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Room.id, ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(BIG)
    rev: Mapped[int] = mapped_column(BIG)
    author_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="SET NULL"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(8), default="message")
    text: Mapped[str] = mapped_column(sa.Text)
    reply_to: Mapped[UUID | None]
    mentions: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    client_id: Mapped[str | None] = mapped_column(sa.String(255))
    turn_id: Mapped[UUID | None]
    status: Mapped[str | None] = mapped_column(sa.String(12))
    error: Mapped[str | None] = mapped_column(sa.String(40))
    citations: Mapped[list[dict[str, Any]] | None] = mapped_column(sa.JSON(none_as_null=True))
    audience: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    withheld: Mapped[int | None]
    asker_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="SET NULL"), index=True)
    visible_to: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), index=True)
    subject_id: Mapped[UUID | None]
    edited_at: Mapped[Time | None]
    deleted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Time] = mapped_column(default=now)


class RoomMessageSource(Model):
    """A collection that an answer is made from, itself or by an earlier answer in its prompt.

    It stays when the collection goes, which nobody may read then.
    """

    __tablename__ = "room_message_sources"

    message_id: Mapped[UUID] = mapped_column(sa.ForeignKey(RoomMessage.id, ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[UUID] = mapped_column(primary_key=True)
