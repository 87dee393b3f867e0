"""Passwords: bcrypt over base64(HMAC-SHA-256(key, password)), in a thread of its own.

bcrypt reads at most 72 bytes and stops at NUL; the keyed hash in front of it has 44 characters and none.
Inline it would stop every stream of the process for 250 ms, so one real thread at nice 15 computes, in the order of
`hash_queue`.
"""

import base64
import functools
import hashlib
import hmac
import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

import bcrypt
from flask import current_app

from chatbot.concurrency.threads import create_executor
from chatbot.errors import InvalidInput
from chatbot.rag.text import normalization

from . import keys
from .hash_queue import origin
from .state import get_accounts_state

P = ParamSpec("P")
R = TypeVar("R")

MAX_COST = 15  # a row with a higher cost would occupy the thread for seconds


def hash_password(password: str) -> str:
    """Return the hash to store; raises Busy when too many wait."""
    return run_in_hash_thread(bcrypt.hashpw, _keyed(opaque(password)), bcrypt.gensalt(_rounds())).decode()


def verify_password(password: str, stored: str | None) -> bool:
    """Compare a password with a stored hash, or with none, in the same time for each; raises Busy.

    A hash made of the password as it was typed is accepted too: those from before `opaque` are.
    """
    forms = dict.fromkeys((opaque(password), password))
    keyed = [_keyed(form, key) for key in keys.current_and_previous() for form in forms]
    return run_in_hash_thread(_verify_any, keyed, stored, _rounds())


def is_outdated(password: str, stored: str) -> bool:
    """Return whether the hash of a password that matches has another cost, key or form than a new one."""
    if read_cost(stored) != _rounds():
        return True
    form = opaque(password)
    if form == password and len(keys.current_and_previous()) == 1:
        return False
    return not run_in_hash_thread(_verify, _keyed(form), stored, _rounds())


def opaque(password: str) -> str:
    """Return a password as each keyboard sends it: composed, with ASCII's space for all others (RFC 8265, 4.2.2)."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return normalization.nfc(spaced)


def refuse_common(password: str, *names: str, field: str = "password") -> None:
    """Raise InvalidInput, naming the field, for a common password or a name of the account."""
    caseless = password.casefold()
    if caseless in _common() or caseless in {name.casefold() for name in names}:
        raise InvalidInput({field: ["Is too easy to guess."]})


@functools.cache
def _common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


@functools.cache
def _executor() -> Executor:
    return create_executor()


def run_in_hash_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function in the hashing thread, in the order of the hash queue; raises Busy."""
    with get_accounts_state().hash_queue.turn(origin.get()):
        result: R = _executor().submit(functools.partial(_run_at_low_priority, function, *args, **kwargs)).result()
        return result


def _run_at_low_priority(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
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


def read_cost(stored: str) -> int:
    """Return the cost of a stored hash, 0 of one that is none."""
    parts = stored.split("$")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdecimal() else 0


def _verify_any(keyed: Sequence[bytes], stored: str | None, rounds: int) -> bool:
    """Check under each key, also when one has matched: the time tells nothing."""
    found = [_verify(one, stored, rounds) for one in keyed]
    return any(found)


def _verify(keyed: bytes, stored: str | None, rounds: int) -> bool:
    """Check at the stored cost, then spend the rest of today's cost: 2^c + (2^c + ... + 2^(r-1)) = 2^r."""
    cost = read_cost(stored) if stored else 0
    if stored is None or not 4 <= cost <= MAX_COST:
        bcrypt.hashpw(keyed, bcrypt.gensalt(rounds))
        return False
    matches = bcrypt.checkpw(keyed, stored.encode())
    for missing in range(cost, rounds):
        bcrypt.hashpw(keyed, bcrypt.gensalt(missing))
    return matches
