"""Limits on guesses of a password: per account and address, and delays where an account meets too many in all.

Guesses from other addresses refuse no owner: each address has an allowance of its own for each account. Beyond the
limits of an account in all, and of all accounts together, guesses wait; an address that has logged in to the account
before does not.
"""

import hashlib
from collections.abc import Callable
from time import sleep
from typing import Any, TypeVar

import structlog
from flask import current_app, g
from flask_limiter import RateLimitExceeded

from chatbot.errors import InvalidCredentials
from chatbot.extensions import limiter
from chatbot.services.accounts import hash_queue, names

from . import rate_limits

T = TypeVar("T")
FAILED_SECONDS = 3_600  # how long a wrong guess tells an address from fresh ones
KNOWN_SECONDS = 90 * 86_400  # how long an address counts as known after a login
DELAY_SECONDS = 3.0  # beyond the limits of all together

log = structlog.get_logger(__name__)


def log_in_within_limits(email: str, log_in: Callable[[], T]) -> T:
    """Log in within the limits of the account; the address is known from then on.

    Raises flask_limiter.RateLimitExceeded and what `log_in` raises.
    """
    g.login_account = hashlib.sha256(names.fold_name(email).encode()).hexdigest()
    _count_for_account()
    provider = rate_limits.by_provider()
    account = f"known/{_by_account_and_address()}"
    failures = f"failed/{provider}"
    is_known = bool(_with_storage(lambda storage: storage.get(account)))
    has_failed = bool(_with_storage(lambda storage: storage.get(failures)))
    kind: hash_queue.Kind = "known" if is_known else "fresh"
    if has_failed and not is_known:
        kind = "failed"
    hash_queue.origin.set(hash_queue.Origin(provider, kind))
    if not is_known:
        _delay_excess(_count_for_all_accounts, _count_in_total)
    try:
        result = log_in()
    except InvalidCredentials:
        _with_storage(lambda storage: _set(storage, failures, FAILED_SECONDS))
        raise
    _with_storage(lambda storage: _set(storage, account, KNOWN_SECONDS))
    return result


def delay_excess_sign_up() -> None:
    """Delay a sign-up beyond RATE_SIGNUP_GLOBAL."""
    hash_queue.origin.set(hash_queue.Origin(rate_limits.by_provider()))
    _delay_excess(_count_sign_up)


def queue_hashes_by_network() -> None:
    """Queue the request's hashes by its network, among the known ones."""
    hash_queue.origin.set(hash_queue.Origin(rate_limits.by_provider(), "known"))


def _by_account() -> str:
    return str(g.login_account)


def _by_account_and_address() -> str:
    return f"{g.login_account} {rate_limits.by_address()}"


@rate_limits.limit(RATE_LOGIN_ACCOUNT=_by_account_and_address)
def _count_for_account() -> None:
    """Count a guess of this account from this address."""


@rate_limits.limit(RATE_LOGIN_GLOBAL=rate_limits.global_key)
def _count_for_all_accounts() -> None:
    """Count a guess from an address that the account does not know."""


@rate_limits.limit(RATE_LOGIN_TOTAL=_by_account)
def _count_in_total() -> None:
    """Count a guess of this account from anywhere else than its known addresses."""


@rate_limits.limit(RATE_SIGNUP_GLOBAL=rate_limits.global_key)
def _count_sign_up() -> None:
    """Count a sign-up."""


def _delay_excess(*counts: Callable[[], None]) -> None:
    is_exceeded = False
    announced = list(limiter.current_limits)
    for count in counts:
        try:
            count()
        except RateLimitExceeded:
            is_exceeded = True
    limiter.context.view_rate_limits = announced  # what only delays is not announced as a refusal
    if is_exceeded:
        sleep(DELAY_SECONDS)


def _set(storage: Any, key: str, seconds: float) -> int:
    """Set a counter to one from now on: adding to it does not lengthen its life."""
    storage.clear(key)
    return int(storage.incr(key, seconds))


def _with_storage(use: Callable[[Any], int]) -> int:
    """Ask the limits' storage; return 0 where it is away or limits are off."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return 0
    try:
        return use(limiter.limiter.storage)
    except Exception as error:  # noqa: BLE001 - Redis is away: the address counts as unknown
        log.warning("known addresses are not there", error=type(error).__name__)
        return 0
