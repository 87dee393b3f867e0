"""The ways to the database: `read`, `write` and `autocommit`. None may contain a wait for a model or a client.

All give a Core connection: a session of the ORM, made anew for each transaction, took a third of a chat request.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chatbot.database.base import db
from chatbot.database.sqlite.dialect import LOCK_TIMEOUT_SECONDS, SQLiteError
from chatbot.errors import DatabaseBusy, DatabaseDamaged, DatabaseUnavailable, StorageFull

from . import failpoints
from .sqlite.group_commit import NotLetIn
from .state import get_database_state

FULL = ("disk is full", "readonly database", "read-only", "disk i/o error", "no space left", "unable to open")
DAMAGED = ("file is not a database", "disk image is malformed")
UNMIGRATED = ("no such table", "no such column")
UNDEFINED_TABLE = "42P01"  # PostgreSQL's code
WAITED = {"55P03", "40P01", "40001"}  # PostgreSQL's codes: a lock was not to be had, a deadlock, a conflict
OURS = (DBAPIError, PoolTimeout, SQLiteError)  # the last from BEGIN and COMMIT, which we send ourselves


@contextmanager
def read(*, snapshot: bool = False) -> Iterator[Connection]:
    """Yield a connection for queries, which changes nothing; with `snapshot` all of them see one snapshot.

    Raises DatabaseBusy, DatabaseUnavailable.
    """
    get_database_state().file_check.require_same_file()
    try:
        with db.engine.connect() as connection:
            if snapshot and connection.dialect.name == "postgresql":  # SQLite's queries always see one
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
    except OURS as error:
        if _is_the_statements_own(error):
            raise
        raise _translate(error) from error


@contextmanager
def write(
    step: str, *, durable: bool = True, is_long: bool = False, contention_key: UUID | None = None
) -> Iterator[Connection]:
    """Yield a connection; its work is committed at the end of the block, or undone when the block raises.

    `step` names what becomes durable here; `STEP:written` and `STEP:committed` are its failpoints. What is not
    `durable` a crash of the machine may undo, and its writer does not wait for the disk: for work that is done again.
    `is_long` marks a block that yields between its statements: on SQLite no other writer's commit waits for it. A block
    that locks rows which other transactions may hold for long, such as a collection, names the user as its
    `contention_key`: few such blocks run at a time, fewer of each key, so that a user who sends and deletes much leaves
    connections for the others. Each waits at most LOCK_TIMEOUT_SECONDS for its place, and as long for each lock.

    Raises DatabaseBusy, DatabaseUnavailable, StorageFull; IntegrityError is left to the caller.
    """
    if db.engine.dialect.name == "sqlite":
        transaction = get_database_state().group_commit.writing(db.engine, durable=durable, is_long=is_long)
    else:
        transaction = _transaction(durable=durable, contention_key=contention_key)
    with _run_step(step, transaction) as connection:
        yield connection


@contextmanager
def autocommit(step: str) -> Iterator[Connection]:
    """Yield a connection for a block that is a single statement, which PostgreSQL runs without a transaction.

    It is durable when it has run, and no error after it undoes it there. Steps and errors are as in `write`.
    """
    transaction = (
        get_database_state().group_commit.writing(db.engine) if db.engine.dialect.name == "sqlite" else _autocommit()
    )
    with _run_step(step, transaction) as connection:
        yield connection


@contextmanager
def _run_step(step: str, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
    """Yield the transaction's connection; reach the failpoints of the step, and translate the database's errors."""
    get_database_state().file_check.require_same_file()
    try:
        with transaction as connection:
            yield connection
            failpoints.reach(f"{step}:written")
        get_database_state().full.clear()
        failpoints.reach(f"{step}:committed")
    except OURS as error:
        if _is_the_statements_own(error):
            raise
        raise _translate(error) from error
    except NotLetIn as error:
        raise _busy() from error


@contextmanager
def _autocommit() -> Iterator[Connection]:
    """Yield a connection to PostgreSQL in its engine's own mode, autocommit."""
    with db.engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _transaction(*, durable: bool, contention_key: UUID | None) -> Iterator[Connection]:
    """Yield a connection in a READ COMMITTED transaction of PostgreSQL, which shares commits by itself."""
    with _in_turn(contention_key), db.engine.connect() as engine_connection:
        connection = engine_connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            if not durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            if contention_key is not None:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
            yield connection


@contextmanager
def _in_turn(contention_key: UUID | None) -> Iterator[None]:
    if contention_key is None:
        yield
        return
    waiting_writers = get_database_state().waiting_writers
    if not waiting_writers.acquire(contention_key, LOCK_TIMEOUT_SECONDS):
        raise _busy()
    try:
        yield
    finally:
        waiting_writers.release(contention_key)


def _is_the_statements_own(error: Exception) -> bool:
    if not isinstance(error, DBAPIError) or isinstance(error, OperationalError) or error.connection_invalidated:
        return False
    if _is_damaged(error) or _is_unmigrated(error):
        return False
    return not _is_full(error)  # a PostgreSQL that became read-only says so with an InternalError


def _is_damaged(error: Exception) -> bool:
    return any(sign in _message(error) for sign in DAMAGED)


def _is_full(error: Exception) -> bool:
    return any(sign in _message(error) for sign in FULL)


def _is_unmigrated(error: Exception) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    return code == UNDEFINED_TABLE or any(sign in _message(error) for sign in UNMIGRATED)


def _message(error: Exception) -> str:
    """Return the database's own message, without users' values such as those of PostgreSQL's DETAIL."""
    if isinstance(error, IntegrityError | DataError):
        return ""
    cause = getattr(error, "orig", error)
    return str(getattr(getattr(cause, "diag", None), "message_primary", None) or cause).lower()


def _translate(error: Exception) -> DatabaseBusy | StorageFull | DatabaseUnavailable:
    waited = getattr(getattr(error, "orig", None), "sqlstate", None) in WAITED
    if waited or "locked" in _message(error) or isinstance(error, PoolTimeout):
        return _busy()
    if _is_damaged(error):
        return DatabaseDamaged("The database is damaged.", retry_after=60)
    if _is_full(error):
        get_database_state().full.set()
        return StorageFull("The database cannot be written.", retry_after=30)
    if _is_unmigrated(error):
        return DatabaseUnavailable("The database lacks tables of this version: run `flask db upgrade`.")
    return DatabaseUnavailable("The database cannot be reached.", retry_after=5)


def _busy() -> DatabaseBusy:
    return DatabaseBusy("The database is busy.", retry_after=1)
