"""An embedder of hashed words: for tests, and for trying out an application without a model."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatbot.rag.errors import EmbedderError
from chatbot.rag.types import EmbedderOptions

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

DIMENSION = 64


class MemoryEmbedder:
    """Texts that share words are near each other. `fails` makes it fail until it is False again."""

    space = f"memory-{DIMENSION}"
    weight = 0.7

    def __init__(self, _: EmbedderOptions | None = None) -> None:
        self.fails = False

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector for each text; raises EmbedderError when told to."""
        import numpy as np

        if self.fails:
            raise EmbedderError("The embedder was told to fail.")
        vectors: Vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split() or ["."]:
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
