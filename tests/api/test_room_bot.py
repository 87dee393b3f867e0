"""The bot of rooms: questions, answers, their readers, and their ends."""

from typing import Any

import pytest
from flask import Flask

from chatbot.rag.llms.memory import MemoryLLM
from tests.api.test_documents import BEES, HOURS, send, work
from tests.api.test_rooms import add, enter, get_code, get_room, invite, make_room
from tests.conftest import Person, join
from tests.support.room_bot import (
    ask,
    find_answer,
    list_messages,
    post,
    wait_for_answer,
)

pytestmark = pytest.mark.both_databases

QUESTION = "When is the library open on weekdays?"
ANSWER = "The library is open from nine to five on weekdays [1]."


@pytest.fixture
def room(ada: Person, eve: Person) -> dict[str, Any]:
    """Return a room of Ada's with Eve as a member."""
    made = make_room(ada)
    add(ada, made, eve)
    return made


@pytest.fixture
def library(app: Flask, ada: Person) -> str:
    """Return Ada's own collection, which has documents about the library and bees."""
    document = send(ada, "Opening hours", HOURS)
    send(ada, "Bees", BEES)
    work(app)
    collection_id: str = document["collection_id"]
    return collection_id


def share(owner: Person, collection_id: str, visibility: str = "shared") -> None:
    response = owner.call("PATCH", f"/api/collections/{collection_id}/", {"visibility": visibility})
    assert response.status_code == 200


def prompted(llm: MemoryLLM) -> str:
    return "\n".join(message.content for message in llm.prompts[-1])


def test_question_is_answered_for_all_members(ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]) -> None:
    llm.says("Oars ", "too.")
    question = post(eve, room, "@bot What else do we need?")
    answer = wait_for_answer(ada, room, question)
    assert answer == {
        "id": answer["id"],
        "room_id": room["id"],
        "seq": question["seq"] + 1,
        "rev": answer["rev"],
        "author": None,
        "kind": "bot",
        "text": "Oars too.",
        "reply_to": question["id"],
        "mentions": [],
        "client_id": None,
        "turn_id": answer["turn_id"],
        "status": "completed",
        "error": None,
        "citations": [],
        "audience": {"members": 2, "collections": []},
        "withheld": None,
        "visible_to": None,
        "edited_at": None,
        "deleted": False,
        "created_at": answer["created_at"],
    }
    assert find_answer(eve, room, question) == {**answer, "withheld": 0}
    assert llm.prompts[-1][-1].content.endswith("What else do we need?")
    assert get_room(ada, room["id"])["rev"] == answer["rev"]


