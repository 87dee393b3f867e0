"""`make bench-accounts`: refreshes with lost answers, thieves, enumeration, reports, and budgets under kills.

Clients are threads over HTTP against one worker with SQLite; budgets run on SQLite, PostgreSQL and several hosts.
Processor times are of this process: an application with a scripted model, with and without budgets in turns.
"""

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import time_machine
from flask import Flask

from bench import enumeration, usage_reports
from bench.applications import application
from bench.report import Report
from chatbot.database.types import now
from chatbot.errors import SessionEnded
from chatbot.services.accounts import authentication, rotation, sessions
from chatbot.services.accounts.state import get_accounts_state
from tests.api.test_api_keys import make
from tests.conftest import Person, join
from tests.support import budget_chaos, roles
from tests.support.budgets import set_budgets
from tests.support.chaos import stack
from tests.support.jwks_server import Issuer
from tests.support.processes import Server, Upstream, running

LOST = 0.2  # of the answers to refreshes
TABS = 3
CLIENTS = 4
PASSWORD = "a sound passphrase"  # noqa: S105 - of made-up accounts
CHATS = 150  # of a round whose processor time is measured
ROUNDS = 6
CHECKS = 2_000


def log_in(server: Server, name: str) -> dict[str, Any]:
    """Log in and return the tokens."""
    body = {"email": f"{name}@example.org", "password": PASSWORD}
    tokens: dict[str, Any] = server.call("POST", "/api/users/login/", body)[2]
    return tokens


def refresh(server: Server, token: str) -> tuple[int, dict[str, Any]]:
    """Refresh a session; returns the status and the answer."""
    status, _, answer = server.call("POST", "/api/users/refresh/", {"refresh_token": token})
    return status, answer


def count_logouts(server: Server, name: str, number: int) -> int:
    """Refresh a session from several tabs that share a store, some answers lost; returns the refusals."""
    server.sign_in(name)
    store = log_in(server, name)
    refused = list[int]()

    def run(_: int) -> None:
        for _ in range(number // TABS):
            status, answer = refresh(server, store["refresh_token"])
            if status == 401:
                refused.append(status)
                return
            if random.random() >= LOST:
                store.update(answer)
                server.call("GET", "/api/users/me/", token=store["access_token"])

    with ThreadPoolExecutor(TABS) as pool:
        list(pool.map(run, range(TABS)))
    return len(refused)


def _count_all_logouts(server: Server, number: int) -> int:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(lambda one: count_logouts(server, f"client{one}", number // CLIENTS), range(CLIENTS)))


def count_caught_thieves(app: Flask, number: int) -> int:
    """Let a thief use a copy of a refresh token after its client went on; returns how many sessions ended."""
    caught = 0
    join(app.test_client(), "victim")
    for _ in range(number):
        with app.app_context(), time_machine.travel(now()) as clock:
            stolen = sessions.log_in("victim@example.org", PASSWORD).refresh_token
            own = rotation.refresh(stolen)
            authentication.authenticate(own.access_token)
            get_accounts_state().uses.store_generations()
            clock.shift(rotation.GRACE_PERIOD + timedelta(seconds=1))
            with contextlib.suppress(SessionEnded):
                rotation.refresh(stolen)
                continue
            with contextlib.suppress(SessionEnded):
                rotation.refresh(own.refresh_token)
                continue
            caught += 1
    return caught


def measure_sessions(report: Report, number: int, thieves: int) -> None:
    """Measure honest clients and thieves."""
    with tempfile.TemporaryDirectory() as name, running(Path(name), LOG_LEVEL="warning") as server:
        logouts = _count_all_logouts(server, number)
    report.tell(f"honest clients logged out in {number} refreshes", logouts, "", 0, more=False)
    with tempfile.TemporaryDirectory() as name, application(Path(name)) as app:
        caught = count_caught_thieves(app, thieves)
    report.tell(f"sessions with a thief that ended, of {thieves}", caught, "", thieves)


def measure_budgets(report: Report, kind: str, kills: int, requests: int) -> None:
    """Measure whether budgets hold while workers are killed."""
    upstream = Upstream("--interval", "0.005", "--tokens", "20")
    try:
        with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as settings:
            wrong, seen = budget_chaos.run(Path(name), upstream, kills, requests, **settings)
    finally:
        upstream.stop()
    print(f"{kind}: {dict(seen)}", dict(wrong))
    report.tell(f"{kind}: faults of budgets, {kills} kills", sum(wrong.values()), "", 0, more=False)


def time_processor(work: Callable[[], object], times: int) -> float:
    """Return the processor time of one call, in milliseconds."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) * 1000 / times


def measure_costs(report: Report) -> None:
    """Measure a check of an API key, and the cost of budgets in a turn, alternating with turns without."""
    with tempfile.TemporaryDirectory() as name, application(Path(name)) as app:
        root = join(app.test_client(), "root")
        roles.promote(app, root)
        people = {kind: join(app.test_client(), kind) for kind in ("without", "with")}
        set_budgets(root, people["with"], tokens_month=10**12, turns_day=10**9)
        secret = make(people["without"], "chat")["secret"]
        with app.app_context():
            checks = [time_processor(lambda: authentication.authenticate(secret), CHECKS) for _ in range(ROUNDS)]
        report.tell("check of an API key, warm", statistics.median(checks), "ms", 0.5, more=False)
        found: dict[str, list[float]] = {kind: [] for kind in people}
        for _ in range(ROUNDS):
            for kind, person in people.items():
                found[kind].append(time_processor(lambda person=person: _chat(person), CHATS))  # type: ignore[misc]  # a default binds the loop's value
        added = statistics.median(found["with"]) - statistics.median(found["without"])
        report.tell("a chat without budgets", statistics.median(found["without"]), "ms")
        report.tell("added by two budgets", added, "ms")


def measure_foreign_tokens(report: Report) -> None:
    """Measure a check of a foreign token that was seen before, and of one that was not, with its key at hand."""
    with tempfile.TemporaryDirectory() as name:
        issuer = Issuer(Path(name) / "issuer")
        try:
            with application(Path(name), AUTH_JWKS=issuer.setting) as app, app.app_context():
                tokens = iter([issuer.sign(number=number) for number in range(CHECKS + 1)])
                known = next(tokens)
                authentication.authenticate(known)
                warm = [time_processor(lambda: authentication.authenticate(known), CHECKS) for _ in range(ROUNDS)]
                fresh = time_processor(lambda: authentication.authenticate(next(tokens)), CHECKS)
        finally:
            issuer.stop()
    report.tell("check of a foreign token, warm", statistics.median(warm), "ms", 0.5, more=False)
    report.tell("check of a foreign token, seen first", fresh, "ms")


def _chat(person: Person) -> None:
    assert person.says("Hi").status_code == 200


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refreshes", type=int, default=10_000)
    parser.add_argument("--thieves", type=int, default=1_000)
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--turns", type=int, default=2_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1_000)
    options = parser.parse_args()
    report = Report("accounts")
    measure_costs(report)
    measure_foreign_tokens(report)
    enumeration.measure(report, options.tries)
    measure_sessions(report, options.refreshes, options.thieves)
    for kind in ("sqlite", "postgresql"):
        usage_reports.measure(report, kind, options.turns)
    for kind in ("sqlite", "postgresql", "hosts"):
        measure_budgets(report, kind, options.kills, options.requests)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
