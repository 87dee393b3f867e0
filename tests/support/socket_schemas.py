"""The schemas of socket events as the AsyncAPI document has them, closed: a field that it does not name is an error."""

import threading
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.processes import Server

EVENT = "event"
REPLY = "reply"


class SocketSchemas:
    """The messages of a document by channel."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._channels = {one["address"]: one["messages"] for one in document["channels"].values()}
        schemas = {name: _close(schema) for name, schema in document["components"]["schemas"].items()}
        self._components = {"components": {"schemas": schemas}}

    def list_events(self, namespace: str) -> set[str]:
        """Return the events that clients may send."""
        return {name.removesuffix(f".{REPLY}") for name in self._channels[namespace] if name.endswith(f".{REPLY}")}

    def find_faults(self, namespace: str, name: str, kind: str, data: Any) -> list[str]:
        """Return the differences between data and the message's schema; of a reply also a problem document will do."""
        messages = self._channels[namespace]
        is_problem = kind == REPLY and isinstance(data, dict) and {"code", "retryable"} <= data.keys()
        message = messages.get("problem" if is_problem else f"{name}.{kind}")
        if message is None:
            return [f"{namespace} {name}.{kind} is not in the document"]
        validator = Draft202012Validator({**message["payload"], **self._components})
        return [f"{namespace} {name}.{kind}: {error.message}" for error in validator.iter_errors(data)]


_lock = threading.Lock()
_known: list[SocketSchemas] = []


def get_schemas(server: Server) -> SocketSchemas:
    """Return the schemas of the servers of these tests, which all have one document."""
    with _lock:
        if not _known:
            _known.append(SocketSchemas(server.call("GET", "/api/asyncapi.json")[2]))
        return _known[0]


def _close(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "additionalProperties": False} if "properties" in schema else schema
