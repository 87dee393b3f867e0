"""The deletion of an account by its user, and the receipt."""

import fcntl
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database import failpoints
from chatbot.database.base import db
from chatbot.database.transactions import read
from chatbot.models import ChatMessage, LedgerEntry, RoomMessage, User
from chatbot.rag.lexical import folder
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.accounts.callers import OPERATOR, Caller
from chatbot.services.administration import users
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.services.privacy import erasure
from chatbot.services.privacy.tables import list_rows
from tests.api.test_account_export import fill
from tests.api.test_documents import HOURS, send, work
from tests.conftest import PASSWORD, Person, join
from tests.support.turns import gated, running

pytestmark = pytest.mark.both_databases

PATH = "/api/users/me/"


def delete_account(person: Person) -> str:
    """Delete a user's account; return the id of the receipt."""
    response = person.call("DELETE", PATH, {"password": PASSWORD})
    assert response.status_code == 202
    receipt_id: str = response.get_json()["receipt_id"]
    assert response.headers["Location"] == f"/api/erasures/{receipt_id}/"
    return receipt_id


def erase(app: Flask, person: Person) -> dict[str, Any]:
    """Delete a user's account, do the job's work, and return the receipt."""
    receipt_id = delete_account(person)
    with app.app_context():
        erasure.erase_waiting()
    receipt: dict[str, Any] = app.test_client().get(f"/api/erasures/{receipt_id}/").get_json()
    return receipt


def count_rows(app: Flask, user_id: str) -> dict[str, int]:
    """Return how many rows each table has of a user, of those with any."""
    found: dict[str, int] = {}
    with app.app_context(), read() as connection:
        for rows in list_rows(UUID(user_id)):
            statement = sa.select(sa.func.count()).select_from(rows.table.table).where(rows.condition)
            found[rows.table.table.name] = connection.scalar(statement) or 0
    return {name: count for name, count in found.items() if count}


def list_ids(app: Flask) -> set[UUID]:
    """Return all ids in all tables."""
    found: set[UUID] = set()
    with app.app_context(), read() as connection:
        for table in db.metadata.sorted_tables:
            for column in table.c:
                if isinstance(column.type, sa.Uuid):
                    found.update(connection.scalars(sa.select(column).where(column.is_not(None))))
    return found


def test_receipt_tells_what_was_removed(app: Flask, ada: Person, eve: Person) -> None:
    fill(app, ada)
    kept = fill(app, eve)
    counts = count_rows(app, eve.id)
    client = app.test_client()
    receipt_id = delete_account(ada)
    path = f"/api/erasures/{receipt_id}/"
    receipt = client.get(path).get_json()
    assert (receipt["status"], receipt["pending"], receipt["removed"]) == ("pending", ["rows", "copies"], None)
    with app.app_context():
        erasure.erase_waiting()
    receipt = client.get(path).get_json()
    assert (receipt["status"], receipt["pending"]) == ("completed", [])
    assert receipt["requested_at"] < receipt["erased_at"] < receipt["completed_at"]
    expected = {"account": 1, "turn": 1, "document": 1, "feedback": 1, "room": 1, "room_message": 1, "ledger_entry": 1}
    assert receipt["removed"] | expected == receipt["removed"]
    assert ada.id not in str(receipt)
    assert count_rows(app, ada.id) == {}
    assert UUID(ada.id) not in list_ids(app)
    assert count_rows(app, eve.id) == counts
    assert eve.call("GET", f"/api/documents/{kept['document']}/").status_code == 200
    assert client.get(f"/api/erasures/{uuid4()}/").status_code == 404


def test_account_is_closed_at_once(app: Flask, ada: Person) -> None:
    key = ada.call("POST", "/api/users/api-keys/", {"name": "k", "scopes": ["chat"]}).get_json()["secret"]
    fill(app, ada)
    conversation_id = ada.history()[0]["conversation_id"]
    token = ada.call("POST", f"/api/conversations/{conversation_id}/shares/", {}).get_json()["token"]
    delete_account(ada)
    client = app.test_client()
    assert ada.call("GET", PATH).status_code == 401
    assert client.get(PATH, headers={"Authorization": f"Bearer {key}"}).status_code == 401
    assert client.post("/api/users/refresh/", json={"refresh_token": ada.refresh_token}).status_code == 401
    credentials = {"email": "ada@example.org", "password": PASSWORD}
    assert client.post("/api/users/login/", json=credentials).status_code == 401
    assert client.get(f"/api/shared/{token}/").status_code == 404
    again = join(app.test_client(), "ada")  # the names are free again
    assert again.history() == []
    with app.app_context():
        erasure.erase_waiting()
    assert again.call("GET", PATH).get_json()["username"] == "ada"


def test_wrong_password_deletes_nothing(app: Flask, ada: Person) -> None:
    response = ada.call("DELETE", PATH, {"password": "wrong"})
    assert (response.status_code, response.get_json()["code"]) == (401, "invalid_credentials")
    assert ada.call("DELETE", PATH, {}).status_code == 400
    with app.app_context():
        erasure.erase_waiting()
    assert ada.call("GET", PATH).status_code == 200


