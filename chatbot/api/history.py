"""Routes for the chat history."""

from typing import Any
from uuid import UUID

from chatbot.schemas.chat import HistoryQuerySchema, HistorySchema
from chatbot.services.chat import deletion, history
from chatbot.services.chat.search import results
from chatbot.web import admission, authentication, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("history", __name__, url_prefix="/api/chat-history", description="What was said")


@blueprint.route("/", methods=["GET"])
@authentication.required("history")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(HistoryQuerySchema, location="query")
@blueprint.response(200, HistorySchema)
def list_turns(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's turns by time, a page at a time, or those with some words, the best first."""
    caller = authentication.current()
    if "q" not in query:
        return pagination.page(history.list_turns, query, caller)
    admission.enter_page(caller.user_id)
    found = results.search_turns(caller, query["q"], query["limit"], conversation_id=query.get("conversation_id"))
    return {"items": found, "next_cursor": None}


@blueprint.route("/", methods=["DELETE"])
@authentication.required("history")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(503)
@blueprint.response(204)
def delete_history() -> None:
    """Delete all of the caller's conversations with their turns."""
    deletion.delete_history(authentication.current())


@blueprint.route("/<uuid:turn_id>/", methods=["DELETE"])
@authentication.required("history")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def delete_turn(turn_id: UUID) -> None:
    """Delete a message with all answers to it; one that is being written ends."""
    deletion.delete_turn(authentication.current(), turn_id)
