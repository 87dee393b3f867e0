"""Owner and members of collections, and the record of changes for their devices.

Collections that all users may read are followed by these alone; those of the operator have no owner.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.models import Collection, CollectionMember, Document
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

OWNERS = sa.select(Collection.id, Collection.owner_id.label("user_id")).where(
    Collection.id.in_(sa.bindparam("ids", expanding=True)), Collection.owner_id.is_not(None)
)
MEMBERS = sa.select(CollectionMember.collection_id, CollectionMember.user_id).where(
    CollectionMember.collection_id.in_(sa.bindparam("ids", expanding=True)), CollectionMember.state == "accepted"
)
READERS: sa.CompoundSelect[Any] = sa.union_all(OWNERS, MEMBERS)


def record_documents(
    connection: sa.Connection, documents: Mapping[UUID, Iterable[UUID]], *, are_deleted: bool = False
) -> None:
    """Record changes of documents, by collection, and of the collections, which count their documents."""
    changed: defaultdict[UUID, list[Change]] = defaultdict(list)
    for collection_id, user_id in connection.execute(READERS, {"ids": sorted(documents)}).all():
        ids = documents[collection_id]
        changed[user_id] += [Change("document", one, is_deleted=are_deleted) for one in ids]
        changed[user_id].append(Change("collection", collection_id))
    changes.record_all(connection, changed)


def record_collection(connection: sa.Connection, collection_id: UUID) -> None:
    """Record a change of a collection."""
    record_documents(connection, {collection_id: []})


def record_collection_deletion(connection: sa.Connection, collection_id: UUID, documents: Iterable[UUID]) -> None:
    """Record the deletion of a collection with its last documents, before its row and its members go."""
    gone = [Change("collection", collection_id, is_deleted=True), *changes.deleted("document", documents)]
    readers = connection.execute(READERS, {"ids": [collection_id]}).all()
    changes.record_all(connection, {row.user_id: gone for row in readers})


def record_membership(connection: sa.Connection, user_id: UUID, collection_id: UUID, *, has_ended: bool) -> None:
    """Record that a user may read a collection with its documents from now on, or not any more."""
    documents = connection.scalars(sa.select(Document.id).where(Document.collection_id == collection_id))
    changed = [Change("document", one, is_deleted=has_ended) for one in documents]
    changes.record(connection, user_id, [Change("collection", collection_id, is_deleted=has_ended), *changed])
