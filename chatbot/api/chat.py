"""Doors of the chat."""

from typing import Any
from uuid import UUID

from flask import g, url_for

from ..schemas.chat import MessageSchema, TurnSchema
from ..services import chat, turns
from . import caller, limits, problems
from .blueprint import Blueprint
from .limits import by_address, by_user

blueprint = Blueprint("chat", __name__, url_prefix="/api/chat", description="Chat with the model")


@blueprint.route("/", methods=["POST"])
@caller.required
@limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 502, 503, 504)
@blueprint.arguments(MessageSchema)
@blueprint.response(200, TurnSchema)
def create_turn(message: dict[str, Any]) -> dict[str, Any]:
    """Send a message and wait for its answer.

    The message is stored before the model is called. When the model fails, the turn stays in the history
    as `failed`, and the problem document's `instance` is its address.
    """
    turn = chat.open_turn(caller.current(), **message)
    g.instance = url_for("chat.get_turn", turn_id=turn.id)
    return turns.run(turn)


@blueprint.route("/<uuid:turn_id>/", methods=["GET"])
@caller.required
@problems.document(404, 503)
@blueprint.response(200, TurnSchema)
def get_turn(turn_id: UUID) -> dict[str, Any]:
    """Show one turn, whatever its state."""
    return chat.get_turn(caller.current(), turn_id)