def test_answer_is_a_turn_of_its_asker_alone(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    answer = ask(eve, room, "@bot Hello")
    turn = eve.call("GET", f"/api/chat/{answer['turn_id']}/").get_json()
    assert (turn["status"], turn["bot_response"]) == ("completed", answer["text"])
    assert get_code(ada.call("GET", f"/api/chat/{answer['turn_id']}/")) == (404, "not_found")
    assert eve.history() == []  # the room has it


def test_message_without_mention_asks_nothing(ada: Person, llm: MemoryLLM, room: dict[str, Any]) -> None:
    for text in ("Robots and mail@bot", "@bots @botany @both", "Hello"):
        post(ada, room, text)
    assert [one["kind"] for one in list_messages(ada, room)] == ["system", "message", "message", "message"]
    assert llm.prompts == []


def test_room_says_when_its_bot_answers(ada: Person, eve: Person, llm: MemoryLLM) -> None:
    always = make_room(ada, bot="always", instructions="Answer in rhymes.")
    assert (always["bot"], always["instructions"], always["collection_ids"]) == ("always", "Answer in rhymes.", [])
    assert ask(ada, always, "What is a lake?")["status"] == "completed"
    assert "Answer in rhymes." in prompted(llm)
    off = make_room(ada, bot="off")
    post(ada, off, "@bot Hello")
    assert get_code(ada.call("POST", f"/api/rooms/{off['id']}/messages/", {"text": "@bot! Hush"})) == (409, "bot_off")
    assert [one["text"] for one in list_messages(ada, off)] == ["@bot Hello"]
    changed = ada.call("PATCH", f"/api/rooms/{always['id']}/", {"bot": "mention", "instructions": None}).get_json()
    assert (changed["bot"], changed["instructions"]) == ("mention", None)
    add(ada, always, eve)
    assert get_code(eve.call("PATCH", f"/api/rooms/{always['id']}/", {"bot": "off"})) == (403, "forbidden")


def test_question_in_private_is_seen_by_its_asker_alone(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    post(ada, room, "Good morning")
    answer = ask(eve, room, "@bot! My secret?")
    assert (answer["visible_to"], answer["status"], answer["audience"]) == (eve.id, "completed", None)
    assert [one["visible_to"] for one in list_messages(eve, room)] == [None, None, eve.id, eve.id]
    assert [one["text"] for one in list_messages(ada, room)] == ["eve was added.", "Good morning"]
    room_of_ada = get_room(ada, room["id"])
    assert (room_of_ada["last_seq"], room_of_ada["unread"]) == (4, 0)
    changes = ada.call("GET", f"/api/rooms/{room['id']}/changes/").get_data(as_text=True)
    feed = ada.call("GET", "/api/sync/").get_data(as_text=True)
    assert "secret" not in changes + feed
    assert ada.call("GET", f"/api/rooms/{room['id']}/changes/").get_json()["rev"] == room_of_ada["rev"]
    path = f"/api/rooms/{room['id']}/messages/{answer['id']}/"
    assert get_code(ada.call("POST", f"{path}cancel/")) == (404, "not_found")
    assert get_code(ada.call("DELETE", path)) == (404, "not_found")
    assert eve.call("DELETE", path).status_code == 204


def test_passages_are_those_that_every_member_may_read(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    answer = ask(ada, room, f"@bot {QUESTION}")
    assert HOURS not in prompted(llm)
    assert (answer["audience"], answer["withheld"]) == ({"members": 2, "collections": []}, 1)
    assert find_answer(eve, room, {"id": answer["reply_to"]})["withheld"] is None
    trace = ada.call("GET", f"/api/chat/{answer['turn_id']}/trace/").get_json()
    assert (trace["candidates"], trace["dropped"]) == ([], {"not readable by all members": 1})
    llm.says(ANSWER)
    alone = ask(ada, room, f"@bot! {QUESTION}")
    assert HOURS in prompted(llm)
    assert [one["quote"] for one in alone["citations"]] == ["The library is open from nine to five on weekdays."]


def test_answer_cites_what_all_may_open_and_says_for_whom(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    share(ada, library)
    llm.says(ANSWER)
    answer = ask(ada, room, f"@bot {QUESTION}")
    assert (answer["audience"], answer["withheld"]) == ({"members": 2, "collections": [library]}, 0)
    seen = find_answer(eve, room, {"id": answer["reply_to"]})
    assert seen["citations"] == answer["citations"]
    assert eve.call("GET", f"/api/documents/{seen['citations'][0]['document_id']}/").status_code == 200
    share(ada, library, "private")
    seen = find_answer(eve, room, {"id": answer["reply_to"]})
    assert (seen["status"], seen["text"], seen["citations"]) == ("withheld", "", [])
    ask(ada, room, "@bot Say it again.")
    assert "nine to five" not in prompted(llm)
    assert find_answer(ada, room, {"id": answer["reply_to"]})["text"] == ANSWER


def test_collections_of_a_room_are_searched_alone(
    app: Flask, ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    other = ada.call("POST", "/api/collections/", {"name": "Lakes", "visibility": "shared"}).get_json()
    share(ada, library)
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"collection_ids": [other["id"]]})
    assert get_room(eve, room["id"])["collection_ids"] == [other["id"]]
    assert ask(eve, room, f"@bot {QUESTION}")["audience"] == {"members": 2, "collections": []}
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"collection_ids": [other["id"], library]})
    assert ask(eve, room, f"@bot {QUESTION}")["audience"] == {"members": 2, "collections": [library]}
    share(ada, library, "private")
    assert ask(eve, room, f"@bot {QUESTION}")["audience"] == {"members": 2, "collections": []}
    foreign = eve.call("POST", "/api/rooms/", {"name": "Hers", "collection_ids": [library]})
    assert get_code(foreign) == (404, "not_found")


def test_who_joins_later_reads_no_answer_from_what_they_may_not_read(
    app: Flask, ada: Person, eve: Person, llm: MemoryLLM, library: str
) -> None:
    empty = ada.call("POST", "/api/collections/", {"name": "Empty"}).get_json()
    room = make_room(ada, history="all", collection_ids=[empty["id"]])
    plain = ask(ada, room, "@bot Are lakes deep?")
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"collection_ids": []})
    llm.says(ANSWER)
    answer = ask(ada, room, f"@bot {QUESTION}")
    llm.says("As I said: from nine to five.")
    repeated = ask(ada, room, "@bot Say it again.")  # its prompt has the first answer
    assert any("nine to five" in message.content for message in llm.prompts[-1])
    add(ada, room, eve)
    seen = {one["id"]: one for one in list_messages(eve, room)}
    for hidden in (answer, repeated):
        shown = seen[hidden["id"]]
        assert (shown["status"], shown["text"], shown["citations"], shown["audience"]) == ("withheld", "", [], None)
    assert seen[plain["id"]]["text"] == plain["text"]
    feed = eve.call("GET", f"/api/rooms/{room['id']}/changes/").get_data(as_text=True)
    assert "nine to five" not in feed + eve.call("GET", "/api/sync/").get_data(as_text=True)
    ask(eve, room, "@bot And now?")
    assert "nine to five" not in prompted(llm)
    share(ada, library)
    assert {one["id"]: one for one in list_messages(eve, room)}[answer["id"]]["text"] == ANSWER
    ada.call("DELETE", f"/api/documents/{answer['citations'][0]['document_id']}/")
    assert ada.call("PATCH", f"/api/collections/{library}/", {"visibility": "private"}).status_code == 200
    assert {one["id"]: one for one in list_messages(eve, room)}[answer["id"]]["text"] == ""


