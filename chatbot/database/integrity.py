"""Whether SQLite's file is sound, and still the one that was opened.

It is checked beside the traffic after an end that was not a clean one, and compared at each transaction: what is
written into a file that was deleted is lost at the restart.
"""

import threading
from pathlib import Path

import structlog

from chatbot.concurrency.threads import run_in_own_thread
from chatbot.database.base import db
from chatbot.database.sqlite.dialect import BundledSQLite
from chatbot.errors import DatabaseUnavailable

CHECKING = "The database is being checked after an end that was not clean."
DAMAGED = "The database file is damaged: restore a backup into a new one (`flask restore`)."
REPLACED = "The database file was deleted or replaced under the server: put it back, or restart the server."
RETRY_SECONDS = 60

log = structlog.get_logger(__name__)


class FileCheck:
    """The check of one process's SQLite file; `state` is `ok`, that it is being checked, or that it is damaged."""

    def __init__(self) -> None:
        self.state = "ok"
        self._mark: Path | None = None
        self._file: Path | None = None
        self._identity: tuple[int, int] | None = None
        self._is_replaced = False

    def begin(self) -> None:
        """Note that the file is in use; where it still was, its last process was killed, or the machine was."""
        file = db.engine.url.database
        if db.engine.dialect.name != "sqlite" or file is None:
            return
        self._file = Path(file)
        self._identity = _identify(self._file)
        self._mark = Path(f"{file}-in-use")
        if self._mark.exists():
            self.state = CHECKING
            threading.Thread(target=self._check, args=[file], name="quick_check", daemon=True).start()
        self._mark.touch()

    def end(self) -> None:
        """Note that this process closed the file in order; a file not yet found sound is checked again."""
        if self._mark is not None and self.state == "ok":
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

    def _check(self, file: str) -> None:
        found = run_in_own_thread(_quick_check, file)
        self.state = "ok" if found == ["ok"] else DAMAGED
        if found != ["ok"]:
            log.error("damaged database", found=found)


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
