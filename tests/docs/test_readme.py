"""The commands of the README and of the guides, run as printed."""

import json
import re
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest

import config
from tests.support.cable import Cable
from tests.support.databases import SECRETS
from tests.support.processes import ROOT, Server, Upstream, events, running
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "docs/guides/stream.mjs"


def blocks(page: str) -> list[str]:
    """Return the shell blocks of a page."""
    return re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_readmes_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    run, test, *use = blocks("README.md")
    assert (run, test) == ("make run\n", "make test\n")  # which .ci/run runs
    assert len(use) == 4
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        script = "\necho\n".join(use).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    account, *streamed, turn = [line for line in ended.stdout.splitlines() if line]
    assert json.loads(account)["username"] == "ada"
    assert "event: done" in streamed
    assert streamed.count("event: done") == 2  # of the answer, and of the document
    assert json.loads(turn)["citations"][0]["quote"] == "The library is open from nine to five on weekdays."


def test_every_page_with_commands_has_its_test() -> None:
    """A new page with commands fails this until its commands are run: here, by `make --dry-run`, or (compose) parsed."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert {str(page.relative_to(ROOT)): len(blocks(str(page))) for page in pages if blocks(str(page))} == {
        "README.md": 6, "CONTRIBUTING.md": 1, "docs/benchmarks.md": 1, "docs/tutorial.md": 5, "docs/guides/authentication.md": 3,
        "docs/guides/backup.md": 1, "docs/guides/conversations.md": 5, "docs/guides/knowledge.md": 3, "docs/guides/models.md": 2, "docs/guides/openai-clients.md": 1,
        "docs/guides/privacy.md": 1, "docs/guides/rooms.md": 5, "docs/guides/streaming.md": 4, "docs/guides/sync.md": 2, "docs/guides/usage.md": 3, "docs/operations/deploy.md": 3, "docs/reference/commands.md": 1, "docs/reference/metrics.md": 1,
    }  # fmt: skip


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("slash", ["/", ""])
def test_curl_commands_work_as_printed(tmp_path: Path, upstream: Upstream, slash: str) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        script = "\necho\n".join(blocks("docs/tutorial.md")).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        script = script if slash else script.replace("/ -H", " -H")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    account, turn, history, next_turn = [json.loads(line) for line in ended.stdout.splitlines() if line]
    assert account["username"] == "ada"
    assert turn["bot_response"] == "You said: What is the capital of France?"
    assert history["items"] == [turn]
    assert next_turn["bot_response"] == "You said: And of Italy?"
    assert next_turn["conversation_id"] == turn["conversation_id"]


def test_streaming_and_clients_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        token = server.sign_in()
        script = "\n".join([*blocks("docs/guides/streaming.md"), *blocks("docs/guides/openai-clients.md")])
        script = f"TOKEN={token}\n" + script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
        found = events(
            ended.stdout.split("{", 1)[0] + ended.stdout[ended.stdout.index("{") : ended.stdout.rindex("}\n\n") + 3]
        )
        assert [name for _, name, _ in found].count("done") == 2
        assert "You said: What is the capital of Italy?" in ended.stdout
        assert '"siblings":["' in ended.stdout
        assert '"object":"list"' in ended.stdout


def test_javascript_reads_a_stream_and_reads_on(tmp_path: Path) -> None:
    assert SCRIPT.read_text() in (ROOT / "docs/guides/streaming.md").read_text()
    node = Path(sys.executable).with_name("node")
    slow = Upstream("--interval", "0.03", "--tokens", "150")
    try:
        with running(tmp_path, OPENAI_BASE_URL=slow.url) as server:
            token = server.sign_in()
            cable = Cable(server.port, lives=10)
            with cable:
                command = [
                    str(node),
                    str(SCRIPT),
                    f"http://127.0.0.1:{cable.port}",
                    token,
                    "Tell me.",
                ]
                ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            turn = server.call("GET", "/api/chat-history/", token=token)[2]["items"][0]
        assert ended.stdout == f"{turn['bot_response']}\n[completed]\n", ended.stderr
        assert cable.cut == 10
    finally:
        slow.stop()


def test_javascript_waits_for_a_server_that_died(tmp_path: Path) -> None:
    slow = Upstream("--interval", "0.05", "--tokens", "400")
    try:
        with running(tmp_path, OPENAI_BASE_URL=slow.url) as server:
            address = f"http://127.0.0.1:{server.port}"
            token = server.sign_in()
            node = str(Path(sys.executable).with_name("node"))
            command = [node, str(SCRIPT), address, token, "Tell me."]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as script:
                assert script.stdout is not None
                begun = script.stdout.read(30)
                server.kill()
                server.start()
                rest, errors = script.communicate(timeout=60)
            turn = server.call("GET", "/api/chat-history/", token=token)[2]["items"][0]
        shown = begun + rest
        assert turn["status"] == "interrupted", errors
        assert shown.endswith("\n[interrupted]\n")
        assert turn["bot_response"] in shown
    finally:
        slow.stop()


def test_javascript_gives_up_on_answers_that_never_end() -> None:
    asked: list[str] = []

    class Broken(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'id: 0\nevent: turn\ndata: {"id": "t"}\n\n')

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever).start()
        node = str(Path(sys.executable).with_name("node"))
        command = [node, str(SCRIPT), f"http://127.0.0.1:{server.server_port}", "token", "Tell me."]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        server.shutdown()
    assert (ended.returncode, len(asked)) == (1, 11)
    assert "The answer broke off." in ended.stderr


def test_knowledge_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    send, care, operate = blocks("docs/guides/knowledge.md")
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        script = f"TOKEN={server.sign_in()}\n" + send.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        script = script.replace("\ncurl -s", "\necho; curl -s")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
        found, turn = [json.loads(line) for line in ended.stdout.splitlines() if line]
        assert found["items"][0]["title"] == "Opening hours"
        assert turn["citations"][0]["quote"] == "The library is open from nine to five on weekdays."
        script = f"TOKEN={server.sign_in()}\n" + care.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("\ncurl -s", "\necho; curl -s")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        replaced, chunks, trace = [json.loads(line) for line in ended.stdout.splitlines() if line]
        assert replaced["title"] in {"README", "retrieval"}  # the old one where it was ready before
        assert chunks["items"][0]["position"] == 0
        assert trace["candidates"][0]["document_id"] == replaced["id"]
        for line in operate.splitlines():
            assert server.flask(*line.removeprefix(".venv/bin/flask ").split()).returncode == 0, line


def test_conversations_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        script = "".join(blocks("docs/guides/conversations.md"))
        script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace("\ncurl -s", "\ncurl -sf")
        script = f"TOKEN={server.sign_in()}\n{script}"
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    listed, history, changed, made, turn, exported, shared, shares = map(json.loads, lines)
    assert listed["items"][0]["title"] == "Where shall we spend the holidays?"
    assert len(history["items"]) == 1
    assert (changed["title"], changed["pinned"], changed["tags"]) == ("Holidays", True, ["family"])
    assert made["external_id"] == "my-own-id-7"
    assert "\n## User, " in ended.stdout
    assert {f"The fork is {turn['conversation_id']}", "202", "204"} <= set(ended.stdout.splitlines())
    assert exported["turns"][1]["id"] == turn["id"]
    assert exported["conversation"]["forked_from"] == changed["id"] == history["items"][0]["conversation_id"]
    assert (shared["title"], len(shared["items"]), len(shares["items"])) == ("Holidays", 1, 1)


def test_login_refresh_and_metrics_commands_work_as_printed(tmp_path: Path) -> None:
    account = {"email": "ada@example.com", "username": "ada", "password": "correct horse battery"}
    with running(tmp_path, LLM="memory", EMBEDDER="memory") as server:
        server.call("POST", "/api/users/signup/", {**account, "password_confirm": account["password"]})
        token = server.sign_in("other")
        assert server.call("POST", "/api/chat/", {"message": "Hi"}, token)[0] == 200
        script = "\n".join([*blocks("docs/guides/authentication.md"), *blocks("docs/reference/metrics.md")])
        script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    tokens, after_tokens = json.JSONDecoder().raw_decode(ended.stdout)
    assert {"access_token", "refresh_token"} <= set(tokens)
    turn, after_turn = json.JSONDecoder().raw_decode(ended.stdout[after_tokens:].lstrip())
    assert turn["status"] == "completed"  # sent with an API key
    assert all(told in ended.stdout[after_turn:] for told in ('"token":"ck_', 'turns_total{status="completed"} 2.0'))


def test_settings_of_other_models_are_accepted(tmp_path: Path) -> None:
    lines = [line for block in blocks("docs/guides/models.md") for line in block.splitlines()]
    assert len(lines) == 3
    for line in lines:
        *assignments, make, run = shlex.split(line, comments=True)
        assert (make, run) == ("make", "run")
        given = dict(one.split("=", 1) for one in assignments)
        loaded = config.load({**SECRETS, **given}, tmp_path / "no.env")
        assert all(loaded[name] for name in given)


def test_secrets_are_made_as_printed(tmp_path: Path) -> None:
    command, _, _ = blocks("docs/operations/deploy.md")
    ended = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, check=True)
    made = dict(line.split("=", 1) for line in ended.stdout.splitlines())
    assert set(made) == {"SECRET_KEY", "JWT_SECRET_KEY"}
    assert config.load({**made, "APP_ENV": "production"}, tmp_path / "no.env")["SECRET_KEY"] == made["SECRET_KEY"]


def test_move_to_postgresql_works_as_printed(tmp_path: Path, postgres_url: str, redis_server: RedisServer) -> None:
    _, _, commands = blocks("docs/operations/deploy.md")
    with running(tmp_path, LLM="memory", EMBEDDER="memory") as server:
        token = server.sign_in()
        server.call("POST", "/api/chat/", {"message": "one"}, token)
    redis_server.flush()
    script = commands.replace(".venv/bin/", f"{sys.prefix}/bin/").replace("everything.", f"{tmp_path}/everything.")
    script = script.replace("postgresql://user@host/name", f"'{postgres_url}'")
    script = script.replace("redis://host:6379/0", redis_server.url)
    subprocess.run(["bash", "-euc", script], cwd=ROOT, env=server.environment, check=True, capture_output=True)
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT user_message FROM chat_messages").fetchall() == [("one",)]


def test_backup_commands_work_as_printed(tmp_path: Path) -> None:
    (commands,) = blocks("docs/guides/backup.md")
    with running(tmp_path, LLM="memory", EMBEDDER="memory") as server:
        token = server.sign_in()
        for text in ("one", "two"):
            server.call("POST", "/api/chat/", {"message": text}, token)
        bin_ = f"{sys.prefix}/bin/"
        script = commands.replace(".venv/bin/", bin_).replace("everything.backup", f"{tmp_path}/everything.backup")
        subprocess.run(["bash", "-euc", script], cwd=ROOT, env=server.environment, check=True, capture_output=True)
    restored = Server(tmp_path, LLM="memory", EMBEDDER="memory", DATABASE_URL="sqlite:///restored.db").start()
    try:
        turns = restored.call("GET", "/api/chat-history/", token=token)[2]["items"]
        assert [turn["user_message"] for turn in turns] == ["one", "two"]
    finally:
        restored.stop()


def test_commands_work_as_printed(tmp_path: Path) -> None:
    (commands,) = blocks("docs/reference/commands.md")
    server = Server(tmp_path).prepare()
    for line in commands.splitlines():
        arguments = line.removeprefix(".venv/bin/flask ").split()
        if arguments[:2] == ["users", "create"]:
            arguments += ["--email", "root@example.org", "--username", "root", "--password", "a sound passphrase"]
        assert server.flask(*arguments).returncode == 0, line


def test_example_of_a_turn_has_the_fields_that_a_turn_has(server: Server) -> None:
    (example,) = (
        json.loads(text)
        for text in re.findall(r"```json\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(), re.DOTALL)
        if "bot_response" in text
    )
    token = server.sign_in("reader")
    assert set(server.call("POST", "/api/chat/", {"message": "Hi"}, token)[2]) == set(example)


def test_sync_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        token = server.sign_in()
        server.call("POST", "/api/chat/", {"message": "Hello there"}, token)
        script = "\necho\n".join(blocks("docs/guides/sync.md")).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        script = f"TOKEN={token}\n{script.replace('-sN', '-sNi')}"
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    first, _, events = ended.stdout.partition("\n")
    assert {item["type"] for item in json.loads(first)["items"]} == {"conversation", "turn"}
    assert "200 OK" in events
    assert "text/event-stream" in events
