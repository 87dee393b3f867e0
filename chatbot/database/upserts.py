"""INSERT that updates the row that is there: both databases have it, each by a construct of its own."""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@cache  # the columns of `excluded` are made anew for each statement, which takes more than to run it
def insert_or_update(
    dialect: str, table: Any, *, key: tuple[str, ...], replaced: tuple[str, ...] = (), added: tuple[str, ...] = ()
) -> sa.Insert:
    """Return an INSERT into a table that changes the row of the same key where there is one.

    The columns of `replaced` take the new values there, to those of `added` they are added.
    """
    statement = INSERT[dialect](table)
    values = {name: statement.excluded[name] for name in replaced}
    values |= {name: getattr(table, name) + statement.excluded[name] for name in added}
    made: sa.Insert = statement.on_conflict_do_update(index_elements=key, set_=values)
    return made
