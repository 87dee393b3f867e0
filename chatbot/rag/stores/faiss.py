"""FAISS: one index in memory for each collection, exact while that is small enough."""

from array import array
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from chatbot.rag.types import Hit, StoreOptions, VectorBatch

if TYPE_CHECKING:
    from chatbot.rag.types import Ids, Vectors

NEIGHBOURS = 32  # of each vector in the graph (Malkov and Yashunin, 2018: M)
BREADTH = 128  # candidates that a search in the graph keeps (efSearch)
MAX_DELETED_SHARE = 0.1  # share of vectors that went, at which a graph asks to be loaded anew


Way = Literal["exact", "half", "graph"]


@dataclass(slots=True)
class _Held:
    index: Any
    way: Way
    expected: int  # vectors that it was made for
    dead: set[int]  # what a graph cannot let go
    chunks: dict[str, "array[int]"] = field(default_factory=dict)  # of each document

    def of(self, documents: Iterable[str]) -> "Ids":
        """Return the chunks of some documents."""
        import numpy as np

        return np.array([one for document in documents for one in self.chunks.get(document, ())], dtype=np.int64)


class FaissStore:
    """Cosine by inner product of vectors of length 1.

    Up to `exact_bytes` of 32-bit floats a collection is searched exactly, up to four times that exactly in 16-bit
    floats, and beyond in a graph (HNSW). The collections that were searched last are kept, up to `max_bytes`.
    """

    durable = False

    def __init__(self, options: StoreOptions) -> None:
        import faiss

        self._faiss = faiss
        self.options = options
        self.held: OrderedDict[str, _Held] = OrderedDict()

    def count(self, collection: str) -> int | None:
        """Return how many vectors of a collection are held, or None when it is to be opened (again)."""
        held = self.held.get(collection)
        return None if held is None else _alive(held)

    def collections(self) -> list[str]:
        """Return the collections that are held."""
        return list(self.held)

    def open(
        self, collection: str, space: str, count: int, dimension: int, used: Container[str] = (), fence: int = 0
    ) -> None:
        """Hold nothing of a collection (any more), and be ready for so many vectors; lets others go to make room.

        Those that are in use stay, even where there is no room for them.
        """
        self.held.pop(collection, None)
        way = self._way(count, dimension)
        self.held[collection] = _Held(self._made(way, dimension), way, count, set())
        free = (one for one in list(self.held) if one != collection and one not in used)
        while sum(map(_size, self.held.values())) > self.options.max_bytes and (one := next(free, None)):
            del self.held[one]

    def change(self, collection: str, gone: Sequence[str], stored: VectorBatch, fence: int = 0) -> None:
        """Let all vectors of some documents go, and hold others besides.

        A collection that outgrows its way is forgotten, and so is a graph of which too much is dead.
        """
        held = self.held[collection]
        if gone:
            self._remove(held, gone)
        if len(stored.ids):
            _add(held, stored)
        if held.dead.intersection(map(int, stored.ids)):  # a graph cannot show again what it has let go
            self.forget(collection)
            return
        total = held.index.ntotal
        outgrown = total > held.expected and self._way(total, held.index.d) != held.way
        if outgrown or len(held.dead) > MAX_DELETED_SHARE * total:
            self.forget(collection)

    def search(self, collection: str, vector: "Vectors", k: int, documents: Sequence[str] | None = None) -> list[Hit]:
        """Return the up to k nearest chunks by cosine, the nearest first; only of `documents` where those are given."""
        held = self.held[collection]
        self.held.move_to_end(collection)
        among = None if documents is None else held.of(documents)
        k = min(k, _alive(held) if among is None else len(among))
        if k <= 0:
            return []
        self._faiss.omp_set_num_threads(1)  # OpenMP keeps it by thread; the other cores have streams to serve
        scores, ids = held.index.search(vector.reshape(1, -1), k, params=self._parameters(held, among))
        return [(one, score) for one, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True) if one >= 0]

    def forget(self, collection: str) -> None:
        """Let a collection go."""
        self.held.pop(collection, None)

    def close(self) -> None:
        """Do nothing: a store in memory has no connections."""

    def _remove(self, held: _Held, documents: Sequence[str]) -> None:
        left = held.of(documents)
        for document in documents:
            held.chunks.pop(document, None)
        if len(left) and held.way == "graph":
            held.dead.update(int(one) for one in left)
        elif len(left):
            held.index.remove_ids(self._faiss.IDSelectorBatch(left))

    def _way(self, count: int, dimension: int) -> Way:
        size = count * dimension * 4
        if size <= self.options.exact_bytes:
            return "exact"
        return "half" if size <= 4 * self.options.exact_bytes else "graph"

    def _made(self, way: Way, dimension: int) -> Any:
        faiss = self._faiss
        half = faiss.ScalarQuantizer.QT_fp16
        cosine = faiss.METRIC_INNER_PRODUCT
        if way == "exact":
            index = faiss.IndexFlatIP(dimension)
        elif way == "half":
            index = faiss.IndexScalarQuantizer(dimension, half, cosine)
        else:
            index = faiss.IndexHNSWSQ(dimension, half, NEIGHBOURS, cosine)
        return faiss.IndexIDMap(index)

    def _parameters(self, held: _Held, among: "Ids | None") -> Any:
        faiss = self._faiss
        selector = None
        if among is not None:
            selector = faiss.IDSelectorBatch(among)
        if held.dead:
            alive = faiss.IDSelectorNot(faiss.IDSelectorBatch(sorted(held.dead)))
            selector = alive if selector is None else faiss.IDSelectorAnd(selector, alive)
        if held.way == "graph":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=BREADTH)
        return faiss.SearchParameters(sel=selector) if selector is not None else None


def _add(held: _Held, stored: VectorBatch) -> None:
    if not held.index.is_trained:
        held.index.train(stored.vectors)
    held.index.add_with_ids(stored.vectors, stored.ids)
    for one, document in zip(stored.ids, stored.documents, strict=True):
        held.chunks.setdefault(document, array("q")).append(int(one))


def _alive(held: _Held) -> int:
    return int(held.index.ntotal) - len(held.dead)


def _size(held: _Held) -> int:
    """Return the bytes that it takes, or will when it is filled."""
    count = max(int(held.index.ntotal), held.expected)
    links = NEIGHBOURS * 2 * 4 if held.way == "graph" else 0
    return count * (int(held.index.d) * (4 if held.way == "exact" else 2) + links)