def test_prompt_has_what_each_member_may_read_of_the_room(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    post(ada, room, "The boat is blue, <passage>")
    ask(ada, room, "@bot! Ada's private canary")
    ask(eve, room, "@bot How deep is the lake?")
    text = prompted(llm)
    assert "ada: The boat is blue, &lt;passage>" in text
    assert "canary" not in text
    ask(eve, room, "@bot And how wide?")
    assert [one.role for one in llm.prompts[-1]] == ["system", "user", "assistant", "user"]
    bob = join(ada.client, "bob")
    add(ada, room, bob)
    ask(ada, room, "@bot Who has come?")
    assert "blue" not in prompted(llm)
    assert "deep" not in prompted(llm)  # Bob joined after it
    ask(ada, room, "@bot! Again in private")
    assert "Ada's private canary" in prompted(llm)
    assert "wide" not in prompted(llm)  # a room's text enters no private prompt


def test_questions_count_with_messages_to_the_model(make_app: Any) -> None:
    app = make_app(RATELIMIT_ENABLED="1", RATE_CHAT_USER="2 per minute")
    ada = join(app.test_client(), "ada")
    room = make_room(ada)
    path = f"/api/rooms/{room['id']}/messages/"
    statuses = [ada.call("POST", path, {"text": text}).status_code for text in ("@bot 1", "hi", "@bot 2", "@bot 3")]
    assert statuses == [201, 201, 201, 429]


def test_member_by_invite_sees_nothing_private(ada: Person, eve: Person) -> None:
    room = make_room(ada, history="all")
    ask(ada, room, "@bot! Ada's canary")
    enter(eve, invite(ada, room))
    assert "canary" not in str(list_messages(eve, room)) + eve.call("GET", "/api/sync/").get_data(as_text=True)


@pytest.mark.parametrize("text", ["Hi.@bot! x", "-@bot! x", "_@bot!_ x", "@bot ! x", "@bot\uff01 x", "\uff20bot! x"])
def test_question_in_private_is_known_however_it_is_written(ada: Person, eve: Person, text: str) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    question = post(eve, room, text)
    assert question["visible_to"] == eve.id
    assert wait_for_answer(eve, room, question)["status"] == "completed"
