"""SQLite's driver, its pragmas and the beginning of its transactions."""

import time
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

try:
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # no wheel for this platform
    import sqlite3 as sqlite

SQLiteConnection: type[Any] = sqlite.Connection
SQLiteError: type[Exception] = sqlite.DatabaseError  # what the driver raises where SQLAlchemy does not ask it
SAFE_SQLITE = (3, 51, 3)  # before it, two processes that write at once can corrupt a WAL database
LOCK_TIMEOUT_SECONDS = 5.0  # seconds in which another process may hold SQLite's lock
LOCK_PAUSE = 0.001  # seconds between two tries; a sleep, so that other greenlets go on


class BundledSQLite(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect of `sqlite+pysqlite3://`: the driver that bundles a sound SQLite, where there is one."""

    driver = "pysqlite3"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the DB-API module."""
        module: ModuleType = sqlite
        return module


registry.register("sqlite.pysqlite3", __name__, BundledSQLite.__name__)


def sqlite_is_safe() -> bool:
    """Return whether several processes may write one SQLite file."""
    return tuple(sqlite.sqlite_version_info) >= SAFE_SQLITE


def execute_with_busy_retry(cursor: Any, statement: str) -> None:
    """Execute a statement that may find the lock taken; sleeps cooperatively for up to LOCK_TIMEOUT_SECONDS seconds.

    SQLite's own waiting would stop every greenlet of the process.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
        time.sleep(LOCK_PAUSE)


@sa.event.listens_for(sa.Engine, "connect")
def _on_connect(connection: Any, _record: Any) -> None:
    if not isinstance(connection, sqlite.Connection):
        return
    connection.isolation_level = None  # transactions begin where _on_begin says
    cursor = connection.cursor()
    for pragma in ("busy_timeout=0", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        execute_with_busy_retry(cursor, f"PRAGMA {pragma}")
    cursor.close()


@sa.event.listens_for(sa.Engine, "begin")
def _on_begin(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite" or connection.get_execution_options().get("migrates"):
        return
    cursor = connection.connection.cursor()
    if connection.get_execution_options().get("writes"):
        durable = connection.get_execution_options().get("durable", True)
        if connection.info.get("durable", True) is not durable:  # as the transaction before had set it
            cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.info["durable"] = durable
        execute_with_busy_retry(cursor, "BEGIN IMMEDIATE")
    else:
        cursor.execute("BEGIN")
        # The snapshot is taken here, where a lock is waited for, not in the first query.
        execute_with_busy_retry(cursor, "SELECT 1 FROM sqlite_schema LIMIT 1")
    cursor.close()
