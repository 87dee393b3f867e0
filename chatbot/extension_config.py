"""Our settings under the names that Flask extensions read."""

import re
from collections.abc import Mapping
from typing import Any

SCHEME = "bearer"  # in which callers authenticate
ISSUER = "chatbot-api"  # of access tokens, and their audience
DESCRIPTION = """The chat back end for web and mobile applications.

Sign up, log in, and send the access token as `Authorization: Bearer ...`; programs have API keys instead. Errors are
problem documents (RFC 9457) with a stable `code`: [what each means](/api/docs/#errors).
Unknown fields of a body are refused; unknown parameters of a query are ignored."""
MAX_BODY = 1 << 20  # bytes
REDIS_TIMEOUTS = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}  # seconds; each counted request waits for it
# libpq's, in seconds, the last one in ms: a host that is gone is noticed soon, not in the kernel's quarter of an hour.
LIFE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def _engine(url: str) -> dict[str, Any]:
    """Return the options of the engine for a database."""
    options = {
        "pool_size": 20,
        "max_overflow": 0,
        "pool_timeout": 5,
        "hide_parameters": True,  # errors are logged, messages and hashes are not
    }
    if not url.startswith("postgresql"):
        return options
    life = {name: value for name, value in LIFE.items() if f"{name}=" not in url}
    # Most statements stand alone: without a transaction there is no BEGIN and no COMMIT, each a way to the server and
    # back. Those that belong together say so (database/transactions.py).
    return {**options, "isolation_level": "AUTOCOMMIT", "connect_args": life}


def _origin_pattern(origin: str) -> "str | re.Pattern[str]":
    """Return an exact pattern for Flask-Cors, which may take a plain string with a dot for an expression."""
    if origin == "*":
        return origin
    pattern = re.escape(origin.removesuffix(":*")) + (r"(:\d+)?" if origin.endswith(":*") else "")
    return re.compile(pattern + r"\Z", re.IGNORECASE)


def settings(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings under the names that Flask extensions read."""
    return {
        "API_TITLE": "Chatbot API",
        "API_VERSION": "1",
        "OPENAPI_VERSION": "3.1.0",
        "API_SPEC_OPTIONS": {
            "info": {"description": DESCRIPTION},
            "servers": [{"url": "/", "description": "This server"}],
            "components": {"securitySchemes": {SCHEME: {"type": "http", "scheme": SCHEME, "bearerFormat": "JWT"}}},
        },
        "SQLALCHEMY_DATABASE_URI": ours["DATABASE_URL"],
        "SQLALCHEMY_ENGINE_OPTIONS": _engine(ours["DATABASE_URL"]),
        "CORS_ORIGINS": [_origin_pattern(origin) for origin in ours["CORS_ORIGINS"]],
        "CORS_EXPOSE_HEADERS": [
            "Location",
            "Budget-Remaining",
            "RateLimit-Limit",
            "RateLimit-Remaining",
            "RateLimit-Reset",
            "Retry-After",
            "X-Max-Tokens",
            "X-Request-ID",
        ],
        "CORS_MAX_AGE": 600,
        "JWT_ALGORITHM": "HS256",
        "JWT_DECODE_ALGORITHMS": ["HS256"],
        "JWT_ENCODE_ISSUER": ISSUER,
        "JWT_DECODE_ISSUER": ISSUER,
        "JWT_ENCODE_AUDIENCE": ISSUER,
        "JWT_DECODE_AUDIENCE": ISSUER,
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_COOKIE_CSRF_PROTECT": False,
        "MAX_CONTENT_LENGTH": MAX_BODY,
        "RATELIMIT_STORAGE_URI": ours["REDIS_URL"] or "lru://",
        "RATELIMIT_STORAGE_OPTIONS": REDIS_TIMEOUTS if ours["REDIS_URL"] else {},
        # Without its storage the limits go on in memory: neither a 500 each nor no limit at all.
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "RATELIMIT_STRATEGY": "moving-window",
        "SCHEDULER_TIMEZONE": "UTC",
        "PROPAGATE_EXCEPTIONS": False,
    }
