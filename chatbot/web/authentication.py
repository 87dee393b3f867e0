"""Authentication of requests: the credential in the header and the caller it belongs to."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, request
from sqlalchemy.exc import IntegrityError

from chatbot.errors import Unauthenticated
from chatbot.extension_config import SCHEME
from chatbot.services.accounts import authentication
from chatbot.services.accounts.authentication import ANY_SCOPE
from chatbot.services.accounts.callers import Caller

from . import admission, problems

__all__ = ["ANY_SCOPE", "authenticate_now", "credential", "current", "required"]


def credential() -> str:
    """Return the token of the Authorization header (RFC 6750, 2.1); raises Unauthenticated."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != SCHEME or not token.strip():
        raise Unauthenticated("Send `Authorization: Bearer <access token or API key>`.")
    return token.strip()


def current() -> Caller:
    """Return the caller of this request; only behind `required`."""
    caller: Caller = g.caller
    return caller


def _describe(scope: str | None) -> str:
    """Return the sentence of the API document about the credential that a scope lets in."""
    if scope is None:
        return "Needs an access token; no API key will do."
    return "Needs an access token or an API key" + ("." if scope == ANY_SCOPE else f" with the scope `{scope}`.")


def authenticate_now(scope: str | None) -> Caller:
    """Authenticate this request for a scope and return its caller; raises Unauthenticated, ScopeMissing.

    For views that are open to strangers too; `required` does it for the others.
    """
    g.caller = authentication.authenticate(credential())
    admission.enter_request(g.caller.user_id)
    authentication.require_scope(g.caller, scope)
    return current()


def required(scope: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a view that needs a session, or an API key with this scope, and say so in the API document.

    `ANY_SCOPE`: each API key will do; None: none will.
    """

    def decorator(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            authenticate_now(scope)
            try:
                return view(*args, **kwargs)
            except IntegrityError:
                authentication.require_account(g.caller)
                raise

        return problems.document(401, 403, 429, security=[{SCHEME: []}], description=_describe(scope))(wrapper)

    return decorator
