"""The feed of changes that copies of the knowledge base follow."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import KnowledgeChange

FRESH = 86_400.0  # seconds; after a longer sleep changes may be missing that are no longer kept


@dataclass(frozen=True, slots=True)
class Searched:
    """A collection that is to be searched, as the tables have it now."""

    id: UUID
    last_change: int
    chunks: int


@dataclass(frozen=True, slots=True)
class ChangedDocuments:
    """The documents that changed in a collection, and the newest change of it."""

    document_ids: list[UUID]
    last_change: int


def find_changes(searched: Searched, since: int) -> ChangedDocuments:
    """Return the documents that changed in a collection after a change."""
    newer = (KnowledgeChange.collection_id == searched.id, KnowledgeChange.id > since)
    with read() as connection:
        rows = connection.execute(sa.select(KnowledgeChange.document_id, KnowledgeChange.id).where(*newer)).all()
    newest = max((row.id for row in rows), default=searched.last_change)
    return ChangedDocuments(list({row.document_id for row in rows}), max(newest, searched.last_change))
