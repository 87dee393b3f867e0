"""The Flask application class, and the targets that are no route's: no host, the server as a whole."""

import string
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest

# Of a host and its port: names, addresses and what a URI's authority may have beside them (RFC 3986, 3.2.2).
HOST_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-._~!$&'()*+,;=%:[]")


class Application(Flask):
    """Flask without asynchronous views: the check for them takes 2 us for each of 16 functions in a request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func


def init_app(app: Flask) -> None:
    """Look at the target of each request of an application."""
    app.before_request(_check_target)


def _check_target() -> Response | None:
    """Refuse HTTP/1.1 without a host (RFC 9112, 3.2); answer OPTIONS for the server as a whole (RFC 9110, 9.3.7)."""
    host = request.environ.get("HTTP_HOST")
    needs_host = request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
    if (host is None and needs_host) or not HOST_CHARACTERS.issuperset(host or ""):
        raise BadRequest
    if request.method == "OPTIONS" and request.environ["PATH_INFO"] == "*":
        return Response(status=204)
    return None
