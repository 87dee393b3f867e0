"""Exports of conversations as JSON and Markdown."""

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import history
from chatbot.services.chat.copies import exports
from tests.api.test_documents import HOURS, send, work
from tests.conftest import Person
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases


def path(conversation_id: str, form: str = "json") -> str:
    return f"/api/conversations/{conversation_id}/export/?format={form}"


def test_json_has_the_conversation_and_its_turns(ada: Person, llm: MemoryLLM) -> None:
    first = ada.says("one").get_json()
    home = first["conversation_id"]
    ada.says("two", conversation_id=home)
    ada.call("POST", f"/api/chat/{ada.history()[-1]['id']}/regenerate/")
    response = ada.call("GET", f"/api/conversations/{home}/export/")
    assert response.mimetype == "application/json"
    assert response.headers["Content-Disposition"] == "attachment; filename=one.json"
    assert response.get_json() == {
        "conversation": ada.call("GET", f"/api/conversations/{home}/").get_json(),
        "turns": ada.history(f"?conversation_id={home}"),
    }


def test_markdown_is_readable(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    send(ada, "Opening  hours", HOURS)
    work(app)
    llm.says("The library is open from nine to five on weekdays [1].")
    turn = ada.says("When is the library open on weekdays?").get_json()
    home = turn["conversation_id"]
    gate = gated(llm, "```\nprint(", "1)")
    late = ada.call(
        "POST", "/api/chat/", {"message": "~~~\ncode", "conversation_id": home}, headers={"Prefer": "respond-async"}
    ).get_json()
    ada.call("POST", f"/api/chat/{late['id']}/cancel/")
    ended(ada, late["id"])
    gate.set()
    ada.call("PATCH", f"/api/conversations/{home}/", {"title": "Hours\nof the library"})
    response = ada.call("GET", path(home, "markdown"))
    assert response.mimetype == "text/markdown"
    moment = turn["created_at"][:16].replace("T", " ")
    text = response.get_data(as_text=True)
    quote = turn["citations"][0]["quote"]
    assert text.startswith(
        f"# Hours of the library\n\n## User, {moment} UTC\n\nWhen is the library open on weekdays?\n\n"
        "## Assistant\n\nThe library is open from nine to five on weekdays [1].\n\n"
        f'- [1] Opening hours: "{quote}"\n'
    )
    assert "\n~~~\ncode\n~~~\n\n## Assistant (cancelled)\n" in text


def test_running_turn_is_exported_as_it_is(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "begins", "ends")
    turn = running(ada)
    assert "## Assistant (" in ada.call("GET", path(turn["conversation_id"], "markdown")).get_data(as_text=True)
    gate.set()
    ended(ada, turn["id"])


def test_long_conversation_is_read_a_page_at_a_time(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ada.says("0").get_json()["conversation_id"]
    for number in range(1, 5):
        ada.says(str(number), conversation_id=home)
    monkeypatch.setattr(exports, "PAGE", 2)
    read_pages = []
    list_turns = history.list_turns

    def counted(*args: Any, **options: Any) -> Any:
        read_pages.append(options["after"])
        return list_turns(*args, **options)

    monkeypatch.setattr(history, "list_turns", counted)
    response = ada.call("GET", path(home, "markdown"), buffered=False)
    pieces = response.iter_encoded()
    assert next(pieces) == b"# 0\n"
    assert len(read_pages) == 1
    assert b"\n1\n" in next(pieces)
    assert len(read_pages) == 1
    rest = b"".join(pieces)
    assert (len(read_pages), rest.count(b"## User")) == (3, 3)
    assert [one["user_message"] for one in ada.call("GET", path(home)).get_json()["turns"]] == list("01234")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("a/../b", "filename=a-b.md"),
        ("Caf\u00e9", "filename*=UTF-8''Caf%C3%A9.md"),
        ("\U0001f41d", "filename=Conversation.md"),
        ('"; x=\r\nSet-Cookie: a', "filename=x-Set-Cookie-a.md"),
        ("x" * 200, f"filename={'x' * 80}.md"),
    ],
)
def test_file_is_named_after_the_title(ada: Person, title: str, name: str) -> None:
    made = ada.call("POST", "/api/conversations/", {"title": title}).get_json()
    response = ada.call("GET", path(made["id"], "markdown"))
    assert response.headers["Content-Disposition"] == f"attachment; {name}"


def test_foreign_conversations_and_unknown_formats(ada: Person, eve: Person) -> None:
    home = ada.says("one").get_json()["conversation_id"]
    assert eve.call("GET", path(home)).status_code == 404
    assert ada.call("GET", path(str(uuid4()))).status_code == 404
    response = ada.call("GET", path(home, "pdf"))
    assert (response.status_code, list(response.get_json()["errors"])) == (400, ["format"])
