"""Putting the hits of lexical and dense search together, and how well a passage fits a question."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from .types import Hit

# Logistic regression on the best passage of 8,700 pairs of a question and a collection that holds its answer or does
# not: squad2-half, xquad en, es and zh, scifact and cranfield, each against itself and against the others, every second
# question; at 0.5 it refuses 3 % of squad2-half's own questions of the other half, and 92 % of those asked elsewhere.
SHARE = 9.01
COSINE = 9.05
BOTH = -8.33
# where there is no embedder
SHARE_ALONE = 8.97
ALONE = -4.64
MAX_SHARE = 1.2  # a chunk that repeats the question's words says no more


def relevance(bm25: float | None, cosine: float | None, ceiling: float) -> float:
    """Return how likely a passage has to do with a question, 0 to 1.

    `ceiling` is the BM25 of a chunk that holds each word of the question once: raw BM25 grows with the question's
    length and the index. `cosine` is None where there are no vectors.
    """
    share = min((bm25 or 0.0) / ceiling, MAX_SHARE) if ceiling else 0.0
    odds = SHARE_ALONE * share + ALONE if cosine is None else SHARE * share + COSINE * cosine + BOTH
    return 1 / (1 + math.exp(-odds))


def fuse(lexical: Sequence[Hit], dense: Sequence[Hit], weight: float) -> list[Hit]:
    """Return all hits, best first: `weight` times the lexical score and the rest the dense one, each in 0..1.

    Each list is scaled from its own least to its own greatest score (min-max); what a list does not have counts 0
    there. Ties are in the order of the lists, the lexical one first.
    """
    fused = {id: weight * score for id, score in _scaled(lexical).items()}
    for id, score in _scaled(dense).items():
        fused[id] = fused.get(id, 0.0) + (1 - weight) * score
    return sorted(fused.items(), key=lambda hit: -hit[1])


def spread(ids: Sequence[int], document_of: Mapping[int, str], max_per_document: int) -> list[int]:
    """Return the hits in their order, but those beyond `max_per_document` of one document behind all others."""
    seen: Counter[str] = Counter()
    first: list[int] = []
    later: list[int] = []
    for id in ids:
        seen[document_of[id]] += 1
        (first if seen[document_of[id]] <= max_per_document else later).append(id)
    return first + later


def _scaled(hits: Sequence[Hit]) -> dict[int, float]:
    scores = [score for _, score in hits]
    low = min(scores, default=0.0)
    high = max(scores, default=0.0)
    if low == high:
        return {id: 1.0 for id, _ in hits}
    return {id: (score - low) / (high - low) for id, score in hits}
