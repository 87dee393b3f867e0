"""Door of the chat history."""

from typing import Any

from ..schemas.chat import HistoryQuerySchema, HistorySchema
from ..services import history
from . import caller, limits, paging, problems
from .blueprint import Blueprint
from .limits import by_user

blueprint = Blueprint("history", __name__, url_prefix="/api/chat-history", description="What was said")


@blueprint.route("/", methods=["GET"])
@caller.required
@limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(HistoryQuerySchema, location="query")
@blueprint.response(200, HistorySchema)
def list_turns(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's turns by time, a page at a time."""
    return paging.page(history.page, query, caller.current())
