"""Errors as problem documents, in the acknowledgements of events."""

from typing import Any
from uuid import uuid4

import structlog
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException

from chatbot.errors import ChatbotError, InvalidInput
from chatbot.schemas import problem
from chatbot.schemas.problem import Problem
from chatbot.web import problems
from chatbot.web.json_body import check_texts, flatten, without_frames

log = structlog.get_logger(__name__)


def load(schema: Schema, data: Any) -> dict[str, Any]:
    """Return the values of an event; raises InvalidInput, MalformedBody."""
    check_texts(data)
    if not isinstance(data, dict):
        raise InvalidInput({"event": ["Must be an object."]})
    try:
        values: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise InvalidInput(flatten(dict(error.messages_dict))) from without_frames(error)
    return values


def describe(error: Exception, event: str) -> dict[str, Any]:
    """Return the problem document of an error that an event has met."""
    facts = _find(error)
    request_id = uuid4().hex
    if facts.status == 500:
        log.error("unforeseen error", event_name=event, request_id=request_id, exc_info=error)
    detail = error.detail if isinstance(error, ChatbotError) else ""
    document = problems.body(facts, detail, f"/socket.io/#{event}", request_id)
    if isinstance(error, InvalidInput):
        document["errors"] = error.errors
    return document


def _find(error: Exception) -> Problem:
    if isinstance(error, HTTPException):  # of the rate limits
        return problem.BY_STATUS.get(error.code or 500, problem.BY_STATUS[500])
    return problem.of(error)
