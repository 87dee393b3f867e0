"""BM25 over a few texts in memory (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009)."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from chatbot.rag.text import languages

from . import analysis

K1 = 1.2
B = 0.75


class TextScores:
    """Scores texts for a question; they are added in parts, since their analysis takes .1 ms per 1,000 characters.

    The question may have several wordings, the best first. The analyzer is that of the first one's language.
    """

    def __init__(self, wordings: Sequence[str]) -> None:
        self._analyzer = analysis.analyzer_of(languages.detect(wordings[0]))
        prepared = map(analysis.prepare_query, wordings)
        self._wordings = [analysis.query_terms(wording, self._analyzer, self._analyzer) for wording in prepared]
        self._terms = {term for terms in self._wordings for term in terms}
        self._counts: list[dict[str, int]] = []
        self._lengths: list[int] = []

    def add(self, texts: Iterable[str]) -> None:
        """Analyse texts that follow those before."""
        for text in texts:
            terms = Counter(analysis.terms(text, self._analyzer))
            self._counts.append({term: terms[term] for term in self._terms if term in terms})
            self._lengths.append(terms.total())

    def rank(self) -> list[int]:
        """Return the positions of the texts that have a term of the question: best first, of equal ones the last.

        Those with a term of its first wording come before all others.
        """
        rarities = {term: self._rarity(term) for term in self._terms}
        return list(dict.fromkeys(position for terms in self._wordings for position in self._rank_by(terms, rarities)))

    def _rank_by(self, terms: Sequence[str], rarities: Mapping[str, float]) -> list[int]:
        average = sum(self._lengths) / max(1, len(self._lengths))
        scores = []
        for counts, length in zip(self._counts, self._lengths, strict=True):
            norm = K1 * (1 - B + B * length / average) if average else K1
            found = ((rarities[term], counts[term]) for term in terms if term in counts)
            scores.append(sum(rarity * count * (K1 + 1) / (count + norm) for rarity, count in found))
        positions = [position for position, score in enumerate(scores) if score > 0]
        return sorted(positions, key=lambda position: (scores[position], position), reverse=True)

    def _rarity(self, term: str) -> float:
        having = sum(term in counts for counts in self._counts)
        return math.log(1 + (len(self._counts) - having + 0.5) / (having + 0.5))
