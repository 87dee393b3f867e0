"""Routes for the export of all that is held about a user."""

from functools import partial

from flask import Response

from chatbot.services.accounts.authentication import require_open
from chatbot.services.chat.state import get_chat_state
from chatbot.services.privacy import export
from chatbot.web import admission, authentication, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("privacy", __name__, url_prefix="/api", description="What is held about a user")

NDJSON = "application/x-ndjson"
FILE_NAME = "export.ndjson"
EXPORT_RESPONSES = {"200": {"description": "OK", "content": {NDJSON: {"schema": {"type": "string"}}}}}


@blueprint.route("/users/me/export/", methods=["GET"])
@authentication.required(None)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(503, responses=EXPORT_RESPONSES)
def export_me() -> Response:
    """Export all that is held about the caller, as lines of JSON.

    Each line is `{"kind": ..., "data": {...}}`: a head, then a line for each row, such as `turn`, `document` and
    `session`, and at the end `{"kind": "end", "data": {"rows": ...}}`; without it the export broke off. Files are in
    lines of the kind `document_piece`, in Base64. Secrets are in no line.
    """
    caller = authentication.current()
    admission.enter_stream(caller.user_id)
    lines = export.stream(get_chat_state().app, caller, partial(require_open, caller))
    response = Response(lines, mimetype=NDJSON)
    response.headers.set("Content-Disposition", "attachment", filename=FILE_NAME)
    return response
