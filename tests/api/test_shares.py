"""Shares: snapshots of conversations for readers without an account."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ConversationShare, User
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.copies import shares
from tests.api.test_documents import send, work
from tests.conftest import MakeApp, Person, join
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases

QUESTION = "When is the library open on weekdays?"
ANSWER = "The library is open from nine to five on weekdays [1]."
HOURS = "The canary library is open from nine to five on weekdays, and on Saturdays until noon."


def share(person: Person, conversation_id: str, **body: Any) -> dict[str, Any]:
    response = person.call("POST", f"/api/conversations/{conversation_id}/shares/", body)
    assert response.status_code == 201, response.get_json()
    made: dict[str, Any] = response.get_json()
    return made


def shown(client: FlaskClient, made: dict[str, Any], query: str = "") -> dict[str, Any]:
    response = client.get(f"/api/shared/{made['token']}/{query}")
    assert response.status_code == 200, response.get_json()
    page: dict[str, Any] = response.get_json()
    return page


def answers(client: FlaskClient, made: dict[str, Any]) -> list[str]:
    return [one["bot_response"] for one in shown(client, made)["items"]]


def test_share_shows_the_conversation_as_it_was(client: FlaskClient, ada: Person, llm: MemoryLLM) -> None:
    llm.says("one")
    first = ada.says("a").get_json()
    home = first["conversation_id"]
    llm.says("two")
    second = ada.says("b", conversation_id=home).get_json()
    ada.call("PATCH", f"/api/conversations/{home}/", {"title": "Then"})
    made = share(ada, home)
    llm.says("two, better")
    ada.call("POST", f"/api/chat/{second['id']}/regenerate/")
    llm.says("three")
    ada.says("c", conversation_id=home)
    ada.call("PATCH", f"/api/conversations/{home}/", {"title": "Later"})
    page = shown(client, made)
    assert page == {
        "title": "Then",
        "created_at": made["created_at"],
        "expires_at": made["expires_at"],
        "items": [
            {
                "user_message": turn["user_message"],
                "bot_response": turn["bot_response"],
                "status": "completed",
                "created_at": turn["created_at"],
                "completed_at": turn["completed_at"],
                "citations": [],
            }
            for turn in (first, second)
        ],
        "next_cursor": None,
    }
    assert answers(client, share(ada, home)) == ["one", "two, better", "three"]
    assert answers(client, share(ada, home, until_turn_id=first["id"])) == ["one"]
    assert answers(client, share(ada, home, until_turn_id=second["id"])) == ["one", "two"]
    ada.call("DELETE", f"/api/chat-history/{first['id']}/")
    assert answers(client, made) == ["two"]
    ada.call("DELETE", f"/api/conversations/{home}/")
    assert client.get(f"/api/shared/{made['token']}/").status_code == 404


def test_running_answer_never_shows(client: FlaskClient, ada: Person, llm: MemoryLLM) -> None:
    first = ada.says("a").get_json()
    gate = gated(llm, "begins", "ends")
    again = ada.call("POST", f"/api/chat/{first['id']}/regenerate/", headers={"Prefer": "respond-async"}).get_json()
    made = share(ada, first["conversation_id"])
    assert answers(client, made) == ["a"]
    gate.set()
    ended(ada, again["id"])
    assert answers(client, made) == ["a"]
    gate = gated(llm, "begins", "ends")
    turn = running(ada)
    made = share(ada, turn["conversation_id"], until_turn_id=turn["id"])
    gate.set()
    ended(ada, turn["id"])
    assert answers(client, made) == []


def test_pages_of_a_share(client: FlaskClient, ada: Person) -> None:
    home = ada.says("0").get_json()["conversation_id"]
    for number in range(1, 5):
        ada.says(str(number), conversation_id=home)
    made = share(ada, home)
    found = []
    query = "?limit=2"
    while True:
        page = shown(client, made, query)
        found.append([one["user_message"] for one in page["items"]])
        if page["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert found == [["0", "1"], ["2", "3"], ["4"]]
    for bad in ("?limit=0", "?limit=101", "?cursor=x"):
        response = client.get(f"/api/shared/{made['token']}/{bad}")
        assert (response.status_code, len(response.get_json()["errors"])) == (400, 1)


def test_share_reveals_nothing_else(app: Flask, client: FlaskClient, ada: Person, llm: MemoryLLM) -> None:
    hidden = ada.call("POST", "/api/collections/", {"name": "Canary cage"}).get_json()["id"]
    document = send(ada, "Canary hours", HOURS, collection_id=hidden)
    work(app)
    llm.says(ANSWER)
    turn = ada.says(QUESTION, instructions="Canary instructions.", collection_ids=[hidden]).get_json()
    assert "canary" in turn["citations"][0]["quote"]
    made = share(ada, turn["conversation_id"])
    response = client.get(f"/api/shared/{made['token']}/")
    secrets = (ada.id, "ada", "canary", turn["id"], turn["conversation_id"], made["id"], hidden, document["id"])
    text = response.get_data(as_text=True)
    assert [secret for secret in (*secrets, turn["model"]) if secret.lower() in text.lower()] == []
    (citation,) = response.get_json()["items"][0]["citations"]
    assert citation == {
        "marker": 1,
        "title": None,
        "page": None,
        "quote": None,
        "supported": True,
        "answer_spans": turn["citations"][0]["answer_spans"],
    }
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers


def test_quotes_show_while_their_collection_is_shared(
    app: Flask, client: FlaskClient, ada: Person, llm: MemoryLLM
) -> None:
    home = ada.call("POST", "/api/collections/", {"name": "Open"}).get_json()["id"]
    document = send(ada, "Opening hours", HOURS, collection_id=home)
    work(app)
    llm.says(ANSWER)
    made = share(ada, ada.says(QUESTION).get_json()["conversation_id"])

    def quotes() -> list[tuple[str | None, str | None]]:
        (item,) = shown(client, made)["items"]
        return [(one["title"], one["quote"]) for one in item["citations"]]

    assert quotes() == [(None, None)]
    ada.call("PATCH", f"/api/collections/{home}/", {"visibility": "shared"})
    assert quotes() == [("Opening hours", HOURS)]
    ada.call("DELETE", f"/api/documents/{document['id']}/")
    assert quotes() == [(None, None)]


def test_token_is_shown_once_and_stored_hashed(context: Flask, ada: Person) -> None:
    path = f"/api/conversations/{ada.says('a').get_json()['conversation_id']}/shares/"
    headers = {"Idempotency-Key": "one"}
    made = ada.call("POST", path, {}, headers=headers).get_json()
    again = ada.call("POST", path, {}, headers=headers)
    assert (again.status_code, again.get_json()) == (201, {**made, "token": None})
    assert ada.call("POST", path, {"expires_in": 60}, headers=headers).status_code == 422
    assert len(made["token"]) == 43
    listed = ada.call("GET", path).get_json()
    assert listed == {"items": [{k: v for k, v in made.items() if k != "token"}], "next_cursor": None}
    with read() as connection:
        row = connection.execute(sa.select(ConversationShare.__table__)).one()
    assert made["token"] not in str(row._asdict())


def test_shares_are_listed_in_pages(ada: Person) -> None:
    home = ada.says("a").get_json()["conversation_id"]
    made = [share(ada, home)["id"] for _ in range(3)]
    path = f"/api/conversations/{home}/shares/"
    first = ada.call("GET", f"{path}?limit=2").get_json()
    second = ada.call("GET", f"{path}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [[one["id"] for one in page["items"]] for page in (first, second)] == [made[:2], made[2:]]
    assert second["next_cursor"] is None
    assert list(ada.call("GET", f"{path}?limit=0").get_json()["errors"]) == ["limit"]
    assert list(ada.call("GET", f"{path}?cursor=x").get_json()["errors"]) == ["cursor"]


def test_deleted_and_expired_shares_show_nothing(context: Flask, client: FlaskClient, ada: Person) -> None:
    home = ada.says("a").get_json()["conversation_id"]
    kept, deleted, expired = (share(ada, home) for _ in range(3))
    path = f"/api/conversations/{home}/shares/"
    assert ada.call("DELETE", f"{path}{deleted['id']}/").status_code == 204
    assert ada.call("DELETE", f"{path}{deleted['id']}/").status_code == 404
    with write("test") as connection:
        this = ConversationShare.id == UUID(expired["id"])
        connection.execute(sa.update(ConversationShare).where(this).values(expires_at=now() - timedelta(seconds=1)))
    assert [one["id"] for one in ada.call("GET", path).get_json()["items"]] == [kept["id"]]
    problems = []
    for token in (deleted["token"], expired["token"], "x" * 43, "\N{HONEYBEE}", str(uuid4())):
        response = client.get(f"/api/shared/{token}/")
        assert response.status_code == 404
        problems.append({**response.get_json(), "instance": "", "request_id": ""})
    assert all(problem == problems[0] for problem in problems)
    with write("test") as connection:
        connection.execute(sa.update(User).values(disabled_at=now()))
    assert client.get(f"/api/shared/{kept['token']}/").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in": 0},
        {"expires_in": 90 * 86_400 + 1},
        {"expires_in": "60"},
        {"expires_in": None},
        {"until_turn_id": "no"},
        {"title": "x"},
        {"last_sequence": 7},
    ],
    ids=str,
)
def test_bad_shares_are_400(ada: Person, body: dict[str, Any]) -> None:
    path = f"/api/conversations/{ada.says('a').get_json()['conversation_id']}/shares/"
    response = ada.call("POST", path, body)
    assert (response.status_code, list(response.get_json()["errors"])) == (400, list(body))
    assert ada.call("GET", path).get_json()["items"] == []


def test_shares_of_others_are_404(ada: Person, eve: Person) -> None:
    turn = ada.says("a").get_json()
    foreign = eve.says("b").get_json()
    path = f"/api/conversations/{turn['conversation_id']}/shares/"
    made = share(ada, turn["conversation_id"])
    assert ada.call("POST", path, {"until_turn_id": foreign["id"]}).status_code == 404
    assert eve.call("GET", path).status_code == 404
    assert eve.call("POST", path, {}).status_code == 404
    assert eve.call("DELETE", f"{path}{made['id']}/").status_code == 404
    own = f"/api/conversations/{foreign['conversation_id']}/shares/{made['id']}/"
    assert eve.call("DELETE", own).status_code == 404
    assert len(ada.call("GET", path).get_json()["items"]) == 1


def test_conversation_has_a_bounded_number_of_shares(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MAX_SHARES", 2)
    home = ada.says("a").get_json()["conversation_id"]
    first = share(ada, home)
    share(ada, home)
    path = f"/api/conversations/{home}/shares/"
    response = ada.call("POST", path, {})
    assert (response.status_code, response.get_json()["code"]) == (409, "too_many_shares")
    ada.call("DELETE", f"{path}{first['id']}/")
    share(ada, home)


def test_readers_are_limited_by_address_and_tokens_stay_out_of_the_log(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(RATELIMIT_ENABLED="true", RATE_PUBLIC_ADDRESS="2 per minute", LOG_LEVEL="info")
    ada = join(app.test_client(), "ada")
    made = share(ada, ada.says("a").get_json()["conversation_id"])
    logging.getLogger().addHandler(caplog.handler)  # the application set its own
    statuses = [app.test_client().get(f"/api/shared/{made['token']}/").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert caplog.text.count("/api/shared/<token>/") == 3
    assert made["token"] not in caplog.text
