"""Which vectors are searched: those of the active space, until `flask knowledge reindex` goes over to another one."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ..models import Chunk, ChunkVector, EmbeddingSpace
from ..rag.ports import Embedder
from . import wiring
from .transactions import read, write

BATCH = 200  # chunks that are embedded and stored at a time


def active() -> Embedder:
    """Return the embedder of the space that is searched; the configured one while nothing is embedded."""
    with read() as connection:
        row = connection.execute(sa.select(EmbeddingSpace.__table__).where(EmbeddingSpace.active)).one_or_none()
    return wiring.embedder() if row is None else wiring.embedder(row.adapter, row.model)


def ensure(embedder: Embedder, dimension: int) -> str:
    """Return the name of an embedder's space, made and active when it is the first; its dimension is fixed then."""
    with read() as connection:
        known = connection.scalar(sa.select(EmbeddingSpace.dimension).where(EmbeddingSpace.name == embedder.space))
    if known is None:
        try:
            with write("make_space") as connection:
                first = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active)) is None
                adapter, model = wiring.embedder_settings()
                values = {"name": embedder.space, "adapter": adapter, "model": model, "dimension": dimension}
                connection.execute(sa.insert(EmbeddingSpace).values(**values, active=first))
        except IntegrityError:  # another process made it
            return ensure(embedder, dimension)
    return embedder.space


def stale() -> str | None:
    """Return the name of the space that is searched when the settings name another one."""
    with read() as connection:
        name: str | None = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active))
    return name if name is not None and name != wiring.embedder().space else None


def missing() -> int:
    """Return how many chunks have no vector of the configured embedder."""
    with read() as connection:
        return connection.scalar(sa.select(sa.func.count()).where(_without(wiring.embedder().space))) or 0


def reindex(on_batch: Callable[[int], None]) -> int:
    """Embed all chunks with the configured embedder beside the old vectors, then switch; returns how many.

    Raises `rag.errors.EmbedderError`; what was embedded stays, and the next call goes on from there.
    """
    embedder, done = wiring.embedder(), 0
    statement = sa.select(Chunk.id, Chunk.headings, Chunk.text).where(_without(embedder.space)).order_by(Chunk.id)
    while True:
        with read() as connection:
            rows = connection.execute(statement.limit(BATCH)).all()
        if not rows:
            if _switch(embedder):
                return done
            continue
        vectors = embedder.embed([f"{row.headings}\n{row.text}" for row in rows])
        space = ensure(embedder, vectors.shape[1])
        values = [
            {"chunk_id": row.id, "space": space, "vector": vector.tobytes()}
            for row, vector in zip(rows, vectors, strict=True)
        ]
        with write("reindex") as connection:
            alive = set(connection.scalars(sa.select(Chunk.id).where(Chunk.id.in_([row.id for row in rows]))))
            connection.execute(sa.insert(ChunkVector), [value for value in values if value["chunk_id"] in alive])
        done += len(rows)
        on_batch(len(rows))


def _switch(embedder: Embedder) -> bool:
    """Search the new vectors from now on, unless a document came in meanwhile; then let the old ones go."""
    with write("switch_space") as connection:
        if connection.scalar(sa.select(Chunk.id).where(_without(embedder.space)).limit(1)) is not None:
            return False
        connection.execute(sa.update(EmbeddingSpace).where(EmbeddingSpace.active).values(active=False))
        mine = sa.update(EmbeddingSpace).where(EmbeddingSpace.name == embedder.space)
        connection.execute(mine.values(active=True))
    old = sa.select(ChunkVector.chunk_id).where(ChunkVector.space != embedder.space).limit(BATCH)
    while True:
        with write("drop_vectors") as connection:
            ids = connection.scalars(old).all()
            gone = sa.delete(ChunkVector).where(ChunkVector.chunk_id.in_(ids), ChunkVector.space != embedder.space)
            connection.execute(gone)
        if not ids:
            return True


def _without(space: str) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(ChunkVector.chunk_id == Chunk.id, ChunkVector.space == space)
