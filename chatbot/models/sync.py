"""Changes of a user's data, in order, for devices that follow."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import BIG, Time, now

from .auth import User

IS_DELETED = sa.text("deleted")


class SyncCounter(Model):
    """The number of a user's last change. Its row is the last that a transaction locks, in the order of the users."""

    __tablename__ = "sync_counters"

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(BIG)


class SyncChange(Model):
    """The last change of a thing of a user's; that of a deleted one, or one they may not read now, is kept."""

    __tablename__ = "sync_changes"
    __table_args__ = (
        sa.Index("uq_sync_changes_user_id_position", "user_id", "position", unique=True),
        sa.Index("ix_sync_changes_deleted", "changed_at", sqlite_where=IS_DELETED, postgresql_where=IS_DELETED),
    )

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    type: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BIG)
    deleted: Mapped[bool] = mapped_column(default=False)
    changed_at: Mapped[Time] = mapped_column(default=now)


class SyncState(Model):
    """The epoch of this database's changes, and the time before which the purge has deleted turns: one row."""

    __tablename__ = "sync_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[UUID]
    purged_before: Mapped[Time | None]
