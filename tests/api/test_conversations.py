"""Conversations: lists, settings, revisions and deletion."""

import threading
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.models import ChatMessage
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import conversation_rows
from tests.conftest import Person
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases

PATH = "/api/conversations/"


def listed(person: Person, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = person.call("GET", PATH + query).get_json()["items"]
    return items


def titles(person: Person, query: str = "") -> list[str | None]:
    return [one["title"] for one in listed(person, query)]


def create(person: Person, **settings: Any) -> dict[str, Any]:
    response = person.call("POST", PATH, settings)
    assert response.status_code in {200, 201}, response.get_json()
    made: dict[str, Any] = response.get_json()
    return made


def change(person: Person, conversation: dict[str, Any], **settings: Any) -> dict[str, Any]:
    response = person.call("PATCH", f"{PATH}{conversation['id']}/", settings)
    assert response.status_code == 200, response.get_json()
    changed: dict[str, Any] = response.get_json()
    return changed


def test_message_opens_a_conversation_with_its_first_words_as_title(ada: Person) -> None:
    turn = ada.says("  What is\nthe capital of France? " + "word " * 40).get_json()
    (one,) = listed(ada)
    assert one["title"].startswith("What is the capital of France? word word")
    assert len(one["title"]) <= 80
    assert one["title"].endswith("word")
    assert one == {
        "id": turn["conversation_id"],
        "external_id": None,
        "title": one["title"],
        "title_source": "auto",
        "pinned": False,
        "archived": False,
        "tags": [],
        "collection_ids": [],
        "instructions": None,
        "turns": 1,
        "last_turn_at": turn["created_at"],
        "running_turn_id": None,
        "read_turn_id": None,
        "unread": True,
        "forked_from": None,
        "revision": 1,
        "created_at": turn["created_at"],
        "updated_at": turn["created_at"],
    }


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("Hello", "Hello"),
        ("x" * 100, "x" * 80),
        ("x" * 80 + " y", "x" * 80),
        ("\N{HONEYBEE}" * 90, "\N{HONEYBEE}" * 80),
        ("a\u200b\u2028b", "a b"),
    ],
)
def test_titles_are_cut_at_a_word(message: str, title: str) -> None:
    assert conversation_rows.build_title(message) == title


