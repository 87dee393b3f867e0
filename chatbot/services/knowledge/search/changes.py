"""The feed of changes that copies of the knowledge base follow."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import KnowledgeChange

FRESH = 86_400.0  # seconds; who slept longer may have missed changes that are no longer kept


@dataclass(frozen=True, slots=True)
class Searched:
    """A collection that is to be searched, as the tables have it now."""

    id: UUID
    last_change: int
    chunks: int


def changed(searched: Searched, since: int) -> tuple[list[UUID], int]:
    """Return the documents that changed in a collection after a change, and the newest change."""
    newer = (KnowledgeChange.collection_id == searched.id, KnowledgeChange.id > since)
    with read() as connection:
        rows = connection.execute(sa.select(KnowledgeChange.document_id, KnowledgeChange.id).where(*newer)).all()
    newest = max((row.id for row in rows), default=searched.last_change)
    return list({row.document_id for row in rows}), max(newest, searched.last_change)
