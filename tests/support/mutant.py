"""The application with one durable step taken out: a turn's opening is undone instead of committed.

`tests/system/test_chaos.py` shows with it that the chaos run would notice: gunicorn serves `tests.support.mutant:app`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from chatbot.database import transactions
from chatbot.services.chat import turns
from wsgi import app

__all__ = ["app"]


class Undone(Exception):
    pass


@contextmanager
def forgetful(step: str) -> Iterator[Connection]:
    """Yield as `transactions.write` does, and undo the opening of a turn."""
    if step != "open_turn":
        with transactions.write(step) as connection:
            yield connection
        return
    try:
        with transactions.write(step) as connection:
            yield connection
            raise Undone
    except Undone:
        pass


turns.write = turns.autocommit = forgetful
