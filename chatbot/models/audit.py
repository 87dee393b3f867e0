"""The audit log."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Id, Time, now

from .auth import User


class AuditEntry(Model):
    """An act of an administrator; it outlives its actor and the user that it is about, without them.

    `details` has no personal data: names of fields with their new values, ids of turns.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (sa.Index(None, "at", "id"), sa.Index(None, "user_id", "at", "id"))

    id: Mapped[Id]
    at: Mapped[Time] = mapped_column(default=now)
    actor_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="SET NULL"), index=True)
    action: Mapped[str] = mapped_column(sa.String(20))
    user_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="SET NULL"))
    reason: Mapped[str | None] = mapped_column(sa.String(500))
    details: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
