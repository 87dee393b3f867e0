"""The door for OpenAI's clients: the same runner and log as `/api/chat/`, in another framing."""

from typing import Any

from flask import Response

from ..schemas.completions import CompletionRequestSchema, CompletionSchema
from ..services import chat, completions, turns
from ..services.chat import OpenedTurn
from . import admission, caller, idempotency, limits, openai_errors, openai_framing, problems, sse
from .blueprint import Blueprint
from .chat import PATIENCE
from .limits import by_address, by_user

blueprint = Blueprint("completions", __name__, url_prefix="/v1", description="For OpenAI's clients")


@blueprint.route("/chat/completions", methods=["POST"])
@openai_errors.document
@caller.required
@limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(CompletionRequestSchema)
@sse.document(CompletionSchema)
@blueprint.response(200, CompletionSchema)
def create_completion(wanted: dict[str, Any]) -> dict[str, Any] | Response:
    """Answer a prompt, as OpenAI's API does; kept in the chat history with `store`."""
    who, key, listed = caller.current(), idempotency.key(wanted), bool(wanted["store"])
    if wanted["stream"]:
        admission.enter_stream(who.user_id)
    question, ids, brief = completions.brief(who, wanted)
    opened = turns.open_and_start(
        who, lambda: chat.open_turn(who, question, collection_ids=ids, key=key, listed=listed), key, brief
    )
    if isinstance(opened, OpenedTurn):
        turn_id, turn = opened.id, opened.shown()
    else:
        turn_id, turn = opened, turns.get_turn(caller.current(), opened)
    if not wanted["stream"]:
        return openai_framing.completion(turns.wait(caller.current(), turn_id))
    ended = turns.begun(turn_id, PATIENCE)[1] or turn
    if ended["status"] in sse.FAILED and not ended["bot_response"]:
        openai_framing.finish_reason(ended)
    options = wanted.get("stream_options") or {}
    chunks = openai_framing.Chunks(turn, brief.model, include_usage=options.get("include_usage", False))
    return sse.response(chunks.frames(sse.Reader(caller.current(), turn_id)))
