"""Passages for a question: words and vectors, fused; every hit is joined with the tables for rights and liveness."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.database.transactions import read
from chatbot.models import Chunk, Collection, Document
from chatbot.rag import ranking
from chatbot.rag.errors import AdapterError, IndexFailed, RerankerError, StoreFailed
from chatbot.rag.types import Hit, Passage
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge import metadata
from chatbot.services.knowledge.permissions import may_all_read
from chatbot.services.knowledge.state import get_knowledge_state

from . import embeddings, readable
from .changes import Searched

CANDIDATES = 200  # of each side
MAX_PER_DOCUMENT = 3  # passages of one document, before those of others have had their turn
RERANKED = 30  # candidates that a reranker judges
SPARE = 30  # hits that are looked at beyond three times the limit, in place of those that are gone or crowded out
MAX_QUERY_CHARACTERS = 4_000  # that are searched: some characters become 18 when they are normalised
MAX_FILTERED = 100_000  # documents that a filter may leave

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that was found, and how: ranks from 1, None where that side did not find it."""

    chunk_id: int
    collection_id: UUID
    passage: Passage
    headings: str
    lexical_rank: int | None
    dense_rank: int | None
    lexical_score: float | None
    dense_score: float | None


@dataclass(slots=True)
class Retrieved:
    """The result of a search: the passages, best first, and its timings and notes."""

    query: str
    found: list[Found] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Sides:
    """The hits of both sides, the maximum lexical score of the query, and the lexical weight."""

    lexical: list[Hit] = field(default_factory=list)
    dense: list[Hit] = field(default_factory=list)
    ceiling: float = 0.0
    weight: float = 1.0


def search(
    caller: Caller,
    query: str,
    *,
    limit: int,
    collection_ids: Sequence[UUID] | None = None,
    metadata_filter: dict[str, Any] | None = None,
    max_per_document: int = MAX_PER_DOCUMENT,
    alternative_query: str | None = None,
    readers: sa.Select[Any] | None = None,
) -> Retrieved:
    """Return the passages that the caller may read and that fit a query best.

    `alternative_query` is a second wording that is searched too; of either, MAX_QUERY_CHARACTERS at most. With
    `readers`, a query of users' ids, all of these may read the passages too. Raises NotFound for a collection that is
    absent or that the caller may not read, InvalidInput for an invalid filter.
    """
    query = query[:MAX_QUERY_CHARACTERS]
    alternative_query = alternative_query and alternative_query[:MAX_QUERY_CHARACTERS]
    retrieved = Retrieved(query)
    started = time.monotonic()
    collections = readable.find_searched_collections(caller, collection_ids, readers)
    documents = _find_documents(collections, metadata_filter) if metadata_filter else None
    if not collections or documents == []:
        return retrieved
    sides = _search_both_sides(retrieved, query, collections, documents)
    if alternative_query and alternative_query != query:
        _merge(sides, _search_both_sides(retrieved, alternative_query, collections, documents))
    retrieved.milliseconds["search"] = _milliseconds_since(started)
    fused = ranking.fuse(sides.lexical, sides.dense, sides.weight)
    inside = {one.id for one in collections}
    looked_up = [one for one, _ in fused[: 3 * limit + SPARE]]
    rows = readable.fetch_hits(caller, looked_up, _build_reader_conditions(readers, inside))
    if len(rows) < len(looked_up):
        retrieved.dropped["no longer there"] = len(looked_up) - len(rows)
    among = None if documents is None else set(documents)
    rows = {one: row for one, row in rows.items() if _is_in_scope(row, inside, among)}
    ordered = ranking.spread(
        [one for one, _ in fused if one in rows],
        {one: str(row.document_id) for one, row in rows.items()},
        max_per_document,
    )
    looked_at = limit if get_knowledge_state().reranker is None else max(limit, RERANKED)
    retrieved.found = _rerank(retrieved, _build_results(ordered[:looked_at], rows, sides))[:limit]
    retrieved.milliseconds["total"] = _milliseconds_since(started)
    return retrieved


def _find_documents(collections: Sequence[Searched], metadata_filter: dict[str, Any]) -> list[UUID]:
    """Return the documents that a filter leaves, before anything is searched."""
    within = Document.collection_id.in_([one.id for one in collections])
    statement = sa.select(Document.id).where(within, metadata.condition(metadata_filter)).limit(MAX_FILTERED)
    with read() as connection:
        return list(connection.scalars(statement))


