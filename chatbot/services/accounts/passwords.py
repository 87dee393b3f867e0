"""Passwords: bcrypt over base64(HMAC-SHA-256(key, password)), in a thread of its own.

bcrypt reads at most 72 bytes and stops at NUL; the keyed hash in front of it has 44 characters and none.
Inline it would stop every stream of the process for 250 ms, so one real thread at nice 15 computes. Networks take turns
for it: an attack from many addresses delays logins from elsewhere by one hash for each network.
"""

import base64
import functools
import hashlib
import hmac
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar, get_args

import bcrypt
from flask import current_app
from gevent.threadpool import ThreadPoolExecutor

from chatbot.concurrency.semaphores import Crowd, RoundRobinSemaphore
from chatbot.errors import Busy, InvalidInput

from . import keys

P = ParamSpec("P")
R = TypeVar("R")
Kind = Literal["known", "fresh", "failed"]  # has logged in before, neither, or has guessed wrong lately

MAX_COST = 15  # a row with a higher cost would occupy the thread for seconds
MAX_WAITING_HASHES = 1024  # of each kind of origin
MAX_WAITING_PER_ORIGIN = 16  # 4 s
MAX_WAIT_SECONDS = 20.0  # for a turn
RETRY_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Origin:
    """The network or the user that a hash is computed for."""

    name: str
    kind: Kind = "fresh"


OPERATOR = Origin("operator", "known")  # `flask` commands
origin: ContextVar[Origin] = ContextVar("origin", default=OPERATOR)  # of the request that is served


class HashQueue:
    """Grants the hashing thread to the kinds of origins in turn, and round-robin within each kind."""

    def __init__(self) -> None:
        self._places = {kind: Crowd(MAX_WAITING_PER_ORIGIN, MAX_WAITING_HASHES) for kind in get_args(Kind)}
        self._of_kind = {kind: RoundRobinSemaphore(1, 1) for kind in get_args(Kind)}
        self._kinds = RoundRobinSemaphore(1, 1)

    @contextmanager
    def turn(self, origin: Origin) -> Iterator[None]:
        """Wait for an origin's turn and hold it for as long as the context lasts; raises Busy."""
        places = self._places[origin.kind]
        if not places.acquire(origin.name, 0):
            raise Busy("Too many logins at once.", retry_after=RETRY_AFTER_SECONDS)
        try:
            with _hold(self._of_kind[origin.kind], origin.name), _hold(self._kinds, origin.kind):
                yield
        finally:
            places.release(origin.name)


@contextmanager
def _hold(semaphore: RoundRobinSemaphore, key: str) -> Iterator[None]:
    if not semaphore.acquire(key, MAX_WAIT_SECONDS):
        raise Busy("Too many logins at once.", retry_after=RETRY_AFTER_SECONDS)
    try:
        yield
    finally:
        semaphore.release(key)


_queue = HashQueue()


def digest(password: str) -> str:
    """Return the hash to store; raises Busy when too many wait."""
    return _apart(bcrypt.hashpw, _keyed(password), bcrypt.gensalt(_rounds())).decode()


def verify(password: str, stored: str | None) -> bool:
    """Compare a password with a stored hash, or with none, in the same time for each; raises Busy."""
    return _apart(_verify_any, [_keyed(password, key) for key in keys.current_and_previous()], stored, _rounds())


def is_outdated(password: str, stored: str) -> bool:
    """Return whether the hash of a password that matches was made at another cost or under another key than today's."""
    if _cost(stored) != _rounds():
        return True
    return len(keys.current_and_previous()) > 1 and not _apart(_verify, _keyed(password), stored, _rounds())


def refuse_common(password: str, *names: str, field: str = "password") -> None:
    """Raise InvalidInput, naming the field, for a password that everybody tries first, or a name of the account."""
    folded = password.casefold()
    if folded in _common() or folded in {name.casefold() for name in names}:
        raise InvalidInput({field: ["Is too easy to guess."]})


@functools.cache
def _common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)


def _apart(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    with _queue.turn(origin.get()):
        result: R = _executor().submit(_politely, function, *args, **kwargs).result()
        return result


def _politely(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    if sys.platform == "linux":  # where a thread has a niceness of its own
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < 15:
            os.setpriority(os.PRIO_PROCESS, thread, 15)
    return function(*args, **kwargs)


def _rounds() -> int:
    return int(current_app.config["BCRYPT_ROUNDS"])


def _keyed(password: str, secret: bytes | None = None) -> bytes:
    key = hmac.digest(secret or keys.current(), b"chatbot password", "sha256")
    return base64.b64encode(hmac.digest(key, password.encode(), hashlib.sha256))


def _cost(stored: str) -> int:
    parts = stored.split("$")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdecimal() else 0


def _verify_any(keyed: Sequence[bytes], stored: str | None, rounds: int) -> bool:
    """Check under each key, also when one has matched: the time tells nothing."""
    found = [_verify(one, stored, rounds) for one in keyed]
    return any(found)


def _verify(keyed: bytes, stored: str | None, rounds: int) -> bool:
    """Check at the stored cost, then spend what is missing to today's: 2^c + (2^c + ... + 2^(r-1)) = 2^r."""
    cost = _cost(stored) if stored else 0
    if stored is None or not 4 <= cost <= MAX_COST:
        bcrypt.hashpw(keyed, bcrypt.gensalt(rounds))
        return False
    matches = bcrypt.checkpw(keyed, stored.encode())
    for missing in range(cost, rounds):
        bcrypt.hashpw(keyed, bcrypt.gensalt(missing))
    return matches
