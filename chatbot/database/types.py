"""Column types and defaults that the tables share."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import mapped_column
from uuid_utils.compat import uuid7

__all__ = ["BIG", "Id", "Time", "UtcDateTime", "now", "uuid7"]

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers only an INTEGER by itself


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A time in UTC, with its zone on both databases; SQLite itself has no zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Refuse a moment without zone; go to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Give back the zone that SQLite lost."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


Id = Annotated[UUID, mapped_column(sa.Uuid, primary_key=True, default=uuid7)]
Time = Annotated[datetime, mapped_column(UtcDateTime)]
