"""A tantivy index in a folder: opened, checked, written by one process at a time and read by all."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chatbot.rag.errors import IndexBroken, IndexLocked

from . import analysis
from .checksums import damaged

if TYPE_CHECKING:
    from tantivy import IndexWriter, Schema, Searcher

HEAP = 15_000_000  # bytes that a writer collects before it writes a segment: tantivy's least
WRITER_LOCK = ".tantivy-writer.lock"


class FolderIndex:
    """An index in a folder. Any thread may search; one at a time may write."""

    version = analysis.VERSION

    def __init__(self, folder: Path, schema: Schema, *, anew: bool = False) -> None:
        """Open the index, or begin a new one where there is none, or where one is to be thrown away (`anew`).

        Raises IndexBroken, and IndexLocked when another process writes what is to be thrown away.
        """
        from tantivy import Index

        folder.mkdir(parents=True, exist_ok=True)
        if anew:
            _clear(folder)
        self.fresh = not (folder / "meta.json").exists()
        if name := damaged(folder):
            raise IndexBroken(name)
        with reading():
            self._index = Index(schema, path=str(folder))
        self._writer: IndexWriter | None = None

    def commit(self) -> None:
        """Make additions and removals visible to all processes. Raises IndexLocked, IndexBroken."""
        writer = self._writing()
        with reading():
            writer.commit()

    def close(self) -> None:
        """Release the write lock; uncommitted changes are lost. Raises IndexBroken, after the release too."""
        if self._writer is not None:
            writer = self._writer
            self._writer = None
            with reading():
                writer.wait_merging_threads()

    def _searcher(self) -> Searcher:
        self._index.reload()  # 26 microseconds where nothing has changed
        return self._index.searcher()

    def _writing(self) -> IndexWriter:
        if self._writer is None:
            try:
                self._writer = self._index.writer(HEAP, 1)
            except ValueError as error:
                raise IndexLocked from error
        return self._writer


def _clear(folder: Path) -> None:
    """Remove all files but the locks; under tantivy's own lock, so that no process writes meanwhile."""
    with (folder / WRITER_LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise IndexLocked from error
        for path in folder.iterdir():
            if path.suffix != ".lock":
                path.unlink(missing_ok=True)


@contextmanager
def reading() -> Iterator[None]:
    """Raise IndexBroken for tantivy's errors over unreadable files."""
    try:
        yield
    except ValueError as error:
        raise IndexBroken(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3's word for a Rust panic: no Exception, and not importable
            raise
        raise IndexBroken(str(error)) from error
