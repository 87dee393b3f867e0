"""Headers that are lists: werkzeug and Flask-Cors take long for long ones."""

from collections.abc import Callable, Iterable
from typing import Any

MAX_CHARACTERS = 1_000
LISTS = ("HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "HTTP_ACCEPT_ENCODING", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class WithoutLongLists:
    """WSGI middleware that leaves out headers with lists of over MAX_CHARACTERS, as if they had not been sent."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the application without overlong list headers."""
        for name in LISTS:
            if len(environ.get(name, "")) > MAX_CHARACTERS:
                del environ[name]
        return self._application(environ, start_response)
