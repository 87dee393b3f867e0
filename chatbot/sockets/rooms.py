"""The namespace `/rooms`: a client joins rooms, hears of their changes and writes into them.

Each event is acknowledged with what was stored, or with a problem document.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import SocketIO, disconnect
from marshmallow import Schema
from werkzeug.routing import Rule

from chatbot.errors import ChatbotError, InvalidInput, Unauthenticated
from chatbot.observability import security_log
from chatbot.schemas.rooms import RoomChangesSchema, RoomMessageSchema, RoomSchema
from chatbot.schemas.sockets import JoinRoomSchema, RoomIdSchema, SocketMessageSchema, SocketReadSchema, TokenSchema
from chatbot.services.accounts import authentication
from chatbot.services.rooms import changes, messages, rooms
from chatbot.web import admission, rate_limits
from chatbot.web.rate_limits import by_user, by_user_and_room

from . import problems
from .connections import Connection, Registry, get_registry
from .delivery import NAMESPACE, Deliveries
from .transport import WEBSOCKET, BoundedWebSocket

SCOPE = "rooms"
MAX_CHANGES = 500  # in the answer to `join`
RULE = Rule("/socket.io/", endpoint="sockets.rooms")  # of no route: without one, Flask-Limiter counts nothing

_rooms = RoomSchema()
_messages = RoomMessageSchema()
_changes = RoomChangesSchema()
Handler = Callable[[Connection, dict[str, Any]], Any]


def register(socketio: SocketIO, registry: Registry) -> Deliveries:
    """Give the server the events of the namespace; returns the loop that delivers to its sockets."""
    deliveries = Deliveries(socketio, registry)

    def connect(auth: Any = None) -> None:
        if registry.get(_get_sid()) is not None:  # an event of a client with this name
            return
        _connect(auth)
        deliveries.start()

    socketio.on_event("connect", connect, NAMESPACE)
    socketio.on_event("disconnect", _disconnect, NAMESPACE)
    events: dict[str, tuple[Schema, Handler]] = {
        "join": (JoinRoomSchema(), _join),
        "leave": (RoomIdSchema(), _leave),
        "message": (SocketMessageSchema(), _post),
        "read": (SocketReadSchema(), _mark_read),
        "token": (TokenSchema(), _renew),
    }
    for name, (schema, handler) in events.items():
        socketio.on_event(name, _acknowledge(name, schema, handler), NAMESPACE)
    socketio.on_event("*", _refuse_unknown, NAMESPACE)
    return deliveries


def _connect(auth: Any) -> None:
    """Let a caller in; raises ConnectionRefusedError with a problem document."""
    try:
        token = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(token, str):
            raise Unauthenticated("Send `auth: {token: <access token or API key>}`.")
        caller = authentication.authenticate(token)
        authentication.require_scope(caller, SCOPE)
        websocket: BoundedWebSocket = request.environ[WEBSOCKET]
        get_registry().add(Connection(_get_sid(), caller, authentication.find_expiry(token), websocket))
        websocket.keep_open()
    except ChatbotError as error:
        document = problems.describe(error, "connect")
        security_log.record("socket", "refused", code=document["code"])
        raise Refused(document["code"], document) from error


def _disconnect(*_: Any) -> None:
    """Forget a socket that left the namespace; it has no other, and ends with it."""
    get_registry().remove(_get_sid())
    websocket: BoundedWebSocket | None = request.environ.get(WEBSOCKET)
    if websocket is not None:
        websocket.end_after(0)


def _acknowledge(name: str, schema: Schema, handler: Handler) -> Callable[..., Any]:
    """Return the function that answers an event with a handler's result, or with a problem document."""

    @wraps(handler)
    def answer(data: Any = None, *_: Any) -> Any:
        connection = get_registry().get(_get_sid())
        if connection is None:  # it is being closed
            disconnect()
            return None
        g.caller = connection.caller
        request.url_rule = RULE
        try:
            admission.enter_request(connection.caller.user_id)
            _count_event()
            return handler(connection, problems.load(schema, data))
        except Exception as error:  # noqa: BLE001 - each event has its answer, as each request has
            return problems.describe(error, name)

    return answer


def _refuse_unknown(event: str, *_: Any) -> dict[str, Any]:
    return problems.describe(InvalidInput({"event": [f"{event[:50]} is not known."]}), "unknown")


def _join(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    room_id = values["room_id"]
    admission.enter_page(connection.caller.user_id)
    room = rooms.get(connection.caller, room_id)
    since_rev = values.get("since_rev", room.rev)
    page = changes.read_changes(connection.caller, room_id, since_rev=since_rev, limit=MAX_CHANGES)
    # Behind the page even where it is not complete: the client reads the rest itself.
    connection.rooms[room_id] = page.rev if not page.more else room.rev
    found = _changes.dump(page)
    return {
        "room": _rooms.dump(room),
        "changes": found["items"],
        "rev": page.rev,
        "complete": not page.more,
    }


def _leave(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    connection.rooms.pop(values["room_id"], None)
    return {}


def _post(connection: Connection, values: dict[str, Any]) -> Any:
    request.view_args = {"room_id": values["room_id"]}  # by which the limit counts, as of the route
    _count_message()
    return _messages.dump(messages.post(connection.caller, **values).message)


@rate_limits.limit(RATE_READ_USER=by_user)
def _count_event() -> None:
    """Count an event, together with the user's readings by the routes."""


@rate_limits.limit(RATE_WRITE_USER=by_user, RATE_ROOM_MESSAGE_USER=by_user_and_room)
def _count_message() -> None:
    """Count a message, together with those of the route."""


def _mark_read(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    messages.mark_read(connection.caller, values["room_id"], values["seq"])
    return {}


def _renew(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    """Take another token of the same user, before the first one expires."""
    caller = authentication.authenticate(values["token"])
    authentication.require_scope(caller, SCOPE)
    if caller.user_id != connection.caller.user_id:
        raise Unauthenticated("The token is another user's.")
    connection.caller = caller
    connection.expires_at = authentication.find_expiry(values["token"])
    return {}


def _get_sid() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]  # Flask-SocketIO's
    return sid
