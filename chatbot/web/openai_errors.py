"""Errors on `/v1`, in the shape that OpenAI's clients expect."""

from copy import deepcopy
from typing import Any

from chatbot.schemas.completions import OpenAIErrorSchema
from chatbot.schemas.problem import Problem

PREFIX = "/v1/"
RATE_LIMIT_EXCEEDED = Problem("rate_limit_exceeded", 429, "The model's server takes no more requests now.", True)
RETRY = "x-should-retry"  # OpenAI's clients follow it; without it they try again after every 409 and 5xx


def document(view: Any) -> Any:
    """Give a view's errors OpenAI's shape; goes above the decorators that document errors."""
    doc = deepcopy(view._apidoc)
    for status, response in doc["manual_doc"]["responses"].items():
        if int(status) >= 400:
            response["content"] = {"application/json": {"schema": OpenAIErrorSchema}}
    view._apidoc = doc
    return view


def own(facts: Problem) -> Problem:
    """Return a problem by the code that OpenAI has for it, since clients act on that."""
    return RATE_LIMIT_EXCEEDED if facts.code == "upstream_busy" else facts


def body(facts: Problem, detail: str, param: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    facts = own(facts)
    kind = "server_error" if facts.status >= 500 else "invalid_request_error"
    kind = "rate_limit_error" if facts.status == 429 else kind
    return {"error": {"message": detail or facts.title, "type": kind, "param": param, "code": facts.code}}