def _search_both_sides(
    retrieved: Retrieved, query: str, collections: Sequence[Searched], documents: Sequence[UUID] | None
) -> _Sides:
    sides = _Sides()
    try:
        by_words = get_knowledge_state().lexical_index.search(query, collections, CANDIDATES, documents)
        sides.lexical = by_words.hits
        sides.ceiling = by_words.ceiling
    except IndexFailed as error:
        log.warning("searched by vectors alone", error=type(error).__name__, detail=str(error))
        retrieved.notes.append("The index of words failed: searched by vectors alone.")
    try:
        embedder, vector = embeddings.embed_query(query)
        dense = get_knowledge_state().vector_index
        hits = [hit for one in collections for hit in dense.search(one, embedder.space, vector, CANDIDATES, documents)]
        sides.dense = sorted(hits, key=lambda hit: -hit[1])[:CANDIDATES]
        sides.weight = embedder.weight
        get_knowledge_state().has_store_failed = False
    except AdapterError as error:
        log.warning("searched by words alone", error=type(error).__name__, detail=error.detail)
        failed = "embedder"
        if isinstance(error, StoreFailed):
            failed = "vector store"
            get_knowledge_state().has_store_failed = True
        retrieved.notes.append(f"The {failed} failed: searched by words alone.")
    return sides


def probe_store() -> None:
    """Ask a vector store that failed again, so that `/readyz` tells of no fault that is over; raises StoreFailed."""
    state = get_knowledge_state()
    if state.has_store_failed:
        state.vector_index.store.collections()
        state.has_store_failed = False


def _merge(sides: _Sides, other: _Sides) -> None:
    """Keep the better score of each hit of two wordings."""
    for name in ("lexical", "dense"):
        best: dict[int, float] = dict(getattr(other, name))
        for one, score in getattr(sides, name):
            best[one] = max(score, best.get(one, score))
        setattr(sides, name, sorted(best.items(), key=lambda hit: -hit[1])[:CANDIDATES])
    sides.ceiling = max(sides.ceiling, other.ceiling)


def _is_in_scope(row: sa.Row[Any], collections: set[UUID], documents: set[UUID] | None) -> bool:
    """Return whether a hit is where it was looked for; the copies may be wrong.

    Not in the query of `readable.fetch_hits`: SQLite would go through all passages of the collection then.
    """
    return row.collection_id in collections and (documents is None or row.document_id in documents)


def _build_reader_conditions(readers: sa.Select[Any] | None, collections: set[UUID]) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on hits for those in collections that all readers may read."""
    if readers is None:
        return []
    # Apart from the hits: it is the same for all of a collection, and a room may have 500 readers.
    shared = sa.select(Collection.id).where(Collection.id.in_(collections), may_all_read(readers)).correlate(None)
    return [Chunk.collection_id.in_(shared)]


def _build_results(ordered: Sequence[int], rows: dict[int, sa.Row[Any]], sides: _Sides) -> list[Found]:
    lexical = {one: (rank, score) for rank, (one, score) in enumerate(sides.lexical, 1)}
    dense = {one: (rank, score) for rank, (one, score) in enumerate(sides.dense, 1)}
    least = min((score for _, score in sides.dense), default=None)  # what is not among them has less
    found = []
    for one in ordered:
        row = rows[one]
        (lexical_rank, bm25) = lexical.get(one, NONE)
        (dense_rank, cosine) = dense.get(one, NONE)
        score = ranking.relevance(bm25, least if cosine is None else cosine, sides.ceiling)
        document = (str(row.document_id), row.version, row.title)
        passage = Passage(*document, row.text, row.start, row.page, score, row.columns)
        found.append(Found(one, row.collection_id, passage, row.headings, lexical_rank, dense_rank, bm25, cosine))
    return found


def _rerank(retrieved: Retrieved, found: list[Found]) -> list[Found]:
    reranker = get_knowledge_state().reranker
    if reranker is None or not found:
        return found
    first = found[:RERANKED]
    rest = found[RERANKED:]
    started = time.monotonic()
    try:
        scores = reranker.rank(retrieved.query, [one.passage.text for one in first])
    except RerankerError as error:
        log.warning("not reranked", detail=error.detail)
        retrieved.notes.append("The reranker failed.")
        return found
    retrieved.milliseconds["rerank"] = _milliseconds_since(started)
    order = sorted(range(len(first)), key=lambda at: -scores[at])
    return [*(first[at] for at in order), *rest]


NONE: tuple[int | None, float | None] = (None, None)


def _milliseconds_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 2)
