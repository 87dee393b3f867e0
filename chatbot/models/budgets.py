"""Budgets, and the reservations of running turns in them."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model

from .auth import User

IS_OF_USER = sa.text("NOT is_of_key")


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
