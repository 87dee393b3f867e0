"""The ledger of usage."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import BIG

from .auth import User

IS_OPEN = sa.text("status = 'pending'")


class LedgerEntry(Model):
    """The usage of one turn, without its text; it outlives the turn, its conversation and its user.

    It is written with the turn and settled with its end. Times are in milliseconds, `micro_usd` in millionths of a
    dollar, None where the model has no price. `collection_id` is that of a turn which asked in one collection alone.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        sa.Index(None, "user_id", "opened_at_ms"),
        sa.Index(None, "opened_at_ms"),
        sa.Index("ix_ledger_open", "opened_at_ms", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    )

    turn_id: Mapped[UUID] = mapped_column(primary_key=True)
    opened_at_ms: Mapped[int] = mapped_column(sa.BigInteger)  # since 1970
    user_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="SET NULL"))
    api_key_id: Mapped[UUID | None]
    conversation_id: Mapped[UUID | None]
    room_id: Mapped[UUID | None]
    collection_id: Mapped[UUID | None]
    entry: Mapped[str] = mapped_column(sa.String(4))
    model: Mapped[str | None] = mapped_column(sa.String(200))
    status: Mapped[str] = mapped_column(sa.String(12))
    error: Mapped[str | None] = mapped_column(sa.String(40))
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    micro_usd: Mapped[int | None] = mapped_column(sa.BigInteger)
    first_text_ms: Mapped[int | None]
    total_ms: Mapped[int | None]
    passages: Mapped[int | None]
    grounded: Mapped[float | None]
    rating: Mapped[int | None] = mapped_column(sa.SmallInteger)


class UsageHour(Model):
    """The sums of the turns of one hour and one model; an hour without turns has a row without a model."""

    __tablename__ = "usage_hours"
    __table_args__ = (sa.Index(None, "hour"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    hour: Mapped[int]  # since 1970
    model: Mapped[str | None] = mapped_column(sa.String(200))
    turns: Mapped[int]
    failed: Mapped[int]
    cancelled: Mapped[int]
    prompt_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    completion_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    micro_usd: Mapped[int | None] = mapped_column(sa.BigInteger)
    latencies: Mapped[bytes]  # of first texts, packed by `chatbot.services.usage.latencies`
