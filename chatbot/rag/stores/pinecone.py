"""Pinecone: vectors in an index of one's own at pinecone.io, one copy for all processes; `pip install pinecone`.

Each collection is a namespace, and has a record in the namespace MARKS that says what it holds. Reads follow writes
after a moment, so the marks that this process wrote itself are remembered for a while. There is no transaction: a
process that was overtaken between the look at a mark and its write may leave vectors of an older version behind,
which every hit's look into the tables sorts out.
"""

import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING, TypeVar

from pinecone import Index, NotFoundError, PineconeException

from chatbot.rag.errors import StoreFailed, StoreFenced, StoreForgot
from chatbot.rag.types import Hit, StoreOptions, VectorBatch

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

MARKS = "chatbot-collections"
# for all tries of a call; the library itself may wait for minutes
SEARCH_SECONDS = 5.0
WRITE_SECONDS = 20.0
LAG = 60.0  # seconds in which a mark that was written may not be read
CALLS = 16  # at a time
# What the service takes at once.
MAX_VALUES = 5_000
MAX_REQUEST_BYTES = 1_500_000
MAX_VECTORS = 1_000
MAX_HITS = 10_000
BYTES = 24  # of a number in JSON, at most

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Mark:
    space: str
    fence: int


class PineconeStore:
    """Cosine, approximate as the service is."""

    durable = True

    def __init__(self, options: StoreOptions) -> None:
        try:
            self._index = Index(host=options.url, api_key=options.key, timeout=SEARCH_SECONDS)
        except PineconeException as error:
            raise StoreFailed(f"pinecone: {error}") from error
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="pinecone")
        self._written: dict[str, tuple[float, _Mark]] = {}  # by this process, and when

    def count(self, collection: str) -> int | None:
        """Return how many vectors of a collection are held, or None when it is not known."""
        if self._mark(collection) is None:
            return None
        namespaces = self._do(SEARCH_SECONDS, self._index.describe_index_stats).namespaces
        return namespaces[collection].vector_count if collection in namespaces else 0

    def collections(self) -> list[str]:
        """Return the collections that are held."""

        def listed() -> list[str]:
            return [one.id for page in self._index.list(namespace=MARKS) for one in page.vectors if one.id]

        return sorted(self._do(WRITE_SECONDS, listed))

    def open(
        self, collection: str, space: str, count: int, dimension: int, used: Container[str] = (), fence: int = 0
    ) -> None:
        """Hold nothing of a collection (any more); raises StoreFenced, and StoreFailed for another dimension."""
        mark = self._mark(collection)
        if mark is not None and mark.fence > fence:
            raise StoreFenced(collection, mark.fence)
        has = self._do(SEARCH_SECONDS, self._index.describe_index_stats).dimension
        if has != dimension:
            raise StoreFailed(f"pinecone: the index has {has} dimensions and the embedder {dimension}")
        self._empty(collection)
        self._write_mark(collection, _Mark(space, fence), dimension)

    def change(self, collection: str, gone: Sequence[str], stored: VectorBatch, fence: int = 0) -> None:
        """Let all vectors of some documents go, and hold others besides; raises StoreForgot, StoreFenced."""
        mark = self._mark(collection)
        if mark is None:
            raise StoreForgot(collection)
        if mark.fence > fence:
            raise StoreFenced(collection, mark.fence)
        if mark.fence < fence:
            dimension = self._do(SEARCH_SECONDS, self._index.describe_index_stats).dimension or 0
            self._write_mark(collection, _Mark(mark.space, fence), dimension)
        for condition in _any_of(gone):
            self._delete(namespace=collection, filter=condition)
        for vectors in _pieces(stored):
            self._do(WRITE_SECONDS, self._index.upsert, vectors=vectors, namespace=collection)

    def search(self, collection: str, vector: "Vectors", k: int, documents: Sequence[str] | None = None) -> list[Hit]:
        """Return the up to k nearest chunks by cosine, the nearest first; only of `documents` where those are given.

        Raises StoreForgot for a collection that is not held.
        """
        query = {"vector": vector.reshape(-1).tolist(), "top_k": min(k, MAX_HITS), "namespace": collection}
        conditions = [None] if documents is None else _any_of(documents)
        hits = [
            (int(match.id), match.score)
            for condition in conditions
            for match in self._do(SEARCH_SECONDS, self._index.query, **query, filter=condition).matches
        ]
        if not hits and self._mark(collection) is None:  # an unknown namespace is an empty one to the service
            raise StoreForgot(collection)
        return nlargest(k, hits, key=lambda hit: hit[1])

    def forget(self, collection: str) -> None:
        """Let a collection go."""
        self._empty(collection)
        self._delete(namespace=MARKS, ids=[collection])
        self._written.pop(collection, None)

    def close(self) -> None:
        """Close all connections."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._index.close()

    def _mark(self, collection: str) -> _Mark | None:
        fetched = self._do(SEARCH_SECONDS, self._index.fetch, ids=[collection], namespace=MARKS).vectors
        marks = [
            _Mark(str(one.metadata["space"]), int(one.metadata["fence"])) for one in fetched.values() if one.metadata
        ]
        at, written = self._written.get(collection, (0.0, None))
        if written and time.monotonic() - at < LAG:
            marks.append(written)
        return max(marks, key=lambda mark: mark.fence, default=None)

    def _write_mark(self, collection: str, mark: _Mark, dimension: int) -> None:
        values = [1.0] + [0.0] * (dimension - 1)  # a vector of zeros alone is refused
        record = {"id": collection, "values": values, "metadata": {"space": mark.space, "fence": mark.fence}}
        self._do(WRITE_SECONDS, self._index.upsert, vectors=[record], namespace=MARKS)
        self._written[collection] = (time.monotonic(), mark)

    def _empty(self, collection: str) -> None:
        self._delete(namespace=collection, delete_all=True)

    def _delete(self, **what: object) -> None:
        try:
            self._do(WRITE_SECONDS, self._index.delete, **what)
        except StoreFailed as error:
            if not isinstance(error.__cause__, NotFoundError):  # a namespace is there from its first vector on
                raise

    def _do(self, seconds: float, call: Callable[..., T], **given: object) -> T:
        try:
            return self._calls.submit(call, **given).result(timeout=seconds)
        except (PineconeException, TimeoutError) as error:
            reason = " ".join(str(error).split()) or "no answer"
            raise StoreFailed(f"pinecone: {reason}") from error


def _any_of(documents: Sequence[str]) -> list[dict[str, object] | None]:
    """Return filters that let these documents pass, each with as many of them as one may name."""
    return [
        {"document": {"$in": list(documents[start : start + MAX_VALUES])}}
        for start in range(0, len(documents), MAX_VALUES)
    ]


def _pieces(stored: VectorBatch) -> Iterator[list[dict[str, object]]]:
    """Yield records, as many at a time as one call may carry."""
    size = min(MAX_VECTORS, max(1, MAX_REQUEST_BYTES // (BYTES * stored.vectors.shape[-1] + 100)))
    records = zip(stored.ids, stored.documents, stored.vectors, strict=False)
    piece: list[dict[str, object]] = []
    for one, document, vector in records:
        piece.append({"id": str(int(one)), "values": vector.tolist(), "metadata": {"document": document}})
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
