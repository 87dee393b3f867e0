"""Search by vectors: the copies that a store has of them; each follows its collection's changes in the tables.

What is read comes in small batches, so that others run in between; what is computed leaves the hub, and a store that
all processes share is asked over its socket.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.concurrency.threads import give_back, run_in_thread
from chatbot.database.transactions import read
from chatbot.errors import DatabaseBusy, LeaseLost, StorageFull
from chatbot.models import Chunk, ChunkVector
from chatbot.models.knowledge import has_dimension
from chatbot.rag.errors import StoreFenced, StoreForgot
from chatbot.rag.ports import VectorStore
from chatbot.rag.types import Hit, VectorBatch

from .changes import FRESH, Searched, find_changes
from .replicas import Positions, ReplicaLease, ReplicaPosition

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

ROWS = 500  # vectors in one reading: 2 ms
MANY = 10_000  # chunks whose loading leaves memory behind
CATCH_UP_SECONDS = 0.5  # seconds in which the process that follows may catch up
POLL_SECONDS = 0.05
STILL_FRESH = FRESH / 24  # seconds after which it is said again that a copy is the newest
BETWEEN_CLEANINGS = 600.0  # seconds, of a store that all share

Row = tuple[int, UUID, bytes]

log = structlog.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


class DenseSearch:
    """A vector store and how far it has followed the tables."""

    def __init__(self, store: VectorStore, positions: Positions) -> None:
        self.store = store
        self.positions = positions
        self._used: Counter[str] = Counter()
        self.locks: defaultdict[UUID, threading.Lock] = defaultdict(threading.Lock)
        self._cleaned_at = time.monotonic()

    def close(self) -> None:
        """Close the connections to a store that is shared."""
        self.store.close()

    def search(
        self, searched: Searched, space: str, vector: "Vectors", k: int, documents: Sequence[UUID] | None
    ) -> list[Hit]:
        """Return the nearest chunks of a collection as it was at least after its last change.

        Where another process follows for all and is slow, they may be as they were a moment before, or none. Raises
        `rag.errors.StoreFailed`.
        """
        name = str(searched.id)
        among = None if documents is None else [str(one) for one in documents]
        if self.store.durable:
            return self._search_shared(searched, space, vector, k, among)
        with self.locks[searched.id]:
            self._used[name] += 1  # it is not evicted while it is loaded and searched
            try:
                self._follow(searched, space, vector.shape[-1])
                return run_in_thread(self.store.search, name, vector, k, among)
            except BaseException:
                # Half of a collection must not pass for the whole of it.
                self.positions.drop(searched.id)
                run_in_thread(self.store.forget, name)
                raise
            finally:
                self._used[name] -= 1

    def _search_shared(
        self, searched: Searched, space: str, vector: "Vectors", k: int, among: list[str] | None
    ) -> list[Hit]:
        for _ in range(2):
            try:
                self._follow(searched, space, vector.shape[-1])
            except (DatabaseBusy, LeaseLost, StorageFull, StoreFenced) as error:
                log.info("vectors not followed", collection=str(searched.id), reason=type(error).__name__)
            if self._reached(searched.id, space) is None:  # another process fills it: half of it is not the whole
                return []
            try:
                return self.store.search(str(searched.id), vector, k, among)
            except StoreForgot:  # the store was emptied
                self.positions.drop(searched.id)
        return []

    def forget_others(self, known: Container[UUID], *, at_once: bool = False) -> None:
        """Let the collections go that are no longer there; those of a shared store now and then, or at once."""
        if self.store.durable and not at_once:
            if time.monotonic() - self._cleaned_at < BETWEEN_CLEANINGS:
                return
            self._cleaned_at = time.monotonic()
        for gone in [one for name in self.store.collections() if (one := UUID(name)) not in known]:
            with self.locks[gone]:
                self.positions.drop(gone)
                self._do(self.store.forget, str(gone))
            self.locks.pop(gone, None)

    def _follow(self, searched: Searched, space: str, dimension: int) -> None:
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while not self._is_current(searched, space):
            with self.positions.hold(searched.id) as held:
                if held is not None:
                    self._bring_up(held, searched, space, dimension)
                    return
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)

    def _is_current(self, searched: Searched, space: str) -> bool:
        reached = self._reached(searched.id, space)
        return reached is not None and reached.change >= searched.last_change and _age(reached) < STILL_FRESH

    def _reached(self, collection: UUID, space: str) -> ReplicaPosition | None:
        """Return how far the copy in a space is, None when it is to be made (anew)."""
        reached = self.positions.get(collection)
        if reached is None or reached.space != space or abs(_age(reached)) >= FRESH:  # clocks of hosts differ
            return None
        forgotten = not self.store.durable and self.store.count(str(collection)) is None
        return None if forgotten else reached

    def _bring_up(self, held: ReplicaLease, searched: Searched, space: str, dimension: int) -> None:
        reached = self._reached(searched.id, space)
        if reached is None:
            self._load(held, searched, space, dimension)
            return
        change = max(reached.change, searched.last_change)
        if reached.change < searched.last_change:
            change = self._catch_up(held, searched, reached, dimension)
        if not self.store.durable and self.store.count(str(searched.id)) is None:
            self._load(held, searched, space, dimension)  # it outgrew the way in which it was held
        else:
            held.reach(ReplicaPosition(space, change, time.time()))

    def _load(self, held: ReplicaLease, searched: Searched, space: str, dimension: int) -> None:
        name = str(searched.id)
        used = {one for one, count in self._used.items() if count}
        held.begin()
        try:
            self._do(self.store.open, name, space, searched.chunks, dimension, used, held.token)
        except StoreFenced as error:  # another process has taken over, or the store is older than these tables
            held.advance_token(error.fence)
            self._do(self.store.open, name, space, searched.chunks, dimension, used, held.token)
        for rows in _rows(space, dimension, Chunk.collection_id == searched.id):
            self._change(held, name, [], rows)
        if searched.chunks > MANY:
            run_in_thread(give_back)
        held.reach(ReplicaPosition(space, searched.last_change, time.time()))

    def _catch_up(self, held: ReplicaLease, searched: Searched, reached: ReplicaPosition, dimension: int) -> int:
        changes = find_changes(searched, reached.change)
        touched = changes.document_ids
        name = str(searched.id)
        self._change(held, name, [str(one) for one in touched], [])
        for start in range(0, len(touched), ROWS):
            within = Chunk.document_id.in_(touched[start : start + ROWS])
            for rows in _rows(reached.space, dimension, within):
                self._change(held, name, [], rows)
        return changes.last_change

    def _change(self, held: ReplicaLease, name: str, gone: list[str], rows: Sequence[Row]) -> None:
        if self.store.durable:
            held.keep()
        if (gone or rows) and (self.store.durable or self.store.count(name) is not None):
            self._do(self.store.change, name, gone, to_batch(rows), held.token)

    def _do(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs) if self.store.durable else run_in_thread(function, *args, **kwargs)


def _age(reached: ReplicaPosition) -> float:
    return time.time() - reached.at


def _rows(space: str, dimension: int, condition: sa.ColumnElement[bool]) -> Iterator[Sequence[Row]]:
    """Yield (id, document, vector) of the chunks that have a vector of the space's dimension, by id, some at a time."""
    usable = sa.and_(ChunkVector.chunk_id == Chunk.id, ChunkVector.space == space, has_dimension(dimension))
    statement = sa.select(Chunk.id, Chunk.document_id, ChunkVector.vector).join(ChunkVector, usable)
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


def to_batch(rows: Sequence[Row]) -> VectorBatch:
    """Return rows of chunks as a store takes them: ids, documents and vectors, one row each."""
    import numpy as np

    vectors = np.frombuffer(b"".join(row[2] for row in rows), dtype="<f4")
    shape = (len(rows), -1) if rows else (0, 1)
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    return VectorBatch(ids, [str(row[1]) for row in rows], vectors.reshape(shape))
