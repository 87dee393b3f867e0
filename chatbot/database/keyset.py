"""Keyset pages of lists in the order of a time, then an id.

The next page begins after the key of the last row. Unlike an offset, a key skips and repeats no
row where others are written or deleted meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

T = TypeVar("T")
Key = tuple[datetime, UUID]
Order = tuple[InstrumentedAttribute[datetime], InstrumentedAttribute[UUID]]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `last_key` is the key of its last item where more follow, else None."""

    items: list[T]
    last_key: Key | None


def is_after(order: Order, *, descending: bool = False) -> sa.ColumnElement[bool]:
    """Return the condition for the rows after `:last_time` and `:last_id` (see `parameters`)."""
    time, identifier = order
    key = sa.tuple_(time, identifier)
    last = sa.tuple_(sa.bindparam("last_time", type_=time.type), sa.bindparam("last_id", type_=identifier.type))
    return key < last if descending else key > last


def bind_key(key: Key) -> dict[str, Any]:
    """Return the parameters of `is_after`."""
    return {"last_time": key[0], "last_id": key[1]}


def fetch_page(
    connection: sa.Connection,
    statement: sa.Select[*tuple[Any, ...]],
    build: Callable[..., T],
    *,
    order: Order,
    limit: int,
    after: Key | None,
    descending: bool = False,
) -> Page[T]:
    """Return up to `limit` items in order; `build` makes an item of a row's values by their names.

    The rows need the columns of `order` under the names of its attributes, the identifier as `id`.
    """
    columns = [column.desc() for column in order] if descending else order
    statement = statement.order_by(*columns).limit(limit + 1)
    bound: dict[str, Any] = {}
    if after is not None:
        statement = statement.where(is_after(order, descending=descending))
        bound = bind_key(after)
    rows = connection.execute(statement, bound).all()
    items = [build(**row._mapping) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    last = rows[limit - 1]._mapping
    return Page(items, (last[order[0].key], last["id"]))
