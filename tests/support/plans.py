"""How SQLite looks for the rows of statements: it chooses the same way in an empty database and in a full one."""

from collections.abc import Callable

import sqlalchemy as sa

from chatbot.database.base import db
from chatbot.database.transactions import read


def explain(action: Callable[[], object], table: str) -> list[tuple[str, str]]:
    """Do something; return its statements that name a table, each with its plan."""
    seen: list[tuple[str, object]] = []

    def listen(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        seen.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        action()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)
    plans = []
    with read() as connection:
        for statement, parameters in seen:
            if table in statement:
                several = parameters if isinstance(parameters, list) else [parameters]
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", several[0]).all()
                plans.append((statement, " ".join(row[3] for row in plan)))
    return plans
