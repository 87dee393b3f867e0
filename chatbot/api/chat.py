"""Routes for turns."""

from itertools import chain
from typing import Any
from uuid import UUID

from flask import Response, g, request, url_for

from chatbot.errors import TurnFailed
from chatbot.schemas import events
from chatbot.schemas.chat import (
    AgainSchema,
    EstimateSchema,
    FeedbackSchema,
    MessageSchema,
    PolledTurnSchema,
    PollQuerySchema,
    TurnSchema,
)
from chatbot.schemas.knowledge import TraceSchema
from chatbot.services.chat import execution, feedback, following, grounding, history, turns
from chatbot.services.chat.records import OpenResult, Trace, Turn, TurnOptions
from chatbot.services.chat.spending import estimates
from chatbot.web import admission, authentication, idempotency, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

blueprint = Blueprint("chat", __name__, url_prefix="/api/chat", description="Chat with the model")

PREFER = {
    "in": "header",
    "name": "Prefer",
    "schema": {"type": "string"},
    "description": "`respond-async`: the turn comes at once, with 202, and its answer is read later (RFC 7240).",
}
PARAMETERS = [idempotency.DOCUMENT, PREFER, sse.REASONING, sse.LAST_EVENT_ID]

Answer = Turn | Response | tuple[Turn, int, dict[str, str]]


@blueprint.route("/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=PARAMETERS)
@blueprint.arguments(MessageSchema)
@sse.document(TurnSchema, events.TURN_EVENTS)
@blueprint.response(200, TurnSchema)
@blueprint.alt_response(202, schema=TurnSchema, success=True)
def send_message(message: dict[str, Any]) -> Answer:
    """Send a message and wait for its answer, or read it as it is written.

    The message is stored before the model is called. When the model fails, the turn stays in the history
    as `failed`, and the problem document's `instance` is its address. With `stream` or `Accept:
    text/event-stream` the answer comes as events; with `Prefer: respond-async` the turn comes at once.
    """
    caller = authentication.current()
    rate_limits.tell_budgets(caller)
    key = idempotency.read_key(message)
    stream = _enter_stream(message.pop("stream", False))
    again = _repeated(message) if stream and key is None else None
    options = TurnOptions.take(message)
    result = again or execution.open_and_start(
        caller, lambda: turns.open_turn(caller, **message, options=options, key=key), key
    )
    return _answer(result, stream=stream)


@blueprint.route("/estimate/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_SEARCH_USER=by_user)
@problems.document(400, 404, 413, 415, 503)
@blueprint.arguments(MessageSchema)
@blueprint.response(200, EstimateSchema)
def estimate_message(message: dict[str, Any]) -> estimates.Estimate:
    """Estimate the tokens of a message, its highest cost, and whether the budgets have room for it.

    Its prompt is built with history and passages; nothing is written, and no model is asked.
    """
    message.pop("stream", None)
    options = TurnOptions.take(message)
    return estimates.estimate(authentication.current(), **message, options=options)


@blueprint.route("/<uuid:turn_id>/", methods=["GET"])
@authentication.required("chat")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(PollQuerySchema, location="query")
@blueprint.response(200, PolledTurnSchema)
def get_turn(query: dict[str, Any], turn_id: UUID) -> following.PolledTurn:
    """Show one turn, in any state, with the text so far, or with more of it than the client knows.

    For clients that cannot stream: `after` is the length of the text that they have, in code points, and `wait` how
    long they wait for more.
    """
    caller = authentication.current()
    if query["wait"]:
        admission.enter_stream(caller.user_id)
    polled = following.poll(caller, turn_id, query.get("after"), query["wait"])
    if query["wait"]:
        sse.require_open(caller)  # it may have ended meanwhile
    return polled


@blueprint.route("/<uuid:turn_id>/events/", methods=["GET"])
@authentication.required("chat")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503, parameters=[sse.LAST_EVENT_ID, sse.REASONING])
@blueprint.alt_response(204, success=True)
@blueprint.response(200, events.TURN_EVENTS, content_type=sse.MEDIA_TYPE)
def follow_turn(turn_id: UUID) -> Response:
    """Read a turn's events from `Last-Event-ID` on, while it runs, when it has ended, or after a restart."""
    last = sse.read_last_event()
    sse.wants_reasoning()  # an invalid parameter is refused before the turn is looked for
    if last.is_end:
        return sse.nothing_to_come()
    admission.enter_stream(authentication.current().user_id)
    turn = following.get_turn(authentication.current(), turn_id)
    g.instance = url_for("chat.get_turn", turn_id=turn_id)
    reader = _reader(turn_id)
    return sse.response(
        chain([sse.format_opening(turn)] if last.offset is None else [], reader.frames(last.offset or 0))
    )


@blueprint.route("/<uuid:turn_id>/trace/", methods=["GET"])
@authentication.required("chat")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, TraceSchema)
def get_trace(turn_id: UUID) -> Trace:
    """Show why a turn was answered as it was."""
    return grounding.get_trace(authentication.current(), turn_id)


@blueprint.route("/<uuid:turn_id>/cancel/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 409, 503)
@blueprint.without_fields
@blueprint.response(202)
def cancel_turn(turn_id: UUID) -> Response:
    """End a running turn; its text so far stays."""
    execution.cancel(authentication.current(), turn_id)
    return Response(status=202)


@blueprint.route("/<uuid:turn_id>/regenerate/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=PARAMETERS)
@blueprint.arguments(AgainSchema, required=False)
@sse.document(TurnSchema, events.TURN_EVENTS)
@blueprint.response(200, TurnSchema)
@blueprint.alt_response(202, schema=TurnSchema, success=True)
def regenerate_turn(again: dict[str, Any], turn_id: UUID) -> Answer:
    """Answer the conversation's last message anew; the turn before stays as a sibling."""
    caller = authentication.current()
    rate_limits.tell_budgets(caller)
    key = idempotency.read_key(again)
    stream = _enter_stream(again.get("stream", False))
    repeated = _find_repeated_sibling(turn_id) if stream and key is None else None
    result = repeated or execution.open_and_start(caller, lambda: turns.regenerate(caller, turn_id, key=key), key)
    return _answer(result, stream=stream)


@blueprint.route("/<uuid:turn_id>/feedback/", methods=["PUT"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 413, 415, 503)
@blueprint.arguments(FeedbackSchema)
@blueprint.response(204)
def give_feedback(opinion: dict[str, Any], turn_id: UUID) -> None:
    """Rate an answer; a second rating replaces the first."""
    feedback.give(authentication.current(), turn_id, opinion["rating"], opinion.get("comment"))


def _answer(result: OpenResult, *, stream: bool) -> Answer:
    """Answer as the client wants: at once, by events, or with the whole turn."""
    turn_id = result.turn_id
    turn = following.get_result_turn(authentication.current(), result)
    g.instance = url_for("chat.get_turn", turn_id=turn_id)
    if _responds_async():
        return turn, 202, {"Location": g.instance, "Preference-Applied": "respond-async"}
    if not stream:
        return _whole(following.wait(authentication.current(), turn_id))
    last = sse.read_last_event()
    if result.opened is None and last.offset is not None:
        return sse.nothing_to_come() if last.is_end else _resume(turn_id, last.offset)
    first = sse.format_opening(turn)
    reader = _reader(turn_id)
    first_text = following.wait_for_first_text(turn_id, sse.FIRST_TEXT_SECONDS)
    if first_text.ended or not turn.bot_response:
        _whole(first_text.ended or turn)
    # One packet with the first text, where that is there; before it, the client learns the turn's id without it.
    frames = reader.frames(0, first) if first_text.has_begun else chain([first], reader.frames(0))
    return sse.response(frames)


def _repeated(message: dict[str, Any]) -> OpenResult | None:
    """Return the turn that a repeated request without a key resumes: `Last-Event-ID` says that it is one."""
    if sse.read_last_event().offset is None:
        return None
    conversation_id = message.get("conversation_id")
    turn_id = history.find_recent_turn(authentication.current(), message["message"], conversation_id)
    return None if turn_id is None else OpenResult(turn_id)


def _find_repeated_sibling(turn_id: UUID) -> OpenResult | None:
    """Return the sibling that a repeated request without a key resumes, as `_repeated` does for a message."""
    if sse.read_last_event().offset is None:
        return None
    sibling_id = history.find_recent_sibling(authentication.current(), turn_id)
    return None if sibling_id is None else OpenResult(sibling_id)


def _resume(turn_id: UUID, offset: int) -> Response:
    """Go on with a turn that the same request has opened before, as clients expect that repeat a POST."""
    return sse.response(_reader(turn_id).frames(offset))


def _reader(turn_id: UUID) -> sse.Reader:
    return sse.Reader(authentication.current(), turn_id, with_reasoning=sse.wants_reasoning())


def _responds_async() -> bool:
    """Return whether the client wants the turn at once (RFC 7240)."""
    return "respond-async" in request.headers.get("Prefer", "")


def _enter_stream(stream: bool) -> bool:
    """Return whether the answer is an event stream, and count it as one; raises TooManyStreams."""
    accepted = request.accept_mimetypes.best_match(["application/json", sse.MEDIA_TYPE])
    stream = not _responds_async() and (stream or accepted == sse.MEDIA_TYPE)
    sse.read_last_event()  # an invalid one opens no turn, nor does another parameter of a stream
    sse.wants_reasoning()
    if stream:
        admission.enter_stream(authentication.current().user_id)
    return stream


def _whole(turn: Turn) -> Turn:
    """Return a turn that has its answer; raises TurnFailed for one that ended without."""
    if turn.status in sse.FAILED:
        raise TurnFailed(turn.error or "LeaseLost", retry_after=turn.retry_after)
    return turn
