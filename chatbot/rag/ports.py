"""The ports of the pipeline. An adapter is one file that satisfies one of these."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from .types import CompletionRequest, Finish, Hit, Indexed, Parsed, VectorBatch

if TYPE_CHECKING:
    from .types import Vectors


class LLM(Protocol):
    """A language model; made from `types.LLMOptions`."""

    name: str

    def probe(self) -> None:
        """Ask the server, at no cost, whether it answers; raise an `errors.AdapterError` when it does not."""

    def stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        """Yield the answer's text piece by piece, then one Finish; raise an `errors.AdapterError` when it cannot."""


class Embedder(Protocol):
    """Turns texts into vectors; made from `types.EmbedderOptions`."""

    space: str  # names model and dimension: vectors of two spaces cannot be compared
    weight: float  # of the lexical side beside this embedder, 0 to 1

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector of length 1 for each text; raise an `errors.EmbedderError` when it cannot.

        An `errors.TextRefused` where the fault is one of the texts: each is then tried alone.
        """


class VectorStore(Protocol):
    """The nearest vectors of a collection: a replica, the tables are the truth."""

    durable: bool  # whether it outlives its process and is one for all; asked over a socket then, and not computed here

    def count(self, collection: str) -> int | None:
        """Return how many vectors of a collection it holds, or None when it does not know (any more) the collection."""

    def collections(self) -> list[str]:
        """Return the collections that it knows."""

    def open(
        self, collection: str, space: str, count: int, dimension: int, used: Container[str] = (), fence: int = 0
    ) -> None:
        """Hold nothing of a collection (any more), and be ready for about so many vectors of it in this space.

        Collections in use are not let go to make room. A durable store raises `errors.StoreFenced` for a lower `fence`
        than it has seen, here and in `change`.
        """

    def change(self, collection: str, gone: Sequence[str], stored: VectorBatch, fence: int = 0) -> None:
        """Let all vectors of some documents go, and hold others besides; once more is the same."""

    def search(self, collection: str, vector: "Vectors", k: int, documents: Sequence[str] | None = None) -> list[Hit]:
        """Return the up to k nearest chunks by cosine, the nearest first; only of `documents` where those are given."""

    def forget(self, collection: str) -> None:
        """Let a collection go."""

    def close(self) -> None:
        """Close the connections to a store that is shared."""


class LexicalIndex(Protocol):
    """Chunks by their words (BM25): a replica, like a store's, in a folder.

    Each may raise `errors.IndexBroken`: then it is made again with `anew`, which throws away what the folder has.
    """

    fresh: bool  # whether the folder held no index
    version: int  # of how texts become terms: chunks that were added under another one are added again

    def add(self, items: Iterable[Indexed]) -> None:
        """Add chunks; raise `errors.IndexLocked` while another process writes. As all below, from `commit` on."""

    def remove(self, field: Literal["document", "collection"], ids: Iterable[str]) -> None:
        """Remove all chunks that these documents or collections have by now."""

    def commit(self) -> None:
        """Make additions and removals visible to all processes."""

    def search(
        self, query: str, collections: Sequence[str], k: int, documents: Sequence[str] | None = None
    ) -> list[Hit]:
        """Return the up to k best chunks of these collections; only of `documents` where those are given."""

    def ceiling(self, query: str, collections: Sequence[str]) -> float:
        """Return the score of a chunk that holds each word of the query: a hit's share of it tells how well it fits."""

    def close(self) -> None:
        """Release the write lock; uncommitted changes are lost."""


class Loader(Protocol):
    """Reads one format; made without arguments, in the parsers' process."""

    def load(self, data: bytes) -> Parsed:
        """Return a file's text; raise `errors.UnreadableDocument` with a sentence for its owner."""


class Reranker(Protocol):
    """Judges passages anew; made from `types.EmbedderOptions`."""

    def rank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one relevance for each text, 0 to 1; raise an `errors.RerankerError` when it cannot."""
