"""Rate limits: who is counted, and what the answers say of it."""

import hashlib
import ipaddress
import math
import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from ..errors import MalformedBody, UnsupportedMediaType
from ..extensions import limiter
from ..services import auth
from . import body, caller, problems

log = structlog.get_logger(__name__)
WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([0-9.]+):\d+")  # as some proxies write an address
View = Callable[..., Any]


def by_address() -> str:
    """Count the caller's address; of IPv6 the /64, which is one household."""
    written = request.remote_addr or ""
    found = WITH_PORT.fullmatch(written)
    try:
        address = ipaddress.ip_address(found[1] or found[2] if found else written)
    except ValueError:  # a Unix socket has no address, a proxy may write what it likes: all these are one
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def by_user() -> str:
    """Count the caller's account; only behind `caller.required`."""
    return str(caller.current().user_id)


def by_account() -> str:
    """Count the account that a login names, existing or not, whatever its case.

    A body that is refused later counts as no account: Flask-Limiter takes an error here for a dead storage.
    """
    try:
        named = str(body.json_body().get("email", ""))
    except (MalformedBody, UnsupportedMediaType, HTTPException):
        named = ""
    return hashlib.sha256(auth.folded(named.strip()).encode()).hexdigest()


def everybody() -> str:
    """Count all callers together."""
    return "everybody"


def limit(**rates: Callable[[], str]) -> Callable[[View], View]:
    """Decorate a view with limits: the name of a setting and who is counted for each."""

    def decorator(view: View) -> View:
        for setting, key in rates.items():
            view = limiter.limit(_setting(setting), key_func=key, scope=setting.lower())(view)
        return problems.document(429)(view)

    return decorator


def _setting(name: str) -> Callable[[], str]:
    return lambda: str(current_app.config[name])


def init_app(app: Flask) -> None:
    """Announce the tightest limit in each answer that was counted (draft-ietf-httpapi-ratelimit-headers-07)."""
    app.after_request(_announce)


def _announce(response: Response) -> Response:
    try:
        return _with_headers(response)
    except Exception as error:  # noqa: BLE001 - the storage may be away by now, and the answer is worth more
        log.warning("limit not announced", error=type(error).__name__)
        return response


def _with_headers(response: Response) -> Response:
    current = limiter.current_limits
    if current:
        tightest = min(current, key=lambda one: (one.remaining, -one.reset_at))
        seconds = max(1, math.ceil(tightest.window.reset_time - time.time()))
        response.headers["RateLimit-Limit"] = str(tightest.limit.amount)
        response.headers["RateLimit-Remaining"] = str(max(0, tightest.remaining))
        response.headers["RateLimit-Reset"] = str(seconds)
        if response.status_code == 429:
            response.headers["Retry-After"] = str(seconds)
    return response
