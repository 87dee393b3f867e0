"""Routes for completions, in OpenAI's shape: the same runner and log as `/api/chat/`."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, current_app

from chatbot.errors import InvalidInput
from chatbot.rag.types import Message, Role
from chatbot.schemas import events
from chatbot.schemas.completions import CompletionRequestSchema, CompletionSchema, TextRequestSchema
from chatbot.schemas.passed_on import passed_on
from chatbot.services.chat import execution, following, turns
from chatbot.services.chat.protocols import openai
from chatbot.services.chat.records import TurnOptions
from chatbot.services.usage.ledger import Origin
from chatbot.web import admission, authentication, idempotency, openai_errors, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

from . import examples, framing

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "function",
}
MAX_TOKENS_HEADER = "X-Max-Tokens"
ORIGIN = Origin("v1")
PARAMETERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")

blueprint = Blueprint("completions", __name__, url_prefix="/v1", description="For OpenAI's clients")


Answer = tuple[dict[str, Any], int, dict[str, str]] | Response


@blueprint.route("/chat/completions", methods=["POST"])
@openai_errors.document
@authentication.required("v1")
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(CompletionRequestSchema, example=examples.with_model(CompletionRequestSchema, "chat"))
@sse.document(CompletionSchema, events.COMPLETION_EVENTS)
@blueprint.response(200, CompletionSchema)
def create_completion(body: dict[str, Any]) -> Answer:
    """Answer a prompt, as OpenAI's API does; kept in the chat history with `store`."""
    messages = [Message(ROLES[one["role"]], one["content"], one["fields"]) for one in body["messages"]]
    return _answer(body, messages, framing.ChatFormat())


@blueprint.route("/completions", methods=["POST"])
@openai_errors.document
@authentication.required("v1")
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(TextRequestSchema, example=examples.with_model(TextRequestSchema, "chat"))
@sse.document(CompletionSchema, events.COMPLETION_EVENTS)
@blueprint.response(200, CompletionSchema)
def create_text_completion(body: dict[str, Any]) -> Answer:
    """Answer a text, for clients of OpenAI's older API; the model gets it as a message of its user."""
    text = body["prompt"]
    return _answer(body, [Message("user", text)], framing.TextFormat(text if body["echo"] else ""))


def _answer(body: dict[str, Any], messages: Sequence[Message], answer_format: framing.ChatFormat) -> Answer:
    caller = authentication.current()
    rate_limits.tell_budgets(caller)
    key = idempotency.read_key(body)
    listed = bool(body["store"])
    if body["stream"]:
        admission.enter_stream(caller.user_id)
    completion = openai.build_completion(caller, model=body["model"], messages=messages, parameters=_parameters(body))
    turn_options = TurnOptions(collection_ids=completion.collection_ids)
    result = execution.open_and_start(
        caller,
        lambda: turns.open_turn(
            caller, completion.question, options=turn_options, key=key, listed=listed, origin=ORIGIN
        ),
        key,
        completion.request,
    )
    turn_id = result.turn_id
    turn = following.get_result_turn(caller, result)
    headers = _cap(completion.request.parameters)
    if not body["stream"]:
        return framing.build_answer(following.wait(caller, turn_id), answer_format), 200, headers
    ended = following.wait_for_first_text(turn_id, sse.FIRST_TEXT_SECONDS).ended or turn
    if ended.status in sse.FAILED and not ended.bot_response:
        framing.finish_reason(ended)
    options = body.get("stream_options") or {}
    include_usage = bool(options.get("include_usage"))
    chunks = framing.Chunks(turn, completion.request.model, answer_format, include_usage=include_usage)
    response = sse.response(chunks.frames(sse.Reader(caller, turn_id)))
    response.headers.update(headers)
    return response


def _cap(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the header with the maximum of tokens if the request exceeds it."""
    max_allowed = current_app.config["OPENAI_MAX_TOKENS"]
    return {MAX_TOKENS_HEADER: str(max_allowed)} if parameters.get("max_tokens", 0) > max_allowed else {}


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters for the model; raises InvalidInput for more tokens than the maximum.

    `max_completion_tokens` is the newer name of `max_tokens`.
    """
    parameters = {name: body[name] for name in PARAMETERS if body.get(name) is not None} | passed_on(body)
    name = "max_completion_tokens" if body.get("max_completion_tokens") else "max_tokens"
    max_tokens = body.get(name)
    max_allowed = current_app.config["OPENAI_MAX_TOKENS"]
    if max_tokens and max_tokens > max_allowed and current_app.config["OPENAI_MAX_TOKENS_EXCEEDED"] == "refuse":
        raise InvalidInput({name: [f"At most {max_allowed} tokens may be asked for."]})
    return parameters | {"max_tokens": max_tokens} if max_tokens else parameters
