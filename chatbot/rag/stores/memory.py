"""Vectors in plain arrays: the quiet twin of the real stores, for tests and small collections."""

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from chatbot.rag.types import Hit, StoreOptions, VectorBatch

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors


class MemoryStore:
    """Exact cosine over all vectors of a collection."""

    durable = False

    def __init__(self, _: StoreOptions | None = None) -> None:
        self._held: dict[str, VectorBatch] = {}

    def count(self, collection: str) -> int | None:
        """Return how many vectors of a collection are held, or None when it is not known."""
        held = self._held.get(collection)
        return None if held is None else len(held.ids)

    def collections(self) -> list[str]:
        """Return the collections that are held."""
        return list(self._held)

    def open(
        self, collection: str, space: str, count: int, dimension: int, used: Container[str] = (), fence: int = 0
    ) -> None:
        """Hold nothing of a collection (any more)."""
        import numpy as np

        none = np.empty(0, dtype=np.int64)
        self._held[collection] = VectorBatch(none, [], np.empty((0, dimension), dtype=np.float32))

    def change(self, collection: str, gone: Sequence[str], stored: VectorBatch, fence: int = 0) -> None:
        """Let all vectors of some documents go, and hold others besides."""
        import numpy as np

        old = self._held[collection]
        left = set(gone)
        came = set(map(int, stored.ids))
        rows_left = [
            row for row, document in enumerate(old.documents) if document not in left and int(old.ids[row]) not in came
        ]
        documents = [*(old.documents[row] for row in rows_left), *stored.documents]
        ids = np.concatenate([old.ids[rows_left], stored.ids])
        vectors = np.concatenate(
            [old.vectors[rows_left], stored.vectors.reshape(len(stored.ids), old.vectors.shape[1])]
        )
        self._held[collection] = VectorBatch(ids, documents, vectors)

    def search(self, collection: str, vector: "Vectors", k: int, documents: Sequence[str] | None = None) -> list[Hit]:
        """Return the up to k nearest chunks by cosine, the nearest first; only of `documents` where those are given."""
        import numpy as np

        held = self._held[collection]
        if not len(held.ids):
            return []
        scores = held.vectors @ vector.reshape(-1)
        if documents is not None:
            among = set(documents)
            scores = np.where([one in among for one in held.documents], scores, -np.inf)
        best = [row for row in np.argsort(-scores, kind="stable")[:k] if np.isfinite(scores[row])]
        return [(int(held.ids[row]), float(scores[row])) for row in best]

    def forget(self, collection: str) -> None:
        """Let a collection go."""
        self._held.pop(collection, None)

    def close(self) -> None:
        """Do nothing: a store in memory has no connections."""
