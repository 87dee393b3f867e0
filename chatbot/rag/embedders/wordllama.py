"""WordLlama: static embeddings of words, with their weights inside the package; nothing is downloaded."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatbot.concurrency.threads import apart, aside
from chatbot.rag.types import EmbedderOptions

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

DIMENSION = 256
LITTLE = 4_000  # characters that are embedded on the spot, half a millisecond: the way to the thread costs more
AT_A_TIME = 16  # texts whose tokens have vectors at one time, 1 MB a text; 64 are no faster
NOTHING = "."  # stands for a text without a word, whose vector would be no number


class WordLlamaEmbedder:
    """Vectors of 256 dimensions, a tenth of a millisecond each."""

    space = f"wordllama-{DIMENSION}"
    weight = 0.7  # measured on all collections of ../shared/data: a weak embedder helps, and must not decide

    def __init__(self, _: EmbedderOptions) -> None:
        self._model: Any = None
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector for each text, without regard to case: the model knows few capitals."""
        with self._lock:
            if self._model is None:
                self._model = apart(_load)
        lowered = [text.lower().strip() or NOTHING for text in texts]
        little = sum(map(len, lowered)) < LITTLE
        return _embed(self._model, lowered) if little else aside(_embed, self._model, lowered)


def _load() -> Any:
    import wordllama

    return wordllama.WordLlama.load(dim=DIMENSION, cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def _embed(model: Any, texts: list[str]) -> "Vectors":
    import numpy as np

    vectors: Vectors = np.nan_to_num(model.embed(texts, batch_size=AT_A_TIME)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors
