"""Routes for the AI SDK's `useChat`: chats by the client's own id, answers as UI message streams."""

from typing import Any

from flask import Response, g, url_for

from chatbot.errors import InvalidInput, NotFound, TurnFailed
from chatbot.schemas.ui_stream import UI_MESSAGE_STREAM, UIChatSchema
from chatbot.services.chat import execution, following
from chatbot.services.chat.protocols import ui_chats
from chatbot.services.chat.records import OpenResult, Turn, TurnOptions
from chatbot.web import admission, authentication, idempotency, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

from .ui_frames import HEADERS, UIFrames

blueprint = Blueprint("ui_stream", __name__, url_prefix="/api/ui/chat", description="The AI SDK's useChat")

BROKEN_OFF = "interrupted"  # by a crash or a restart: its readers may have lost their connections before they knew


@blueprint.route("/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(400, 404, 409, 413, 415, 422, 502, 503, 504, parameters=[idempotency.DOCUMENT, sse.REASONING])
@blueprint.arguments(UIChatSchema)
@blueprint.response(200, UI_MESSAGE_STREAM, content_type=sse.MEDIA_TYPE)
def send_ui_message(body: dict[str, Any]) -> Response:
    """Send the last message of a chat and read its answer as a UI message stream.

    The server owns the history: no other message is read. The message is stored before the model is called, and the
    turn runs on when the client leaves.
    """
    caller = authentication.current()
    trigger = body.pop("trigger")
    message_id = body.pop("message_id")
    if trigger == "submit-message" and message_id is not None:
        raise InvalidInput({"messageId": ["A message that was sent cannot be changed; send another one."]})
    key = idempotency.read_key({**body, "message_id": message_id, "trigger": trigger})
    options = TurnOptions.take(body)
    sse.wants_reasoning()  # an invalid parameter opens no turn
    admission.enter_stream(caller.user_id)

    def open_turn() -> OpenResult:
        if trigger == "submit-message":
            return ui_chats.send(caller, **body, options=options, key=key)
        return ui_chats.regenerate(caller, **body, message_id=message_id, options=options, key=key)

    result = execution.open_and_start(caller, open_turn, key)
    turn = following.get_result_turn(caller, result)
    response = _stream(turn)
    first_text = following.wait_for_first_text(turn.id, sse.FIRST_TEXT_SECONDS)
    _refuse_failed(first_text.ended or turn)
    return response


@blueprint.route("/<path:chat_id>/stream/", methods=["GET"])
@authentication.required("chat")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503, parameters=[sse.REASONING])
@blueprint.alt_response(204, success=True)
@blueprint.response(200, UI_MESSAGE_STREAM, content_type=sse.MEDIA_TYPE)
def resume_ui_stream(chat_id: str) -> Response:
    """Read the running turn of a chat from its beginning on; 204 if none runs.

    A last turn that broke off with a crash is shown too, as the text that is stored and the problem.
    """
    caller = authentication.current()
    sse.wants_reasoning()
    last = ui_chats.find_last_turn(caller, chat_id)
    if last is None or not (last.is_running or last.status == BROKEN_OFF):
        return sse.nothing_to_come()
    admission.enter_stream(caller.user_id)
    return _stream(following.get_turn(caller, last.id))


@blueprint.route("/<path:chat_id>/stop/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 409, 503)
@blueprint.without_fields
@blueprint.response(202)
def stop_ui_chat(chat_id: str) -> Response:
    """End the running turn of a chat; its text so far stays."""
    caller = authentication.current()
    last = ui_chats.find_last_turn(caller, chat_id)
    if last is None:
        raise NotFound("There is no such chat.")
    execution.cancel(caller, last.id)
    return Response(status=202)


def _stream(turn: Turn) -> Response:
    """Return a turn's stream; must be called before the turn may end, so that its reader finds the running text."""
    g.instance = url_for("chat.get_turn", turn_id=turn.id)
    reader = sse.Reader(authentication.current(), turn.id, with_reasoning=sse.wants_reasoning())
    response = sse.response(UIFrames(reader, turn).frames())
    response.headers.update(HEADERS)
    return response


def _refuse_failed(turn: Turn) -> None:
    """Raise TurnFailed for a turn that ended without any text: nothing was sent yet."""
    if turn.status in sse.FAILED and not turn.bot_response:
        raise TurnFailed(turn.error or "LeaseLost", retry_after=turn.retry_after)
