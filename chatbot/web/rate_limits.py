"""Rate limits: their keys, their scopes and the headers that announce them."""

import contextlib
import math
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from flask import Flask, Response, after_this_request, current_app, g, request

from chatbot.errors import ChatbotError
from chatbot.extensions import limiter
from chatbot.observability import security_log
from chatbot.services.accounts.callers import Caller
from chatbot.services.usage.budgets import list_budgets

from . import authentication, networks, problems

log = structlog.get_logger(__name__)
AMOUNT = re.compile(r"(?<!\d)\d++(?= per )")
UNKNOWN = "unknown"  # the key of a Unix socket, which has no address, and of what a proxy made illegible
View = Callable[..., Any]
Key = Callable[[], str]


def by_address() -> str:
    """Return the caller's address; of IPv6 the /64, which is one household."""
    return _network(networks.HOUSEHOLD)


def by_provider() -> str:
    """Return the caller's address; of IPv6 the widest network that one customer of a provider has."""
    return _network(networks.WIDEST)


def by_user() -> str:
    """Return the caller's account; only behind `authentication.required`."""
    return str(authentication.current().user_id)


def by_user_and_room() -> str:
    """Return the caller's account in the room of the path; only behind `authentication.required`."""
    return f"{authentication.current().user_id}/{(request.view_args or {})['room_id']}"


def global_key() -> str:
    """Return the key that all callers share."""
    return "everybody"


def limit(*, cost: int | Callable[[], int] = 1, **rates: Key) -> Callable[[View], View]:
    """Decorate a view or a part of one with limits: the name of a setting and the key that each counts by.

    A setting holds over all the routes that name it. A limit by address has two more beside it for the wider networks
    of IPv6. No key may read the body: it is asked for before the body is. A call counts as `cost` calls.
    """

    def decorator(view: View) -> View:
        for setting, key in rates.items():
            scope = setting.lower()
            view = limiter.shared_limit(_rate(setting), scope, key_func=_without_errors(key), cost=cost)(view)
            for prefix, factor in networks.WIDER_FACTORS.items() if key is by_address else ():
                key_func = _without_errors(partial(_network, prefix))
                wider = limiter.shared_limit(
                    _rate(setting, factor), f"{scope}/{prefix}", key_func=key_func, exempt_when=_is_ipv4
                )
                view = wider(view)
        return problems.document(429)(view)

    return decorator


def tell_budgets(caller: Caller) -> None:
    """Announce the rest of the caller's budgets in this request's answer, as a dictionary of RFC 9651, 3.2."""
    if caller.has_budgets:
        after_this_request(partial(_announce_budgets, caller))


def init_app(app: Flask) -> None:
    """Announce the tightest limit in each answer that was counted (draft-ietf-httpapi-ratelimit-headers-07)."""
    app.after_request(_announce)


def _rate(setting: str, factor: int = 1) -> Callable[[], str]:
    """Return the reader of a rate; the amounts of a wider network are multiplied."""

    def read() -> str:
        rate = str(current_app.config[setting])
        return AMOUNT.sub(lambda amount: str(int(amount[0]) * factor), rate) if factor > 1 else rate

    return read


def _without_errors(key: Key) -> Key:
    """Return a key that cannot raise: Flask-Limiter takes any error here for a dead storage and counts anew."""

    def guarded() -> str:
        try:
            return key()
        except Exception as error:
            log.error("key of a rate limit failed", exc_info=error)
            return UNKNOWN

    return guarded


def _network(prefix: int) -> str:
    address = networks.parsed(request.remote_addr or "")
    return networks.network(address, prefix) if address else UNKNOWN


def _is_ipv4() -> bool:
    address = networks.parsed(request.remote_addr or "")
    return address is None or address.version == 4


def _announce(response: Response) -> Response:
    if response.status_code == 429:
        known = g.get("caller")
        facts = known.to_log_fields() if known else {}
        security_log.record("limit", "refused", route=request.endpoint, **facts)
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
            response.headers.setdefault("Retry-After", str(seconds))
    return response


def _announce_budgets(caller: Caller, response: Response) -> Response:
    with contextlib.suppress(ChatbotError):  # the answer is worth more
        left = {f"{one.applies_to}-{one.metric}-{one.window}": one.remaining for one in list_budgets(caller)}
        if left:
            response.headers["Budget-Remaining"] = ", ".join(f"{name}={amount}" for name, amount in left.items())
    return response


@limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
def count_turn() -> None:
    """Count a turn that is opened over a socket or in a room, together with those of the routes."""
