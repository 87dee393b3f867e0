"""Calls of tools that come in pieces (OpenAI API reference, "Streaming", `tool_calls`)."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from chatbot.rag.errors import UpstreamGarbled

MAX_CALLS = 128
MAX_NAME_LENGTH = 200  # of a name or an id
MAX_ARGUMENTS = 1_000_000  # characters of all calls


@dataclass(slots=True)
class _Call:
    """A call that is coming."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ToolCalls:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._size = 0

    def take(self, deltas: list[Any]) -> None:
        """Add the pieces of a chunk; raises UpstreamGarbled for more than a model has a reason to send."""
        for delta in deltas:
            function = delta.get("function") or {}
            name = _text(function.get("name"))
            arguments = function.get("arguments")
            piece = _text(orjson.dumps(arguments).decode() if isinstance(arguments, dict) else arguments)
            call = self._find(delta.get("index"), _text(delta.get("id")), has_name=bool(name))
            call.name += name
            call.arguments.append(piece)
            self._size += len(piece) + 1
            if len(self._calls) > MAX_CALLS or self._size > MAX_ARGUMENTS or len(call.name) > MAX_NAME_LENGTH:
                raise UpstreamGarbled("The model's server sent too many calls of tools.")

    def _find(self, index: Any, identity: str, *, has_name: bool) -> _Call:
        """Return the call that a piece belongs to.

        Some servers give each of several whole calls the index 0, and others none: then the id tells them apart, and
        without an id the name, with which a call begins.
        """
        if isinstance(index, int):
            call = self._by_index.get(index)
            is_new = call is None or (identity and call.id and identity != call.id)
        else:
            call = self._calls[-1] if self._calls else None
            is_new = call is None or (identity != call.id if identity else has_name)
        if call is None or is_new:
            call = _Call()
            self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        call.id = call.id or identity[:MAX_NAME_LENGTH]
        return call

    def whole(self) -> list[dict[str, Any]]:
        """Return the calls with their names and arguments, in their order."""
        return [
            {
                "id": call.id or f"call_{number}",
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for number, call in enumerate(self._calls)
        ]


def storable(value: Any) -> Any:
    """Return a JSON value with texts that databases store: without NUL and halves of characters."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    return [storable(one) for one in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UpstreamGarbled("The model's server sent a call of a tool that is none.")
    return str(storable(value))
