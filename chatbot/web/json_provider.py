"""Flask's JSON by orjson, and no cookie sessions."""

from typing import Any

import orjson
from flask import Flask, Request
from flask.json.provider import JSONProvider
from flask.sessions import SessionInterface


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: schemas dump JSON's own types."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return JSON text."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Parse JSON text."""
        return orjson.loads(s)


class NoSessions(SessionInterface):
    """A replacement for Flask's cookie sessions, which reads and writes none."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Open none."""
