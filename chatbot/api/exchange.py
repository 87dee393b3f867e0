"""What every request and response has: a request id, safe headers and one line in the log."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

from .. import metrics

SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET = {"/healthz", "/readyz", "/metrics"}
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
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    seconds = time.monotonic() - g.started
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in METHODS else "other"  # whatever a caller likes to write
    metrics.REQUESTS.labels(method, route, response.status_code).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
    if request.path not in QUIET:
        facts = {"method": request.method, "path": request.path, "status": response.status_code}
        log.info("request", **facts, milliseconds=round(seconds * 1000, 1))
    return response
