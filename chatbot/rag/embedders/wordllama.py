"""WordLlama: static embeddings of words, with their weights inside the package; nothing is downloaded."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatbot.concurrency.threads import run_in_slow_thread, run_in_thread
from chatbot.rag.types import EmbedderOptions

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

DIMENSION = 256
LITTLE = 4_000  # characters that are embedded on the spot, half a millisecond: the way to the thread costs more
MAX_BATCH_TEXTS = 16  # 64 are no faster
# Each text of a batch is padded to its longest, and each token takes 1 KB: at most 64 MB.
MAX_BATCH_CHARACTERS = 64_000
NOTHING = "."  # stands for a text without a word, whose vector would be no number


class WordLlamaEmbedder:
    """Vectors of 256 dimensions, a tenth of a millisecond each."""

    space = f"wordllama-{DIMENSION}"
    weight = 0.7  # measured on public test collections: a weak embedder helps, and must not decide

    def __init__(self, _: EmbedderOptions) -> None:
        self._model: Any = None
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector for each text, without regard to case: the model knows few capitals."""
        with self._lock:
            if self._model is None:
                self._model = run_in_thread(_load)
        lowered = [text.lower().strip() or NOTHING for text in texts]
        if sum(map(len, lowered)) < LITTLE:
            return _embed(self._model, lowered)
        return self._embed_in_batches(lowered)

    def _embed_in_batches(self, texts: list[str]) -> "Vectors":
        """Embed each batch by itself, so that the batches of others come in between."""
        import numpy as np

        vectors: Vectors = np.empty((len(texts), DIMENSION), np.float32)
        for batch in split_into_batches(texts):
            vectors[batch] = run_in_slow_thread(_embed, self._model, [texts[at] for at in batch])
        return vectors


def split_into_batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the positions of texts in batches of similar length, each within its bounds of texts and of padded size."""
    batch: list[int] = []
    for at in sorted(range(len(texts)), key=lambda at: len(texts[at])):
        # Texts come in order of length, so that this one would be the longest of the batch.
        is_full = len(batch) == MAX_BATCH_TEXTS or (len(batch) + 1) * len(texts[at]) > MAX_BATCH_CHARACTERS
        if batch and is_full:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _load() -> Any:
    import wordllama

    return wordllama.WordLlama.load(dim=DIMENSION, cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def _embed(model: Any, texts: list[str]) -> "Vectors":
    import numpy as np

    vectors: Vectors = np.nan_to_num(model.embed(texts, batch_size=MAX_BATCH_TEXTS)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors
