"""Calls of tools that come in pieces (OpenAI API reference, "Streaming", `tool_calls`)."""

from typing import Any

from chatbot.rag.errors import UpstreamGarbled

MAX_CALLS = 128
MAX_ARGUMENTS = 1_000_000  # characters of all calls


class ToolCalls:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._size = 0

    def take(self, deltas: list[Any]) -> None:
        """Add the pieces of a chunk; raises UpstreamGarbled for more than a model has a reason to send.

        A server that leaves out the index sends each call whole.
        """
        for delta in deltas:
            index = delta.get("index")
            if not isinstance(index, int):
                index = len(self._calls)
            call = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": ""}})
            function = delta.get("function") or {}
            call["id"] = _text(delta.get("id")) or call["id"]
            call["function"]["name"] += _text(function.get("name"))
            arguments = _text(function.get("arguments"))
            self._pieces.setdefault(index, []).append(arguments)
            self._size += len(arguments) + 1
            if len(self._calls) > MAX_CALLS or self._size > MAX_ARGUMENTS:
                raise UpstreamGarbled("The model's server sent too many calls of tools.")

    def whole(self) -> list[dict[str, Any]]:
        """Return the calls with their names and arguments, in their order."""
        for index, call in self._calls.items():
            call["function"]["arguments"] = "".join(self._pieces[index])
            call["id"] = call["id"] or f"call_{index}"
        return [call for _, call in sorted(self._calls.items())]


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
