"""Keeps commands away from a running server where two processes that write would corrupt SQLite's file.

Only for a standard library whose SQLite has the WAL-reset bug (before 3.51.3) and platforms without a wheel of
pysqlite3: the server holds a shared lock on a file beside the database, a command asks for an exclusive one.
"""

import fcntl
import os
from pathlib import Path

from flask import current_app

from chatbot.database.sqlite.dialect import sqlite_is_safe
from chatbot.errors import Busy


def is_needed() -> bool:
    """Return whether this database must have one writing process at a time."""
    return str(current_app.config["DATABASE_URL"]).startswith("sqlite") and not sqlite_is_safe()


def hold() -> int:
    """Hold the server's lock until the descriptor that is returned is closed, or this process ends."""
    descriptor = _open()
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def require_alone() -> None:
    """Raise Busy when a server holds its lock and two writers would be one too many."""
    if not is_needed():
        return
    descriptor = _open()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy("The server is running, and this SQLite may have one writer: stop it first.") from error
    finally:
        os.close(descriptor)


def _open() -> int:
    return os.open(Path(current_app.config["INSTANCE_PATH"]) / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
