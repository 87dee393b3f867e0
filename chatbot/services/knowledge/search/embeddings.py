"""Which vectors are searched: those of the active space, until `flask knowledge reindex` goes over to another one."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError

from chatbot import adapters
from chatbot.database.transactions import read, write
from chatbot.models import Chunk, ChunkVector, Collection, Document, EmbeddingSpace
from chatbot.rag.errors import AdapterError, DimensionChanged, EmbedderError, TextRefused
from chatbot.rag.ports import Embedder
from chatbot.services.knowledge import content, readers
from chatbot.services.knowledge.state import get_knowledge_state

from . import embedder_choice, vector_warnings

if TYPE_CHECKING:
    from chatbot.rag.types import Vector, Vectors

BATCH = 200  # chunks that are embedded and stored at a time
BATCH_TEXTS = 64  # texts in one call of the embedder: 20 ms of the embedded one
BACKFILL_CHUNKS = 2_000  # chunks whose vectors are looked for in one statement: 4 ms

DIMENSION = sa.select(EmbeddingSpace.dimension).where(EmbeddingSpace.name == sa.bindparam("space"))

log = structlog.get_logger(__name__)


def get_active_embedder() -> Embedder:
    """Return the embedder of the space that is searched; the configured one while nothing is embedded."""
    return _find_active_embedder()[0]


def _find_active_embedder() -> tuple[Embedder, int | None]:
    """Return the active embedder and the dimension of its space, None while nothing is embedded."""
    active = embedder_choice.find_active_space()
    if active is None:
        embedder_choice.ensure_probed()
        return get_knowledge_state().embedder(), None
    return get_knowledge_state().embedder(active.adapter, active.model), active.dimension


def probe_embedder() -> None:
    """Ask a remote embedder for a vector at the start and while it fails, so that `/readyz` tells of its fault."""
    state = get_knowledge_state()
    embedder_choice.reprobe()
    if state.is_embedder_probed and state.embedder_fault is None:
        return
    try:
        embedder_choice.ensure_probed()
        if embedder_choice.find_active_adapter() != adapters.EMBEDDED_EMBEDDER:
            embed_query(embedder_choice.PROBE_TEXT)
    except AdapterError as error:
        if embedder_choice.find_active_adapter() == adapters.EMBEDDED_EMBEDDER:
            return  # it searches, whatever the other one says
        if error.detail != state.embedder_fault:
            log.warning("the embedder fails", detail=error.detail)
        state.embedder_fault = error.detail


def _embed(embedder: Embedder, texts: Sequence[str], dimension: int | None) -> "Vectors":
    """Return the vectors of some texts, and keep the embedder's fault for `/readyz`.

    Raises EmbedderError, also for vectors that have not the dimension of their space where that is known.
    """
    state = get_knowledge_state()
    try:
        vectors = embedder.embed(texts)
        _require_dimension(embedder.space, dimension, vectors.shape[1])
    except EmbedderError as error:
        state.embedder_fault = error.detail
        raise
    state.embedder_fault = None
    return vectors


def embed_query(query: str) -> "tuple[Embedder, Vector]":
    """Return the embedder of the space that is searched, and a query's vector there; raises EmbedderError."""
    embedder, dimension = _find_active_embedder()
    vector: Vector = _embed(embedder, [query], dimension)[0]
    return embedder, vector


def ensure_space(embedder: Embedder) -> int:
    """Return the dimension of an embedder's space, made and active when it is the first; it is fixed then.

    Raises EmbedderError.
    """
    known = _find_dimension(embedder.space)
    if known is not None:
        return known
    dimension: int = _embed(embedder, [embedder_choice.PROBE_TEXT], None).shape[1]
    try:
        with write("make_space") as connection:
            first = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active)) is None
            settings = get_knowledge_state().embedder_settings
            values = {"name": embedder.space, "adapter": settings.adapter, "model": settings.model}
            connection.execute(sa.insert(EmbeddingSpace).values(**values, dimension=dimension, active=first))
    except IntegrityError:  # another process made it
        return _find_dimension(embedder.space) or dimension
    return dimension


def _find_dimension(space: str) -> int | None:
    """Return the dimension of a space, None before its first vector."""
    with read() as connection:
        known: int | None = connection.scalar(DIMENSION, {"space": space})
    return known


def _require_dimension(space: str, known: int | None, got: int) -> None:
    """Raise DimensionChanged for another dimension than the space has."""
    if known is not None and known != got:
        way = "give this model another name, at its server and in EMBEDDING_MODEL, and run `flask knowledge reindex`"
        raise DimensionChanged(f"The vectors of {space} have {got} dimensions, and had {known} before: {way}.")


def embed_all(embedder: Embedder, texts: Iterable[str]) -> "list[Vector | None]":
    """Return a vector for each text, None for one that the embedder refuses; raises EmbedderError when it fails.

    A few are embedded at a time, so that questions are in between.
    """
    dimension = ensure_space(embedder)
    found: list[Vector | None] = []
    coming = iter(texts)
    while part := list(islice(coming, BATCH_TEXTS)):
        try:
            found.extend(_embed(embedder, part, dimension))
        except TextRefused:
            _require_working(embedder, dimension)
            found.extend(_embed_one(embedder, text, dimension) for text in part)
    return found


def _embed_one(embedder: Embedder, text: str, dimension: int) -> "Vector | None":
    try:
        vector: Vector = _embed(embedder, [text], dimension)[0]
    except TextRefused as error:
        log.warning("the embedder refused a passage", detail=error.detail)
        _require_working(embedder, dimension)
        return None
    return vector


def _require_working(embedder: Embedder, dimension: int) -> None:
    """Raise EmbedderError when a refusal was the embedder's fault and not a text's: it refuses a harmless one too."""
    _embed(embedder, [embedder_choice.PROBE_TEXT], dimension)


