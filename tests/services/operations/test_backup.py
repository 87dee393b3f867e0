"""The whole state in one file: from either database into either, under load, and complete or not at all."""

import gzip
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import Budget, BudgetReservation, ConversationShare, ConversationSummary, UsageHour, User
from chatbot.services.accounts.callers import OPERATOR
from chatbot.services.administration import users
from chatbot.services.knowledge import verification
from chatbot.services.knowledge.ingestion import queue
from chatbot.services.operations import backup
from chatbot.services.usage import latencies
from chatbot.services.usage.budgets import Limit
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.api.test_erasures import erase
from tests.conftest import PASSWORD, MakeApp, Person, join
from tests.support.databases import another
from tests.support.processes import Server, running
from tests.support.room_bot import ask

pytestmark = [pytest.mark.both_databases, pytest.mark.slow]

SECRETS = {"SECRET_KEY": "k" * 20 + "0123456789abcdef", "JWT_SECRET_KEY": "j" * 20 + "0123456789abcdef"}


@pytest.fixture(params=["sqlite", "postgresql"])
def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a second database, migrated and empty."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "other.db")
        yield "sqlite:///other.db"
        return
    with another(request) as url:
        yield url


@pytest.fixture
def other(make_app: MakeApp, other_url: str) -> Flask:
    return make_app(**SECRETS, DATABASE_URL=other_url, VECTOR_STORE="faiss")


@pytest.fixture
def full(make_app: MakeApp) -> Flask:
    """Return an application with something in each table that people fill."""
    app = make_app(**SECRETS)
    ada = join(app.test_client(), "ada")
    eve = join(app.test_client(), "eve")
    root = join(app.test_client(), "root")
    erase(app, join(app.test_client(), "guest"))
    send(ada, "Opening hours", HOURS, metadata={"year": 2024, "tag": "policy"}, external_id="hours")
    gone = send(ada, "Bees", BEES)
    work(app)
    ada.call("DELETE", f"/api/documents/{gone['id']}/")
    question = {"message": "When is the library open? \N{HONEYBEE}"}
    turn = ada.call("POST", "/api/chat/", question, headers={"Idempotency-Key": "one"}).get_json()
    ada.call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": 1, "comment": "good"})
    ada.call("POST", f"/api/chat/{turn['id']}/regenerate/")
    for number in range(5):
        eve.says(f"Eve's {number}")
    home = ada.call("GET", "/api/collections/").get_json()["items"][0]["id"]
    assert ada.call("PUT", f"/api/collections/{home}/members/{eve.id}/", {"role": "reader"}).status_code == 204
    assert ada.call("POST", "/api/users/api-keys/", {"name": "script", "scopes": ["chat"]}).status_code == 201
    minting = ada.call("POST", "/api/users/api-keys/", {"name": "server", "scopes": ["mint"]}).get_json()["secret"]
    headers = {"Authorization": f"Bearer {minting}"}
    ada.client.post("/api/users/client-tokens/", json={"subject": "user-1"}, headers=headers)
    ada.call("PATCH", f"/api/conversations/{turn['conversation_id']}/", {"tags": ["books"]})
    room = ada.call("POST", "/api/rooms/", {"name": "Lake"}).get_json()["id"]
    ada.call("POST", f"/api/rooms/{room}/messages/", {"text": "Hello", "client_id": "a"})
    ada.call("POST", f"/api/rooms/{room}/invites/")
    ask(ada, {"id": room}, "@bot When is the library open?")
    with app.app_context():
        users.change_user(OPERATOR, UUID(root.id), role="admin", limits=[Limit("turns", "day", 7)])
        queue.spend_parser_seconds(UUID(home), 1.5)
        with write("test") as connection:
            of_turn = {"conversation_id": UUID(turn["conversation_id"]), "last_sequence": 1}
            reserved = sa.select(sa.literal(UUID(turn["id"]), sa.Uuid()), Budget.id, 1)
            connection.execute(sa.insert(BudgetReservation).from_select(["turn_id", "budget_id", "amount"], reserved))
            sums = dict.fromkeys(("turns", "failed", "cancelled", "prompt_tokens", "completion_tokens"), 1)
            connection.execute(sa.insert(UsageHour).values(hour=1, latencies=latencies.pack({40: 1}), **sums))
            connection.execute(sa.insert(ConversationSummary).values(text="About hours.", **of_turn))
            connection.execute(sa.insert(ConversationShare).values(token_hash=b"x", expires_at=now(), **of_turn))
    return app


