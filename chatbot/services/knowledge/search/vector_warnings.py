"""Warnings of documents with passages without vectors, and the condition for such passages."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.models import Chunk, ChunkVector, EmbeddingSpace
from chatbot.models.knowledge import has_dimension
from chatbot.services.knowledge import content

NO_VECTORS = "The embedder failed: until it does not, this document is found by its words alone."
REFUSED_PASSAGES = "The embedder refused passages of this document: these are found by their words alone."


def update(connection: sa.Connection, space: str, rows: Sequence[Any], refused: set[UUID]) -> dict[UUID, set[UUID]]:
    """Update the warnings of documents after passages were embedded again; returns those that changed, by collection.

    `refused` have a passage without a vector.
    """
    documents = {row.document_id for row in rows}
    lacking = sa.select(Chunk.document_id).where(Chunk.document_id.in_(documents), has_no_vector(space))
    changes = (
        content.withdraw_warning(connection, documents, NO_VECTORS),
        content.withdraw_warning(connection, documents - set(connection.scalars(lacking)), REFUSED_PASSAGES),
        content.add_warning(connection, refused, REFUSED_PASSAGES),
    )
    changed: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for ids_by_collection in changes:
        for collection_id, ids in ids_by_collection.items():
            changed[collection_id].update(ids)
    return changed


def has_no_vector(space: str) -> sa.ColumnElement[bool]:
    """Return the condition that a chunk has no vector of a space, or one of another dimension."""
    dimension = sa.select(EmbeddingSpace.dimension).where(EmbeddingSpace.name == space).scalar_subquery()
    same_chunk = (ChunkVector.chunk_id == Chunk.id, ChunkVector.space == space)
    return ~sa.exists().where(*same_chunk, has_dimension(dimension))
