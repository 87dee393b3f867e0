"""Flask's JSON by orjson, and no cookie sessions."""

from typing import Any

import orjson
from flask import Flask, Request
from flask.json.provider import JSONProvider
from flask.sessions import SessionInterface


class OrjsonProvider(JSONProvider):
    """Flask's JSON, by orjson: what schemas dump has no other types than JSON has."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return JSON text."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Return what JSON text says."""
        return orjson.loads(s)


class NoSessions(SessionInterface):
    """Flask's cookie sessions, which nobody here uses: none is read and none is written."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Open none."""
