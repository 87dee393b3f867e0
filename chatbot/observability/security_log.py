"""Security events in the log: one line each, with the action, its outcome, the user, the credential and the address.

Never a secret, a password or a token; an account that a login names is a hash, which the same name gives again.
"""

import hashlib
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)
address: ContextVar[str | None] = ContextVar("address", default=None)  # of the request that is served


def record(
    action: str,
    outcome: str,
    *,
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    api_key_id: UUID | None = None,
    **facts: Any,
) -> None:
    """Write one security event; facts that are None are left out."""
    known = {"user": user_id, "session": session_id, "api_key": api_key_id, "address": address.get(), **facts}
    fields = {name: str(value) for name, value in known.items() if value is not None}
    log.info("security", action=action, outcome=outcome, **fields)


def hash_account_name(name: str) -> str:
    """Return the hash by which the log names an account, of its folded name."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]
