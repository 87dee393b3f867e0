"""Waiting mails, their tokens, and guesses of their codes."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Id, Time, now

from .auth import User


class Mail(Model):
    """A waiting mail. It has no text: that is made at each try, with secrets that no table has."""

    __tablename__ = "mails"

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(sa.String(20))
    recipient: Mapped[str] = mapped_column(sa.String(254))
    user_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[Time] = mapped_column(default=now)
    due_at: Mapped[Time] = mapped_column(default=now, index=True)  # of the next try
    tries: Mapped[int] = mapped_column(default=0)


class MailToken(Model):
    """The token of a mail with the same id, of which its link and its code are made: neither is stored."""

    __tablename__ = "mail_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(sa.String(20))
    email: Mapped[str] = mapped_column(sa.String(254))
    created_at: Mapped[Time]
    code_expires_at: Mapped[Time]
    expires_at: Mapped[Time] = mapped_column(index=True)
    spent_at: Mapped[Time | None]

    __table_args__ = (sa.Index(None, "user_id", "kind", "created_at"),)


class CodeGuess(Model):
    """The number of guesses of a code by a hash of its owner; also of addresses without an account."""

    __tablename__ = "code_guesses"

    key: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    tries: Mapped[int]
    expires_at: Mapped[Time] = mapped_column(index=True)
