"""Words of an erased account, searched for in the bytes of all files of a real server."""

import gzip
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import impatient
from tests.support.processes import Server, running
from tests.support.upstream import Upstream
from tests.support.waiting import wait_for

PASSWORD = "a sound passphrase"
# Of the names of others who stay: what they wrote is theirs.
KEPT = b"keptzebra"


class Canaries:
    """Words that are nowhere else, one for each field."""

    def __init__(self) -> None:
        self._numbers = count()
        self.words: dict[str, str] = {}

    def make(self, field: str) -> str:
        """Return the word of a field."""
        word = f"qz{next(self._numbers):03d}canaryxw"
        self.words[word] = field
        return word


@pytest.fixture
def own_server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    """Run a server of this test's own, so that all in its folder was written by it."""
    with running(tmp_path, **impatient(upstream), RATELIMIT_ENABLED="false", MAIL_URL="memory:") as server:
        yield server


def sign_up(server: Server, name: str, email: str) -> dict[str, str]:
    account = {"email": email, "username": name, "password": PASSWORD, "password_confirm": PASSWORD}
    status, _, user = server.call("POST", "/api/users/signup/", account)
    assert status == 201, user
    _, _, tokens = server.call(
        "POST", "/api/users/login/", {"email": email, "password": PASSWORD}, headers={"User-Agent": f"{name}-agent/1.0"}
    )
    return {"id": user["id"], "token": tokens["access_token"]}


