"""The application without its record of changes, beside which the cost of that is measured (`make bench-sync`)."""

from typing import Any

import sqlalchemy as sa

from chatbot import create_app
from chatbot.services.sync import changes


def _record_nothing(*arguments: Any) -> None:
    """Take the place of `record` and of `record_turn`."""


def _build_nothing(*_: Any, **__: Any) -> sa.CTE:
    """Take the place of `build_turn`: a part that PostgreSQL does not run, since nothing reads it."""
    return sa.select(sa.literal_column("1")).cte("recorded")


changes.record = _record_nothing
changes.record_turn = _record_nothing
changes.build_turn = _build_nothing
app = create_app()
