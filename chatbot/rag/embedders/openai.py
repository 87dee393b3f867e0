"""Any server that speaks OpenAI's embeddings protocol, through the `openai` package."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import openai

from chatbot.rag.errors import MALFORMED_ANSWER, EmbedderError, EmbeddingsMissing, TextRefused
from chatbot.rag.http.pool import Pool
from chatbot.rag.types import EmbedderOptions

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

BATCH = 128  # texts in one request
MISSING = {404, 405, 501}  # what servers without embeddings, or without this model, answer
REFUSED = {400, 413, 422, 500}  # what servers answer to a text that is too long or odd: llama.cpp with 500
MAX_TEXT_LENGTH = 24_000  # characters of a text; models take 8,191 tokens
NO_KEY = "none"  # local servers want none, the package insists on one


class OpenAIEmbedder:
    """A model behind the embeddings protocol."""

    weight = 0.5  # of the lexical side beside a strong embedder

    def __init__(self, options: EmbedderOptions) -> None:
        self.space = options.model
        transport = None if getproxies() else Pool()
        self._client = openai.OpenAI(
            api_key=options.api_key or NO_KEY,
            base_url=options.base_url,
            max_retries=1,
            timeout=options.timeout,
            http_client=openai.DefaultHttpxClient(timeout=options.timeout, transport=transport),
        )

    def close(self) -> None:
        """Close the connections that are at rest."""
        self._client.close()

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector of length 1 for each text; raises TextRefused, EmbedderError for other faults."""
        import numpy as np

        rows: list[Any] = []
        for start in range(0, len(texts), BATCH):
            rows += self._batch([text[:MAX_TEXT_LENGTH].strip() or "." for text in texts[start : start + BATCH]])
        try:
            vectors: Vectors = np.array(rows, dtype=np.float32)
        except MALFORMED_ANSWER as error:
            raise TextRefused("The embedding server sent something that is no vectors.") from error
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if vectors.ndim == 2 else np.zeros(1)
        if not np.isfinite(lengths).all() or not (lengths > 0).all():
            raise TextRefused("The embedding server sent something that is no vectors.")
        vectors /= lengths
        return vectors

    def _batch(self, texts: list[str]) -> list[Any]:
        try:
            answer = self._client.embeddings.create(model=self.space, input=texts, encoding_format="float")
            rows = sorted(answer.data, key=lambda row: row.index)
            if len(rows) != len(texts):
                raise TextRefused("The embedding server sent another number of vectors.")
            return [row.embedding for row in rows]
        except openai.APIStatusError as error:
            if error.status_code in MISSING:
                raise EmbeddingsMissing(f"The embedding server has no embeddings of {self.space!r}.") from error
            kind = TextRefused if error.status_code in REFUSED else EmbedderError
            raise kind(f"The embedding server answered with status {error.status_code}.") from error
        except openai.APIConnectionError as error:
            raise EmbedderError("The embedding server cannot be reached.") from error
        except (openai.OpenAIError, *MALFORMED_ANSWER) as error:
            raise EmbedderError("The embedding server did not answer as it should.") from error
