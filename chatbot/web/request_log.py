"""The request id, the safe headers and the log line of every request."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, current_app, g, request

from chatbot.observability import metrics, security_log

SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET = {"/healthz", "/readyz", "/metrics"}
# Answers are data: none may be shown in a frame, run anything, or tell another site where the reader comes from.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000"  # one year, RFC 6797
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

log = structlog.get_logger(__name__)


def init_app(app: Flask) -> None:
    """Wrap every exchange of an application."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if SANE.fullmatch(given) else uuid.uuid4().hex
    g.started = time.monotonic()
    security_log.address.set(request.remote_addr)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("request_id", "")
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    if current_app.config["BASE_URL"].startswith("https:"):
        response.headers["Strict-Transport-Security"] = HSTS
    seconds = time.monotonic() - g.started
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in METHODS else "other"  # a caller may write any word
    metrics.REQUESTS.labels(method, route, response.status_code).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
    if request.path not in QUIET:
        facts = {"method": request.method, "path": _loggable_path(), "status": response.status_code}
        log.info("request", **facts, **_caller_facts(response.status_code), milliseconds=round(seconds * 1000, 1))
    return response


def _loggable_path() -> str:
    """Return the request's path, or its rule where the path has a token in it."""
    if request.url_rule is not None and "token" in request.url_rule.arguments:
        return request.url_rule.rule
    return request.path


def _caller_facts(status: int) -> dict[str, str]:
    """Return the address and the user of a refused request: attacks are found by them."""
    if status < 400:
        return {}
    known = g.get("caller")
    return {"address": request.remote_addr or "", **({"user": str(known.user_id)} if known else {})}
