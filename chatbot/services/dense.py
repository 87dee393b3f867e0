"""Search by vectors: the copies that this process has; each follows its collection's changes in the tables.

What is read comes in small batches, so that others run in between; what is computed leaves the hub.
"""

import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from ..models import Chunk, ChunkVector
from ..rag.offload import apart, give_back
from ..rag.ports import VectorStore
from ..rag.types import Hit
from .feed import FRESH, Searched, changed
from .transactions import read

if TYPE_CHECKING:
    from ..rag.types import Ids, Vectors

ROWS = 500  # vectors in one reading: 2 ms
MANY = 10_000  # chunks whose loading leaves memory behind

Row = tuple[int, UUID, bytes]


@dataclass(slots=True)
class _Followed:
    """How far a collection was followed, in which space, when, and the chunks of each document."""

    space: str
    change: int
    at: float
    chunks: dict[UUID, "array[int]"]


class DenseSearch:
    """A vector store and how far it has followed the tables."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._followed: dict[UUID, _Followed] = {}
        self._used: Counter[str] = Counter()
        self._locks: defaultdict[UUID, threading.Lock] = defaultdict(threading.Lock)

    def search(
        self, searched: Searched, space: str, vector: "Vectors", k: int, documents: Sequence[UUID] | None
    ) -> list[Hit]:
        """Return the nearest chunks of a collection as it was at least after its last change."""
        collection = searched.id
        name = str(collection)
        with self._locks[collection]:
            self._used[name] += 1  # nobody lets it go to make room while it is loaded and searched
            try:
                self._follow(searched, space, vector.shape[-1])
                followed = self._followed[collection]
                among = None if documents is None else _ids(_chunks_of(followed, documents))
                return apart(self._store.search, name, vector, k, among)
            except BaseException:
                # Half of a collection must not pass for the whole of it.
                self._followed.pop(collection, None)
                apart(self._store.forget, name)
                raise
            finally:
                self._used[name] -= 1

    def forget_others(self, known: Container[UUID]) -> None:
        """Let the collections go that are no longer there."""
        for gone in [one for one in self._followed if one not in known]:
            with self._locks[gone]:
                self._followed.pop(gone, None)
                apart(self._store.forget, str(gone))
            self._locks.pop(gone, None)

    def _follow(self, searched: Searched, space: str, dimension: int) -> None:
        followed, held = self._followed.get(searched.id), self._store.count(str(searched.id)) is not None
        now = time.monotonic()
        if followed is None or not held or followed.space != space or now - followed.at > FRESH:
            self._load(searched, space, dimension)
        elif followed.change < searched.last_change:
            self._catch_up(searched, followed, dimension)
        else:
            followed.at = now

    def _load(self, searched: Searched, space: str, dimension: int) -> None:
        name = str(searched.id)
        apart(self._store.open, name, searched.chunks, dimension, {one for one, count in self._used.items() if count})
        followed = _Followed(space, searched.last_change, time.monotonic(), {})
        for rows in _rows(space, Chunk.collection_id == searched.id):
            self._change(name, followed, [], rows)
        if searched.chunks > MANY:
            apart(give_back)
        self._followed[searched.id] = followed

    def _catch_up(self, searched: Searched, followed: _Followed, dimension: int) -> None:
        touched, change = changed(searched, followed.change)
        gone = [one for document in touched for one in followed.chunks.pop(document, [])]
        self._change(str(searched.id), followed, gone, [])
        for start in range(0, len(touched), ROWS):
            for rows in _rows(followed.space, Chunk.document_id.in_(touched[start : start + ROWS])):
                self._change(str(searched.id), followed, [], rows)
        followed.change = change
        followed.at = time.monotonic()
        if self._store.count(str(searched.id)) is None:  # it outgrew the way in which it was held
            self._load(searched, followed.space, dimension)

    def _change(self, name: str, followed: _Followed, gone: list[int], rows: Sequence[Row]) -> None:
        if (gone or rows) and self._store.count(name) is not None:
            apart(self._store.change, name, _ids(gone), *_arrays(rows))
        for row in rows:
            followed.chunks.setdefault(row[1], array("q")).append(row[0])


def _rows(space: str, condition: sa.ColumnElement[bool]) -> Iterator[Sequence[Row]]:
    """Yield (id, document, vector) of the chunks that have a vector, by id, some at a time."""
    statement = sa.select(Chunk.id, Chunk.document_id, ChunkVector.vector).join(
        ChunkVector, sa.and_(ChunkVector.chunk_id == Chunk.id, ChunkVector.space == space)
    )
    last = 0
    while True:
        with read() as connection:
            page = statement.where(condition, Chunk.id > last).order_by(Chunk.id).limit(ROWS)
            rows = [(row[0], row[1], row[2]) for row in connection.execute(page)]
        if rows:
            yield rows
        if len(rows) < ROWS:
            return
        last = rows[-1][0]
        time.sleep(0)


def _arrays(rows: Sequence[Row]) -> "tuple[Ids, Vectors]":
    import numpy as np

    vectors = np.frombuffer(b"".join(row[2] for row in rows), dtype="<f4")
    shape = (len(rows), -1) if rows else (0, 1)
    return _ids([row[0] for row in rows]), vectors.reshape(shape)


def _ids(ids: Sequence[int]) -> "Ids":
    import numpy as np

    return np.array(ids, dtype=np.int64)


def _chunks_of(followed: _Followed, documents: Sequence[UUID]) -> list[int]:
    return [one for document in documents for one in followed.chunks.get(document, ())]
