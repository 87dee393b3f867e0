"""Ping connections to PostgreSQL that were idle."""

import math
import select
import time
from typing import Any

import sqlalchemy as sa

from .sqlite.dialect import SQLiteConnection

MIN_IDLE_SECONDS = 1.0
PING_TIMEOUT_SECONDS = 2.0


@sa.event.listens_for(sa.pool.Pool, "checkin")
def _on_checkin(connection: Any, record: Any) -> None:
    if connection is not None and not isinstance(connection, SQLiteConnection):
        record.info["idle_since"] = time.monotonic()


@sa.event.listens_for(sa.pool.Pool, "checkout")
def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
    """Ping a connection to PostgreSQL, unless it was used just now: that was a tenth of a chat request."""
    if time.monotonic() - record.info.get("idle_since", math.inf) < MIN_IDLE_SECONDS:
        return
    try:
        _ask(connection.pgconn)
    except Exception as error:  # the others were made before it, and are as old
        raise sa.exc.InvalidatePoolError from error


def _ask(server: Any) -> None:
    """Ping PostgreSQL through libpq; raises TimeoutError and ConnectionError: a host that is gone never says so."""
    from psycopg.pq import ExecStatus

    server.send_query(b"SELECT 1")
    server.flush()
    answer = select.poll()
    answer.register(server.socket, select.POLLIN)
    if not answer.poll(PING_TIMEOUT_SECONDS * 1000):
        raise TimeoutError
    while (result := server.get_result()) is not None:
        if result.status != ExecStatus.TUPLES_OK:  # what the server said when it closed the connection
            raise ConnectionError
