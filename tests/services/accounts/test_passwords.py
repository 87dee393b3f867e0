"""Passwords: their hashes, their time, their thread."""

import base64
import hashlib
import hmac
import os
import threading
import time
from functools import partial
from typing import Literal

import bcrypt
import pytest
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import Busy, InvalidCredentials, InvalidInput
from chatbot.models import User
from chatbot.services.accounts import accounts, hash_queue, passwords, sessions
from chatbot.services.accounts.state import get_accounts_state
from tests.conftest import MakeApp
from tests.support.timing import find_furthest_pair
from tests.support.waiting import let_pass, wait_for

pytestmark = [pytest.mark.both_databases, pytest.mark.slow]


def test_stored_hash_is_bcrypt_over_the_keyed_digest(context: Flask) -> None:
    key = hmac.digest(context.config["SECRET_KEY"].encode(), b"chatbot password", "sha256")
    inner = base64.b64encode(hmac.digest(key, b"a sound passphrase", hashlib.sha256))
    assert bcrypt.checkpw(inner, passwords.hash_password("a sound passphrase").encode())
    assert len(inner) == 44


@pytest.mark.parametrize(("one", "other"), [("ab", "ab\0ab"), ("x" * 72, "x" * 73), ("ﬁ", "fi"), ("a", "A")])
def test_different_passwords_do_not_match(context: Flask, one: str, other: str) -> None:
    stored = passwords.hash_password(one)
    assert passwords.verify_password(one, stored)
    assert not passwords.verify_password(other, stored)


@pytest.mark.parametrize(
    ("one", "other"), [("größe é", "gro\u0308ße e\u0301"), ("a b", "a\u00a0b"), ("a b", "a\u3000b")]
)
def test_password_is_the_same_on_each_keyboard(context: Flask, one: str, other: str) -> None:
    for typed, again in ((one, other), (other, one)):
        stored = passwords.hash_password(typed)
        assert passwords.verify_password(again, stored)
        assert not passwords.is_outdated(again, stored)


def test_hash_of_a_password_as_it_was_typed_is_accepted_and_renewed(
    context: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = "gro\u0308\u00dfe with decomposed letters"
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "opaque", lambda password: password)  # as before there was such a form
        accounts.sign_up("ada@example.org", "ada", typed)
    assert sessions.log_in("ada@example.org", typed).user.username == "ada"
    assert sessions.log_in("ada@example.org", passwords.opaque(typed)).user.username == "ada"


@pytest.mark.parametrize("stored", [None, "", "x", "$2b$31$" + "a" * 53, "$2b$xx$" + "a" * 53, "$2b$16$" + "a" * 53])
def test_no_hash_and_an_unbearable_one_match_nothing(context: Flask, stored: str | None) -> None:
    started = time.monotonic()
    assert not passwords.verify_password("anything", stored)
    assert time.monotonic() - started < 2


def test_hash_of_an_old_cost_is_renewed_at_login(make_app: MakeApp) -> None:
    with make_app(BCRYPT_ROUNDS="4").app_context():
        accounts.sign_up("ada@example.org", "ada", "a sound passphrase")
    with make_app(BCRYPT_ROUNDS="5").app_context():
        with pytest.raises(InvalidCredentials):
            sessions.log_in("ada@example.org", "wrong")
        assert cost() == 4
        sessions.log_in("ada@example.org", "a sound passphrase")
        assert cost() == 5
        sessions.log_in("ada@example.org", "a sound passphrase")


def cost() -> int:
    with read() as connection:
        return passwords.read_cost(connection.scalars(db.select(User.password_hash)).one())


def test_common_passwords_and_own_names_are_refused() -> None:
    for password in ("password", "PASSWORD1", "12345678", "ada@example.org", "ADA@EXAMPLE.ORG"):
        with pytest.raises(InvalidInput):
            passwords.refuse_common(password, "ada@example.org", "ada")
    passwords.refuse_common("a sound passphrase", "ada@example.org", "ada")


def test_too_many_waiting_are_told_to_come_back(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_queue, "MAX_WAITING_HASHES", 1)
    monkeypatch.setattr(get_accounts_state(), "hash_queue", hash_queue.HashQueue())
    with get_accounts_state().hash_queue.turn(hash_queue.Origin("")), pytest.raises(Busy):
        passwords.verify_password("anything", None)
    assert not passwords.verify_password("anything", None)


