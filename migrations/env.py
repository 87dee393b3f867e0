"""How migrations run: one at a time, each as a whole or not at all, on SQLite and on PostgreSQL."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import context
from flask import current_app

from chatbot.database.types import UtcDateTime

LOCK = 4_021_760_177  # any number; PostgreSQL's advisory lock of this application's migrations
PATIENCE = 60.0  # seconds in which another instance may be migrating
# For a table in use on PostgreSQL: who waits to change a table holds up all who come to read it later.
LOCK_TIMEOUT = "5s"


def render_item(kind: str, item: Any, _context: Any) -> str | bool:
    """Write our column type as plain SQLAlchemy: a migration does not change with the code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def connected(engine: sa.Engine) -> sa.Connection:
    """Connect, or end with one line that says why not."""
    try:
        return engine.connect()
    except sa.exc.DatabaseError as error:  # a file that is no database is not even an OperationalError
        reason = " ".join(str(error.orig).split())
        print(f"DATABASE_URL: The database cannot be reached: {reason}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)


def refuse_foreign_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """End with one line when tables of our names are there that no migration of ours made."""
    found = set(sa.inspect(connection).get_table_names())
    taken = sorted(found & set(metadata.tables))
    if taken and "alembic_version" not in found:
        tables = ", ".join(taken)
        print(f"DATABASE_URL: This database has tables of another application: {tables}.", file=sys.stderr)
        sys.exit(os.EX_CONFIG)


def wait_for_others(connection: sa.Connection) -> None:
    """Hold the right to migrate until the transaction ends; a second instance waits here."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        return
    # A batch ALTER copies and drops the table; with foreign keys on, that deletes every child row.
    # The pragma counts only outside a transaction, so this comes before the first one.
    driver = connection.connection.cursor()
    driver.execute("PRAGMA foreign_keys=OFF")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
            return
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def told_of_locks() -> Iterator[None]:
    """End with one line when a table could not be had."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        print("DATABASE_URL: The tables are in use for long, by a backup perhaps: try again later.", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)


def check_foreign_keys(connection: sa.Connection) -> None:
    """Refuse to commit a migration that left rows without parents."""
    if connection.dialect.name == "sqlite":
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if orphans:
            raise RuntimeError(f"the migration would leave {len(orphans)} rows without their parents: {orphans[:5]}")


def run() -> None:
    """Run the pending migrations in one transaction."""
    database = current_app.extensions["migrate"].db
    engine = database.engine
    # A connection of its own kind: this one begins by hand and takes its settings to the grave.
    kind = {"isolation_level": "READ COMMITTED"} if engine.dialect.name == "postgresql" else {}
    with connected(engine.execution_options(migrates=True, **kind)) as connection:
        wait_for_others(connection)
        refuse_foreign_tables(connection, database.metadata)
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            render_item=render_item,
            # Alembic commits between two revisions on SQLite, whose DDL is transactional with the driver left alone.
            transactional_ddl=True,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction(), told_of_locks():
            context.run_migrations()
            check_foreign_keys(connection)
        connection.commit()
        connection.invalidate()


run()
