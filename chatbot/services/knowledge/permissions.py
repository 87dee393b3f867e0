"""Permissions on collections: conditions inside the queries, never a check afterwards."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.models import Collection, CollectionMember, User
from chatbot.services.accounts.callers import Caller, Grant


def caller_placeholder(role: str, *, is_granted: bool = False) -> Caller:
    """Return a placeholder for any caller of a role in a prepared statement, to be run with a `caller_id`.

    One that stands for callers with a grant needs `granted_by` and `granted_ids` too.
    """
    any_id: Any = sa.bindparam("caller_id", type_=sa.Uuid())
    granted_by: Any = sa.bindparam("granted_by", type_=sa.Uuid())
    granted_ids: Any = sa.bindparam("granted_ids", type_=sa.Uuid(), expanding=True)
    return Caller(any_id, any_id, role, grant=Grant(granted_by, granted_ids) if is_granted else None)


def may_read(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those with documents that this caller may read."""
    if caller.grant is not None:
        is_granted = Collection.id.in_(caller.grant.collection_ids)
        return sa.and_(is_granted, is_readable(caller.grant.granted_by, sa.false()))
    return is_readable(caller.user_id, is_admin(caller))


def may_all_read(users: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those that all users of a query of ids may read."""
    reader = aliased(User)
    # Not `~`: of a collection without an owner NULL is not known to be readable, and not known not to be.
    is_hidden = is_readable(reader.id, reader.role == "admin").is_not(sa.true())
    return ~sa.exists().where(reader.id.in_(users), is_hidden).correlate_except(reader)


def searched_by_default(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those that are searched when none is named.

    Other users' shared collections are searched when they are named: else each user could speak in all prompts.
    """
    if caller.grant is not None:
        return may_read(caller)
    own = sa.or_(Collection.owner_id == caller.user_id, Collection.owner_id.is_(None), _is_member(caller.user_id))
    return sa.and_(may_read(caller), own)


def may_write(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those into which this caller may write."""
    return sa.or_(may_manage(caller), _is_member(caller.user_id, CollectionMember.role == "writer"))


def may_manage(caller: Caller) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those that this caller may change, share and delete."""
    return _is_managed(caller.user_id, is_admin(caller))


def is_admin(caller: Caller) -> sa.ColumnElement[bool]:
    """Return whether a caller is an administrator, as a condition."""
    return sa.true() if caller.role == "admin" else sa.false()


def is_readable(user_id: Any, user_is_admin: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the condition on `collections` for those with documents that a user may read; both may be columns."""
    return sa.or_(_is_managed(user_id, user_is_admin), Collection.visibility == "shared", _is_member(user_id))


def _is_managed(user_id: Any, user_is_admin: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the condition for own collections; one without an owner is the operator's: administrators govern it."""
    return sa.or_(Collection.owner_id == user_id, sa.and_(Collection.owner_id.is_(None), user_is_admin))


def _is_member(user_id: Any, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    is_member = (CollectionMember.collection_id == Collection.id, CollectionMember.user_id == user_id)
    found = sa.exists().where(*is_member, CollectionMember.state == "accepted", *conditions)
    # By itself a subquery is correlated with the one around it and no further.
    return found.correlate_except(CollectionMember)
