"""Two hosts with two workers each on one PostgreSQL and one Redis: one service at every host."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.support import fleet
from tests.support.databases import saved_text
from tests.support.fleet import Fleet
from tests.support.processes import Server, Upstream
from tests.support.redis_server import RedisServer
from tests.support.waiting import let_pass, wait_for
from tests.system.test_turns import Stream

MESSAGE = "[[slow 8]] hello"  # "Half an answer", 8 s of silence, " at last"


@pytest.fixture(scope="module")
def database(postgres: str, postgres_template: str) -> Iterator[str]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE fleet TEMPLATE {postgres_template}")
    yield postgres.replace("/postgres?", "/fleet?")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE fleet WITH (FORCE)")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, database: str, upstream: Upstream) -> Iterator[Fleet]:
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    stack = {"DATABASE_URL": database, "REDIS_URL": redis.url, "VECTOR_STORE": "pgvector"}
    settings = {"OPENAI_BASE_URL": upstream.url, "RETENTION_DAYS": "1", "EMBEDDER": "memory"}
    with fleet.running(tmp_path_factory.mktemp("fleet"), **stack, **settings) as hosts:
        yield hosts
    redis.stop()


def test_any_host_answers_for_all(hosts: Fleet) -> None:
    token = hosts.sign_in("anywhere")
    said = [f"number {number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(lambda text: hosts.call("POST", "/api/chat/", {"message": text}, token), said))
    assert [status for status, _, _ in turns] == [200] * 24
    page = hosts.call("GET", "/api/chat-history/?limit=100", token=token)[2]["items"]
    assert sorted(turn["user_message"] for turn in page) == sorted(said)
    assert all(any(line.get("path") == "/api/chat/" for line in host.lines()) for host in hosts.hosts)


def test_turn_is_streamed_and_resumed_on_the_other_host(hosts: Fleet) -> None:
    token = hosts.sign_in("resumes")
    one, other = hosts.hosts
    stream = Stream(one, token, MESSAGE)
    first = stream.event()
    assert first is not None
    turn = first[2]["id"]
    with ThreadPoolExecutor(3) as pool:
        resumed = [pool.submit(Stream(other, token, "", offset, turn).rest) for offset in (0, 5)]
        waiting = pool.submit(other.call, "GET", f"/api/chat/{turn}/events/", token=token)
        ended = [first, *stream.rest()]
        found = [future.result() for future in resumed]
    whole = "Half an answer at last"
    assert said(ended) == whole
    assert [said(events) for events in found] == [whole, whole[5:]]
    assert [events[-1][1:] for events in found] == [ended[-1][1:]] * 2
    assert waiting.result()[0] == 200


def test_text_reaches_the_other_host_while_it_is_said(hosts: Fleet) -> None:
    """The rows are saved once a second; the log tells it sooner."""
    token = hosts.sign_in("quick")
    one, other = hosts.hosts
    stream = Stream(one, token, MESSAGE)
    first = stream.event()
    assert first is not None
    began = time.monotonic()
    elsewhere = Stream(other, token, "", 0, first[2]["id"])
    delta = elsewhere.event()
    assert delta is not None
    assert "Half an answer".startswith(delta[2]["text"])
    assert time.monotonic() - began < 5
    assert said([delta, *elsewhere.rest()]) == said(stream.rest())


def test_turn_is_cancelled_through_the_other_host(hosts: Fleet, upstream: Upstream) -> None:
    token = hosts.sign_in("cancels")
    one, other = hosts.hosts
    stream = Stream(one, token, "[[slow 30]] hello")
    first = stream.event()
    assert first is not None
    started = time.monotonic()
    assert other.call("POST", f"/api/chat/{first[2]['id']}/cancel/", token=token)[0] == 202
    *_, (_, name, turn) = stream.rest()
    assert time.monotonic() - started < 3
    assert (name, turn["status"], turn["bot_response"]) == ("done", "cancelled", "Half an answer")


def test_one_key_opens_one_turn_wherever_it_lands(hosts: Fleet) -> None:
    token = hosts.sign_in("again")
    headers = {"Idempotency-Key": "one and the same"}

    def ask(_: int) -> str:
        status, _, turn = hosts.call("POST", "/api/chat/", {"message": "Hi"}, token, headers=headers)
        assert status == 200
        return str(turn["id"])

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


def test_logout_holds_on_every_host_and_logins_are_counted_together(hosts: Fleet) -> None:
    token = hosts.sign_in("leaves")
    one, other = hosts.hosts
    assert one.call("POST", "/api/users/logout/", {}, token)[0] in {200, 204}
    assert {host.call("GET", "/api/chat-history/", token=token)[0] for host in (one, other)} == {401}


def test_document_that_one_host_took_is_found_through_the_other(hosts: Fleet) -> None:
    token = hosts.sign_in("reads")
    one, other = hosts.hosts
    made = one.call("POST", "/api/documents/", {"title": "Hours", "text": "The library opens at nine."}, token)[2]

    def quotes() -> list[set[str]]:
        answers = [host.call("POST", "/api/search/", {"query": "library"}, token) for host in (one, other, one, other)]
        assert {status for status, _, _ in answers} == {200}
        return [{item["quote"] for item in found["items"]} for _, _, found in answers]

    wait_for(lambda: quotes() == [{"The library opens at nine."}] * 4)
    changed = {"title": "Hours", "text": "The library opens at ten."}
    assert other.call("PUT", f"/api/documents/{made['id']}/", changed, token)[0] == 202
    wait_for(lambda: quotes() == [{"The library opens at ten."}] * 4)
    assert one.call("DELETE", f"/api/documents/{made['id']}/", token=token)[0] == 204
    assert quotes() == [set()] * 4


def test_metrics_of_a_host_are_those_of_all_its_workers(hosts: Fleet) -> None:
    token = hosts.sign_in("counted")
    name = 'chatbot_turns_total{status="completed"} '

    def ended(host: Server) -> float:
        lines = host.call("GET", "/metrics")[2].decode().splitlines()
        return float(next((line.removeprefix(name) for line in lines if line.startswith(name)), "0"))

    before = [ended(host) for host in hosts.hosts]
    for number in range(10):
        assert hosts.call("POST", "/api/chat/", {"message": f"number {number}"}, token)[0] == 200
    for host, count in zip(hosts.hosts, before, strict=True):
        assert [ended(host) - count for _ in range(4)] == [5] * 4  # whichever worker answers
        wait_for(lambda host=host: b'chatbot_turn_slots{state="all"} 4096.0' in host.call("GET", "/metrics")[2], 10)


def read_load(host: Server, token: str) -> dict[str, Any]:
    """Return the data of the first event of a host's live stream."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/api/analytics/live/", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        assert (response.status, response.readline()) == (200, b"event: load\n")
        load: dict[str, Any] = json.loads(response.readline().removeprefix(b"data: "))
        return load


