"""BM25 with tantivy: one index in a folder for all collections, which one process writes and all read.

The terms of all languages share one field, made by our own analyzers. A field for each language would be wrong:
tantivy's average length of a field counts all chunks, also those without it, so that chunks of a rare language would
all look far too long. tantivy's BM25 has k1 1.2 and b 0.75.

A term is written with its collection before it, so that how common it is can be counted over the collections that are
searched: tantivy counts over the whole index, and a score would tell whether any user's document has a word. Of others'
chunks a score knows nothing but their average length. The folder is a cache: what is lost is built anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chatbot.rag.types import Hit, Indexed

from .analysis import analyzer_of, terms
from .folder import FolderIndex, reading
from .rarity import ALL, Term, look_up, within

if TYPE_CHECKING:
    from tantivy import Query, Schema


class TantivyIndex(FolderIndex):
    """A lexical index in a folder. Any thread may search; one at a time may write."""

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        """Open the index, or begin a new one (see FolderIndex)."""
        super().__init__(folder, _schema(), anew=anew)

    def add(self, items: Iterable[Indexed]) -> None:
        """Add chunks; they are found after commit. Raises IndexLocked."""
        from tantivy import Document

        writer = self._writing()
        for item in items:
            analyzer = analyzer_of(item.language)
            collection = item.collection_id
            row = Document()
            row.add_integer("chunk", item.chunk_id)
            for group in (ALL, collection, within(collection, analyzer)):
                row.add_text("group", group)
            row.add_text("document", item.document_id)
            row.add_text("terms", " ".join(within(collection, term) for term in terms(item.text, analyzer)))
            writer.add_document(row)

    def remove(self, field: Literal["document", "collection"], ids: Iterable[str]) -> None:
        """Remove all chunks that these documents or collections have by now, from commit on. Raises IndexLocked."""
        writer = self._writing()
        for one in ids:
            writer.delete_documents_by_term("group" if field == "collection" else field, one)

    def search(
        self, query: str, collections: Sequence[str], k: int, documents: Sequence[str] | None = None
    ) -> list[Hit]:
        """Return ids and BM25 of the best k chunks in these collections, and in these documents only if given.

        Any text is a query: nothing in it is syntax. Ties are in the order of ids. Raises IndexBroken.
        """
        with reading():
            searcher = self._searcher()
            found = look_up(searcher, query, collections)
            entries = {term: each for words in found.values() for term, each in words.items()}
            if k < 1 or not any(each.entries for each in entries.values()):
                return []
            hits = searcher.search(self._wanted(entries.values(), documents), k, count=False).hits
            ids = searcher.fast_field_values("chunk", [address for _, address in hits])
        scored = ((int(chunk or 0), score) for chunk, (score, _) in zip(ids, hits, strict=True))
        return sorted(scored, key=lambda hit: (-hit[1], hit[0]))

    def ceiling(self, query: str, collections: Sequence[str]) -> float:
        """Return the BM25 of a chunk of average length that holds each term of the query once; 0 without terms.

        A term that is nowhere in these collections counts as the rarest. What a hit has of it says how much of the
        question it meets, however much is searched. Raises IndexBroken.
        """
        with reading():
            found = look_up(self._searcher(), query, collections).values()
        each = [sum(term.rarity for term in words.values()) for words in found]
        return min((weight for weight in each if weight), default=0.0)

    def _wanted(self, words: Iterable[Term], documents: Sequence[str] | None) -> Query:
        from tantivy import Occur, Query

        schema = self._index.schema
        any_word = [
            (Occur.Should, Query.boost_query(Query.term_query(schema, "terms", entry, index_option="freq"), boost))
            for word in words
            for entry, boost in ((entry, word.rarity / rarity) for entry, rarity in word.entries)
        ]
        if documents is None:
            return Query.boolean_query(any_word)
        among = Query.const_score_query(Query.term_set_query(schema, "document", list(documents)), 0.0)
        return Query.boolean_query([(Occur.Must, among), (Occur.Must, Query.boolean_query(any_word))])


def _schema() -> Schema:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder().add_integer_field("chunk", indexed=True, fast=True)
    for key in ("group", "document"):
        builder.add_text_field(key, tokenizer_name="raw", index_option="basic")
    return builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq").build()
