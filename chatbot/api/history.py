"""Routes for the chat history."""

from typing import Any

from chatbot.schemas.chat import HistoryQuerySchema, HistorySchema
from chatbot.services.chat import history
from chatbot.web import authentication, pagination, problems, rate_limits
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
    """List the caller's turns by time, a page at a time."""
    return pagination.page(history.list_turns, query, authentication.current())
