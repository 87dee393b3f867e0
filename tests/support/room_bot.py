"""Questions to the bot of a room, and waiting for its answers."""

from typing import Any

from tests.conftest import Person
from tests.support.waiting import wait_for

RUNNING = {"queued", "pending"}
Json = dict[str, Any]


def post(person: Person, room: Json, text: str, **values: Any) -> Json:
    """Write a message."""
    response = person.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": text, **values})
    assert response.status_code == 201, response.get_json()
    message: Json = response.get_json()
    return message


def list_messages(person: Person, room: Json) -> list[Json]:
    """Return the last hundred messages that a person sees."""
    page: Json = person.call("GET", f"/api/rooms/{room['id']}/messages/?limit=100").get_json()
    items: list[Json] = page["items"]
    return items


def find_answer(person: Person, room: Json, question: Json) -> Json:
    """Return the answer to a question as a person sees it, an empty one where they do not."""
    found = [one for one in list_messages(person, room) if one["reply_to"] == question["id"] and one["kind"] == "bot"]
    return found[0] if found else {}


def wait_for_answer(person: Person, room: Json, question: Json) -> Json:
    """Return the answer to a question when it has ended."""

    def find_ended() -> Json:
        answer = find_answer(person, room, question)
        return answer if answer and answer["status"] not in RUNNING else {}

    return wait_for(find_ended, 20)


def ask(person: Person, room: Json, text: str) -> Json:
    """Ask the bot and return its answer when it has ended."""
    return wait_for_answer(person, room, post(person, room, text))


def wait_for_text(person: Person, room: Json, question: Json) -> Json:
    """Return the answer to a question when its text has begun."""
    return wait_for(lambda: answer if (answer := find_answer(person, room, question)).get("text") else {}, 20)
