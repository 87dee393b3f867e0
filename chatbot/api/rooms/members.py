"""Routes for the members of rooms and the invites by which users join."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from chatbot.schemas.knowledge import PageSchema
from chatbot.schemas.rooms import (
    InviteListSchema,
    JoinSchema,
    MadeInviteSchema,
    NewInviteSchema,
    RoomMemberListSchema,
    RoomMembershipSchema,
    RoomSchema,
)
from chatbot.services.rooms import invites, members
from chatbot.services.rooms.records import Invite, RoomRecord
from chatbot.web import authentication, idempotency, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("room_members", __name__, url_prefix="/api/rooms", description="Members of rooms")


@blueprint.route("/<uuid:room_id>/members/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, RoomMemberListSchema)
def list_room_members(query: dict[str, Any], room_id: UUID) -> dict[str, Any]:
    """List the members of a room in the order in which they joined."""
    query["room_id"] = room_id
    return pagination.page(members.list_members, query, authentication.current())


@blueprint.route("/<uuid:room_id>/members/<uuid:user_id>/", methods=["PUT"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 409, 413, 415, 503)
@blueprint.arguments(RoomMembershipSchema)
@blueprint.response(204)
def put_room_member(values: dict[str, Any], room_id: UUID, user_id: UUID) -> None:
    """Add a user to a room that the caller owns, or change a member's role.

    A user who left joins again by an invite alone. A room keeps an owner while it has members.
    """
    members.put(authentication.current(), room_id, user_id, values["role"])


@blueprint.route("/<uuid:room_id>/members/<uuid:user_id>/", methods=["DELETE"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 409, 503)
@blueprint.response(204)
def delete_room_member(room_id: UUID, user_id: UUID) -> None:
    """Remove a member from a room that the caller owns, or leave it."""
    members.remove(authentication.current(), room_id, user_id)


@blueprint.route("/<uuid:room_id>/invites/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 403, 404, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, InviteListSchema)
def list_room_invites(query: dict[str, Any], room_id: UUID) -> dict[str, Any]:
    """List the open invites of a room that the caller owns, by time and without their tokens."""
    query["room_id"] = room_id
    return pagination.page(invites.list_invites, query, authentication.current())


@blueprint.route("/<uuid:room_id>/invites/", methods=["POST"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewInviteSchema, required=False)
@blueprint.response(201, MadeInviteSchema)
def create_room_invite(values: dict[str, Any], room_id: UUID) -> Invite:
    """Make an invite to a room that the caller owns; its token is in this answer alone."""
    key = idempotency.read_key(values)
    expires_in = timedelta(seconds=values.pop("expires_in"))
    return invites.create(authentication.current(), room_id, expires_in=expires_in, **values, key=key)


@blueprint.route("/<uuid:room_id>/invites/<uuid:invite_id>/", methods=["DELETE"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 503)
@blueprint.response(204)
def delete_room_invite(room_id: UUID, invite_id: UUID) -> None:
    """Delete an invite; its token is void."""
    invites.delete(authentication.current(), room_id, invite_id)


@blueprint.route("/join/", methods=["POST"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 503)
@blueprint.arguments(JoinSchema)
@blueprint.response(200, RoomSchema)
def join_room(values: dict[str, Any]) -> RoomRecord:
    """Become a member of the room of an invite."""
    return invites.join(authentication.current(), values["token"])
