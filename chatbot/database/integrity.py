"""Whether SQLite's file is sound: looked at beside the traffic, after an end that was not a clean one."""

import threading
from pathlib import Path

import structlog

from chatbot.concurrency.threads import run_in_own_thread
from chatbot.database.base import db
from chatbot.database.sqlite.dialect import BundledSQLite

CHECKING = "The database is being checked after an end that was not clean."
DAMAGED = "The database file is damaged: restore a backup into a new one (`flask restore`)."

log = structlog.get_logger(__name__)


class FileCheck:
    """The check of one process's SQLite file; `state` is `ok`, that it is being checked, or that it is damaged."""

    def __init__(self) -> None:
        self.state = "ok"
        self._mark: Path | None = None

    def begin(self) -> None:
        """Note that the file is in use; where it still was, its last process was killed, or the machine was."""
        file = db.engine.url.database
        if db.engine.dialect.name != "sqlite" or file is None:
            return
        self._mark = Path(f"{file}-in-use")
        if self._mark.exists():
            self.state = CHECKING
            threading.Thread(target=self._check, args=[file], name="quick_check", daemon=True).start()
        self._mark.touch()

    def end(self) -> None:
        """Note that this process closed the file in order; a file not yet found sound is checked again."""
        if self._mark is not None and self.state == "ok":
            self._mark.unlink(missing_ok=True)

    def _check(self, file: str) -> None:
        found = run_in_own_thread(_quick_check, file)
        self.state = "ok" if found == ["ok"] else DAMAGED
        if found != ["ok"]:
            log.error("damaged database", found=found)


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