def test_last_administrator_stays(app: Flask, ada: Person, eve: Person) -> None:
    with app.app_context():
        users.change_user(OPERATOR, UUID(ada.id), role="admin")
    response = ada.call("DELETE", PATH, {"password": PASSWORD})
    assert (response.status_code, response.get_json()["code"]) == (409, "last_admin")
    with app.app_context():
        users.change_user(OPERATOR, UUID(eve.id), role="admin")
    receipt_id = delete_account(ada)
    listed = eve.call("GET", "/api/admin/users/").get_json()["items"]
    assert [one["username"] for one in listed] == ["eve"]
    assert eve.call("PATCH", f"/api/admin/users/{ada.id}/", {"disabled": False}).status_code == 404
    assert app.test_client().get(f"/api/erasures/{receipt_id}/").status_code == 200


def test_usage_stays_without_its_user(app: Flask, ada: Person) -> None:
    ada.says("one")
    ada.says("two")
    erase(app, ada)
    with app.app_context(), read() as connection:
        entries = connection.execute(sa.select(LedgerEntry.user_id, LedgerEntry.status)).all()
    assert [tuple(entry) for entry in entries] == [(None, "completed")] * 2


def test_rooms_lose_the_user_and_keep_the_others(app: Flask, ada: Person, eve: Person) -> None:
    room = ada.call("POST", "/api/rooms/", {"name": "Lake"}).get_json()["id"]
    own = ada.call("POST", "/api/rooms/", {"name": "Alone"}).get_json()["id"]
    ada.call("PUT", f"/api/rooms/{room}/members/{eve.id}/", {"role": "member"})
    ada.call("POST", f"/api/rooms/{room}/messages/", {"text": "From Ada", "client_id": "ada-1"})
    eve.call("POST", f"/api/rooms/{room}/messages/", {"text": "From Eve"})
    before = eve.call("GET", f"/api/rooms/{room}/").get_json()
    erase(app, ada)
    found = eve.call("GET", f"/api/rooms/{room}/").get_json()
    assert (found["role"], found["members"]) == ("owner", 1)
    assert found["rev"] > before["rev"]
    items = eve.call("GET", f"/api/rooms/{room}/messages/").get_json()["items"]
    assert [one["seq"] for one in items] == sorted(one["seq"] for one in items)
    assert [(one["text"], one["deleted"]) for one in items if one["kind"] == "message"] == [
        ("", True),
        ("From Eve", False),
    ]
    assert all("ada" not in one["text"].lower() for one in items)
    with app.app_context(), read() as connection:
        assert set(connection.scalars(sa.select(RoomMessage.room_id))) == {UUID(room)} != {UUID(own)}
        assert (
            list(connection.scalars(sa.select(RoomMessage.client_id).where(RoomMessage.client_id.is_not(None)))) == []
        )


def test_running_turn_ends(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one ", "two")
    running(ada)
    receipt = erase(app, ada)
    gate.set()
    assert receipt["removed"]["turn"] == 1
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(ChatMessage)) == 0


def test_account_that_cannot_be_erased_holds_up_no_other(
    app: Flask, ada: Person, eve: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = {person.id: delete_account(person) for person in (ada, eve)}

    def refuse(caller: Caller) -> None:
        if caller.user_id == UUID(ada.id):
            raise RuntimeError("cannot be erased")

    monkeypatch.setitem(erasure.ERASERS, "rooms", refuse)
    with app.app_context(), pytest.raises(RuntimeError, match="cannot be erased"):
        erasure.erase_waiting()
    found = {one: app.test_client().get(f"/api/erasures/{receipt}/").get_json() for one, receipt in receipts.items()}
    assert [found[one]["pending"] for one in (ada.id, eve.id)] == [["rows", "copies"], []]
    monkeypatch.undo()
    with app.app_context():
        erasure.erase_waiting()
    assert app.test_client().get(f"/api/erasures/{receipts[ada.id]}/").get_json()["status"] == "completed"


def test_receipt_waits_for_an_index_that_another_process_writes(app: Flask, ada: Person) -> None:
    send(ada, "Opening hours", HOURS)
    work(app)
    assert ada.says("When is the library open?").get_json()["citations"]
    receipt_id = delete_account(ada)
    (lock,) = Path(app.config["INSTANCE_PATH"]).glob(f"lexical/**/{folder.WRITER_LOCK}")
    with app.app_context():
        get_knowledge_state().lexical_index.index.close()  # a process that never wrote it has no lock
        with lock.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            erasure.erase_waiting()
            assert erasure.get_receipt(UUID(receipt_id)).pending == ["copies"]
        erasure.erase_waiting()
        assert erasure.get_receipt(UUID(receipt_id)).status == "completed"


STEPS = ("withdraw_from_room", "delete_conversation", "delete_collection", "erase_changes", "erase_usage", "erase_user")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("point", ["written", "committed"])
def test_erasure_that_broke_off_goes_on(
    app: Flask, ada: Person, eve: Person, monkeypatch: pytest.MonkeyPatch, step: str, point: str
) -> None:
    fill(app, ada)
    room = ada.call("POST", "/api/rooms/", {"name": "Shared"}).get_json()["id"]
    ada.call("PUT", f"/api/rooms/{room}/members/{eve.id}/", {"role": "member"})
    receipt_id = delete_account(ada)

    def break_off(name: str) -> None:
        if name == f"{step}:{point}":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoints, "reach", break_off)
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        erasure.erase_waiting()
    monkeypatch.undo()
    with app.app_context():
        erasure.erase_waiting()
    receipt = app.test_client().get(f"/api/erasures/{receipt_id}/").get_json()
    assert receipt["status"] == "completed"
    assert receipt["removed"]["turn"] == receipt["removed"]["document"] == 1
    assert count_rows(app, ada.id) == {}
    with app.app_context(), read() as connection:
        assert list(connection.scalars(sa.select(User.username))) == ["eve"]
