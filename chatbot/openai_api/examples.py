"""Bodies for the API document that work as they are: with a model of this installation."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from marshmallow import Schema

from chatbot.rag.errors import AdapterError
from chatbot.schemas.fields import build_example
from chatbot.services.chat.protocols import openai


def with_model(schema: type[Schema], kind: str) -> Callable[[], dict[str, Any]]:
    """Return a function that returns the example of a schema with the first model of a kind."""

    def make() -> dict[str, Any]:
        example = build_example(schema())
        with suppress(AdapterError):  # there is none, and any name is as good
            example["model"] = next(one.id for one in openai.list_own_models() if one.kind == kind)
        return example

    return make
