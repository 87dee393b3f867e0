"""The libraries alone, without a service around them."""

import tempfile
import time
from pathlib import Path

from bench.judged import Judged
from chatbot.rag.embedders.wordllama import WordLlamaEmbedder
from chatbot.rag.lexical.tantivy import TantivyIndex
from chatbot.rag.text.languages import detect
from chatbot.rag.types import EmbedderOptions, Indexed


def bm25(one: Judged) -> dict[str, list[str]]:
    """Return the ranking of whole documents by words alone, for each query."""
    names = list(one.documents)
    with tempfile.TemporaryDirectory() as folder:
        index = TantivyIndex(Path(folder))
        texts = (f"{title}\n{text}" for title, text in one.documents.values())
        index.add(Indexed(at, "c", "d", detect(text), text) for at, text in enumerate(texts))
        index.commit()
        return {key: [names[at] for at, _ in index.search(query, ["c"], 100)] for key, query in one.queries.items()}


def embedding_rate(one: Judged) -> float:
    """Return how many whole documents the embedded model embeds in a second."""
    texts = [f"{title}\n{text}" for title, text in one.documents.values()]
    embedder = WordLlamaEmbedder(EmbedderOptions())
    embedder.embed(texts[:10])
    started = time.monotonic()
    embedder.embed(texts)
    return len(texts) / (time.monotonic() - started)