def test_newest_activity_comes_first_a_page_at_a_time(ada: Person) -> None:
    homes = [ada.says(f"m{number}").get_json()["conversation_id"] for number in range(4)]
    ada.says("again", conversation_id=homes[1])
    create(ada, title="empty")
    found = []
    cursor = ""
    while True:
        page = ada.call("GET", f"{PATH}?limit=2{cursor}").get_json()
        found.append([one["title"] for one in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == [["empty", "m1"], ["m3", "m2"], ["m0"]]
    assert [one["turns"] for one in listed(ada)] == [0, 2, 1, 1, 1]


def test_lists_can_be_narrowed(ada: Person) -> None:
    first = create(ada, title="first", tags=["work", "home"])
    second = create(ada, title="second", tags=["work"])
    create(ada, title="third")
    change(ada, first, pinned=True)
    change(ada, second, archived=True)
    assert titles(ada) == ["third", "first"]
    assert titles(ada, "?archived=true") == ["second"]
    assert titles(ada, "?pinned=true") == ["first"]
    assert titles(ada, "?pinned=false") == ["third"]
    assert titles(ada, "?tag=work") == ["first"]
    assert titles(ada, "?tag=work&archived=true") == ["second"]
    assert titles(ada, "?tag=nothing") == []
    assert ada.call("GET", PATH + "?archived=maybe").status_code == 400
    assert ada.call("GET", PATH + "?limit=0").status_code == 400


def test_external_id_makes_one_conversation(ada: Person, eve: Person) -> None:
    response = ada.call("POST", PATH, {"external_id": "mine", "title": "One"})
    assert response.status_code == 201
    again = ada.call("POST", PATH, {"external_id": "mine", "title": "Two"})
    assert (again.status_code, again.get_json()) == (200, response.get_json())
    assert create(eve, external_id="mine")["id"] != response.get_json()["id"]
    turn = ada.says("hello", external_id="mine").get_json()
    assert turn["conversation_id"] == response.get_json()["id"]
    opened = ada.says("hi", external_id="another").get_json()
    assert ada.says("and?", external_id="another").get_json()["conversation_id"] == opened["conversation_id"]
    assert {one["external_id"] for one in listed(ada)} == {"mine", "another"}
    both = ada.says("hi", external_id="mine", conversation_id=opened["conversation_id"])
    assert (both.status_code, list(both.get_json()["errors"])) == (400, ["external_id"])


def test_external_id_of_another_conversation_is_409(ada: Person) -> None:
    create(ada, external_id="one")
    other = create(ada, external_id="two")
    response = ada.call("PATCH", f"{PATH}{other['id']}/", {"external_id": "one"})
    assert (response.status_code, response.get_json()["code"]) == (409, "external_id_taken")
    assert change(ada, other, external_id="two")["external_id"] == "two"
    assert change(ada, other, external_id=None)["external_id"] is None


def test_messages_that_open_one_conversation_at_once(app: Flask, ada: Person) -> None:
    answers = []

    def send() -> None:
        person = Person(app.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
        answers.append(person.says("hello", external_id="shared").status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(answers) <= {200, 409}
    assert 200 in answers
    (one,) = listed(ada)
    assert one["turns"] == answers.count(200)


def test_settings_change_field_by_field(ada: Person) -> None:
    collection = ada.call("POST", "/api/collections/", {"name": "Books"}).get_json()["id"]
    made = create(ada, title="A", tags=["b", "a"], collection_ids=[collection], instructions="Be short.")
    assert (made["tags"], made["collection_ids"], made["instructions"]) == (["b", "a"], [collection], "Be short.")
    changed = change(ada, made, title="B")
    assert {**changed, "updated_at": ""} == {**made, "title": "B", "revision": 2, "updated_at": ""}
    cleared = change(ada, made, title=None, tags=[], collection_ids=[], instructions=None)
    assert (cleared["title"], cleared["title_source"], cleared["tags"], cleared["collection_ids"]) == (
        None,
        None,
        [],
        [],
    )
    ada.says("a new title", conversation_id=made["id"])
    assert (listed(ada)[0]["title"], listed(ada)[0]["title_source"]) == ("a new title", "auto")
    assert change(ada, made, title="mine")["title_source"] == "user"
    ada.says("no title", conversation_id=made["id"])
    assert listed(ada)[0]["title"] == "mine"


@pytest.mark.parametrize(
    "settings",
    [
        {"title": "x" * 201},
        {"title": " "},
        {"title": ""},
        {"tags": [str(number) for number in range(21)]},
        {"tags": ["a", "a"]},
        {"tags": ["Caf\u00e9", "Cafe\u0301"]},
        {"tags": ["Stra\u00dfe", "STRASSE"]},
        {"tags": ["x" * 51]},
        {"tags": [""]},
        {"external_id": "x" * 256},
        {"external_id": ""},
        {"instructions": "x" * 8_001},
        {"collection_ids": ["no"]},
        {"pinned": "yes"},
        {"archived": 1},
        {"read_turn_id": "no"},
        {"id": str(UUID(int=7))},
        {"revision": 9},
    ],
    ids=str,
)
def test_bad_settings_are_400_and_change_nothing(ada: Person, settings: dict[str, Any]) -> None:
    made = create(ada, title="A")
    response = ada.call("PATCH", f"{PATH}{made['id']}/", settings)
    assert response.status_code == 400
    (name,) = settings
    assert next(iter(response.get_json()["errors"])).startswith(name)
    assert ada.call("GET", f"{PATH}{made['id']}/").get_json() == made


def test_change_for_an_old_revision_is_412(ada: Person) -> None:
    made = create(ada, title="A")
    path = f"{PATH}{made['id']}/"
    assert ada.call("GET", path).headers["ETag"] == '"1"'
    for tag, status in (('"1"', 200), ('"1"', 412), ("2", 200), ('W/"3"', 412), ("*", 200), ('"x"', 400)):
        response = ada.call("PATCH", path, {"title": tag}, headers={"If-Match": tag})
        assert response.status_code == status, tag
        if status == 412:
            assert response.get_json()["code"] == "revision_mismatch"
    assert ada.call("GET", path).get_json()["title"] == "*"


def test_read_mark_tells_what_is_unread(ada: Person) -> None:
    first = ada.says("one").get_json()
    home = {"id": first["conversation_id"]}
    second = ada.says("two", conversation_id=home["id"]).get_json()
    assert change(ada, home, read_turn_id=first["id"])["unread"]
    read_all = change(ada, home, read_turn_id=second["id"])
    assert (read_all["unread"], read_all["read_turn_id"]) == (False, second["id"])
    ada.call("POST", f"/api/chat/{second['id']}/regenerate/")
    assert listed(ada)[0]["unread"]
    elsewhere = ada.says("elsewhere").get_json()
    for turn_id in (elsewhere["id"], str(uuid4())):
        assert ada.call("PATCH", f"{PATH}{home['id']}/", {"read_turn_id": turn_id}).status_code == 404


def test_instructions_are_a_part_of_the_users_message(ada: Person, llm: MemoryLLM) -> None:
    made = create(ada, instructions="Answer in French.")
    ada.says("hello", conversation_id=made["id"])
    system, message = llm.requests[-1].messages
    assert message.content == "Answer in French.\n\nhello"
    assert "French" not in system.content
    opened = ada.says("hello", instructions="In Greek.").get_json()
    assert llm.requests[-1].messages[-1].content == "In Greek.\n\nhello"
    ada.says("again", conversation_id=opened["conversation_id"])
    assert llm.requests[-1].messages[-1].content == "In Greek.\n\nagain"
    assert ada.history()[-1]["user_message"] == "again"


def test_collections_of_a_conversation_are_searched_by_default(app: Flask, ada: Person, eve: Person) -> None:
    own = ada.call("POST", "/api/collections/", {"name": "Books"}).get_json()["id"]
    made = create(ada, collection_ids=[own])
    turn = ada.says("hello", conversation_id=made["id"]).get_json()
    with app.app_context(), read() as connection:
        asked = connection.scalar(sa.select(ChatMessage.asked).where(ChatMessage.user_message == "hello"))
    assert asked == {"collection_ids": [own]}
    assert turn["status"] == "completed"
    foreign = eve.call("POST", "/api/collections/", {"name": "Hers"}).get_json()["id"]
    for identity in (foreign, str(uuid4())):
        assert ada.call("POST", PATH, {"collection_ids": [identity]}).status_code == 404
        assert ada.call("PATCH", f"{PATH}{made['id']}/", {"collection_ids": [identity]}).status_code == 404


def test_idempotency_key_makes_one_conversation(ada: Person) -> None:
    made = [ada.call("POST", PATH, {"title": "A"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201]
    assert made[0].get_json() == made[1].get_json()
    other = ada.call("POST", PATH, {"title": "B"}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_conversations_of_openai_clients_show_when_they_are_stored(ada: Person) -> None:
    body = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "hello"}]}
    assert ada.call("POST", "/v1/chat/completions", body).status_code == 200
    assert listed(ada) == []
    assert ada.call("POST", "/v1/chat/completions", {**body, "store": True}).status_code == 200
    assert titles(ada) == ["hello"]


def test_end_of_an_answer_shows_in_its_conversation(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    assert not listed(ada)[0]["unread"]
    gate.set()
    ended(ada, turn["id"])
    assert (listed(ada)[0]["unread"], listed(ada)[0]["running_turn_id"]) == (True, None)


def test_tags_are_composed_and_found_however_they_are_typed(ada: Person) -> None:
    made = create(ada, tags=["Cafe\u0301"])
    assert made["tags"] == ["Caf\u00e9"]
    for typed in ("Caf\u00e9", "Cafe\u0301"):
        assert [one["id"] for one in listed(ada, f"?tag={quote(typed)}")] == [made["id"]]
