"""Whether SQLite's file is sound, and still the one that was opened.

It is checked beside the traffic after an end that was not a clean one, and compared at each transaction: what is
written into a file that was deleted is lost at the restart.
"""

import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from chatbot.concurrency.threads import run_in_own_thread
from chatbot.database.base import db
from chatbot.database.sqlite.dialect import BundledSQLite
from chatbot.database.types import uuid7
from chatbot.errors import DatabaseUnavailable

CHECKING = "The database is being checked after an end that was not clean."
DAMAGED = "The database file is damaged: restore a backup into a new one (`flask restore`)."
REPLACED = "The database file was deleted or replaced under the server: restart the server."
RETRY_SECONDS = 60

log = structlog.get_logger(__name__)


class FileCheck:
    """The check of one process's SQLite file; `state` is `ok`, that it is being checked, or that it is damaged.

    Each process has a mark beside the file, which it locks while it lives and removes at a clean end: a mark that
    nothing locks is that of a process that was killed.
    """

    def __init__(self) -> None:
        self.state = "ok"
        self._mark: Path | None = None
        self._mark_lock: int | None = None  # the descriptor that holds it
        self._file: Path | None = None
        self._identity: tuple[int, int] | None = None
        self._is_replaced = False

    def begin(self) -> None:
        """Note that this process uses the file; check it where one that did was killed, or the machine was."""
        file = db.engine.url.database
        if db.engine.dialect.name != "sqlite" or file is None:
            return
        self._file = Path(file)
        self._identity = _identify(self._file)
        left = [mark for mark in _find_marks(self._file) if not _is_locked(mark)]
        if left:
            self.state = CHECKING
            threading.Thread(target=self._check, args=[file, left], name="quick_check", daemon=True).start()
        self._mark = Path(f"{file}-in-use-{uuid7()}")
        self._mark_lock = os.open(self._mark, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._mark_lock, fcntl.LOCK_EX)

    def end(self) -> None:
        """Note that this process closed the file in order; the marks of others stay until it is found sound."""
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)

    def require_same_file(self) -> None:
        """Raise DatabaseUnavailable while the file's path names another file than when this process began, or none."""
        if self._file is None:
            return
        if _identify(self._file) == self._identity:
            self._is_replaced = False
            return
        if not self._is_replaced:
            self._is_replaced = True
            log.error("database file replaced", file=str(self._file), detail=REPLACED)
        raise DatabaseUnavailable(REPLACED, retry_after=RETRY_SECONDS)

    def _check(self, file: str, left: Sequence[Path]) -> None:
        found = run_in_own_thread(_quick_check, file)
        if found != ["ok"]:
            self.state = DAMAGED
            log.error("damaged database", found=found)
            return
        for mark in left:
            if not _is_locked(mark):  # its process had only just made it
                mark.unlink(missing_ok=True)
        self.state = "ok"


def _find_marks(file: Path) -> list[Path]:
    """Return the marks of all processes; that of an older version has no id."""
    return [path for path in file.parent.iterdir() if path.name.startswith(f"{file.name}-in-use")]


def _is_locked(mark: Path) -> bool:
    """Return whether the process of a mark lives; one that has just ended in order has none any more."""
    try:
        descriptor = os.open(mark, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _identify(file: Path) -> tuple[int, int] | None:
    """Return the device and the inode of a file, or None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _quick_check(file: str) -> list[str]:
    """Look for damaged pages (https://sqlite.org/pragma.html#pragma_quick_check)."""
    sqlite = BundledSQLite.import_dbapi()
    try:
        connection = sqlite.connect(f"file:{file}?mode=ro", uri=True)
        try:
            return [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
        finally:
            connection.close()
    except sqlite.Error as error:
        return [str(error)]
