"""BM25 with tantivy: one index in a folder for all collections, which one process writes and all read.

The terms of all languages share one field, made by our own analyzers. A field for each language would be wrong:
tantivy's average length of a field counts all chunks, also those without it, so that chunks of a rare language would
all look far too long. tantivy's BM25 has k1 1.2 and b 0.75.

A term is written with its collection before it, so that how common it is can be counted over the collections that are
searched: tantivy counts over the whole index, and a score would tell whether any user's document has a word. Of others'
chunks a score knows nothing but their average length. The folder is a cache: what is lost is built anew.
"""

from __future__ import annotations

import fcntl
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chatbot.rag.errors import IndexBroken, IndexLocked
from chatbot.rag.text.languages import detect
from chatbot.rag.types import Hit, Indexed

from . import analysis
from .analysis import ANALYZERS, analyzer_of, query_terms, terms
from .checksums import damaged

if TYPE_CHECKING:
    from tantivy import IndexWriter, Query, Schema, Searcher

HEAP = 15_000_000  # bytes that a writer collects before it writes a segment: tantivy's least
WRITER_LOCK = ".tantivy-writer.lock"
MAX_TERMS = 256  # of a query: a pasted page must not take seconds
ALL = "*"  # the group that each chunk is in


@dataclass(frozen=True, slots=True)
class _Term:
    """A term of a query: its rarity where it is searched, and that of its entry of each collection in the index."""

    rarity: float
    entries: Sequence[tuple[str, float]]


class TantivyIndex:
    """A lexical index in a folder. Any thread may search; one at a time may write."""

    version = analysis.VERSION

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        """Open the index, or begin a new one where there is none, or where one is to be thrown away (`anew`).

        Raises IndexBroken, and IndexLocked when another process writes what is to be thrown away.
        """
        from tantivy import Index

        folder.mkdir(parents=True, exist_ok=True)
        if anew:
            _clear(folder)
        self.fresh = not (folder / "meta.json").exists()
        if name := damaged(folder):
            raise IndexBroken(name)
        with _reading():
            self._index = Index(_schema(), path=str(folder))
        self._writer: IndexWriter | None = None

    def add(self, items: Iterable[Indexed]) -> None:
        """Add chunks; they are found after commit. Raises IndexLocked."""
        from tantivy import Document

        writer = self._writing()
        for item in items:
            analyzer = analyzer_of(item.language)
            collection = item.collection_id
            row = Document()
            row.add_integer("chunk", item.chunk_id)
            for group in (ALL, collection, _within(collection, analyzer)):
                row.add_text("group", group)
            row.add_text("document", item.document_id)
            row.add_text("terms", " ".join(_within(collection, term) for term in terms(item.text, analyzer)))
            writer.add_document(row)

    def remove(self, field: Literal["document", "collection"], ids: Iterable[str]) -> None:
        """Remove all chunks that these documents or collections have by now, from commit on. Raises IndexLocked."""
        writer = self._writing()
        for one in ids:
            writer.delete_documents_by_term("group" if field == "collection" else field, one)

    def commit(self) -> None:
        """Make additions and removals visible to all processes. Raises IndexLocked, IndexBroken."""
        writer = self._writing()
        with _reading():
            writer.commit()

    def close(self) -> None:
        """Release the write lock; uncommitted changes are lost. Raises IndexBroken, after the release too."""
        if self._writer is not None:
            writer = self._writer
            self._writer = None
            with _reading():
                writer.rollback()
                writer.wait_merging_threads()

    def search(
        self, query: str, collections: Sequence[str], k: int, documents: Sequence[str] | None = None
    ) -> list[Hit]:
        """Return ids and BM25 of the best k chunks in these collections, and in these documents only if given.

        Any text is a query: nothing in it is syntax. Ties are in the order of ids. Raises IndexBroken.
        """
        with _reading():
            searcher = self._searcher()
            found = _looked_up(searcher, query, collections)
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
        with _reading():
            found = _looked_up(self._searcher(), query, collections).values()
        each = [sum(term.rarity for term in words.values()) for words in found]
        return min((weight for weight in each if weight), default=0.0)

    def _wanted(self, words: Iterable[_Term], documents: Sequence[str] | None) -> Query:
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

    def _searcher(self) -> Searcher:
        self._index.reload()  # 26 microseconds where nothing has changed
        return self._index.searcher()

    def _writing(self) -> IndexWriter:
        if self._writer is None:
            try:
                self._writer = self._index.writer(HEAP, 1)
            except ValueError as error:
                raise IndexLocked from error
        return self._writer


def _clear(folder: Path) -> None:
    """Remove all files but the locks; under tantivy's own lock, so that no process writes meanwhile."""
    with (folder / WRITER_LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise IndexLocked from error
        for path in folder.iterdir():
            if path.suffix != ".lock":
                path.unlink(missing_ok=True)


@contextmanager
def _reading() -> Iterator[None]:
    """Raise IndexBroken for tantivy's errors over unreadable files."""
    try:
        yield
    except ValueError as error:
        raise IndexBroken(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3's word for a Rust panic: no Exception, and not importable
            raise
        raise IndexBroken(str(error)) from error


def _schema() -> Schema:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder().add_integer_field("chunk", indexed=True, fast=True)
    for key in ("group", "document"):
        builder.add_text_field(key, tokenizer_name="raw", index_option="basic")
    return builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq").build()


def _within(collection: str, word: str) -> str:
    return f"{collection}:{word}"


def _looked_up(searcher: Searcher, query: str, collections: Sequence[str]) -> dict[str, dict[str, _Term]]:
    """Return the query's terms by each analyzer that some chunk of the collections went through.

    What counts deleted chunks counts them everywhere, until tantivy merges them away.
    """
    everything = searcher.doc_freq("group", ALL)
    count = sum(searcher.doc_freq("group", one) for one in collections)
    asked_in = analyzer_of(detect(query))

    def looked_up(term: str) -> _Term:
        entries = [(entry := _within(one, term), searcher.doc_freq("terms", entry)) for one in collections]
        held = [(entry, holding) for entry, holding in entries if holding]
        rarity = _rarity(count, sum(holding for _, holding in held))
        return _Term(rarity, [(entry, _rarity(everything, holding)) for entry, holding in held])

    used = (name for name in ANALYZERS if any(searcher.doc_freq("group", _within(one, name)) for one in collections))
    return {
        name: _with_inflected({term: looked_up(term) for term in query_terms(query, name, asked_in)[:MAX_TERMS]})
        for name in used
    }


def _with_inflected(words: dict[str, _Term]) -> dict[str, _Term]:
    """Let a word that is nowhere be as rare as its beginning, where that is somewhere: it is another form of it.

    As the rarest, it would hide half of what a chunk has in common with the question.
    """
    for word, term in words.items():
        beginning = words.get(analysis.beginning(word))
        if not term.entries and beginning is not None and beginning.entries:
            words[word] = _Term(beginning.rarity, ())
    return words


def _rarity(count: int, holding: int) -> float:
    """Return the inverse document frequency as BM25 has it (Robertson and Spaerck Jones, with Lucene's 1 +)."""
    return math.log(1 + (count - holding + 0.5) / (holding + 0.5))
