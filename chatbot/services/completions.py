"""Prompts that a caller brings along whole, and the models that may be asked."""

from typing import Any

from ..errors import ModelNotFound
from ..rag.types import Message, Role
from . import wiring
from .runner import Brief

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
PARAMETERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")


def models() -> list[str]:
    """Return the names of the models that may be asked, the first one first; raises ModelUnavailable."""
    return wiring.model_names()


def require_model(name: str) -> str:
    """Return the name of a model that may be asked; raises ModelNotFound, ModelUnavailable."""
    if name not in models():
        raise ModelNotFound(f"The model {name!r} does not exist here; GET /v1/models lists those that do.")
    return name


def brief(wanted: dict[str, Any]) -> tuple[str, Brief]:
    """Read a validated request; returns what the user said last, and what is to be asked.

    Raises ModelNotFound, ModelUnavailable.
    """
    model = require_model(wanted["model"])
    messages = [Message(ROLES[one["role"]], one["content"]) for one in wanted["messages"]]
    parameters = {name: wanted[name] for name in PARAMETERS if wanted.get(name) is not None}
    most = wanted.get("max_completion_tokens") or wanted.get("max_tokens")
    if most:
        parameters["max_tokens"] = most
    question = next(one.content for one in reversed(messages) if one.role == "user" and one.content.strip())
    return question, Brief(messages, parameters, model)
