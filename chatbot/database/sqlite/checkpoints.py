"""SQLite's checkpoints, out of the way of requests.

A commit that finds more than a thousand pages in the write-ahead log copies them into the database, for tens of
milliseconds. In a server that would be a request, and with it all streams of the process: there it is done here.
"""

from pathlib import Path

import sqlalchemy as sa

from chatbot.concurrency.threads import run_in_own_thread
from chatbot.database.base import db
from chatbot.database.sqlite.dialect import BundledSQLite

INTERVAL_SECONDS = 0.5  # seconds
MIN_LOG_BYTES = 4 << 20  # bytes of the log that are worth it
MAX_LOG_PAGES = 16_000  # pages in the log at which writers are held up for a moment, so that it begins anew

PRAGMA = "PRAGMA wal_autocheckpoint=60000"  # pages, sixty times SQLite's own default


class Checkpointer:
    """Copies a large log into the database, for one process."""

    def __init__(self) -> None:
        self._copied_at = 0  # when the log was written last, of what is copied

    def begin(self) -> None:
        """Let this process's connections leave the log alone, up to sixty times as long as they would."""
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "connect", lambda connection, _: connection.execute(PRAGMA))
            db.engine.dispose()

    def checkpoint(self) -> None:
        """Checkpoint a large log in a thread of its own; no request waits for it."""
        file = db.engine.url.database
        if db.engine.dialect.name != "sqlite" or file is None:
            return
        try:
            log = Path(f"{file}-wal").stat()
        except FileNotFoundError:  # nothing was written yet
            return
        if log.st_size >= MIN_LOG_BYTES and log.st_mtime_ns != self._copied_at:
            run_in_own_thread(_checkpoint, file)
            self._copied_at = log.st_mtime_ns  # what was written meanwhile is for the next time

    def truncate_log(self) -> bool:
        """Copy all of the log into the database and empty its file, which has old rows; return whether it could.

        It cannot while others read what they began to read before.
        """
        file = db.engine.url.database
        if db.engine.dialect.name != "sqlite" or file is None:
            return True
        return run_in_own_thread(_truncate, file)


def _truncate(file: str) -> bool:
    connection = BundledSQLite.import_dbapi().connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=20")  # in which all writers wait
        (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy
    finally:
        connection.close()


def _checkpoint(file: str) -> None:
    connection = BundledSQLite.import_dbapi().connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        (_, pages, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages > MAX_LOG_PAGES:  # there was a write during each one so far
            connection.execute("PRAGMA busy_timeout=500")
            connection.execute("PRAGMA wal_checkpoint(RESTART)")
    finally:
        connection.close()
