"""Hints to the planners of queries, in SQL that both databases have."""

from typing import Any

import sqlalchemy as sa


def without_index(column: Any) -> sa.ColumnElement[Any]:
    """Return a column's value in a form that no index has: rows are to be found by another condition.

    For the owner of rows that are looked up by ids: SQLite would go through all rows of the owner's.
    """
    return sa.func.coalesce(column, column)
