"""Passages for a turn, the citations of its answer, and the trace that tells why it was answered so."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.concurrency.threads import run_in_thread
from chatbot.database.transactions import read
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Chunk, Collection, Document, TurnTrace
from chatbot.rag import pipeline
from chatbot.rag.citations import alignment
from chatbot.rag.types import Attempt, Citation, Passage, PromptInfo
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.permissions import may_read
from chatbot.services.knowledge.search import hybrid
from chatbot.services.knowledge.search.hybrid import Found, Retrieved

from .records import Candidate, ContextRecord, RankedCitation, StoredCitation, Trace, TurnOptions

Place = tuple[str, int, int]  # document, version, start
CANDIDATES = 20  # passages that are looked at for a prompt, and told in the trace

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GroundedAnswer:
    """The stored citations of an answer, and the share of it that they support, None without passages."""

    citations: list[StoredCitation]
    grounded: float | None


class Grounding:
    """Finds passages for one turn, and remembers how."""

    def __init__(
        self,
        caller: Caller,
        options: TurnOptions,
        *,
        has_searchable_collections: bool = True,
        readers: sa.Select[Any] | None = None,
    ) -> None:
        self._caller = caller
        self._readers = readers
        self._has_searchable_collections = has_searchable_collections
        self._collections = options.collection_ids
        self.mode = options.grounding
        self.retrieved: Retrieved | None = None
        self.withheld = 0  # passages for the caller alone, of which nothing is shown
        self._started = time.monotonic()
        self.first_text: float | None = None

    def retrieve(self, query: str, alternative_query: str) -> Sequence[Passage]:
        """Return passages for a query and a second wording; none where a collection that was named is gone."""
        search = partial(
            hybrid.search,
            self._caller,
            query,
            limit=CANDIDATES,
            collection_ids=self._collections,
            alternative_query=alternative_query,
        )
        try:
            self.retrieved = search(readers=self._readers)
            if self._readers is not None:
                self._count_withheld(self.retrieved, search().found)
        except NotFound:
            self.retrieved = Retrieved(query, notes=["A collection that was asked for is gone."])
        return [one.passage for one in self.retrieved.found]

    def _count_withheld(self, retrieved: Retrieved, readable: Sequence[Found]) -> None:
        """Count those of the best passages for the caller that others of the readers may not read."""
        best = pipeline.chosen([one.passage for one in readable], strict=self.mode == "strict")[: pipeline.MAX_PASSAGES]
        shown = {one.chunk_id for one in retrieved.found}
        chosen = {id(one) for one in best}
        self.withheld = sum(id(one.passage) in chosen and one.chunk_id not in shown for one in readable)
        if self.withheld:
            retrieved.dropped["not readable by all members"] = self.withheld

    def find_collections(self, passages: Sequence[Passage]) -> set[UUID]:
        """Return the collections of passages that were found."""
        shown = {id(one) for one in passages}
        found = self.retrieved.found if self.retrieved else ()
        return {one.collection_id for one in found if id(one.passage) in shown}

    def is_wanted(self) -> bool:
        """Return whether passages are to be looked for: asked for, and there is something to read."""
        if self.mode == "off":
            return False
        return self.mode == "strict" or self._collections is not None or self._has_searchable_collections

    def cite(self, answer: str, passages: Sequence[Passage]) -> GroundedAnswer:
        """Return the citations of an answer, as they are stored."""
        if not passages or not answer.strip():
            return GroundedAnswer([], None)
        # By words alone (docs/decisions): the embedder added nothing to the sentences that it was measured on.
        cited = run_in_thread(alignment.cite, answer, passages)
        return GroundedAnswer([to_stored(one) for one in cited.citations], cited.grounded)

    def build_trace(
        self, prompt_info: PromptInfo, attempts: Sequence[Attempt], context: ContextRecord | None = None
    ) -> Trace:
        """Return why the turn was answered as it was."""
        retrieved = self.retrieved or Retrieved("")
        used = {(one.document_id, one.start): marker for marker, one in enumerate(prompt_info.passages, 1)}
        passages = [one.passage for one in retrieved.found]
        wanted = {id(one) for one in pipeline.chosen(passages, strict=self.mode == "strict")}
        seconds = {"first_text": self.first_text and self.first_text - self._started}
        milliseconds = {name: round(value * 1000, 2) for name, value in seconds.items() if value}
        return {
            "retrieval_query": prompt_info.query,
            "candidates": [_to_candidate(one, used, id(one.passage) in wanted) for one in retrieved.found],
            "dropped": retrieved.dropped,
            "notes": retrieved.notes,
            "prompt_tokens": dict(prompt_info.tokens),
            "tries": [
                {"model": t.model, "error": t.error, "milliseconds": round(t.seconds * 1000, 2)} for t in attempts
            ],
            "milliseconds": {**retrieved.milliseconds, **milliseconds},
            "context": context,
        }


def to_stored(citation: Citation) -> StoredCitation:
    """Return a citation as it is stored and shown."""
    passage = citation.passage
    return {
        "marker": citation.marker,
        "document_id": passage.document_id,
        "document_version": passage.document_version,
        "title": passage.title,
        "page": passage.page,
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
        "score": round(citation.score, 4),
        "supported": citation.supported,
        "stale": False,
        "answer_spans": [list(span) for span in citation.answer_spans],
    }


def to_candidate(marker: int | None, passage: Passage) -> StoredCitation:
    """Return a passage as a citation of which nothing is known yet."""
    whole = Citation(
        marker, passage, passage.start, passage.start + len(passage.text), passage.text, passage.score, False
    )
    return to_stored(whole)


def to_dict(found: Found) -> RankedCitation:
    """Return a search result as a citation without marker, with its rank on both sides."""
    citation = to_candidate(None, found.passage)
    return {**citation, "lexical_rank": found.lexical_rank, "dense_rank": found.dense_rank}


def refresh_citations(
    connection: sa.Connection, is_readable: sa.ColumnElement[bool], lists: Sequence[Sequence[StoredCitation]]
) -> list[list[StoredCitation]]:
    """Return lists of citations as they are by now, for those that may read the collections of a condition.

    They are stale where another version is searched, and without quote where the document is gone or not readable.
    """
    cited = {UUID(citation["document_id"]) for citations in lists for citation in citations}
    if not cited:
        return [list(citations) for citations in lists]
    statement = sa.select(Document.id, Document.version).join(Collection, Collection.id == Document.collection_id)
    versions = {
        str(row.id): row.version for row in connection.execute(statement.where(Document.id.in_(cited), is_readable))
    }
    return [[_refresh_citation(one, versions.get(one["document_id"])) for one in citations] for citations in lists]


def get_trace(caller: Caller, turn_id: UUID) -> Trace:
    """Return the trace of one of the caller's turns; raises NotFound. Without a search there is little to tell."""
    statement = sa.select(TurnTrace.facts).join(ChatMessage, ChatMessage.id == TurnTrace.turn_id)
    conditions = (ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with read() as connection:
        if connection.scalar(sa.select(ChatMessage.id).where(*conditions)) is None:
            raise NotFound("There is no such turn.")
        facts: Trace | None = connection.scalar(statement.where(*conditions))
    if facts is None:
        return Grounding(caller, TurnOptions(grounding="off")).build_trace(PromptInfo(), ())
    with read() as connection:
        (refreshed,) = refresh_citations(connection, may_read(caller), [facts["candidates"]])
        texts = _find_texts(connection, caller, refreshed)
    candidates: list[Candidate] = [
        {**stored, "title": now["title"], "stale": now["stale"], "quote": texts.get(_place_of(now), "")}
        for stored, now in zip(facts["candidates"], refreshed, strict=True)
    ]
    return {**facts, "candidates": candidates, "context": facts.get("context")}


def _find_texts(connection: sa.Connection, caller: Caller, places: Sequence[StoredCitation]) -> dict[Place, str]:
    """Return the texts of passages that are still searched; a trace keeps where they stand and no copy."""
    named = [(UUID(one["document_id"]), one["start"]) for one in places]
    statement = sa.select(Chunk.document_id, Chunk.version, Chunk.start, Chunk.text)
    statement = statement.join(Collection, Collection.id == Chunk.collection_id)
    wanted = sa.tuple_(Chunk.document_id, Chunk.start).in_(named)
    rows = connection.execute(statement.where(wanted, may_read(caller))) if named else ()
    return {(str(row.document_id), row.version, row.start): row.text for row in rows}


def _place_of(citation: StoredCitation) -> Place:
    return citation["document_id"], citation["document_version"], citation["start"]


def _to_candidate(found: Found, used: dict[tuple[str, int], int], wanted: bool) -> Candidate:
    marker = used.get((found.passage.document_id, found.passage.start))
    dropped = None
    if not marker:
        dropped = "no room in the prompt" if wanted else "not relevant enough"
    return {
        **to_dict(found),
        "quote": "",
        "marker": marker,
        "lexical_score": found.lexical_score,
        "dense_score": found.dense_score,
        "dropped": dropped,
    }


def _refresh_citation(citation: StoredCitation, version: int | None) -> StoredCitation:
    if version is None:
        return {**citation, "quote": "", "title": "", "stale": True}
    return {**citation, "stale": version != citation["document_version"]}