def test_wait_that_is_too_long_ends_with_busy(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_queue, "MAX_WAIT_SECONDS", 0.05)
    kinds: tuple[Literal["known", "fresh"], ...] = ("known", "fresh")
    for kind in kinds:
        with get_accounts_state().hash_queue.turn(hash_queue.Origin("", kind)), pytest.raises(Busy):
            passwords.verify_password("anything", None)
    assert not passwords.verify_password("anything", None)


def test_one_origin_takes_no_others_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_queue, "MAX_WAITING_PER_ORIGIN", 1)
    monkeypatch.setattr(hash_queue, "MAX_WAIT_SECONDS", 0.05)
    queue = hash_queue.HashQueue()
    with queue.turn(hash_queue.Origin("a")):
        with pytest.raises(Busy), queue.turn(hash_queue.Origin("a")):
            pass
        started = time.monotonic()
        with pytest.raises(Busy), queue.turn(hash_queue.Origin("b")):  # has a place, and waits in it
            pass
        assert time.monotonic() - started >= 0.05


def test_kinds_of_origins_take_turns_and_origins_of_each() -> None:
    queue = hash_queue.HashQueue()
    served: list[str] = []
    threads: list[threading.Thread] = []

    def wait(origin: hash_queue.Origin) -> None:
        with queue.turn(origin):
            served.append(origin.name)

    with queue.turn(hash_queue.Origin("first", "failed")):
        failed = [hash_queue.Origin(name, "failed") for name in "aaaabbc"]
        for origin in [*failed, hash_queue.Origin("fresh", "fresh"), hash_queue.Origin("known", "known")]:
            threads.append(threading.Thread(target=wait, args=[origin]))
            threads[-1].start()
            wait_for(lambda: queue.waiting_count == len(threads))
    for thread in threads:
        thread.join(5)
    assert max(served.index("known"), served.index("fresh")) <= 2
    assert [name for name in served if len(name) == 1] == list("abcabaa")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux has a niceness for each thread")
def test_hashing_thread_is_polite_and_ours_is_not(context: Flask) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert passwords.run_in_hash_thread(lambda: os.getpriority(os.PRIO_PROCESS, 0)) == 15
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_wrong_logins_take_the_same_time_whatever_is_wrong(make_app: MakeApp) -> None:
    """300 interleaved tries; no pair's AUC is further from .5 than three standard errors.

    With six pairs, 1.6 % of honest measurements break the bound by chance; a leak breaks it twice in a row.
    """
    with make_app(BCRYPT_ROUNDS="8").app_context():
        accounts.sign_up("old@example.org", "old", "a sound passphrase")
    with make_app(BCRYPT_ROUNDS="9").app_context():
        for name in ("good", "shut"):
            accounts.sign_up(f"{name}@example.org", name, "a sound passphrase")
        with write("test") as connection:
            connection.execute(db.update(User).where(User.username == "shut").values(disabled_at=now()))
        assert not furthest_pair() or not furthest_pair()


CASES = {
    "unknown": ("nobody@example.org", "wrong"),
    "wrong": ("good@example.org", "wrong"),
    "old cost": ("old@example.org", "wrong"),
    "disabled": ("shut@example.org", "a sound passphrase"),
}


def furthest_pair(tries: int = 75) -> tuple[str, str, float] | None:
    """Time wrong logins and return a pair that can be told apart, if any."""

    def fail(email: str, password: str) -> None:
        with pytest.raises(InvalidCredentials):
            sessions.log_in(email, password)

    return find_furthest_pair({name: partial(fail, *said) for name, said in CASES.items()}, tries)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_measure_would_find_a_leak(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: without the dummy hash, an unknown user is told at once."""
    monkeypatch.setattr(passwords, "verify_password", lambda password, stored: bool(stored and let_pass(0.02)))
    with make_app().app_context():
        for name in ("good", "shut", "old"):
            accounts.sign_up(f"{name}@example.org", name, "a sound passphrase")
        assert furthest_pair(10) is not None
