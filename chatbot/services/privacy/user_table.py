"""An entry of the registry of tables with data of users."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from chatbot.database.base import Model

Eraser = Literal["rooms", "history", "knowledge", "account"]
Condition = sa.ColumnElement[bool]
Key = sa.ColumnElement[Any] | InstrumentedAttribute[Any]


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table with rows of users.

    `belongs_to` returns the condition on its rows for a user's id, or in a child for the ids of rows of its parent: a
    list of them or a query. A table is exported as lines of a `kind`, without the columns `omitted`, or has a `reason`
    why not. Its pages are in `order`, by default that of the primary key; those of a child that may be large are
    of one parent at a time.
    """

    model: type[Model]
    belongs_to: Callable[[Any], Condition]
    eraser: Eraser
    kind: str | None = None
    reason: str | None = None
    omitted: frozenset[str] = frozenset()
    order: tuple[Key, ...] = ()
    page_rows: int = 100
    is_large: bool = False
    children: tuple["UserTable", ...] = ()

    @property
    def table(self) -> sa.Table:
        """The table itself."""
        return cast(sa.Table, self.model.__table__)

    @property
    def columns(self) -> list[sa.Column[Any]]:
        """The columns of its lines in an export."""
        return [column for column in self.table.c if column.name not in self.omitted]

    @property
    def keys(self) -> tuple[Key, ...]:
        """The columns that its pages are in the order of."""
        return self.order or tuple(self.table.primary_key.columns)


def is_behind(keys: Sequence[Key], values: Sequence[Any]) -> Condition:
    """Return the condition for rows that come after one in the order of some columns."""
    last = (sa.bindparam(None, value, type_=key.type) for key, value in zip(keys, values, strict=True))
    return sa.tuple_(*keys) > sa.tuple_(*last)
