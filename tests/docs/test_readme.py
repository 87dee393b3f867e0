"""The commands of the README and of the guides, run as printed."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.cable import Cable
from tests.support.processes import ROOT, Server, Upstream, events, running

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
        script = script.replace("sleep 2\n", "echo; sleep 2\n")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    account, *streamed, document, turn = [line for line in ended.stdout.splitlines() if line]
    assert json.loads(account)["username"] == "ada"
    assert "event: done" in streamed
    assert json.loads(document)["title"] == "Opening hours"
    assert json.loads(turn)["citations"][0]["quote"] == "The library is open from nine to five on weekdays."


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
        script = script.replace("curl -s", "echo; curl -s")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
        document, found, turn = [json.loads(line) for line in ended.stdout.splitlines() if line]
        assert found["items"][0]["document_id"] == document["id"]
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
