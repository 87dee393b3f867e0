"""Search by words: the index of this host, a cache in a folder. One process writes it and all read it.

Beside it lies a file that says how far each collection was followed. What is done twice is the same: a document's
chunks are removed before they are added.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import orjson
import sqlalchemy as sa
import structlog

from chatbot.concurrency.threads import give_back, run_in_thread
from chatbot.database.transactions import read
from chatbot.models import Chunk, Collection, Document, KnowledgeChange
from chatbot.rag import registry
from chatbot.rag.errors import IndexBroken, IndexLocked
from chatbot.rag.ports import LexicalIndex
from chatbot.rag.types import Hit, Indexed
from chatbot.services.knowledge import content

from .changes import FRESH, Searched, find_changes

ROWS = 200  # chunks in one reading
MAX_PIECE_CHARACTERS = 20_000  # that are indexed at a time
MANY = 10_000  # chunks whose indexing leaves memory behind
CATCH_UP_SECONDS = 1.2  # seconds in which the process that writes may catch up: it looks once a second
POLL_SECONDS = 0.02

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LexicalHits:
    """The best chunks for a query, and the maximum score that the query can reach."""

    hits: list[Hit]
    ceiling: float


class LexicalSearch:
    """An index of words and how far it has followed the tables."""

    def __init__(self, adapter: str, folder: Path) -> None:
        self._state = folder / "followed.json"
        self._folder = folder / "index"
        self._lock = threading.Lock()
        self.known: dict[str, int] = {}
        self._times: dict[str, str] = {}
        self._written_at = 0.0
        self._make = registry.load("lexical", adapter)
        self.index = self._opened()

    def search(
        self, query: str, collections: Sequence[Searched], k: int, documents: Sequence[UUID] | None
    ) -> LexicalHits:
        """Return the best chunks of collections as they were after their last change.

        Where another process writes the index and is slow, they may be as they were a moment before. Raises IndexLocked
        when the index is broken, and another process writes it.
        """
        ids = [str(one.id) for one in collections]
        among = None if documents is None else [str(one) for one in documents]

        def search() -> LexicalHits:
            self._follow(collections)
            return run_in_thread(self._search, query, ids, k, among)

        return self._rebuild_if_broken(search)

    def _follow(self, collections: Sequence[Searched]) -> None:
        """Bring the index up to date with these collections, or wait a moment for the process that does."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while behind := [one for one in collections if self.known.get(str(one.id), -1) < one.last_change]:
            with self._lock:
                try:
                    self._write(behind)
                    return
                except IndexLocked:
                    self._read_state(self.index.version)
            if time.monotonic() >= deadline:
                return
            time.sleep(POLL_SECONDS)

    def follow_all(self) -> set[UUID]:
        """Bring the index up to date with all collections, and let those go that are deleted; returns all that are.

        Raises IndexLocked.
        """
        return self._rebuild_if_broken(self._follow_all)

    def is_behind(self) -> bool:
        """Return whether the index has passages that are gone, or none of new ones: another process may write it."""
        return any(self._compare()[1:])

    def _follow_all(self) -> set[UUID]:
        known, gone, behind = self._compare()
        if gone or behind:
            with self._lock:
                try:
                    self._write(behind, sorted(gone))
                except IndexLocked:
                    self._read_state(self.index.version)
        return known

    def _compare(self) -> tuple[set[UUID], set[str], list[Searched]]:
        """Return the collections, those in the index that are none any more, and those that it is behind with."""
        with read() as connection:
            rows = connection.execute(sa.select(Collection.id, Collection.last_change, Collection.chunks)).all()
        gone = self.known.keys() - {str(row.id) for row in rows}
        behind = [Searched(*row) for row in rows if self.known.get(str(row.id), -1) < row.last_change]
        return {row.id for row in rows}, gone, behind

    def _search(self, query: str, collections: list[str], k: int, documents: list[str] | None) -> LexicalHits:
        hits = self.index.search(query, collections, k, documents)
        return LexicalHits(hits, self.index.ceiling(query, collections))

    def _write(self, behind: Sequence[Searched], gone: Sequence[str] = ()) -> None:
        run_in_thread(self.index.remove, "collection", gone)  # the first word of it raises IndexLocked
        self._read_state(self.index.version)
        if time.time() - self._written_at > FRESH:
            run_in_thread(self.index.remove, "collection", list(self.known))
            self.known = {}
        reached: dict[str, int] = {}
        for one in behind:
            reached[str(one.id)] = self._catch_up(one)
        run_in_thread(self.index.commit)
        if any(one.chunks > MANY for one in behind):
            run_in_thread(self.index.close)  # the next word opens another writer, which has not grown yet
            run_in_thread(give_back)
        self.known = {key: value for key, value in self.known.items() if key not in gone} | reached
        self._written_at = time.time()
        draft = self._state.with_suffix(".draft")
        self._times |= _times(reached.values())
        state = {"at": self._written_at, "collections": self.known, "times": self._times, "version": self.index.version}
        draft.write_bytes(orjson.dumps(state))
        draft.replace(self._state)

    def _catch_up(self, searched: Searched) -> int:
        known = self.known.get(str(searched.id))
        if known is None:
            run_in_thread(self.index.remove, "collection", [str(searched.id)])
            for items in _items(Chunk.collection_id == searched.id):
                self._add(items)
            return searched.last_change
        changes = find_changes(searched, known)
        touched = changes.document_ids
        run_in_thread(self.index.remove, "document", [str(one) for one in touched])
        for start in range(0, len(touched), ROWS):
            for items in _items(Chunk.document_id.in_(touched[start : start + ROWS])):
                self._add(items)
        return changes.last_change

    def _add(self, items: Sequence[Indexed]) -> None:
        """Add chunks a few at a time: searches wait for the same thread."""
        piece: list[Indexed] = []
        size = 0
        for item in items:
            if piece and size + len(item.text) > MAX_PIECE_CHARACTERS:
                run_in_thread(self.index.add, piece)
                piece = []
                size = 0
            piece.append(item)
            size += len(item.text)
        run_in_thread(self.index.add, piece)

    def _read_state(self, version: int) -> None:
        try:
            state = orjson.loads(self._state.read_bytes())
            if state["version"] != version:
                raise ValueError(state["version"])
            self.known = dict(state["collections"])
            self._written_at = float(state["at"])
            self._times = dict(state["times"])
        except (OSError, KeyError, TypeError, ValueError):
            self.known = {}
            self._times = {}
            self._written_at = 0.0

    def _rebuild_if_broken(self, action: Callable[[], T]) -> T:
        """Do something with the index, once more where that shows that it is broken: the tables have all it held."""
        index = self.index
        try:
            return action()
        except IndexBroken as error:
            with self._lock:
                if self.index is index:  # no other thread has found it out
                    with suppress(IndexBroken):
                        run_in_thread(index.close)
                    self.index = self._anew(error)
                    self._forget()
            return action()

    def _opened(self) -> LexicalIndex:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            index: LexicalIndex = run_in_thread(self._make, self._folder)
        except IndexBroken as error:
            index = self._anew(error)
        self._read_state(index.version)
        if index.fresh or self._is_foreign():
            self._forget()
        return index

    def _anew(self, error: IndexBroken) -> LexicalIndex:
        log.warning("index of words rebuilt", folder=str(self._folder), reason=str(error))
        made: LexicalIndex = run_in_thread(self._make, self._folder, anew=True)
        return made

    def _is_foreign(self) -> bool:
        """Return whether the index followed changes that the tables do not know: they came out of a backup.

        A change that was made after it has a number that the index knows, and another time.
        """
        with read() as connection:
            rows = connection.execute(sa.select(Collection.id, Collection.last_change)).all()
        there = _times(self.known.values())
        ahead = any(self.known.get(str(row.id), -1) > row.last_change for row in rows)
        return ahead or any(self._times.get(change, time) != time for change, time in there.items())

    def _forget(self) -> None:
        self._state.unlink(missing_ok=True)
        self.known = {}
        self._times = {}
        self._written_at = 0.0


def _times(changes: Iterable[int]) -> dict[str, str]:
    """Return when changes were made, by their numbers; those that are no longer kept are left out."""
    columns = (KnowledgeChange.id, KnowledgeChange.created_at)
    with read() as connection:
        rows = connection.execute(sa.select(*columns).where(KnowledgeChange.id.in_(list(changes)))).all()
    return {str(row.id): row.created_at.isoformat() for row in rows}


def _items(condition: sa.ColumnElement[bool]) -> Iterator[list[Indexed]]:
    statement = sa.select(Chunk.id, Chunk.collection_id, Chunk.document_id, Chunk.language, *content.INDEXED).join(
        Document, Document.id == Chunk.document_id
    )
    last = 0
    while True:
        with read() as connection:
            page = statement.where(condition, Chunk.id > last).order_by(Chunk.id).limit(ROWS)
            rows = connection.execute(page).all()
        if rows:
            last = rows[-1].id
            yield [
                Indexed(
                    row.id,
                    str(row.collection_id),
                    str(row.document_id),
                    row.language,
                    content.indexed_text(row),
                )
                for row in rows
            ]
        if len(rows) < ROWS:
            return
        time.sleep(0)
