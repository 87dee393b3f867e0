"""Routes for sessions, which no API key opens."""

from typing import Any
from uuid import UUID

from chatbot.schemas.accounts.auth import SessionListSchema
from chatbot.schemas.knowledge import PageSchema
from chatbot.services.accounts import sessions
from chatbot.web import authentication, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("sessions", __name__, url_prefix="/api/users/sessions", description="Logins on devices")


@blueprint.route("/", methods=["GET"])
@authentication.required(None)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, SessionListSchema)
def list_sessions(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's open sessions, the newest first."""
    return pagination.page(sessions.list_sessions, query, authentication.current())


@blueprint.route("/", methods=["DELETE"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(503)
@blueprint.response(204)
def end_other_sessions() -> None:
    """End all the caller's sessions but this one."""
    sessions.end_others(authentication.current())


@blueprint.route("/<uuid:session_id>/", methods=["DELETE"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def end_session(session_id: UUID) -> None:
    """End a session of the caller's, this one too."""
    sessions.end(authentication.current(), session_id)