def send_all(server: Server, canaries: Canaries, other: dict[str, str]) -> str:
    """Let a user write a canary into each field, change some and delete some; return the access token."""
    make = canaries.make
    user = sign_up(server, make("username"), f"{make('email')}@example.org")
    token = user["token"]

    def call(method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, _, answer = server.call(method, path, body, token, **options)
        assert status < 300, (method, path, answer)
        return answer

    call("PATCH", "/api/users/me/", {"username": make("new username")})
    call("POST", "/api/users/me/email/", {"email": f"{make('new email')}@example.org", "password": PASSWORD})
    call("POST", "/api/users/api-keys/", {"name": make("key name"), "scopes": ["chat"]})
    _send_chats(call, make)
    _send_documents(call, make)
    _send_rooms(call, make, other)
    status, _, _ = server.call("POST", "/api/users/login/", {"email": f"{make('failed login')}@x.org", "password": "x"})
    assert status == 401
    return token


def _send_chats(call: Any, make: Any) -> None:
    headers = {"Idempotency-Key": make("idempotency key")}
    values = {"title": make("title"), "external_id": make("external id"), "tags": [make("tag")]}
    conversation = call("POST", "/api/conversations/", {**values, "instructions": make("instructions")})
    body = {"message": f"Tell me of {make('message')}", "conversation_id": conversation["id"]}
    turn = call("POST", "/api/chat/", body, headers=headers)
    long = " ".join([make("long message")] * 1_500)  # on pages of its own
    call("POST", "/api/chat/", {"message": long, "conversation_id": conversation["id"]})
    call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": 1, "comment": make("comment")})
    call("POST", f"/api/conversations/{conversation['id']}/shares/", {})
    call("POST", f"/api/conversations/{conversation['id']}/fork/", {})
    call("PATCH", f"/api/conversations/{conversation['id']}/", {"title": make("new title"), "tags": [make("new tag")]})
    deleted = call("POST", "/api/chat/", {"message": " ".join([make("deleted message")] * 900)})
    call("GET", f"/api/chat-history/?q={make('query')}")
    call("GET", f"/api/conversations/?q={make('query of titles')}")
    call("DELETE", f"/api/chat-history/{deleted['id']}/")
    parts = [{"type": "text", "text": make("message of a UI")}]
    call("POST", "/api/ui/chat/", {"id": make("chat id"), "messages": [{"role": "user", "parts": parts}]})
    messages = [{"role": "system", "content": make("system prompt")}, {"role": "user", "content": make("v1 message")}]
    v1 = {
        "model": "gpt-3.5-turbo",
        "messages": messages,
        "user": make("v1 user"),
        "metadata": {"a": make("v1 metadata")},
    }
    call("POST", "/v1/chat/completions", v1)
    call("POST", "/api/chat/", {"message": make("options"), "instructions": make("own instructions")})


def _send_documents(call: Any, make: Any) -> None:
    collection = call("POST", "/api/collections/", {"name": make("collection"), "description": make("description")})
    text = f"The {make('text')} is open. " * 400
    values = {"title": make("document title"), "metadata": {make("metadata name"): make("metadata")}}
    body = {**values, "text": text, "external_id": make("document external id"), "collection_id": collection["id"]}
    document = call("POST", "/api/documents/", body)
    path = f"/api/documents/{document['id']}/"
    wait_for(lambda: call("GET", path)["status"] == "ready")
    call("POST", "/api/search/", {"query": make("search")})
    call("POST", "/api/chat/", {"message": "What is open?", "collection_ids": [collection["id"]]})
    call("PUT", path, {"title": make("next title"), "text": f"The {make('next text')} is shut. " * 400})
    wait_for(lambda: call("GET", path)["version"] == 2)
    call("POST", "/api/search/", {"query": "shut"})


def _send_rooms(call: Any, make: Any, other: dict[str, str]) -> None:
    alone = {"name": make("room"), "topic": make("topic"), "instructions": make("room instructions")}
    call("POST", "/api/rooms/", alone)
    room = call("POST", "/api/rooms/", {"name": "Shared"})
    path = f"/api/rooms/{room['id']}"
    call("PUT", f"{path}/members/{other['id']}/", {"role": "member"})
    call("PATCH", f"{path}/", {"name": "Renamed"})
    first = call("POST", f"{path}/messages/", {"text": make("room message"), "client_id": make("client id")})
    call("PATCH", f"{path}/messages/{first['id']}/", {"text": make("edited room message")})
    second = call("POST", f"{path}/messages/", {"text": make("deleted room message"), "client_id": make("next client")})
    call("DELETE", f"{path}/messages/{second['id']}/")
    question = f"@bot what of {make('question to the bot')}?"
    call("POST", f"{path}/messages/", {"text": question})
    wait_for(lambda: call("GET", f"{path}/messages/")["items"][-1]["status"] == "completed")


def find(folder: Path, words: dict[str, str]) -> dict[str, set[str]]:
    """Return the fields of the words that are in the bytes of a folder's files, by the names of the files."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".gz":
                data = gzip.decompress(data)
            hits = {field for word, field in words.items() if word.encode() in data}
            if hits:
                found[str(path.relative_to(folder))] = hits
    return found


def test_no_file_has_a_word_of_an_erased_account(own_server: Server, tmp_path: Path) -> None:
    server = own_server
    eve = sign_up(server, "eve", "eve@example.org")
    for number in range(3):
        server.call("POST", "/api/chat/", {"message": f"{KEPT.decode()} {number}"}, eve["token"])
    server.call("GET", f"/api/chat-history/?q={KEPT.decode()}", None, eve["token"])
    canaries = Canaries()
    token = send_all(server, canaries, eve)
    in_files = find(tmp_path, canaries.words)
    assert len({field for fields in in_files.values() for field in fields}) > 30  # the search finds what is there
    status, _, answer = server.call("DELETE", "/api/users/me/", {"password": PASSWORD}, token)
    assert status == 202
    path = f"/api/erasures/{answer['receipt_id']}/"
    wait_for(lambda: server.call("GET", path)[2]["status"] == "completed", 60)
    server.flask("backup", str(tmp_path / "backup.gz"))
    assert find(tmp_path, canaries.words) == {}
    assert server.stop() == 0
    assert find(tmp_path, canaries.words) == {}
    with sqlite3.connect(tmp_path / "chatbot.db") as connection:
        connection.execute("VACUUM")
    connection.close()
    assert find(tmp_path, canaries.words) == {}
    assert KEPT in (tmp_path / "chatbot.db").read_bytes()
