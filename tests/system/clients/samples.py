"""The samples that all clients are tried with, and the server that answers them.

The scripts `with_*.py` beside this follow each client's own documentation; `run.py` runs them. A script's `ask` returns
the answers by step, in the words of `STEPS`.
"""

import os
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

ADDRESS = os.environ.get("OPENAI_BASE_URL", "")
KEY = os.environ.get("OPENAI_API_KEY", "")
EMBEDDER = "text-embedding-3-small"
# Clients choose parameters and roles by the model's name: one that they know, with reasoning, and one that they do not.
MODELS = ("gpt-5-mini", "llama3.2")
HELLO: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
AGAIN = {"role": "user", "content": "again"}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Return the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ANSWER = "You said: hello"
NEXT_ANSWER = "You said: again"
TOOL_ANSWER = "The tool said: sunny in Paris"
CHAT = {"chat": ANSWER, "stream": ANSWER, "second turn": NEXT_ANSWER}
STEPS: dict[str, Any] = {
    **CHAT,
    "tools": TOOL_ANSWER,
    "streamed tools": TOOL_ANSWER,
    "turn after tools": NEXT_ANSWER,
    "structured": {"city": "Paris"},
    "streamed structured": {"city": "Paris"},
}


class City(BaseModel):
    """A form for answers."""

    city: str


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def only(values: Iterable[Any]) -> Any:
    """Return the value that all answers have."""
    first, *others = values
    assert all(other == first for other in others), [first, *others]
    return first
