"""The ledger has one entry for each turn, from its opening on and for good."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import DatabaseBusy
from chatbot.models import ChatMessage, LedgerEntry, User
from chatbot.rag.errors import UpstreamTimeout
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import maintenance, turns
from chatbot.services.operations import retention
from chatbot.services.usage import deleted_turns, ledger
from tests.conftest import MakeApp, Person, join
from tests.support import room_bot
from tests.support.turns import ended, gated, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


def list_entries() -> list[sa.Row[Any]]:
    with read() as connection:
        return list(connection.execute(sa.select(LedgerEntry.__table__).order_by(LedgerEntry.turn_id)))


def settled() -> list[sa.Row[Any]]:
    wait_for(lambda: all(one.status != "pending" for one in list_entries()))
    return list_entries()


def test_turn_is_entered_when_it_opens_and_settled_when_it_ends(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    opened = list_entries()[0]
    assert (str(opened.turn_id), str(opened.user_id), opened.status, opened.entry) == (
        turn["id"],
        ada.id,
        "pending",
        "api",
    )
    gate.set()
    turn = ended(ada, turn["id"])
    entry = settled()[0]
    usage = turn["usage"]
    assert (entry.status, entry.model) == ("completed", turn["model"])
    assert (entry.prompt_tokens, entry.completion_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert 0 <= entry.first_text_ms <= entry.total_ms
    assert entry.opened_at_ms == ledger.to_milliseconds(now().fromisoformat(turn["created_at"]))
    assert (entry.micro_usd, entry.passages, entry.api_key_id, entry.room_id) == (None, None, None, None)


def test_each_way_to_open_a_turn_has_its_entry(context: Flask, ada: Person) -> None:
    first = ada.says("hi").get_json()
    ada.says("and?", conversation_id=first["conversation_id"])
    last = ada.says("and then?", conversation_id=first["conversation_id"]).get_json()
    assert ada.call("POST", f"/api/chat/{last['id']}/regenerate/", {}).status_code == 200
    message = {"role": "user", "content": "hi", "id": "m", "parts": [{"type": "text", "text": "hi"}]}
    ada.call(
        "POST", "/v1/chat/completions", {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "hi"}]}
    )
    ada.call("POST", "/api/ui/chat/", {"id": "chat", "messages": [message], "trigger": "submit-message"}).get_data()
    room = ada.call("POST", "/api/rooms/", {"name": "Ours", "bot": "always"}).get_json()
    room_bot.ask(ada, room, "hi")
    entries = settled()
    assert [one.entry for one in entries] == ["api", "api", "api", "api", "v1", "ui", "room"]
    assert [one.room_id for one in entries] == [None] * 6 + [UUID(room["id"])]
    with read() as connection:
        turn_ids = list(connection.scalars(sa.select(ChatMessage.id).order_by(ChatMessage.id)))
    assert [one.turn_id for one in entries] == turn_ids


def test_turn_of_an_api_key_names_the_key(context: Flask, ada: Person) -> None:
    key = ada.call("POST", "/api/users/api-keys/", {"name": "k", "scopes": ["chat"]}).get_json()
    headers = {"Authorization": f"Bearer {key['secret']}"}
    collection = ada.call("POST", "/api/collections/", {"name": "Ours"}).get_json()["id"]
    body = {"message": "hi", "collection_ids": [collection]}
    assert ada.client.post("/api/chat/", json=body, headers=headers).status_code == 200
    entry = list_entries()[0]
    assert (str(entry.api_key_id), str(entry.collection_id)) == (key["id"], collection)


def test_failed_turn_has_the_class_of_its_error(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    def fail(_: Any) -> Any:
        raise UpstreamTimeout
        yield

    llm.stream = fail
    assert ada.says("hi").status_code == 504
    entry = list_entries()[0]
    assert (entry.status, entry.error, entry.first_text_ms) == ("failed", "UpstreamTimeout", None)


def test_abandoned_turn_is_settled_by_the_reaper(context: Flask, ada: Person, clock: time_machine.Traveller) -> None:
    caller = Caller(UUID(ada.id), UUID(int=1), "user")
    turns.open_turn(caller, "left alone")
    clock.shift(2 * timedelta(minutes=1))
    maintenance.keep_leases()
    assert [one.status for one in list_entries()] == ["interrupted"]


def test_turn_deleted_while_it_runs_is_counted_with_its_tokens(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "one", " never")
    turn = running(ada)
    assert ada.call("DELETE", f"/api/chat-history/{turn['id']}/").status_code == 204
    expect_tokens("cancelled")


def expect_tokens(status: str) -> None:
    entry = settled()[0]
    wait_for(lambda: list_entries()[0].total_ms is not None)
    entry = list_entries()[0]
    assert (entry.status, entry.model) == (status, "gpt-3.5-turbo")
    assert entry.prompt_tokens > 0
    assert entry.completion_tokens > 0


def delete_row(turn: dict[str, Any]) -> None:
    """Delete a turn as another process does, unnoticed by its runner."""
    with write("test") as connection:
        connection.execute(sa.delete(ChatMessage).where(ChatMessage.id == UUID(turn["id"])))


def test_turn_deleted_through_another_process_is_counted_with_its_tokens(
    context: Flask, ada: Person, llm: MemoryLLM
) -> None:
    gated(llm, "one", " never")
    delete_row(running(ada))
    maintenance.renew_leases()
    expect_tokens("cancelled")


def test_turn_that_completes_before_its_deletion_is_noticed_is_counted(
    context: Flask, ada: Person, llm: MemoryLLM
) -> None:
    gate = gated(llm, "one", " two")
    delete_row(running(ada))
    gate.set()
    expect_tokens("completed")


def test_runner_counts_a_deleted_turn_after_the_job_has_settled_it(
    context: Flask, ada: Person, llm: MemoryLLM, clock: time_machine.Traveller
) -> None:
    gated(llm, "one", " never")
    delete_row(running(ada))
    clock.shift(deleted_turns.MAX_UNSETTLED + timedelta(seconds=1))
    assert deleted_turns.settle_all() == 1
    assert list_entries()[0].prompt_tokens is None
    maintenance.renew_leases()
    expect_tokens("cancelled")


def test_busy_database_does_not_lose_the_tokens_of_a_deleted_turn(
    context: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = deleted_turns.settle
    tries: list[UUID] = []

    def settle_the_second_time(turn_id: UUID, settlement: ledger.Settlement) -> None:
        tries.append(turn_id)
        if len(tries) == 1:
            raise DatabaseBusy("as for five seconds")
        settle(turn_id, settlement)

    monkeypatch.setattr(deleted_turns, "settle", settle_the_second_time)
    gated(llm, "one", " never")
    delete_row(running(ada))
    maintenance.renew_leases()
    expect_tokens("cancelled")


def test_failure_after_text_counts_its_tokens(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    def stream(request: Any) -> Any:
        yield "some text"
        raise UpstreamTimeout

    llm.stream = stream
    ada.says("hi")
    expect_tokens("failed")


def test_nothing_to_settle_needs_no_writer(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleted_turns, "write", None)
    assert deleted_turns.settle_all() == 0


def test_deleted_turn_without_a_runner_is_settled_by_the_job(
    context: Flask, ada: Person, clock: time_machine.Traveller
) -> None:
    caller = Caller(UUID(ada.id), UUID(int=1), "user")
    turn_id = turns.open_turn(caller, "left alone").turn_id
    with write("test") as connection:
        connection.execute(sa.delete(ChatMessage).where(ChatMessage.id == turn_id))
    assert deleted_turns.settle_all() == 0
    clock.shift(deleted_turns.MAX_UNSETTLED + timedelta(seconds=1))
    assert deleted_turns.settle_all() == 1
    assert [one.status for one in list_entries()] == ["cancelled"]


def test_entries_outlive_their_turns_and_their_user(context: Flask, ada: Person, clock: time_machine.Traveller) -> None:
    ada.says("hi")
    clock.shift(timedelta(days=40))
    assert retention.purge(timedelta(days=30), force=True).turns == 1
    with write("test") as connection:
        connection.execute(sa.delete(User).where(User.id == UUID(ada.id)))
    assert [(one.status, one.user_id) for one in list_entries()] == [("completed", None)]


def test_rating_is_in_the_ledger(context: Flask, ada: Person) -> None:
    turn = ada.says("hi").get_json()
    for rating in (1, -1):
        assert ada.call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": rating}).status_code == 204
        assert list_entries()[0].rating == rating


@pytest.mark.parametrize(
    ("prices", "cost"), [("gpt-3.5-turbo=2/10", 2 * 3 + 10 * 2), ("gpt-3.5-turbo=0.1/0", 1), ("other=1/1", None)]
)
def test_cost_is_rounded_up_and_unknown_without_a_price(make_app: MakeApp, prices: str, cost: int | None) -> None:
    app = make_app(MODEL_PRICES=prices)
    with app.app_context():
        entry = ledger.Settlement("completed", model="gpt-3.5-turbo", prompt_tokens=3, completion_tokens=2).to_row()
        assert entry["settled_micro_usd"] == cost
        ada = join(app.test_client(), "ada")
        ada.says("hi")
        assert (list_entries()[0].micro_usd is None) == (cost is None)


@pytest.mark.parametrize("prices", ["gpt", "gpt=1", "gpt=1/x", "gpt=-1/1", "a=1/1, a=2/2", "a=1/1 b=1/1"])
def test_prices_that_cannot_be_read_are_refused(prices: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import config

    with pytest.raises(config.BadSettings):
        config.load({"INSTANCE_PATH": str(tmp_path), "MODEL_PRICES": prices}, tmp_path / "none")
    assert "MODEL_PRICES" in capsys.readouterr().err


def test_cost_is_exact_in_decimals_and_of_the_model_that_was_requested(make_app: MakeApp) -> None:
    app = make_app(MODEL_PRICES="gpt-4o-mini=0.07/0, dated-2=1/1")
    with app.app_context():
        counts = {"prompt_tokens": 100, "completion_tokens": 5, "requested_model": "gpt-4o-mini"}
        dated = ledger.Settlement("completed", model="gpt-4o-mini-2024-07-18", **counts)
        assert dated.to_row()["settled_micro_usd"] == 7
        assert ledger.Settlement("completed", model="dated-2", **counts).to_row()["settled_micro_usd"] == 105
