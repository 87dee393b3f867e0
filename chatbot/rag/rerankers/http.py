"""Any server with a `/rerank` endpoint in the style of Jina's and Cohere's, as vLLM and llama.cpp serve it."""

import math
from collections.abc import Sequence

import httpx2

from chatbot.rag.errors import MALFORMED_ANSWER, RerankerError
from chatbot.rag.types import EmbedderOptions


class HttpReranker:
    """A cross-encoder behind `POST {base_url}/rerank`."""

    def __init__(self, options: EmbedderOptions) -> None:
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._client = httpx2.Client(timeout=options.timeout, headers=headers, trust_env=False)
        self._url = f"{str(options.base_url).rstrip('/')}/rerank"
        self._model = options.model

    def close(self) -> None:
        """Close the connections that are at rest."""
        self._client.close()

    def rank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one relevance for each text; raises RerankerError."""
        body = {"model": self._model, "query": query, "documents": list(texts), "top_n": len(texts)}
        try:
            answer = self._client.post(self._url, json=body)
            answer.raise_for_status()
            scores = {int(row["index"]): float(row["relevance_score"]) for row in answer.json()["results"]}
            if not all(map(math.isfinite, scores.values())):
                raise RerankerError("The reranker sent a relevance that is no number.")
            return [scores[at] for at in range(len(texts))]
        except (httpx2.HTTPError, *MALFORMED_ANSWER) as error:
            raise RerankerError("The reranker did not answer as it should.") from error
