"""Operations: headers, the log of security events, private files, secrets that rotate, sessions that end."""

import json
import socket
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import config
from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.models import Session
from chatbot.services.accounts import tokens
from tests.conftest import PASSWORD, MakeApp, Person, join
from tests.support import databases
from tests.support.processes import Server, running

pytestmark = pytest.mark.both_databases

OLD = "first-Kq3x8VbZp5Rt7Lw2Yn9Cm4Hd6Js1Tr"
NEW = "then-Zt8q2LmNv4Bc6Xs1Pd9Rk3Gf7Hw5Ja"


def logged_in(who: Person, password: str = PASSWORD) -> Any:
    return who.client.post("/api/users/login/", json={"email": f"{who.name}@example.org", "password": password})


def refreshed(who: Person, token: str) -> Any:
    return who.client.post("/api/users/refresh/", json={"refresh_token": token})


@pytest.mark.parametrize("path", ["/healthz", "/api/chat-history/", "/nothing", "/api/docs/", "/metrics"])
def test_answers_have_the_headers_of_safe_ones(make_app: MakeApp, path: str) -> None:
    plain = make_app().test_client().get(path).headers
    assert plain["X-Content-Type-Options"] == "nosniff"
    assert plain["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in plain["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in plain
    behind_tls = make_app(BASE_URL="https://chat.example.org").test_client().get(path).headers
    assert behind_tls["Strict-Transport-Security"].startswith("max-age=31536000")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refusals_of_what_is_no_request_have_them_too(tmp_path: Path, scheme: str) -> None:
    with (
        running(tmp_path, LLM="memory", BASE_URL=f"{scheme}://127.0.0.1") as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as connection,
    ):
        connection.sendall(b"nonsense\r\n\r\n")
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nReferrer-Policy: no-referrer\r\n" in answer
    assert (b"\r\nStrict-Transport-Security: max-age=31536000\r\n" in answer) == (scheme == "https")


def test_metrics_are_open_to_this_machine_and_never_through_a_proxy(make_app: MakeApp) -> None:
    client = make_app(METRICS_TOKEN="a-token-of-the-operator").test_client()
    assert client.get("/metrics").status_code == 200
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto", "X-Forwarded-Host"):
        assert client.get("/metrics", headers={name: "a"}).status_code == 401
    behind = make_app(METRICS_TOKEN="a-token-of-the-operator", TRUSTED_PROXIES="1").test_client()
    assert behind.get("/metrics").status_code == 401  # the proxy may send no header at all
    allowed = {"Authorization": "Bearer a-token-of-the-operator"}
    assert behind.get("/metrics", headers=allowed).status_code == 200


def test_security_events_are_logged_and_no_secret(tmp_path: Path) -> None:
    with running(tmp_path, LLM="memory", RATELIMIT_ENABLED="true", RATE_WRITE_USER="5 per minute") as server:
        token = server.sign_in("ada")
        server.sign_in("eve")
        me = server.call("GET", "/api/users/me/", None, token)[2]["id"]
        wrong = {"email": "ada@example.org", "password": "not her passphrase"}
        assert server.call("POST", "/api/users/login/", wrong)[0] == 401
        pair = server.call("POST", "/api/users/login/", {**wrong, "password": "a sound passphrase"})[2]
        used = {"refresh_token": pair["refresh_token"]}
        second = server.call("POST", "/api/users/refresh/", used)[2]
        third = server.call("POST", "/api/users/refresh/", {"refresh_token": second["refresh_token"]})[2]
        server.call("POST", "/api/users/refresh/", {"refresh_token": third["refresh_token"]})
        assert server.call("POST", "/api/users/refresh/", used)[0] == 401
        home = server.call("POST", "/api/collections/", {"name": "Law"}, token)[2]["id"]
        assert server.call("PUT", f"/api/collections/{home}/members/{me}/", {"role": "reader"}, token)[0] == 204
        for _ in range(6):
            server.call("DELETE", f"/api/invitations/{me}/", None, token)
        assert server.flask("users", "disable", "eve@example.org").returncode == 0
        events = [line for line in server.lines() if line.get("event") == "security"]
        log = server.log()
    found = {(event["action"], event["outcome"]) for event in events}
    assert found >= {
        ("signup", "ok"),
        ("login", "ok"),
        ("login", "failed"),
        ("refresh", "ok"),
        ("refresh", "reused"),
        ("membership", "invite"),
        ("limit", "refused"),
    }
    (failed,) = [event for event in events if event["outcome"] == "failed"]
    assert failed["address"] == "127.0.0.1"
    assert failed["user"] == me
    assert "session" in next(event for event in events if (event["action"], event["outcome"]) == ("login", "ok"))
    for secret in ("not her passphrase", "a sound passphrase", pair["refresh_token"], pair["access_token"], token):
        assert secret not in log


def test_refused_requests_are_logged_with_their_address_and_user(tmp_path: Path) -> None:
    with running(tmp_path, LLM="memory") as server:
        token = server.sign_in("ada")
        me = server.call("GET", "/api/users/me/", None, token)[2]["id"]
        refused = [
            server.call("GET", f"/api/chat/{me}/", None, token)[0],
            server.call("POST", "/api/chat/", {"message": 1}, token)[0],
            server.call("GET", "/api/users/me/", None, "not.a.token")[0],
            server.call("POST", "/api/users/refresh/", {"refresh_token": "cr_guess"})[0],
        ]
        lines = [line for line in server.lines() if line.get("event") == "request"]
        log = server.log()
    assert refused == [404, 400, 401, 401]
    found = [(line["status"], line["address"], line.get("user")) for line in lines if line["status"] >= 400]
    assert [one for one in found if one[0] != 503] == [
        (404, "127.0.0.1", me),
        (400, "127.0.0.1", me),
        (401, "127.0.0.1", None),
        (401, "127.0.0.1", None),
    ]
    assert all("address" not in line for line in lines if line["status"] < 400)
    assert "cr_guess" not in log


def test_disabled_account_is_an_event_of_the_command(tmp_path: Path) -> None:
    server = Server(tmp_path).prepare()
    server.flask("users", "create", "--email", "eve@example.org", "--username", "eve", "--password", PASSWORD)
    ended = server.flask("users", "disable", "eve@example.org")
    (event,) = [json.loads(line) for line in ended.stderr.splitlines() if '"security"' in line]
    assert (event["action"], event["outcome"], event["disabled"]) == ("administration", "user_changed", "True")


def test_files_are_the_owners_alone_whatever_the_folders_mode(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    server = Server(home)
    server.log_path = tmp_path / "server.log"
    server.migrate().start()
    try:
        token = server.sign_in()
        server.call("POST", "/api/documents/", {"title": "T", "text": "Words to be found."}, token)
        server.call("POST", "/api/search/", {"query": "words"}, token)
        server.flask("backup", str(home / "all.backup"))
        files = [path for path in home.rglob("*") if path.is_file()]
        assert {"chatbot.db", "chatbot.db-wal", "all.backup"} <= {path.name for path in files}
        loose = {
            str(path): oct(path.stat().st_mode) for path in home.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077
        }
        assert loose == {}
    finally:
        server.stop()


def test_backup_follows_no_link_and_takes_no_place(tmp_path: Path) -> None:
    server = Server(tmp_path).prepare()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name, target in (("there", victim), ("nowhere", tmp_path / "missing")):
        link = tmp_path / name
        link.symlink_to(target)
        refused = server.flask("backup", str(link), check=False)
        assert (refused.returncode, "is there already" in refused.stderr) == (1, True)
        assert link.is_symlink()
    (tmp_path / "good.part").symlink_to(victim)
    assert server.flask("backup", str(tmp_path / "good")).returncode == 0
    assert victim.read_text() == "precious"
    assert not (tmp_path / "missing").exists()
    assert [path.name for path in tmp_path.glob(".good*")] == []


def test_ingest_passes_over_links_that_leave_the_folder(tmp_path: Path) -> None:
    server = Server(tmp_path).prepare()
    folder = tmp_path / "folder"
    outside = tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "inside.txt").write_text("A text of the folder.")
    (folder / "alias.txt").symlink_to(folder / "inside.txt")
    (outside / "secret.txt").write_text("A text of somebody else.")
    (folder / "secret.txt").symlink_to(outside / "secret.txt")
    (folder / "more").symlink_to(outside)
    ended = server.flask("knowledge", "ingest", str(folder))
    assert "Passed over 1 links that lead out of the folders." in ended.stderr
    assert ended.stdout.startswith("Took in ")
    assert "secret" not in ended.stdout + server.flask("knowledge", "list").stdout


def test_session_ends_a_year_after_its_login_however_often_it_is_refreshed(app: Flask, ada: Person) -> None:
    with app.app_context(), write("test") as connection:
        nearly = now() - tokens.SESSION_LIFETIME + timedelta(hours=1)
        connection.execute(sa.update(Session).values(created_at=nearly))
    pair = refreshed(ada, ada.refresh_token)
    assert pair.status_code == 200
    with app.app_context(), write("test") as connection:
        (expires,) = connection.execute(sa.select(Session.expires_at)).scalars().all()
        assert expires <= now() + timedelta(hours=1, minutes=1)
        connection.execute(sa.update(Session).values(created_at=now() - tokens.SESSION_LIFETIME))
    assert refreshed(ada, pair.get_json()["refresh_token"]).status_code == 401


def rotated(make_app: MakeApp, **settings: str) -> Flask:
    return make_app(**{**databases.SECRETS, **settings})


def test_secret_key_rotates_without_voiding_passwords_and_sessions(make_app: MakeApp) -> None:
    before = rotated(make_app, SECRET_KEY=OLD)
    ada = join(before.test_client(), "ada")
    lost = refreshed(ada, ada.refresh_token).get_json()  # whose answer gets lost
    voided = join(rotated(make_app, SECRET_KEY=NEW).test_client(), "bob")
    assert logged_in(Person(voided.client, "ada", ada.id, "", "")).status_code == 401
    after = rotated(make_app, SECRET_KEY=NEW, SECRET_KEY_PREVIOUS=OLD)
    there = Person(after.test_client(), "ada", ada.id, "", "")
    again = refreshed(there, ada.refresh_token).get_json()
    assert again["refresh_token"] == lost["refresh_token"]  # within 10 s, also over the rotation
    moved = refreshed(there, lost["refresh_token"])
    assert moved.status_code == 200
    assert logged_in(there, "not her passphrase").status_code == 401
    assert logged_in(there).status_code == 200  # and keeps the hash under the new key
    last = Person(rotated(make_app, SECRET_KEY=NEW).test_client(), "ada", ada.id, "", "")
    assert logged_in(last).status_code == 200
    assert refreshed(last, moved.get_json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("text", ["short", f"{OLD},{NEW},{OLD}"])
def test_bad_previous_secrets_are_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(config.BadSettings):
        config.load({"SECRET_KEY_PREVIOUS": text, "INSTANCE_PATH": str(tmp_path)}, tmp_path / "none")
    assert "SECRET_KEY_PREVIOUS" in capsys.readouterr().err


def test_words_of_settings_are_read_in_any_case(tmp_path: Path) -> None:
    given = {
        "LOG_LEVEL": "WARNING",
        "APP_ENV": "Testing",
        "VECTOR_STORE": "FAISS",
        "LLM": "Memory",
        "EMBEDDER": "WordLlama",
    }
    found = config.load({**given, "INSTANCE_PATH": str(tmp_path)}, tmp_path / "none")
    assert {name: found[name] for name in given} == {name: value.lower() for name, value in given.items()}
