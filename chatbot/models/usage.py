"""The ledger of usage, and budgets."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model

from .auth import User

IS_OPEN = sa.text("status = 'pending'")
IS_OF_USER = sa.text("NOT is_of_key")


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


class Budget(Model):
    """A limit of the usage of a user, or of one of their API keys, in a window of time.

    `used` is that of turns which have ended since `started_at_ms`, `reserved` that of running ones. A key names its
    budget, so that one which takes its place goes on with it.
    """

    __tablename__ = "budgets"
    __table_args__ = (
        sa.Index(
            "uq_budgets_of_user", "user_id", "metric", "window",
            unique=True, sqlite_where=IS_OF_USER, postgresql_where=IS_OF_USER,
        ),
        sa.Index(None, "user_id"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    is_of_key: Mapped[bool]
    metric: Mapped[str] = mapped_column(sa.String(9))
    window: Mapped[str] = mapped_column(sa.String(5))
    limit: Mapped[int] = mapped_column(sa.BigInteger)
    used: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    reserved: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    started_at_ms: Mapped[int] = mapped_column(sa.BigInteger)  # since 1970


class BudgetReservation(Model):
    """The reservation of a running turn in a budget."""

    __tablename__ = "budget_reservations"

    turn_id: Mapped[UUID] = mapped_column(primary_key=True)
    budget_id: Mapped[int] = mapped_column(sa.ForeignKey(Budget.id, ondelete="CASCADE"), primary_key=True, index=True)
    amount: Mapped[int] = mapped_column(sa.BigInteger)
