"""Who may read and write which collection: conditions inside the queries, never a look afterwards."""

import sqlalchemy as sa

from ..models import Collection, CollectionMember
from .identity import Caller


def may_read(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those whose documents this caller may read."""
    member = sa.exists().where(
        CollectionMember.collection_id == Collection.id, CollectionMember.user_id == caller.user_id
    )
    return sa.or_(Collection.owner_id == caller.user_id, Collection.visibility == "shared", member)


def may_write(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those into which this caller may write."""
    writer = sa.exists().where(
        CollectionMember.collection_id == Collection.id,
        CollectionMember.user_id == caller.user_id,
        CollectionMember.role == "writer",
    )
    return sa.or_(may_govern(caller), writer)


def may_govern(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those that this caller may change, share and delete.

    A collection without an owner is the operator's: administrators govern it.
    """
    owned = Collection.owner_id == caller.user_id
    return sa.or_(owned, Collection.owner_id.is_(None)) if caller.role == "admin" else owned
