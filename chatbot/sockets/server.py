"""The Socket.IO server of an application."""

import logging
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Flask
from flask_socketio import SocketIO

from chatbot.observability import metrics

from .packets import BoundedQueue
from .transport import MAX_MESSAGE_BYTES, BoundedWebSocket
from .whole_socket import PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS


class JSON:
    """The JSON of packets: with UUIDs, and fast."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Return a value as JSON."""
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        """Return the value of JSON; raises ValueError."""
        return orjson.loads(text)


class CountedSocketIO(SocketIO):  # type: ignore[misc]  # Flask-SocketIO has no types
    """A server that counts the events which it sends to sockets."""

    def emit(self, event: str, *data: Any, **options: Any) -> None:
        """Send an event to one connection or to a list of them."""
        to = options.get("to")
        metrics.SOCKET_EVENTS.labels(options["namespace"], event).inc(len(to) if isinstance(to, list) else 1)
        super().emit(event, *data, **options)


def create(app: Flask) -> SocketIO:
    """Make the server, with WebSocket as its only transport: no sticky sessions are needed then."""
    patterns = app.config["CORS_ORIGINS"]
    socketio = CountedSocketIO(
        app,
        async_mode="gevent",
        transports=["websocket"],
        cors_allowed_origins=lambda origin, environ: is_allowed(origin, environ, patterns),
        cors_credentials=False,
        manage_session=False,
        async_handlers=False,  # a client's events run one after the other, and it waits for them
        monitor_clients=False,  # each socket has a deadline of its own
        logger=_make_quiet("chatbot.socketio"),
        engineio_logger=_make_quiet("chatbot.engineio"),
        json=JSON,
        max_http_buffer_size=MAX_MESSAGE_BYTES,
        ping_interval=PING_INTERVAL_SECONDS,
        ping_timeout=PING_TIMEOUT_SECONDS,
    )
    engine = socketio.server.eio
    engine.create_queue = BoundedQueue
    engine._async = {**engine._async, "websocket": BoundedWebSocket}  # which no option of its constructor sets
    return socketio


def _make_quiet(name: str) -> logging.Logger:
    """Return a muted logger: engine.io logs a traceback for each malformed frame of a client."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.CRITICAL)
    logger.addHandler(logging.NullHandler())
    return logger


def is_allowed(origin: str | None, environ: dict[str, Any], patterns: list[Any]) -> bool:
    """Return whether a page of an origin may connect: browsers apply no CORS to WebSockets."""
    if origin is None or "*" in patterns:
        return True
    is_own = urlsplit(origin).netloc.lower() == environ.get("HTTP_HOST", "").lower()
    return is_own or any(pattern.match(origin) for pattern in patterns)
