"""A sign of life from connections that were idle."""

import math
import select
import time
from typing import Any

import sqlalchemy as sa

from .sqlite.dialect import SQLiteConnection

PING_AFTER = 1.0  # seconds that a connection was idle
PING_PATIENCE = 2.0  # seconds that PostgreSQL may take to say that it is there


@sa.event.listens_for(sa.pool.Pool, "checkin")
def _on_checkin(connection: Any, record: Any) -> None:
    if connection is not None and not isinstance(connection, SQLiteConnection):
        record.info["idle_since"] = time.monotonic()


@sa.event.listens_for(sa.pool.Pool, "checkout")
def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
    """Ask a connection whether it is still there, unless it was used just now: that was a tenth of a chat request."""
    if time.monotonic() - record.info.get("idle_since", math.inf) < PING_AFTER:
        return
    try:
        connection.execute("SELECT 1") if isinstance(connection, SQLiteConnection) else _ask(connection.pgconn)
    except Exception as error:  # the others were made before it, and are as old
        raise sa.exc.InvalidatePoolError from error


def _ask(server: Any) -> None:
    """Ask PostgreSQL for a sign of life, through libpq; raises TimeoutError: a host that is gone never says so."""
    server.send_query(b"SELECT 1")
    server.flush()
    answer = select.poll()
    answer.register(server.socket, select.POLLIN)
    if not answer.poll(PING_PATIENCE * 1000):
        raise TimeoutError
    while server.get_result() is not None:
        pass
