"""Erasures of accounts."""

from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Time, now

IS_RUNNING = sa.text("completed_at IS NULL")


class Erasure(Model):
    """The receipt of an erased account, which outlives it and has nothing of its user.

    Its id, which is random, is all that opens it. `counts` has how many rows were found, by the kinds of an export.
    The rows are gone since `erased_at`, and their copies in indexes and files since `completed_at`.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        sa.Index("ix_erasures_running", "requested_at", sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    requested_at: Mapped[Time] = mapped_column(default=now)
    counts: Mapped[dict[str, int] | None] = mapped_column(sa.JSON(none_as_null=True))
    erased_at: Mapped[Time | None]
    completed_at: Mapped[Time | None]