def saved(app: Flask, path: Path) -> list[Any]:
    """Save an application's state; returns the lines of the file."""
    with app.app_context():
        assert backup.save(path, lambda _: None) > 10
    return [orjson.loads(line) for line in gzip.open(path)]


def again(app: Flask, name: str) -> Person:
    """Log in with the password of before."""
    client = app.test_client()
    tokens = client.post("/api/users/login/", json={"email": f"{name}@example.org", "password": PASSWORD}).get_json()
    return Person(client, name, "", tokens["access_token"], tokens["refresh_token"])


def test_everything_comes_back_in_either_database(full: Flask, other: Flask, tmp_path: Path) -> None:
    lines = saved(full, tmp_path / "one")
    steps = list[int]()
    with other.app_context():
        assert backup.rows_of(tmp_path / "one") == lines[0]["rows"] == lines[-1]["end"]
        assert backup.restore(tmp_path / "one", steps.append) == sum(steps) == lines[-1]["end"]
        assert list(verification.verify(lambda _: None)) == []
    before = again(full, "ada")
    after = again(other, "ada")
    for path in ("/api/chat-history/", "/api/documents/", "/api/collections/"):
        assert before.call("GET", path).get_json() == after.call("GET", path).get_json()
    assert find(after, "When is the library open?") == find(before, "When is the library open?") != []
    assert {one["title"] for one in find(after, "bees dance")} == {"Opening hours"}
    assert again(other, "eve").says("And more?").status_code == 200


def test_backup_of_what_was_restored_is_the_same(full: Flask, other: Flask, tmp_path: Path) -> None:
    lines = saved(full, tmp_path / "one")
    with other.app_context():
        backup.restore(tmp_path / "one", lambda _: None)
    copy = saved(other, tmp_path / "two")
    assert copy[1:] == lines[1:]
    tables = {line["table"] for line in lines if isinstance(line, dict) and "table" in line}
    filled = {
        lines[at]["table"]
        for at in range(1, len(lines) - 1)
        if "table" in lines[at] and isinstance(lines[at + 1], list)
    }
    assert tables - filled <= {"turn_logs", "sessions", "leases", "mail_tokens", "code_guesses"}


def test_numbers_go_on_above_all_that_were_given(full: Flask, other: Flask, tmp_path: Path) -> None:
    """Processes that follow the knowledge base would miss a change with the number of an earlier one."""
    saved(full, tmp_path / "one")
    with other.app_context():
        backup.restore(tmp_path / "one", lambda _: None)
    ada = again(other, "ada")
    before = find(ada, "library")
    send(ada, "New", "The library has a new reading room.")
    work(other)
    assert len(find(ada, "library")) == len(before) + 1