def find_outdated_space() -> str | None:
    """Return the active embedding space if it differs from the configured one, else None."""
    with read() as connection:
        name: str | None = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active))
    return name if name is not None and name != get_knowledge_state().embedder().space else None


def count_missing() -> int:
    """Return how many chunks have no vector of the configured embedder."""
    with read() as connection:
        return (
            connection.scalar(
                sa.select(sa.func.count()).where(vector_warnings.has_no_vector(get_knowledge_state().embedder().space))
            )
            or 0
        )


def reindex(on_batch: Callable[[int], None]) -> int:
    """Embed all chunks with the configured embedder beside the old vectors, then switch; returns how many.

    What the embedder refuses is found by its words. Raises `rag.errors.EmbedderError`; what was embedded stays, and
    the next call goes on from there.
    """
    embedder_choice.ensure_probed()
    embedder = get_knowledge_state().embedder()
    done = 0
    while True:
        count, refused = _fill(embedder, on_batch)
        done += count
        if _activate(embedder, refused):
            return done


def backfill_vectors() -> None:
    """Give vectors to the chunks that came while the embedder failed, in this process or in one that is gone.

    Raises `rag.errors.EmbedderError` while it still does.
    """
    wanting = get_knowledge_state().embeddings_missing
    if wanting.is_set():
        wanting.clear()
        try:
            done, _ = _fill(get_active_embedder(), lambda _: None)
        except BaseException:
            wanting.set()
            raise
        if done:
            log.info("vectors were missing", chunks=done)


def _fill(embedder: Embedder, on_batch: Callable[[int], None]) -> tuple[int, set[int]]:
    """Embed chunks without a vector; returns their number, and the refused ones."""
    done = 0
    refused = set[int]()
    for rows in _find_chunks_without_vector(embedder.space):
        texts = [content.indexed_text(row) for row in rows]
        pairs = list(zip([row.id for row in rows], embed_all(embedder, texts), strict=True))
        found = {one: vector.tobytes() for one, vector in pairs if vector is not None}
        _insert_vectors(embedder.space, found, rows)
        refused.update(one for one, vector in pairs if vector is None)
        done += len(found)
        on_batch(len(rows))
    return done, refused


def _find_chunks_without_vector(space: str) -> Iterator[Sequence[Any]]:
    """Yield the chunks without a vector, some at a time; others run in between."""
    columns = (Chunk.id, Chunk.collection_id, Chunk.document_id, *content.INDEXED)
    statement = (
        sa.select(*columns).join(Document, Document.id == Chunk.document_id).where(vector_warnings.has_no_vector(space))
    )
    with read() as connection:
        first, last = connection.execute(sa.select(sa.func.min(Chunk.id), sa.func.max(Chunk.id))).one()
    for start in range(first or 0, (last or -1) + 1, BACKFILL_CHUNKS):
        within = statement.where(Chunk.id >= start, Chunk.id < start + BACKFILL_CHUNKS).order_by(Chunk.id)
        with read() as connection:
            rows = connection.execute(within).all()
        for at in range(0, len(rows), BATCH):
            yield rows[at : at + BATCH]
        time.sleep(0)


def _insert_vectors(space: str, vectors: dict[int, bytes], rows: Sequence[Any]) -> None:
    """Store vectors of chunks that are still there without one, and record the changes for the indexes."""
    collections = sa.select(Collection.id).where(Collection.id.in_({row.collection_id for row in rows}))
    with write("fill_vectors", is_long=True) as connection:
        connection.execute(collections.order_by(Collection.id).with_for_update()).all()
        wanting = set(
            connection.scalars(sa.select(Chunk.id).where(Chunk.id.in_(vectors), vector_warnings.has_no_vector(space)))
        )
        values = [{"chunk_id": one, "space": space, "vector": vectors[one]} for one in wanting]
        if values:
            unusable = (ChunkVector.chunk_id.in_(wanting), ChunkVector.space == space)
            connection.execute(sa.delete(ChunkVector).where(*unusable))
            connection.execute(sa.insert(ChunkVector), values)
        changed = vector_warnings.update(
            connection, space, rows, {row.document_id for row in rows if row.id not in vectors}
        )
        searched = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active))
        if space == searched:
            touched = {(row.collection_id, row.document_id) for row in rows if row.id in wanting}
            for collection_id in sorted({collection for collection, _ in touched}):
                content.record_changes(
                    connection, collection_id, {one: 0 for collection, one in touched if collection == collection_id}
                )
        readers.record_documents(connection, changed)


def _activate(embedder: Embedder, refused: set[int]) -> bool:
    """Search the new vectors from now on, unless a document came in meanwhile; then let the old ones go."""
    with write("switch_space") as connection:
        wanting = sa.select(Chunk.id).where(vector_warnings.has_no_vector(embedder.space)).limit(len(refused) + 1)
        if set(connection.scalars(wanting)) - refused:
            return False
        if connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.name == embedder.space)) is None:
            return True  # nothing is embedded
        connection.execute(sa.update(EmbeddingSpace).where(EmbeddingSpace.active).values(active=False))
        statement = sa.update(EmbeddingSpace).where(EmbeddingSpace.name == embedder.space)
        connection.execute(statement.values(active=True))
    old = sa.select(ChunkVector.chunk_id).where(ChunkVector.space != embedder.space).limit(BATCH)
    while True:
        with write("drop_vectors", is_long=True) as connection:
            ids = connection.scalars(old).all()
            gone = sa.delete(ChunkVector).where(ChunkVector.chunk_id.in_(ids), ChunkVector.space != embedder.space)
            connection.execute(gone)
        if not ids:
            return True
