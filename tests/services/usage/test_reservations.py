"""Reservations of turns become use with every end that a turn may have."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import BudgetReservation, ChatMessage
from chatbot.rag.errors import UpstreamTimeout
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import maintenance
from chatbot.services.chat.running_turns import RunningTurn
from chatbot.services.chat.spending import demands
from chatbot.services.usage import deleted_turns, reservations
from chatbot.services.usage.demand import Demand
from tests.conftest import Person
from tests.support.budgets import left, set_budgets, settled
from tests.support.turns import ended, gated, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases
CHAT = "/api/chat/"
HI = {"message": "Hi"}


@pytest.mark.parametrize(
    "end",
    [
        lambda _: None,
        lambda llm: llm.fails(UpstreamTimeout("slow")),
        lambda llm: llm.fails(UpstreamTimeout("slow"), "half an answer"),
    ],
    ids=["answered", "failed", "broke off"],
)
def test_use_is_what_the_ledger_says(
    root: Person, ada: Person, llm: MemoryLLM, end: Callable[[MemoryLLM], None]
) -> None:
    set_budgets(root, ada, turns_day=5, tokens_day=100_000)
    end(llm)
    ada.call("POST", CHAT, HI)
    total = ada.call("GET", "/api/analytics/usage/").get_json()["total"]
    assert settled(ada) == {
        "turns_day": (1, 0),
        "tokens_day": (total["prompt_tokens"] + total["completion_tokens"], 0),
    }


def test_reservation_of_a_dead_process_is_used(context: Flask, root: Person, ada: Person, llm: MemoryLLM) -> None:
    set_budgets(root, ada, turns_day=5, tokens_day=100_000)
    gate = gated(llm, "one", " two")
    turn = running(ada)
    (_, reserved) = left(ada)["tokens_day"]
    assert reserved > 150
    with write("test") as connection:
        connection.execute(sa.update(ChatMessage).values(lease_expires_at=now() - timedelta(minutes=1)))
    assert maintenance.close_abandoned() == 1
    assert left(ada) == {"turns_day": (1, 0), "tokens_day": (reserved, 0)}
    gate.set()
    wait_for(lambda: ended(ada, turn["id"])["status"] == "interrupted")
    assert left(ada) == {"turns_day": (1, 0), "tokens_day": (reserved, 0)}


def test_turn_that_is_deleted_while_it_runs_is_settled(
    context: Flask, root: Person, ada: Person, llm: MemoryLLM
) -> None:
    set_budgets(root, ada, turns_day=5, tokens_day=100_000)
    gated(llm, "one", " two")
    turn = running(ada)
    ada.call("DELETE", f"/api/chat-history/{turn['id']}/")
    used = settled(ada)
    assert used["turns_day"] == (1, 0)
    assert used["tokens_day"][0] > 0


def test_job_settles_what_a_dead_process_left_of_a_deleted_turn(
    context: Flask, root: Person, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_budgets(root, ada, turns_day=5)
    monkeypatch.setattr(deleted_turns, "settle", lambda *_: None)
    gated(llm, "one", " two")
    turn = running(ada)
    ada.call("DELETE", f"/api/chat-history/{turn['id']}/")
    assert left(ada) == {"turns_day": (0, 1)}
    with time_machine.travel(now() + deleted_turns.MAX_UNSETTLED + timedelta(seconds=1)):
        assert deleted_turns.settle_all() == 1
        assert not _rows(BudgetReservation)


def test_parallel_turns_never_use_more_than_there_is(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=7)
    statuses: list[int] = []

    def send() -> None:
        for _ in range(3):
            answer = ada.call("POST", CHAT, HI)
            if answer.get_json().get("code") != "too_many_turns":
                statuses.append(answer.status_code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses.count(200), set(statuses)) == (7, {200, 429})
    assert settled(ada) == {"turns_day": (7, 0)}


def test_turn_far_from_its_limits_reserves_once(
    root: Person, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservations, "extend", None)  # would fail the turn
    set_budgets(root, ada, tokens_month=100_000)
    assert ada.call("POST", CHAT, HI).get_json()["status"] == "completed"


def test_turn_that_was_closed_elsewhere_reserves_no_more(
    context: Flask, root: Person, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reaper has closed the turn of a process that was stopped for long and goes on."""
    build = demands.build_demand

    def build_late(one: RunningTurn) -> Demand:
        with write("test") as connection:
            connection.execute(sa.update(ChatMessage).values(lease_expires_at=now() - timedelta(minutes=1)))
        maintenance.close_abandoned()
        return build(one)

    monkeypatch.setattr(demands, "build_demand", build_late)
    set_budgets(root, ada, tokens_month=300)  # too little for any prompt: it is reserved when it is known
    assert ada.call("POST", CHAT, HI).get_json()["code"] == "interrupted"
    assert llm.requests == []
    assert settled(ada)["tokens_month"][0] < 100


def test_prompt_beyond_what_was_reserved_is_reserved_too(root: Person, ada: Person, llm: MemoryLLM) -> None:
    """A prompt of `/v1` is sent as it is, however long."""
    set_budgets(root, ada, tokens_month=100_000)
    gate = gated(llm, "one", " two")
    body = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "word " * 30_000}]}
    sending = threading.Thread(target=ada.call, args=("POST", "/v1/chat/completions", body))
    sending.start()
    wait_for(lambda: left(ada)["tokens_month"][1] > 25_000)
    gate.set()
    sending.join()


def test_repeated_key_reserves_nothing(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=1)
    headers = {"Idempotency-Key": "again"}
    answers = [ada.call("POST", CHAT, HI, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert settled(ada) == {"turns_day": (1, 0)}


def test_another_answer_to_a_message_is_a_turn(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=1)
    turn = ada.call("POST", CHAT, HI).get_json()
    assert ada.call("POST", f"{CHAT}{turn['id']}/regenerate/").status_code == 429
    assert [one["id"] for one in ada.history()] == [turn["id"]]


def _rows(model: type[Any]) -> int:
    with read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(model)) or 0
