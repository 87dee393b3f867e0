"""BM25 over turns and titles with tantivy: one index in a folder for all users, searched for one user at a time.

A user's turns are a group and their titles another, so that each is searched alone. Terms are those of
`analysis`, weighed as for collections.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from chatbot.rag.text.languages import detect

from .analysis import ANALYZERS, analyzer_of, beginning, terms
from .folder import FolderIndex, reading
from .rarity import ALL, Term, look_up, within

if TYPE_CHECKING:
    from tantivy import DocAddress, Query, Schema, Searcher

Kind = Literal["turn", "title"]
Words = dict[str, dict[str, Term]]  # by analyzer
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HALF = 1 << 64


@dataclass(frozen=True, slots=True)
class IndexedText:
    """A turn's texts, or a conversation's title; `object_id` is that of the turn or the conversation."""

    kind: Kind
    object_id: UUID
    user_id: UUID
    conversation_id: UUID
    created_at: datetime
    text: str


class HistoryIndex(FolderIndex):
    """A lexical index of turns and titles in a folder. Any thread may search; one at a time may write."""

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        """Open the index, or begin a new one (see FolderIndex)."""
        super().__init__(folder, _schema(), anew=anew)

    def add(self, items: Iterable[IndexedText]) -> None:
        """Add texts; they are found after commit. Raises IndexLocked."""
        from tantivy import Document

        writer = self._writing()
        for item in items:
            analyzer = analyzer_of(detect(item.text))
            group = _group(item.kind, item.user_id)
            row = Document()
            for name, half in zip(("high", "low"), divmod(item.object_id.int, HALF), strict=True):
                row.add_integer(name, half - HALF // 2)
            row.add_integer("created", _milliseconds(item.created_at))
            for name in (ALL, item.kind, group, within(group, analyzer)):
                row.add_text("group", name)
            keys = {item.kind: item.object_id, "conversation": item.conversation_id, "user": item.user_id}
            for field, identity in keys.items():
                row.add_text("key", within(field, identity.hex))
            row.add_text("terms", " ".join(within(group, term) for term in terms(item.text, analyzer)))
            writer.add_document(row)

    def remove(self, field: Literal["turn", "title", "conversation", "user"], ids: Iterable[UUID]) -> None:
        """Remove all that the index has by now of turns, titles, conversations or users, from commit on.

        Raises IndexLocked.
        """
        writer = self._writing()
        for one in ids:
            writer.delete_documents_by_term("key", within(field, one.hex))

    def remove_turns_before(self, moment: datetime) -> None:
        """Remove all turns that were opened before a moment, from commit on. Raises IndexLocked."""
        from tantivy import FieldType, Query

        schema = self._index.schema
        end = _milliseconds(moment)
        old = Query.range_query(schema, "created", FieldType.Integer, upper_bound=end, include_upper=False)
        self._writing().delete_documents_by_query(old.and_must_match(self._is_in("group", "turn")))

    def search(
        self,
        kind: Kind,
        user_id: UUID,
        query: str,
        k: int,
        *,
        conversation_id: UUID | None = None,
        newest_first: bool = False,
        any_word: bool = False,
    ) -> list[UUID]:
        """Return up to k turns, or conversations by their titles, that have all words of a query, or any of them.

        Any text is a query: nothing in it is syntax. The best come first, of equals the newest; or all by time. Raises
        IndexBroken.
        """
        order = "created" if newest_first else None
        with reading():
            searcher = self._searcher()
            words = look_up(searcher, query, [_group(kind, user_id)])
            wanted = self._narrow(self._has_any(words) if any_word else self._has_all(words), conversation_id)
            hits = searcher.search(wanted, k, count=False, order_by_field=order).hits
            return _list_ids(searcher, hits, newest_first=newest_first)

    def list_analyzers(self, user_id: UUID) -> list[str]:
        """Return the analyzers that some turn of a user went through. Raises IndexBroken."""
        group = _group("turn", user_id)
        with reading():
            searcher = self._searcher()
            return [name for name in ANALYZERS if searcher.doc_freq("group", within(group, name))]

    def _narrow(self, wanted: Query, conversation_id: UUID | None) -> Query:
        from tantivy import Query

        if conversation_id is None:
            return wanted
        key = self._is_in("key", within("conversation", conversation_id.hex))
        return wanted.and_must_match(Query.const_score_query(key, 0.0))

    def _has_all(self, words: Words) -> Query:
        """Return the query for texts that have each word, or another form of it."""
        from tantivy import Occur, Query

        if all(sum(_is_needed(name, by_term) for name in by_term) == 1 for by_term in words.values()):
            return self._has_any(words)  # tantivy skips what cannot be among the best (block-max WAND) for these alone
        return Query.boolean_query([(Occur.Should, self._has_all_of(by_term)) for by_term in words.values()])

    def _has_all_of(self, by_term: dict[str, Term]) -> Query:
        from tantivy import Occur, Query

        clauses = []
        for name, term in by_term.items():
            occur = Occur.Must if _is_needed(name, by_term) else Occur.Should
            if occur == Occur.Must and not term.entries:
                return Query.empty_query()
            clauses += [(occur, one) for one in self._has(term)]
        return Query.boolean_query(clauses)

    def _has_any(self, words: Words) -> Query:
        from tantivy import Occur, Query

        entries = {entry for by_term in words.values() for term in by_term.values() for entry, _ in term.entries}
        if len(entries) == 1:  # without a boost, which would hide it from block-max WAND
            return Query.term_query(self._index.schema, "terms", entries.pop(), index_option="freq")
        by_term = {name: term for by_term in words.values() for name, term in by_term.items()}
        return Query.boolean_query([(Occur.Should, one) for term in by_term.values() for one in self._has(term)])

    def _has(self, term: Term) -> list[Query]:
        from tantivy import Query

        schema = self._index.schema
        return [
            Query.boost_query(Query.term_query(schema, "terms", entry, index_option="freq"), term.rarity / rarity)
            for entry, rarity in term.entries
        ]

    def _is_in(self, field: str, value: str) -> Query:
        from tantivy import Query

        return Query.term_query(self._index.schema, field, value, index_option="basic")


def _schema() -> Schema:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder()
    for name in ("high", "low"):
        builder.add_integer_field(name, fast=True)
    builder.add_integer_field("created", indexed=True, fast=True)
    for name in ("group", "key"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    return builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq").build()


def _list_ids(searcher: Searcher, hits: list[tuple[float, DocAddress]], *, newest_first: bool) -> list[UUID]:
    """Return the ids of hits, the best first or the newest."""
    addresses = [address for _, address in hits]
    columns = [searcher.fast_field_values(name, addresses) for name in ("high", "low", "created")]
    found = [
        (0.0 if newest_first else score, created, UUID(int=(high + HALF // 2) * HALF + low + HALF // 2))
        for (score, _), high, low, created in zip(hits, *columns, strict=True)
    ]
    return [identity for *_, identity in sorted(found, key=lambda hit: (-hit[0], -hit[1]))]


def _is_needed(name: str, by_term: dict[str, Term]) -> bool:
    """Return whether a text has to have a term to match all words: a text with a word has its beginning too."""
    return beginning(name) not in by_term


def _group(kind: Kind, user_id: UUID) -> str:
    return f"{kind}.{user_id.hex}"


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
