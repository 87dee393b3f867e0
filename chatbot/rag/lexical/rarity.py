"""How rare the terms of a query are where it is searched: BM25's weights, counted over the searched groups alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatbot.rag.text.languages import detect

from . import analysis
from .analysis import ANALYZERS, analyzer_of, prepare_query, query_terms

if TYPE_CHECKING:
    from tantivy import Searcher

MAX_TERMS = 256  # of a query: a pasted page must not take seconds
ALL = "*"  # the group that each text is in


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a query: its rarity where it is searched, and that of its entry of each collection in the index."""

    rarity: float
    entries: Sequence[tuple[str, float]]


def within(collection: str, word: str) -> str:
    """Return a word as the index has it of a collection."""
    return f"{collection}:{word}"


def look_up(searcher: Searcher, query: str, collections: Sequence[str]) -> dict[str, dict[str, Term]]:
    """Return the query's terms by each analyzer that some chunk of the collections went through.

    What counts deleted chunks counts them everywhere, until tantivy merges them away.
    """
    everything = searcher.doc_freq("group", ALL)
    count = sum(searcher.doc_freq("group", one) for one in collections)
    asked_in = analyzer_of(detect(query))

    def weigh(term: str) -> Term:
        entries = [(entry := within(one, term), searcher.doc_freq("terms", entry)) for one in collections]
        held = [(entry, holding) for entry, holding in entries if holding]
        rarity = _rarity(count, sum(holding for _, holding in held))
        return Term(rarity, [(entry, _rarity(everything, holding)) for entry, holding in held])

    prepared = prepare_query(query)
    used = (name for name in ANALYZERS if any(searcher.doc_freq("group", within(one, name)) for one in collections))
    return {
        name: _with_inflected({term: weigh(term) for term in query_terms(prepared, name, asked_in)[:MAX_TERMS]})
        for name in used
    }


def _with_inflected(words: dict[str, Term]) -> dict[str, Term]:
    """Let a word that is nowhere be as rare as its beginning, where that is somewhere: it is another form of it.

    As the rarest, it would hide half of what a chunk has in common with the question.
    """
    for word, term in words.items():
        beginning = words.get(analysis.beginning(word))
        if not term.entries and beginning is not None and beginning.entries:
            words[word] = Term(beginning.rarity, ())
    return words


def _rarity(count: int, holding: int) -> float:
    """Return the inverse document frequency as BM25 has it (Robertson and Spaerck Jones, with Lucene's 1 +)."""
    return math.log(1 + (count - holding + 0.5) / (holding + 0.5))