def test_load_of_a_host_is_that_of_all_its_workers(hosts: Fleet) -> None:
    hosts.sign_in("watches")
    hosts.hosts[0].flask("users", "promote", "watches@example.org")
    token = hosts.sign_in("watches")
    with ThreadPoolExecutor(8) as pool:
        turns = [pool.submit(hosts.call, "POST", "/api/chat/", {"message": MESSAGE}, token) for _ in range(8)]
        for host in hosts.hosts:
            wait_for(lambda host=host: read_load(host, token)["running_turns"] == 4, 7)
            assert {read_load(host, token)["turn_slots"] for _ in range(4)} == {4096}  # whichever worker answers
        assert [turn.result()[0] for turn in turns] == [200] * 8
    for host in hosts.hosts:
        wait_for(lambda host=host: read_load(host, token)["running_turns"] == 0, 7)


def test_purge_runs_once_among_all_workers(hosts: Fleet) -> None:
    wait_for(lambda: any(line["event"] == "purged" for line in hosts.lines()), 20)
    let_pass(2)
    assert sum(line["event"] == "purged" for line in hosts.lines()) == 1


def test_killed_host_loses_nothing_and_the_other_serves_on(hosts: Fleet) -> None:
    token = hosts.sign_in("unlucky")
    one, other = hosts.hosts
    done = one.call("POST", "/api/chat/", {"message": "before"}, token)[2]
    streams = [Stream(one, token, f"[[slow 30]] number {number}") for number in range(5)]
    opened = [stream.event() for stream in streams]
    turns = [event[2]["id"] for event in opened if event is not None]
    wait_for(lambda: {saved_text(other, turn) for turn in turns} == {"Half an answer"})
    one.kill()
    killed = time.monotonic()
    try:
        for stream in streams:
            stream.leave()
        assert hosts.call("POST", "/api/chat/", {"message": "after"}, token)[0] == 200
        ids = set(turns)
        assert len(ids) == 5

        def states() -> set[tuple[str, str]]:
            found = [other.call("GET", f"/api/chat/{turn}/", token=token)[2] for turn in ids]
            return {(turn["status"], turn["bot_response"]) for turn in found}

        wait_for(lambda: states() == {("interrupted", "Half an answer")}, 30)
        assert time.monotonic() - killed < 30
        history = other.call("GET", "/api/chat-history/?limit=100", token=token)[2]["items"]
        assert {turn["id"] for turn in history} >= ids | {done["id"]}
        assert len(history) == 7
    finally:
        hosts.start()
    wait_for(lambda: ready(one))
    assert one.call("GET", "/api/chat-history/", token=token)[0] == 200


def said(found: list[tuple[int, str, dict[str, object]]]) -> str:
    return "".join(str(data["text"]) for _, name, data in found if name == "delta")


def ready(server: Server) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.call("GET", "/readyz")[0] == 200
    return False
