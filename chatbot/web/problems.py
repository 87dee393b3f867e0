"""Errors as problem documents (RFC 9457), and their place in the API document."""

import contextlib
import http
import socket
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import gevent
import orjson
import structlog
from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException
from gunicorn.util import write_nonblock
from werkzeug.exceptions import BadRequest, HTTPException

from chatbot.errors import BudgetExhausted, ChatbotError, InvalidInput
from chatbot.rag.errors import AdapterError, DocumentError
from chatbot.schemas import problem
from chatbot.schemas.accounts.budgets import BudgetSchema
from chatbot.schemas.problem import Problem, ProblemSchema

from . import openai_errors

MEDIA_TYPE = "application/problem+json"
MAX_DRAINED_BYTES = 32 * 2**20  # bytes at most of a body that is refused
MAX_DRAIN_SECONDS = 2.0
DRAIN_PIECE_BYTES = 2**14
DEFAULT_RETRY_AFTER = 5  # seconds, for a 503 that does not know better

_budget = BudgetSchema()
log = structlog.get_logger(__name__)


def init_app(app: Flask) -> None:
    """Render every error of an application."""
    app.register_error_handler(ChatbotError, _from_known)
    app.register_error_handler(AdapterError, _from_known)
    app.register_error_handler(DocumentError, _from_known)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(ParseException, lambda _: _from_http(BadRequest()))  # of a chunk of the body
    app.register_error_handler(Exception, _from_unforeseen)


def document(*statuses: int, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a view with the statuses at which it answers with a problem document."""

    def decorator(view: Callable[..., Any]) -> Callable[..., Any]:
        doc = deepcopy(getattr(view, "_apidoc", {}))
        manual = doc.setdefault("manual_doc", {})
        manual.update(facts)
        for status in statuses:
            manual.setdefault("responses", {})[str(status)] = _describe_response(status)
        view._apidoc = doc  # type: ignore[attr-defined]  # where flask-smorest keeps a view's document
        return view

    return decorator


def render(facts: Problem, detail: str, headers: dict[str, str] | None = None, **extra: Any) -> Response:
    """Return a problem document as a response."""
    if facts.status == 413:
        _drain_body()
    if request.path.startswith(openai_errors.PREFIX):
        param, messages = next(iter(extra.get("errors", {}).items()), (None, [detail]))
        facts = openai_errors.own(facts)
        text = " ".join(messages)
        # Clients show the message alone.
        payload = openai_errors.body(facts, f"{param}: {text}" if param else text, param)
        retry = {openai_errors.RETRY: str(facts.retryable).lower()}
        return Response(
            orjson.dumps(payload), facts.status, {**(headers or {}), **retry}, content_type="application/json"
        )
    document = body(facts, detail, g.get("instance", request.path), g.get("request_id", "")) | extra
    return Response(orjson.dumps(document), facts.status, headers, content_type=MEDIA_TYPE)


def body(facts: Problem, detail: str, instance: str, request_id: str) -> dict[str, Any]:
    """Return a problem document; a turn's problem has the turn's address as its instance."""
    return {
        "type": f"/api/docs/#{facts.code}",
        "title": facts.title,
        "status": facts.status,
        "detail": detail or facts.title,
        "instance": instance,
        "code": facts.code,
        "request_id": request_id,
        "retryable": facts.retryable,
    }


def refuse(connection: socket.socket, status: int, reason: str, _detail: str, *, hsts: str = "") -> None:
    """Answer an invalid request with a problem document, in place of `gunicorn.util.write_error`.

    gunicorn's own words would repeat what was sent.
    """
    facts = problem.BY_STATUS.get(status) or Problem(reason.lower().replace(" ", "_"), status, reason)
    detail = "The request is not valid HTTP, or its line or headers are too long."
    if status == 429:  # by chatbot/worker/connections.py
        facts = problem.TOO_MANY_CONNECTIONS
        detail = "Close some of your connections, or retry later."
    payload = orjson.dumps(body(facts, detail, "", ""))
    kind = f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(payload)}\r\nX-Content-Type-Options: nosniff\r\n"
    kind += "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"
    kind += f"Strict-Transport-Security: {hsts}\r\n" if hsts else ""
    retry = f"Retry-After: {DEFAULT_RETRY_AFTER}\r\n" if facts.retryable else ""
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nCache-Control: no-store\r\n{kind}{retry}\r\n"
    write_nonblock(connection, head.encode() + payload)


def _drain_body() -> None:
    """Read on in a body that is too large: a client that sends all before it reads would meet a reset."""
    sent = request.environ["wsgi.input"]
    left = MAX_DRAINED_BYTES
    deadline = time.monotonic() + MAX_DRAIN_SECONDS
    with contextlib.suppress(OSError, ParseException), gevent.Timeout(MAX_DRAIN_SECONDS, False):
        while left > 0 and time.monotonic() < deadline and (piece := sent.read(DRAIN_PIECE_BYTES)):
            left -= len(piece)
            gevent.sleep(0)  # else the timeout never comes while there is always data


def _describe_response(status: int) -> dict[str, Any]:
    return {"description": http.HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": ProblemSchema}}}


def _from_known(error: ChatbotError | AdapterError | DocumentError) -> Response:
    facts = problem.of(error)
    if facts.status == 500 and isinstance(error, AdapterError):  # none that is foreseen, such as a broken index
        return _from_unforeseen(error)
    headers = {}
    if facts.status == 503 or error.retry_after is not None:
        seconds = DEFAULT_RETRY_AFTER if error.retry_after is None else error.retry_after
        headers["Retry-After"] = str(max(1, round(seconds)))
    if facts.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    extra: dict[str, Any] = {"errors": error.errors} if isinstance(error, InvalidInput) else {}
    if isinstance(error, BudgetExhausted) and error.budget is not None:
        extra = {"budget": _budget.dump(error.budget)}
    # What a model's adapter has to say is for the log; callers read the table's sentence.
    detail = "" if isinstance(error, AdapterError) else error.detail
    return render(facts, detail, headers, **extra)


def _from_http(error: HTTPException) -> Response:
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # a redirect or the like, ready-made
    status = error.code or 500
    facts = problem.BY_STATUS.get(status) or Problem(error.name.lower().replace(" ", "_"), status, error.name)
    sent_headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    if status == 408:
        sent_headers["Retry-After"] = str(DEFAULT_RETRY_AFTER)
    return render(facts, "", sent_headers)


def _from_unforeseen(error: Exception) -> Response:
    log.error("unforeseen error", path=request.path, exc_info=error)
    return render(problem.BY_STATUS[500], "")
