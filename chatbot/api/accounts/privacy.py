"""Routes for the export of all that is held about a user, and for its erasure."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response, url_for

from chatbot.schemas.accounts.privacy import AccountDeletionSchema, ErasureRequestedSchema, ErasureSchema
from chatbot.services.accounts.authentication import require_open
from chatbot.services.chat.state import get_chat_state
from chatbot.services.privacy import erasure, export
from chatbot.web import admission, authentication, login_limits, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

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


@blueprint.route("/users/me/", methods=["DELETE"])
@authentication.required(None)
@rate_limits.limit(RATE_LOGIN_ADDRESS=by_address, RATE_LOGIN_ACCOUNT=by_user)
@problems.document(400, 409, 413, 415, 503)
@blueprint.arguments(AccountDeletionSchema)
@blueprint.response(202, ErasureRequestedSchema)
def delete_me(proof: dict[str, str]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Delete the caller's account and all its data.

    Its sessions and API keys end at once, its names are free again, and its data is erased within a minute or so: the
    receipt tells how far that is, and needs no login. The last administrator cannot go (`last_admin`).
    """
    login_limits.queue_hashes_by_network()
    receipt_id = erasure.request(authentication.current(), proof["password"])
    location = url_for("privacy.get_erasure", receipt_id=receipt_id)
    return {"receipt_id": receipt_id}, 202, {"Location": location}


@blueprint.route("/erasures/<uuid:receipt_id>/", methods=["GET"])
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
@problems.document(404, 503)
@blueprint.response(200, ErasureSchema)
def get_erasure(receipt_id: UUID) -> erasure.Receipt:
    """Show the receipt of an erased account, with numbers and times alone: nothing tells of its user."""
    return erasure.get_receipt(receipt_id)
