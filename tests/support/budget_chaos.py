"""Parallel requests against a budget while workers are killed: whether more was used than there was.

Users with budgets of turns and of tokens send messages from several threads; a killer kills the workers. In the end
nothing is reserved any more, nothing is used beyond a limit, and the use is at least what the ledger has.
"""

import contextlib
import itertools
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.chaos import CALM, LOST, kills, wait_until_ready
from tests.support.chaos_documents import tell
from tests.support.fleet import Fleet
from tests.support.processes import Server, Upstream
from tests.support.waiting import let_pass

THREADS = 16
TURNS = {"metric": "turns", "window": "ever"}
TOKENS = {"metric": "tokens", "window": "month"}
TOKENS_PER_TURN = 60  # less than a turn needs, so that this budget ends first for one of two users


def run(
    folder: Path, upstream: Upstream, number: int, requests: int, **settings: str
) -> tuple[Counter[str], Counter[str]]:
    """Send so many requests beside so many kills; returns the faults, and the counts of statuses."""
    settings = {"OPENAI_BASE_URL": upstream.url, "APP_ENV": "testing", "LOG_LEVEL": "warning", **settings}
    settings |= {"MAX_TURNS_PER_USER": str(THREADS)}
    server = (Fleet if "REDIS_URL" in settings else Server)(folder, **settings).prepare()
    server.start()
    try:
        tokens = _make_users(server, requests // 3)
        seen = _send(server, list(tokens.values()), requests, number)
        return _conclude(server, tokens), seen
    finally:
        server.stop()


def _make_users(server: Server | Fleet, limit: int) -> dict[str, str]:
    """Make two users with budgets; returns their access tokens by name."""
    server.sign_in("root")
    host = server.hosts[0] if isinstance(server, Fleet) else server
    host.flask("users", "promote", "root@example.org")
    budgets = {"turns": [{**TURNS, "limit": limit}], "tokens": [{**TOKENS, "limit": limit * TOKENS_PER_TURN}]}
    tokens = {name: server.sign_in(name) for name in budgets}
    root = server.sign_in("root")
    for name, wanted in budgets.items():
        user_id = server.call("GET", "/api/users/me/", token=tokens[name])[2]["id"]
        assert server.call("PATCH", f"/api/admin/users/{user_id}/", {"budgets": wanted}, root)[0] == 200
    let_pass(6.0)  # until other processes know that there are budgets
    return tokens


def _send(server: Server | Fleet, tokens: list[str], requests: int, number: int) -> Counter[str]:
    """Send messages from all threads until there were enough, and kill meanwhile; returns the counts of statuses."""
    seen: Counter[str] = Counter()
    answered = itertools.count(1)
    enough = threading.Event()
    is_over = threading.Event()

    def speak(token: str) -> None:
        while not (enough.is_set() and is_over.is_set()):
            status = 0
            with contextlib.suppress(*LOST):
                status = server.call("POST", "/api/chat/", {"message": "Tell me a little"}, token)[0]
            seen[str(status)] += 1
            if status and next(answered) >= requests:
                enough.set()
            let_pass(0.0 if status == 200 else 0.05)

    threads = [threading.Thread(target=speak, args=(tokens[at % len(tokens)],)) for at in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for count in kills(server, number):
            tell(count, number)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(120)
    return seen


def _conclude(server: Server | Fleet, tokens: dict[str, str]) -> Counter[str]:
    """Wait until nothing is reserved, then compare budgets with the ledger; returns the faults."""
    wait_until_ready(server)
    wrong: Counter[str] = Counter()
    for name in tokens:
        token = server.sign_in(name)
        budget = _wait_for_end(server, token)
        total = server.call("GET", "/api/analytics/usage/", token=token)[2]["total"]
        spent = total["turns"] if name == "turns" else total["prompt_tokens"] + total["completion_tokens"]
        wrong["used beyond the limit"] += budget["used"] > budget["limit"] or spent > budget["limit"]
        wrong["still reserved"] += budget["reserved"] > 0
        wrong["used, but not counted"] += spent > budget["used"]
        wrong["turns counted otherwise"] += name == "turns" and spent != budget["used"]
    return +wrong


def _wait_for_end(server: Server | Fleet, token: str) -> dict[str, Any]:
    """Return a user's budget when all turns have ended."""
    deadline = time.monotonic() + CALM
    while True:
        budget: dict[str, Any] = server.call("GET", "/api/users/me/budgets/", token=token)[2]["items"][0]
        if not budget["reserved"] or time.monotonic() > deadline:
            return budget
        let_pass(1.0)
