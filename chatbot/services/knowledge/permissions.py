"""Permissions on collections: conditions inside the queries, never a check afterwards."""

from typing import Any

import sqlalchemy as sa

from chatbot.models import Collection, CollectionMember
from chatbot.services.accounts.callers import Caller


def caller_placeholder(role: str) -> Caller:
    """Return a placeholder for any caller of a role in a prepared statement, to be run with a `caller_id`."""
    any_id: Any = sa.bindparam("caller_id", type_=sa.Uuid())
    return Caller(any_id, any_id, role)


def may_read(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those with documents that this caller may read."""
    return sa.or_(may_manage(caller), Collection.visibility == "shared", _is_member(caller))


def searched_by_default(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those that are searched when none is named.

    Other users' shared collections are searched when they are named: else each user could speak in all prompts.
    """
    conditions = sa.or_(Collection.owner_id == caller.user_id, Collection.owner_id.is_(None), _is_member(caller))
    return sa.and_(may_read(caller), conditions)


def may_write(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those into which this caller may write."""
    return sa.or_(may_manage(caller), _is_member(caller, CollectionMember.role == "writer"))


def may_manage(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those that this caller may change, share and delete.

    A collection without an owner is the operator's: administrators govern it.
    """
    owned = Collection.owner_id == caller.user_id
    return sa.or_(owned, Collection.owner_id.is_(None)) if caller.role == "admin" else owned


def _is_member(caller: Caller, *also: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    conditions = (CollectionMember.collection_id == Collection.id, CollectionMember.user_id == caller.user_id)
    return sa.exists().where(*conditions, CollectionMember.state == "accepted", *also)
