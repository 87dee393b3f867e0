"""Routes for rooms and their settings."""

from typing import Any
from uuid import UUID

from chatbot.schemas.knowledge import PageSchema
from chatbot.schemas.rooms import NewRoomSchema, RoomChangeSchema, RoomListSchema, RoomSchema
from chatbot.services.rooms import rooms
from chatbot.services.rooms.records import RoomRecord
from chatbot.web import authentication, idempotency, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("rooms", __name__, url_prefix="/api/rooms", description="Chats of several users")


@blueprint.route("/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, RoomListSchema)
def list_rooms(query: dict[str, Any]) -> dict[str, Any]:
    """List the rooms that the caller is a member of, the one with the newest message first."""
    return pagination.page(rooms.list_rooms, query, authentication.current())


@blueprint.route("/", methods=["POST"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewRoomSchema)
@blueprint.response(201, RoomSchema)
def create_room(values: dict[str, Any]) -> RoomRecord:
    """Make a room that the caller owns."""
    return rooms.create(authentication.current(), values, idempotency.read_key(values))


@blueprint.route("/<uuid:room_id>/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, RoomSchema)
def get_room(room_id: UUID) -> RoomRecord:
    """Show a room."""
    return rooms.get(authentication.current(), room_id)


@blueprint.route("/<uuid:room_id>/", methods=["PATCH"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 413, 415, 503)
@blueprint.arguments(RoomChangeSchema)
@blueprint.response(200, RoomSchema)
def change_room(values: dict[str, Any], room_id: UUID) -> RoomRecord:
    """Change the settings of a room that the caller owns."""
    return rooms.change(authentication.current(), room_id, values)


@blueprint.route("/<uuid:room_id>/", methods=["DELETE"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 503)
@blueprint.response(204)
def delete_room(room_id: UUID) -> None:
    """Delete a room that the caller owns, with all its messages."""
    rooms.delete(authentication.current(), room_id)