def test_what_is_not_whole_leaves_an_empty_database(full: Flask, other: Flask, tmp_path: Path) -> None:
    lines = saved(full, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "flipped": bytes([*whole[: len(whole) // 2], whole[len(whole) // 2] ^ 1, *whole[len(whole) // 2 + 1 :]]),
        "empty": b"",
        "text": b"not a backup",
        "no end": repacked(lines[:-1]),
        "a row less": repacked([*lines[:-3], *lines[-2:]]) if isinstance(lines[-3], list) else repacked(lines[1:]),
        "no head": repacked(lines[1:]),
        "foreign table": repacked([lines[0], {"table": "pg_user", "columns": [], "next": None}, *lines[1:]]),
        "short rows": repacked([line[:-1] if isinstance(line, list) else line for line in lines]),
        "twice": repacked([*lines[:-1], *lines[1:]]),
    }
    with other.app_context():
        for name, data in broken.items():
            (tmp_path / name).write_bytes(data)
            with pytest.raises(backup.BackupRefused, match=name):
                backup.restore(tmp_path / name, lambda _: None)
            with read() as connection:
                assert connection.scalar(sa.select(sa.func.count()).select_from(User)) == 0, name
        with pytest.raises(backup.BackupRefused, match="is no whole backup"):
            backup.restore(tmp_path / "never", lambda _: None)
        backup.restore(tmp_path / "whole", lambda _: None)
        with pytest.raises(backup.BackupRefused, match="The database is not empty"):
            backup.restore(tmp_path / "whole", lambda _: None)


def repacked(lines: list[Any]) -> bytes:
    return gzip.compress(b"\n".join(orjson.dumps(line) for line in lines))


def test_other_secrets_and_other_revisions_are_refused(
    full: Flask, make_app: MakeApp, other_url: str, tmp_path: Path
) -> None:
    lines = saved(full, tmp_path / "one")
    (tmp_path / "old").write_bytes(repacked([{**lines[0], "revision": "0001"}, *lines[1:]]))
    other = make_app(DATABASE_URL=other_url, VECTOR_STORE="faiss")
    runner = other.test_cli_runner()
    ended = runner.invoke(args=["restore", str(tmp_path / "one")])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "It was made with another SECRET_KEY" in ended.stderr
    ended = runner.invoke(args=["restore", str(tmp_path / "old"), "--other-secrets"])
    assert "It was made at revision 0001" in ended.stderr
    ended = runner.invoke(args=["restore", str(tmp_path / "one"), "--other-secrets"])
    assert (ended.exit_code, ended.stdout) == (0, f"Restored {lines[-1]['end']} rows from {tmp_path / 'one'}.\n")
    assert SECRETS["SECRET_KEY"].encode() not in gzip.decompress((tmp_path / "one").read_bytes())


def test_restore_says_that_a_file_is_missing(app: Flask, tmp_path: Path) -> None:
    ended = app.test_cli_runner().invoke(args=["restore", str(tmp_path / "none")])
    assert (ended.exit_code, ended.stderr) == (1, f"Error: There is no file {tmp_path / 'none'}.\n")


def test_file_is_whole_or_not_there(full: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = full.test_cli_runner()
    folder = tmp_path / "backups"
    ended = runner.invoke(args=["backup", str(folder / "one")])
    assert (ended.exit_code, ended.stderr) == (
        1,
        f"Error: {folder / 'one'} cannot be written: No such file or directory.\n",
    )
    folder.mkdir()
    assert runner.invoke(args=["backup", str(folder / "one")]).exit_code == 0
    assert (folder / "one").stat().st_mode & 0o777 == 0o600
    ended = runner.invoke(args=["backup", str(folder / "one")])
    assert (ended.exit_code, ended.stderr) == (1, f"Error: {folder / 'one'} is there already.\n")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with full.app_context(), pytest.raises(KeyboardInterrupt):
        backup.save(folder / "two", interrupt)
    assert [one.name for one in folder.iterdir()] == ["one"]


def saved_under_load(server: Server, path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Save while four people speak; returns the turns acknowledged before it began, and after it was done."""
    said: dict[str, list[str]] = {}
    stop = threading.Event()

    def speak(name: str) -> None:
        token = server.sign_in(name)
        said[name] = []
        while not stop.is_set():
            text = f"{name} {len(said[name])}"
            if server.call("POST", "/api/chat/", {"message": text}, token)[0] == 200:
                said[name].append(text)

    threads = [threading.Thread(target=speak, args=[f"user{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    while sum(map(len, said.values())) < 40:
        stop.wait(0.05)
    before = {name: list(texts) for name, texts in said.items()}
    server.flask("backup", str(path))
    stop.set()
    for thread in threads:
        thread.join()
    return before, said


@pytest.mark.parametrize(
    ("database_url", "other_url"), [("sqlite", "postgresql"), ("postgresql", "sqlite")], indirect=True
)
def test_backup_under_load_has_what_was_acknowledged_before_and_is_sound(
    database_url: str, other_url: str, tmp_path: Path
) -> None:
    settings = {**SECRETS, "DATABASE_URL": database_url, "LLM": "memory", "EMBEDDER": "memory"}
    with running(tmp_path, **settings) as server:
        before, at_the_end = saved_under_load(server, tmp_path / "one")
    restored = Server(tmp_path, **{**settings, "DATABASE_URL": other_url})
    restored.flask("restore", str(tmp_path / "one"))
    assert "Found 0 faults." in restored.flask("knowledge", "verify").stdout
    restored.start()
    try:
        for name, texts in before.items():
            body = {"email": f"{name}@example.org", "password": PASSWORD}
            token = restored.call("POST", "/api/users/login/", body)[2]["access_token"]
            items = restored.call("GET", "/api/chat-history/?limit=100&order=asc", token=token)[2]["items"]
            found = [item["user_message"] for item in items]
            assert found[: len(texts)] == texts[:100]
            assert len(found) <= len(at_the_end[name]) + 1
            assert all(item["bot_response"] == item["user_message"] or item["status"] != "completed" for item in items)
    finally:
        restored.stop()
