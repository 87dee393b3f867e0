"""The two ways to the database: `read` and `write`. Nobody waits for a model or a client inside either."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from ..errors import DatabaseBusy, DatabaseUnavailable, StorageFull
from ..extensions import LOCK_PATIENCE, db, sqlite

FULL = ("disk is full", "readonly database", "read-only", "disk i/o error", "no space left", "unable to open")
# In one process SQLite's writers queue here, in order and without a connection each, instead of at the file's lock.
_turnstile = threading.Lock()


@contextmanager
def read() -> Iterator[Session]:
    """Yield a session for queries; it sees one snapshot and changes nothing.

    Raises DatabaseBusy, DatabaseUnavailable.
    """
    with _translated(), Session(db.engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def write() -> Iterator[Session]:
    """Yield a session whose work is committed at the end of the block, or undone when the block raises.

    Raises DatabaseBusy, DatabaseUnavailable, StorageFull; IntegrityError is left to the caller.
    """
    with _translated(), _turn(), Session(db.engine, expire_on_commit=False) as session:
        session.connection(execution_options={"writes": True})
        yield session
        session.commit()


@contextmanager
def _turn() -> Iterator[None]:
    if db.engine.dialect.name != "sqlite":
        yield
        return
    if not _turnstile.acquire(timeout=LOCK_PATIENCE):
        raise DatabaseBusy("The database is busy.", retry_after=1)
    try:
        yield
    finally:
        _turnstile.release()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseBusy("The database is busy.", retry_after=1) from error
    except (OperationalError, sqlite.OperationalError) as error:  # the latter from BEGIN, which we send ourselves
        raise _in_our_words(error) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise DatabaseUnavailable("The database cannot be reached.", retry_after=5) from error


def _in_our_words(error: Exception) -> DatabaseBusy | StorageFull | DatabaseUnavailable:
    text = str(getattr(error, "orig", error)).lower()
    if "locked" in text:
        return DatabaseBusy("The database is busy.", retry_after=1)
    if any(sign in text for sign in FULL):
        return StorageFull("The database cannot be written.", retry_after=30)
    return DatabaseUnavailable("The database cannot be reached.", retry_after=5)
