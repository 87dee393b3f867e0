"""Routes for chat completions, in OpenAI's shape: the same runner and log as `/api/chat/`."""

from typing import Any

from flask import Response

from chatbot.schemas.completions import CompletionRequestSchema, CompletionSchema
from chatbot.services.chat import execution, openai, turns
from chatbot.services.chat.turns import OpenedTurn
from chatbot.web import admission, authentication, idempotency, openai_errors, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

from . import framing

blueprint = Blueprint("completions", __name__, url_prefix="/v1", description="For OpenAI's clients")


@blueprint.route("/chat/completions", methods=["POST"])
@openai_errors.document
@authentication.required
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(CompletionRequestSchema)
@sse.document(CompletionSchema)
@blueprint.response(200, CompletionSchema)
def create_completion(body: dict[str, Any]) -> dict[str, Any] | Response:
    """Answer a prompt, as OpenAI's API does; kept in the chat history with `store`."""
    caller = authentication.current()
    key = idempotency.key(body)
    listed = bool(body["store"])
    if body["stream"]:
        admission.enter_stream(caller.user_id)
    question, ids, request = openai.generation_request(caller, body)
    opened = execution.open_and_start(
        caller, lambda: turns.open_turn(caller, question, collection_ids=ids, key=key, listed=listed), key, request
    )
    if isinstance(opened, OpenedTurn):
        turn_id = opened.id
        turn = opened.shown()
    else:
        turn_id = opened
        turn = execution.get_turn(authentication.current(), opened)
    if not body["stream"]:
        return framing.completion(execution.wait(authentication.current(), turn_id))
    ended = execution.wait_for_first_text(turn_id, sse.FIRST_TEXT_SECONDS)[1] or turn
    if ended["status"] in sse.FAILED and not ended["bot_response"]:
        framing.finish_reason(ended)
    options = body.get("stream_options") or {}
    chunks = framing.Chunks(turn, request.model, include_usage=options.get("include_usage", False))
    return sse.response(chunks.frames(sse.Reader(authentication.current(), turn_id)))
