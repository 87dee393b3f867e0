"""Members of collections: invited by the owner, members once they accept, and gone for good when they leave."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import MemberLeft, NotFound, TooManyCollections
from chatbot.models import Collection, CollectionMember, User
from chatbot.observability import security_log
from chatbot.services.accounts.callers import Caller

from . import collections, readers, records

FIELDS = (CollectionMember.user_id, User.username, CollectionMember.role, CollectionMember.state)
_has_not_left = CollectionMember.state != "left"


def list_members(
    caller: Caller, collection_id: UUID, *, limit: int, after: keyset.Key | None = None
) -> keyset.Page[records.Member]:
    """Return up to `limit` members and invited users of a collection by time; raises NotFound, Forbidden."""
    statement = _select_members(collection_id, CollectionMember.user_id.label("id"), CollectionMember.invited_at)
    order = (CollectionMember.invited_at, CollectionMember.user_id)
    with read() as connection:
        collections.require_managed(connection, caller, collection_id)
        return keyset.fetch_page(connection, statement, _build_member, order=order, limit=limit, after=after)


def get_member(caller: Caller, collection_id: UUID, user_id: UUID) -> records.Member:
    """Return one member or invited user; raises NotFound, Forbidden."""
    with read() as connection:
        collections.require_managed(connection, caller, collection_id)
        statement = _select_members(collection_id).where(CollectionMember.user_id == user_id)
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("There is no such member.")
    return _build_member(**row._mapping)


def invite(caller: Caller, collection_id: UUID, user_id: UUID, role: str) -> None:
    """Invite a user to read a collection or write into it, or change a member's role.

    Raises NotFound, Forbidden, MemberLeft for a user who left it, TooManyCollections.
    """
    with write("invite_member", contention_key=caller.user_id) as connection:
        collections.require_managed(connection, caller, collection_id)
        connection.execute(sa.select(Collection.id).where(Collection.id == collection_id).with_for_update()).all()
        if connection.scalar(sa.select(User.id).where(User.id == user_id)) is None:
            raise NotFound("There is no such user.")
        pair = _pair(collection_id, user_id)
        state = connection.scalar(sa.select(CollectionMember.state).where(*pair))
        if state == "left":
            raise MemberLeft("They left this collection.")
        if state is None:
            _require_room(connection, collection_id)
            values = {"collection_id": collection_id, "user_id": user_id, "role": role, "invited_at": now()}
            connection.execute(sa.insert(CollectionMember).values(values))
        else:
            connection.execute(sa.update(CollectionMember).where(*pair).values(role=role))
    _record(caller, "invite" if state is None else "change", collection_id, user_id, role=role)


def remove(caller: Caller, collection_id: UUID, user_id: UUID) -> None:
    """Remove a member or an invitation; a member's own removal is for good.

    Raises NotFound, Forbidden.
    """
    with write("remove_member", contention_key=caller.user_id) as connection:
        pair = _pair(collection_id, user_id)
        if user_id == caller.user_id:
            left = sa.update(CollectionMember).where(*pair, CollectionMember.state == "accepted").values(state="left")
            if connection.execute(left).rowcount == 1:
                readers.record_membership(connection, user_id, collection_id, has_ended=True)
                _record(caller, "leave", collection_id, user_id)
                return
        else:
            collections.require_managed(connection, caller, collection_id)
        if connection.execute(sa.delete(CollectionMember).where(*pair, _has_not_left)).rowcount != 1:
            raise NotFound("There is no such member.")
        readers.record_membership(connection, user_id, collection_id, has_ended=True)
    _record(caller, "remove", collection_id, user_id)


def list_invitations(caller: Caller, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[records.Invitation]:
    """Return up to `limit` open invitations of the caller by time.

    An invitation has the id of its collection, and tells nothing of it but whose it is.
    """
    columns = (CollectionMember.collection_id.label("id"), CollectionMember.role, CollectionMember.invited_at)
    statement = sa.select(*columns, User.username.label("invited_by"))
    statement = statement.join(Collection, Collection.id == CollectionMember.collection_id)
    statement = statement.outerjoin(User, User.id == Collection.owner_id).where(*_open(caller))
    order = (CollectionMember.invited_at, CollectionMember.collection_id)
    with read() as connection:
        return keyset.fetch_page(connection, statement, records.Invitation, order=order, limit=limit, after=after)


def accept(caller: Caller, collection_id: UUID) -> records.Collection:
    """Become a member of a collection that the caller was invited to, and return it.

    Raises NotFound, TooManyCollections.
    """
    with write("accept_invitation") as connection:
        connection.execute(sa.select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True)).all()
        _require_membership_left(connection, caller)
        accepted = sa.update(CollectionMember).values(state="accepted")
        if connection.execute(accepted.where(*_open(caller, collection_id))).rowcount != 1:
            raise NotFound("There is no such invitation.")
        readers.record_membership(connection, caller.user_id, collection_id, has_ended=False)
    _record(caller, "accept", collection_id, caller.user_id)
    return collections.get(caller, collection_id)


def decline(caller: Caller, collection_id: UUID) -> None:
    """Decline an invitation; raises NotFound."""
    with write("decline_invitation") as connection:
        if connection.execute(sa.delete(CollectionMember).where(*_open(caller, collection_id))).rowcount != 1:
            raise NotFound("There is no such invitation.")
    _record(caller, "decline", collection_id, caller.user_id)


def _record(caller: Caller, what: str, collection_id: UUID, member: UUID, **facts: Any) -> None:
    security_log.record("membership", what, **caller.to_log_fields(), collection=collection_id, member=member, **facts)


def _select_members(collection_id: UUID, *columns: Any) -> sa.Select[*tuple[Any, ...]]:
    statement = sa.select(*FIELDS, *columns).join(User, User.id == CollectionMember.user_id)
    return statement.where(CollectionMember.collection_id == collection_id, _has_not_left)


def _build_member(**values: Any) -> records.Member:
    return records.Member(**{name: values[name] for name in records.Member.__slots__})


def _pair(collection_id: UUID, user_id: UUID) -> tuple[sa.ColumnElement[bool], ...]:
    return (CollectionMember.collection_id == collection_id, CollectionMember.user_id == user_id)


def _open(caller: Caller, collection_id: UUID | None = None) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions for the open invitations of a caller, or for one of them."""
    conditions = (CollectionMember.user_id == caller.user_id, CollectionMember.state == "invited")
    return conditions if collection_id is None else (*conditions, CollectionMember.collection_id == collection_id)


def _require_room(connection: sa.Connection, collection_id: UUID) -> None:
    """Raise TooManyCollections where a locked collection has as many members and invitations as one may have."""
    bound = current_app.config["MEMBERS_PER_COLLECTION"]
    count = sa.select(sa.func.count()).where(CollectionMember.collection_id == collection_id, _has_not_left)
    if current_app.config["RATELIMIT_ENABLED"] and (connection.scalar(count) or 0) >= bound:
        raise TooManyCollections(f"A collection may have {bound} members.")


def _require_membership_left(connection: sa.Connection, caller: Caller) -> None:
    """Raise TooManyCollections where the caller is a member of as many collections as one may be."""
    bound = current_app.config["COLLECTIONS_PER_USER"]
    conditions = (CollectionMember.user_id == caller.user_id, CollectionMember.state == "accepted")
    count = sa.select(sa.func.count()).where(*conditions)
    if current_app.config["RATELIMIT_ENABLED"] and (connection.scalar(count) or 0) >= bound:
        raise TooManyCollections(f"You may be a member of {bound} collections.")
