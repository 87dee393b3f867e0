"""Every fault of a model's server against a really running application, over sockets, at every door."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from chatbot.schemas import problem
from chatbot.web import openai_errors
from tests.conftest import DATABASES, impatient
from tests.support.databases import stack_of_a_module
from tests.support.faults import FAULTS
from tests.support.processes import Server, Upstream, events, free_port, running
from tests.support.upstream_dialects import DIALECTS
from tests.support.upstream_faults import FAULTS as PLAYED

pytestmark = [pytest.mark.both_databases, pytest.mark.measured]

SECRETS = ("nobody", "Upstream words", "sk-canary", "Traceback")


@pytest.fixture(scope="module", params=DATABASES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> Iterator[Server]:
    """A server of its own, on either stack: it remembers which parameters were refused."""
    folder = tmp_path_factory.mktemp("faults")
    with stack_of_a_module(request) as stack, running(folder, **impatient(upstream), **stack) as server:
        yield server


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """One user for each door."""
    return {door: server.sign_in(f"by-{door.replace(' ', '-')}") for door in DOORS}


@pytest.fixture(scope="module")
def token(tokens: dict[str, str]) -> str:
    return tokens["json"]


def test_every_played_fault_has_a_cell() -> None:
    dialects = {kind.__name__ for kind in DIALECTS}  # in tests/rag/llms/test_dialects.py
    assert {name.split()[0] for name in FAULTS} == set(PLAYED) - dialects


def test_every_upstream_code_has_a_fault() -> None:
    codes = {p.code for p in problem.PROBLEMS.values() if p.code.startswith(("upstream", "model"))}
    assert codes - {cell.code for cell in FAULTS.values()} == {
        "upstream_unreachable",
        "upstream_down",
        "model_not_found",
    }  # below


@dataclass
class Seen:
    """The answer of a route: the status, the code of an error, whether it can be retried, and the text."""

    status: int
    headers: dict[str, str]
    code: str | None
    retryable: bool
    text: str
    instance: str


def by_json(server: Server, token: str, message: str) -> Seen:
    status, headers, body = server.call("POST", "/api/chat/", {"message": message}, token)
    text = body.get("bot_response", "")
    return Seen(status, headers, body.get("code"), body.get("retryable", False), text, body.get("instance", ""))


def by_events(server: Server, token: str, message: str) -> Seen:
    status, headers, body = server.call("POST", "/api/chat/", {"message": message, "stream": True}, token)
    if status != 200:
        return Seen(status, headers, body["code"], body["retryable"], "", body["instance"])
    found = events(body.decode())
    name, last = found[-1][1:]
    assert {name for _, name, _ in found[1:-1]} <= ({"delta"} if name == "done" else {"delta", "problem"})
    said = "".join(data["text"] for _, name, data in found if name == "delta")
    if name == "done":
        assert last["bot_response"] == said
        return Seen(200, headers, None, False, said, "")
    assert name == "error"
    return Seen(last["status"], headers, last["code"], last["retryable"], said, last["instance"])


def ask(message: str, **fields: object) -> dict[str, object]:
    return {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": message}], "store": True, **fields}


def by_v1(server: Server, token: str, message: str) -> Seen:
    status, headers, body = server.call("POST", "/v1/chat/completions", ask(message), token)
    if status != 200:
        return Seen(status, headers, body["error"]["code"], headers["x-should-retry"] == "true", "", "")
    return Seen(200, headers, None, False, body["choices"][0]["message"]["content"], "")


def by_v1_stream(server: Server, token: str, message: str) -> Seen:
    status, headers, body = server.call("POST", "/v1/chat/completions", ask(message, stream=True), token)
    if status != 200:
        return Seen(status, headers, body["error"]["code"], headers["x-should-retry"] == "true", "", "")
    *chunks, last = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    if last == "[DONE]":
        assert json.loads(chunks[-1])["choices"][0]["finish_reason"] in {"stop", "length", "content_filter"}
        error = {"code": None}
    else:
        error = json.loads(last)["error"]
    said = "".join(json.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks)
    known = {**problem.BY_CODE, "rate_limit_exceeded": openai_errors.RATE_LIMIT_EXCEEDED}
    facts = known.get(error["code"])
    return Seen(facts.status if facts else 200, headers, error["code"], bool(facts and facts.retryable), said, "")


DOORS = {"json": by_json, "events": by_events, "v1": by_v1, "v1 stream": by_v1_stream}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_has_its_status_code_and_terminal_state_at_every_door(
    server: Server, tokens: dict[str, str], fault: str
) -> None:
    message = f"[[{fault}]] hello"
    expected = FAULTS[fault]
    # Four floods at once leave nobody the time to read the first words before their deadline of 0.6 s.
    with ThreadPoolExecutor(1 if fault == "flood" else len(DOORS)) as pool:
        asked = {door: pool.submit(come_in, server, tokens[door], message) for door, come_in in DOORS.items()}
    for door, future in asked.items():
        seen = future.result()
        newest = server.call("GET", "/api/chat-history/?order=desc&limit=1", token=tokens[door])[2]["items"][0]
        assert (newest["user_message"], newest["status"]) == (message, expected.state), door
        facts = (expected.status, expected.code)
        if "v1" in door and expected.code == "upstream_busy":
            facts = (429, "rate_limit_exceeded")
        assert (seen.status, seen.code) == facts, door
        if fault != "endless":
            assert newest["bot_response"] == expected.text
            assert seen.text == (
                expected.text if expected.status == 200 or "stream" in door or door == "events" else ""
            )
        if expected.code:
            listed = problem.BY_CODE[expected.code]
            assert (listed.status, seen.retryable) == (expected.status, listed.retryable)
            assert newest["error"] == {"code": listed.code, "title": listed.title, "retryable": listed.retryable}
            assert seen.instance in {f"/api/chat/{newest['id']}/", ""}
            if door in {"json", "v1"}:
                assert ("retry-after" in seen.headers) == (seen.status in {429, 503} or fault.startswith("retry_after"))
        assert not any(secret in str(seen) for secret in SECRETS)


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
