"""Models of the `sentence-transformers` library, on this machine: `pip install sentence-transformers`."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chatbot.concurrency.threads import run_in_thread
from chatbot.rag.errors import EmbedderError
from chatbot.rag.types import EmbedderOptions

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

BATCH = 32


class SentenceTransformersEmbedder:
    """A model by its name on the hub, or by the folder that it lies in."""

    weight = 0.5  # of the lexical side beside a strong embedder

    def __init__(self, options: EmbedderOptions) -> None:
        import sentence_transformers

        self.space = options.model
        self._make = sentence_transformers.SentenceTransformer
        self._model = None
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector of length 1 for each text; raises EmbedderError when there is no such model."""
        with self._lock:
            if self._model is None:
                try:
                    self._model = run_in_thread(self._make, self.space)
                except (OSError, ValueError) as error:  # what the hub's client and the loaders of weights raise
                    raise EmbedderError(f"The model {self.space!r} cannot be loaded.") from error
        return run_in_thread(_embed, self._model, [text.strip() or "." for text in texts])


def _embed(model: Any, texts: list[str]) -> "Vectors":
    vectors: Vectors = model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
    return vectors
