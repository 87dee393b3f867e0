"""Routes for collections and their members."""

from typing import Any
from uuid import UUID

from chatbot.schemas.knowledge import (
    CollectionChangeSchema,
    CollectionListSchema,
    CollectionSchema,
    MemberListSchema,
    MemberRoleSchema,
    MemberSchema,
    NewCollectionSchema,
    PageSchema,
)
from chatbot.services.knowledge import collections, members, records
from chatbot.web import authentication, idempotency, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("collections", __name__, url_prefix="/api/collections", description="Documents that go together")


@blueprint.route("/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, CollectionListSchema)
def list_collections(query: dict[str, Any]) -> dict[str, Any]:
    """List the collections that the caller may read, by time."""
    return pagination.page(collections.list_collections, query, authentication.current())


@blueprint.route("/", methods=["POST"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewCollectionSchema)
@blueprint.response(201, CollectionSchema)
def create_collection(values: records.CollectionValues) -> records.Collection:
    """Make a collection."""
    return collections.create(authentication.current(), values, idempotency.read_key(values))


@blueprint.route("/<uuid:collection_id>/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, CollectionSchema)
def get_collection(collection_id: UUID) -> records.Collection:
    """Show a collection."""
    return collections.get(authentication.current(), collection_id)


@blueprint.route("/<uuid:collection_id>/", methods=["PATCH"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 413, 415, 503)
@blueprint.arguments(CollectionChangeSchema)
@blueprint.response(200, CollectionSchema)
def change_collection(values: records.CollectionValues, collection_id: UUID) -> records.Collection:
    """Rename, describe or share a collection."""
    return collections.change(authentication.current(), collection_id, values)


@blueprint.route("/<uuid:collection_id>/", methods=["DELETE"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 409, 503)
@blueprint.response(204)
def delete_collection(collection_id: UUID) -> None:
    """Delete a collection and all documents in it."""
    collections.delete(authentication.current(), collection_id)


@blueprint.route("/<uuid:collection_id>/members/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 403, 404, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, MemberListSchema)
def list_members(query: dict[str, Any], collection_id: UUID) -> dict[str, Any]:
    """List the members of a collection and its open invitations, by the time of the invitation."""
    query["collection_id"] = collection_id
    return pagination.page(members.list_members, query, authentication.current())


@blueprint.route("/<uuid:collection_id>/members/<uuid:user_id>/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(403, 404, 503)
@blueprint.response(200, MemberSchema)
def get_member(collection_id: UUID, user_id: UUID) -> records.Member:
    """Show a member of a collection, or an invited user."""
    return members.get_member(authentication.current(), collection_id, user_id)


@blueprint.route("/<uuid:collection_id>/members/<uuid:user_id>/", methods=["PUT"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 409, 413, 415, 503)
@blueprint.arguments(MemberRoleSchema)
@blueprint.response(204)
def put_member(values: dict[str, Any], collection_id: UUID, user_id: UUID) -> None:
    """Invite a user to read a collection or write into it; nothing of it reaches them until they accept.

    Of a member it changes the role. A user who left cannot be invited again.
    """
    members.invite(authentication.current(), collection_id, user_id, values["role"])


@blueprint.route("/<uuid:collection_id>/members/<uuid:user_id>/", methods=["DELETE"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 503)
@blueprint.response(204)
def delete_member(collection_id: UUID, user_id: UUID) -> None:
    """Remove a member or an invitation, or leave for good."""
    members.remove(authentication.current(), collection_id, user_id)
