"""Routes for the messages of rooms."""

from typing import Any
from uuid import UUID

from flask import Response

from chatbot.schemas.room_messages import (
    NewRoomMessageSchema,
    ReadSchema,
    RoomMessageListSchema,
    RoomMessageSchema,
    RoomMessagesQuerySchema,
    RoomTextSchema,
)
from chatbot.services.rooms import messages
from chatbot.services.rooms.bot import cancellation, questions
from chatbot.services.rooms.records import Message, MessagePage
from chatbot.web import admission, authentication, idempotency, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user, by_user_and_room

blueprint = Blueprint("room_messages", __name__, url_prefix="/api/rooms", description="Messages of rooms")


@blueprint.route("/<uuid:room_id>/messages/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(RoomMessagesQuerySchema, location="query")
@blueprint.response(200, RoomMessageListSchema)
def list_room_messages(query: dict[str, Any], room_id: UUID) -> MessagePage:
    """List messages of a room by their number: the last ones, those before one, or those behind one."""
    caller = authentication.current()
    admission.enter_page(caller.user_id)
    return messages.list_messages(caller, room_id, **query)


@blueprint.route("/<uuid:room_id>/messages/", methods=["POST"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user, RATE_ROOM_MESSAGE_USER=by_user_and_room)
@problems.document(400, 403, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewRoomMessageSchema)
@blueprint.response(201, RoomMessageSchema)
@blueprint.alt_response(200, schema=RoomMessageSchema, success=True)
def post_room_message(values: dict[str, Any], room_id: UUID) -> tuple[Message, int]:
    """Write a message to a room; that of the same `client_id` is returned as it is, with 200.

    `@bot` in it asks the bot for all members, `@bot!` for the caller alone, who alone sees the message then. The answer
    is the next message; it grows while it is `pending`.
    """
    key = idempotency.read_key(values)
    if questions.is_asked(authentication.current(), room_id, values["text"]):
        rate_limits.count_turn()
    posted = messages.post(authentication.current(), room_id, values.pop("text"), **values, key=key)
    return posted.message, 201 if posted.is_new or key else 200


@blueprint.route("/<uuid:room_id>/messages/<uuid:message_id>/", methods=["PATCH"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 413, 415, 503)
@blueprint.arguments(RoomTextSchema)
@blueprint.response(200, RoomMessageSchema)
def edit_room_message(values: dict[str, Any], room_id: UUID, message_id: UUID) -> Message:
    """Change the text of a message of the caller's own."""
    return messages.edit(authentication.current(), room_id, message_id, values["text"])


@blueprint.route("/<uuid:room_id>/messages/<uuid:message_id>/", methods=["DELETE"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(403, 404, 503)
@blueprint.response(204)
def delete_room_message(room_id: UUID, message_id: UUID) -> None:
    """Delete a message of the caller's own, an answer to them, or any in a room that they own; its place stays."""
    messages.delete(authentication.current(), room_id, message_id)


@blueprint.route("/<uuid:room_id>/messages/<uuid:message_id>/cancel/", methods=["POST"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 403, 404, 409, 503)
@blueprint.without_fields
@blueprint.response(202)
def cancel_room_answer(room_id: UUID, message_id: UUID) -> Response:
    """End an answer of the bot that the caller asked for, or any of a room that the caller owns."""
    cancellation.cancel(authentication.current(), room_id, message_id)
    return Response(status=202)


@blueprint.route("/<uuid:room_id>/read/", methods=["PUT"])
@authentication.required("rooms")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 413, 415, 503)
@blueprint.arguments(ReadSchema)
@blueprint.response(204)
def mark_room_read(values: dict[str, Any], room_id: UUID) -> None:
    """Mark the messages of a room up to one as read."""
    messages.mark_read(authentication.current(), room_id, values["seq"])
