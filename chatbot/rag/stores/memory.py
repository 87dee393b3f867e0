"""Vectors in plain arrays: the quiet twin of the real stores, for tests and small collections."""

from collections.abc import Container
from typing import TYPE_CHECKING

from ..types import Hit, StoreOptions

if TYPE_CHECKING:
    from ..types import Ids, Vectors


class MemoryStore:
    """Exact cosine over all vectors of a collection."""

    def __init__(self, _: StoreOptions | None = None) -> None:
        self._held: dict[str, tuple[Ids, Vectors]] = {}

    def count(self, collection: str) -> int | None:
        """Return how many vectors of a collection are held, or None when it is not known."""
        held = self._held.get(collection)
        return None if held is None else len(held[0])

    def open(self, collection: str, count: int, dimension: int, used: Container[str] = ()) -> None:
        """Hold nothing of a collection (any more)."""
        import numpy as np

        self._held[collection] = np.empty(0, dtype=np.int64), np.empty((0, dimension), dtype=np.float32)

    def change(self, collection: str, gone: "Ids", ids: "Ids", vectors: "Vectors") -> None:
        """Let some vectors of a collection go, and hold others besides."""
        import numpy as np

        old, held = self._held[collection]
        kept = ~np.isin(old, gone)
        self._held[collection] = np.concatenate([old[kept], ids]), np.concatenate([held[kept], vectors])

    def search(self, collection: str, vector: "Vectors", k: int, among: "Ids | None" = None) -> list[Hit]:
        """Return the up to k nearest chunks by cosine, the nearest first; only of `among` where that is given."""
        import numpy as np

        ids, vectors = self._held[collection]
        if not len(ids):
            return []
        scores = vectors @ vector.reshape(-1)
        if among is not None:
            scores = np.where(np.isin(ids, among), scores, -np.inf)
        best = [row for row in np.argsort(-scores, kind="stable")[:k] if np.isfinite(scores[row])]
        return [(int(ids[row]), float(scores[row])) for row in best]

    def forget(self, collection: str) -> None:
        """Let a collection go."""
        self._held.pop(collection, None)
