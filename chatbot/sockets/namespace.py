"""Namespaces of Socket.IO: connections are authenticated, and each event is acknowledged.

The acknowledgement is the handler's result or a problem document.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

import gevent
from flask import g, request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import SocketIO
from marshmallow import Schema
from sqlalchemy.exc import IntegrityError

from chatbot.errors import Busy, InvalidInput, Unauthenticated
from chatbot.observability import security_log
from chatbot.schemas.socket_events import NAMESPACES, SocketNamespace
from chatbot.services.accounts import authentication
from chatbot.web import admission, rate_limits
from chatbot.web.rate_limits import by_user

from . import problems
from .connections import Connection, get_registry
from .transport import WEBSOCKET, BoundedWebSocket

RATE_LIMIT_DELAY_SECONDS = 0.1  # of the answer to a client beyond its limits: else ten sockets kept the process busy

Handler = Callable[[Connection, dict[str, Any]], Any]
Handlers = Mapping[str, Handler]  # by the names of clients' events


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with the handlers of its clients' events, which are read by their schemas."""

    name: str
    handlers: Handlers

    def register(self, socketio: SocketIO, start: Callable[[], None]) -> None:
        """Give the server the events of the namespace; `start` runs behind each connection."""

        def connect(auth: Any = None) -> None:
            if get_registry().get(_get_sid()) is not None:  # an event of a client with this name
                return
            self._connect(auth)
            start()

        socketio.on_event("connect", connect, self.name)
        socketio.on_event("disconnect", _disconnect, self.name)
        for name, handler in {**self.handlers, "token": self._renew}.items():
            schema = self._contract.client_events[name].data()
            socketio.on_event(name, _acknowledge(name, schema, handler), self.name)
        socketio.on_event("*", _refuse_unknown, self.name)

    @property
    def _contract(self) -> SocketNamespace:
        return NAMESPACES[self.name]

    def _connect(self, auth: Any) -> None:
        """Let a caller in; raises ConnectionRefusedError with a problem document."""
        try:
            token = auth.get("token") if isinstance(auth, dict) else None
            if not isinstance(token, str):
                raise Unauthenticated("Send `auth: {token: <access token or API key>}`.")
            caller = authentication.authenticate(token)
            authentication.require_scope(caller, self._contract.scope)
            websocket: BoundedWebSocket = request.environ[WEBSOCKET]
            if websocket.is_ending:  # with its last event: another caller would keep it open
                raise Busy("The connection is being closed; connect again.")
            expires_at = authentication.find_expiry(token)
            get_registry().add(Connection(_get_sid(), self.name, caller, expires_at, websocket))
            websocket.keep_open()
        except Exception as error:  # engine.io would drop it, and the client waits for an answer
            document = problems.describe(error, "connect")
            security_log.record("socket", "refused", code=document["code"])
            raise Refused(document["code"], document) from error

    def _renew(self, connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
        """Take another token of the same user, before the first one expires."""
        caller = authentication.authenticate(values["token"])
        authentication.require_scope(caller, self._contract.scope)
        if caller.user_id != connection.caller.user_id:
            raise Unauthenticated("The token is another user's.")
        connection.caller = caller
        connection.expires_at = authentication.find_expiry(values["token"])
        return {}


def _disconnect(*_: Any) -> None:
    """Forget a connection that left its namespace; its WebSocket ends with the last one."""
    get_registry().remove(_get_sid())
    websocket: BoundedWebSocket | None = request.environ.get(WEBSOCKET)
    if websocket is not None and not get_registry().list_by_websocket(websocket):
        websocket.end_after(0)


def _acknowledge(name: str, schema: Schema, handler: Handler) -> Callable[..., Any]:
    """Return the function that answers an event with a handler's result, or with a problem document."""

    @wraps(handler)
    def answer(data: Any = None, *_: Any) -> Any:
        connection = get_registry().get(_get_sid())
        if connection is None:
            return problems.describe(Busy("The connection is being closed; connect again."), name)
        g.caller = connection.caller
        try:
            admission.enter_request(connection.caller.user_id)
            _count_event()
            return _handle(handler, connection, problems.load(schema, data))
        except Exception as error:  # noqa: BLE001 - each event has its answer, as each request has
            document = problems.describe(error, name)
            if document["status"] == HTTPStatus.TOO_MANY_REQUESTS:
                gevent.sleep(RATE_LIMIT_DELAY_SECONDS)
            return document

    return answer


def _handle(handler: Handler, connection: Connection, values: dict[str, Any]) -> Any:
    try:
        return handler(connection, values)
    except IntegrityError:
        authentication.require_account(connection.caller)
        raise


def _refuse_unknown(event: str, *_: Any) -> dict[str, Any]:
    return problems.describe(InvalidInput({"event": [f"{event[:50]} is not known."]}), "unknown")


@rate_limits.limit(RATE_WRITE_USER=by_user)
def count_write() -> None:
    """Count a write, together with those of the routes; raises HTTPException beyond the limit."""


@rate_limits.limit(RATE_READ_USER=by_user)
def _count_event() -> None:
    """Count an event, together with the user's readings by the routes."""


def _get_sid() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]  # Flask-SocketIO's
    return sid
