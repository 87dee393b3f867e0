"""Requests for WebSockets: those that are handshakes come in, others are refused."""

import importlib.util
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from chatbot.errors import Busy, CannotServe
from chatbot.schemas import problem
from chatbot.web import problems

from .transport import SERVED, BoundedWebSocket

PATH = "/socket.io/"
KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
REFUSAL_HEADERS = [
    ("Content-Type", problems.MEDIA_TYPE),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
]
BUSY = problem.PROBLEMS[Busy]


def refuse_other_websockets() -> None:
    """Raise CannotServe where engine.io would take another library, which knows nothing of this server."""
    if importlib.util.find_spec("geventwebsocket") is not None:
        raise CannotServe(
            "gevent-websocket is installed, which takes WebSockets over: `pip uninstall gevent-websocket`."
        )


class WebSocketsOnly:
    """WSGI middleware around Socket.IO that refuses all but WebSocket handshakes (RFC 6455, 4.2.1)."""

    def __init__(self, application: Callable[..., Iterable[bytes]], is_draining: Callable[[], bool]) -> None:
        self._application = application
        self._is_draining = is_draining

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a WebSocket to its end, or refuse another request; all else is the application's."""
        if not environ["PATH_INFO"].startswith(PATH):
            return self._application(environ, start_response)
        if not is_handshake(environ):
            return _refuse(start_response, "400 Bad Request", problem.BY_STATUS[400], "This address is for WebSockets.")
        if self._is_draining():  # the process would wait for the socket's end
            return _refuse(start_response, "503 Service Unavailable", BUSY, "The server is stopping; connect again.")
        served = environ[SERVED] = list[BoundedWebSocket]()
        body = self._application(environ, start_response)
        if served:
            raise StopIteration  # gunicorn's word for a connection that is not its own any more
        return body


def _refuse(start_response: Any, status: str, facts: problem.Problem, detail: str) -> Iterable[bytes]:
    data = orjson.dumps(problems.body(facts, detail, PATH, ""))
    retry = [("Retry-After", "1")] if facts.retryable else []
    start_response(status, [*REFUSAL_HEADERS, *retry, ("Content-Length", str(len(data)))])
    return [data]


def is_handshake(environ: dict[str, Any]) -> bool:
    """Return whether a request opens a WebSocket."""
    connection = [part.strip().lower() for part in environ.get("HTTP_CONNECTION", "").split(",")]
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and "upgrade" in connection
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and KEY.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")) is not None
    )
