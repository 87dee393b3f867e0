"""Every fault of a model's server against a really running application, over sockets."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatbot.schemas import problem
from tests.conftest import impatient
from tests.faults import FAULTS
from tests.processes import Server, Upstream, free_port, running
from tests.upstream_faults import FAULTS as PLAYED

SECRETS = ("nobody", "Upstream words", "sk-canary", "Traceback")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """A server of its own: it remembers which parameters were refused."""
    with running(tmp_path_factory.mktemp("faults"), **impatient(upstream)) as server:
        yield server


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return server.sign_in("faulty")


def test_every_played_fault_has_a_cell() -> None:
    assert {name.split()[0] for name in FAULTS} == set(PLAYED)


def test_every_upstream_code_has_a_fault() -> None:
    codes = {p.code for p in problem.PROBLEMS.values() if p.code.startswith(("upstream", "model"))}
    assert codes - {cell.code for cell in FAULTS.values()} == {"upstream_unreachable"}  # below


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_has_its_status_code_and_terminal_state(server: Server, token: str, fault: str) -> None:
    expected = FAULTS[fault]
    status, headers, body = server.call("POST", "/api/chat/", {"message": f"[[{fault}]] hello"}, token)
    newest = server.call("GET", "/api/chat-history/?order=desc&limit=1", token=token)[2]["items"][0]
    assert (status, newest["status"], newest["user_message"]) == (expected.status, expected.state, f"[[{fault}]] hello")
    if fault != "endless":
        assert newest["bot_response"] == expected.text
    if expected.code:
        facts = next(p for p in problem.PROBLEMS.values() if p.code == expected.code)
        assert (body["code"], body["status"], body["retryable"]) == (facts.code, facts.status, facts.retryable)
        assert newest["error"] == {"code": facts.code, "title": facts.title, "retryable": facts.retryable}
        assert body["instance"] == f"/api/chat/{newest['id']}/"
        assert ("retry-after" in headers) == (status == 503 or fault.startswith("retry_after"))
    else:
        assert body == newest
    assert not any(secret in str(body) for secret in SECRETS)


@pytest.mark.parametrize(("value", "least", "most"), [("1", 1, 1), ("30", 30, 30), ("date", 25, 31), ("soon", 1, 60)])
def test_retry_after_is_passed_on(server: Server, token: str, value: str, least: int, most: int) -> None:
    headers = server.call("POST", "/api/chat/", {"message": f"[[retry_after {value}]] hello"}, token)[1]
    assert least <= int(headers["retry-after"]) <= most


def test_refused_parameter_is_replaced_and_that_is_remembered(server: Server, token: str, upstream: Upstream) -> None:
    server.call("POST", "/api/chat/", {"message": "[[refuses max_tokens]] hello"}, token)
    server.call("POST", "/api/chat/", {"message": "and now?"}, token)
    sent = upstream.log()[-1]["request"]
    assert sent["max_completion_tokens"] == 150
    assert "max_tokens" not in sent
    assert "temperature" not in sent


def test_refusal_of_one_message_changes_nothing_for_the_next(server: Server, token: str, upstream: Upstream) -> None:
    def parameters() -> set[str]:
        server.call("POST", "/api/chat/", {"message": "hello"}, token)
        return set(upstream.log()[-1]["request"])

    before = parameters()
    for fault in ("too_long", "odd_param", "status 400"):
        server.call("POST", "/api/chat/", {"message": f"[[{fault}]] hello"}, token)
    assert parameters() == before


def test_flood_of_one_answer_holds_up_nobody_else(server: Server, token: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        flooded = pool.submit(server.call, "POST", "/api/chat/", {"message": "[[flood]] hello"}, token)
        slowest = 0.0
        while not flooded.done():
            started = time.monotonic()
            assert server.call("GET", "/healthz")[0] == 200
            slowest = max(slowest, time.monotonic() - started)
    assert flooded.result()[0] == 504
    assert slowest < 0.5


def test_endless_answer_is_cut_and_called_truncated(server: Server, token: str) -> None:
    body = server.call("POST", "/api/chat/", {"message": "[[endless]] hello"}, token)[2]
    assert body["status"] == "truncated"
    assert 1_000_000 < len(body["bot_response"]) < 1_200_000


def test_missing_model_is_one_clear_sentence_in_the_log(server: Server, token: str) -> None:
    server.call("POST", "/api/chat/", {"message": "[[no_model]] hello"}, token)
    line = next(line for line in reversed(server.lines()) if line["event"] == "upstream failed")
    assert line["detail"] == "The model 'gpt-3.5-turbo' does not exist at its server: set OPENAI_MODEL."
    assert line["level"] == "error"
    assert line["request_id"]


def test_log_has_code_and_duration_but_no_key_and_no_message(server: Server, token: str) -> None:
    server.call("POST", "/api/chat/", {"message": "[[status 401]] whisper-canary"}, token)
    line = next(line for line in reversed(server.lines()) if line["event"] == "upstream failed")
    assert line["error"] == "UpstreamDenied"
    assert line["milliseconds"] >= 0
    assert not any(word in server.log() for word in ("sk-canary", "whisper-canary", "Upstream words", token))


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_unreachable_server_is_503_and_the_message_is_kept(tmp_path_factory: pytest.TempPathFactory, host: str) -> None:
    folder = tmp_path_factory.mktemp("unreachable")
    with running(folder, OPENAI_BASE_URL=f"http://{host}:{free_port()}/v1") as server:
        token = server.sign_in()
        status, headers, body = server.call("POST", "/api/chat/", {"message": "anybody there?"}, token)
        assert (status, body["code"], body["retryable"]) == (503, "upstream_unreachable", True)
        assert int(headers["retry-after"]) > 0
        turn = server.call("GET", body["instance"], token=token)[2]
        assert (turn["status"], turn["user_message"]) == ("failed", "anybody there?")
