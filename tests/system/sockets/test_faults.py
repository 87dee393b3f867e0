"""Rooms in use while Redis is away, and while a worker dies beside a commit: nothing is missed, nothing is there twice."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.crashes import MOMENTS, crashing
from tests.support.processes import Server, Upstream, running
from tests.support.redis_server import RedisServer
from tests.support.sockets import Member, SocketClient
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

MAX_ACKNOWLEDGED_SECONDS = 5.0
FAULTS: dict[str, tuple[Callable[[RedisServer], object], Callable[[RedisServer], object]]] = {
    "stopped": (RedisServer.stop, RedisServer.start),
    "paused": (RedisServer.pause, RedisServer.resume),
    "flushed": (RedisServer.flush, lambda _: None),
}


@pytest.fixture
def two_workers(tmp_path: Path, upstream: Upstream, postgres_url: str, own_redis: RedisServer) -> Iterator[Server]:
    """Run two workers with PostgreSQL and Redis, with the limits of users, which Redis counts."""
    stack = {"DATABASE_URL": postgres_url, "REDIS_URL": own_redis.url, "VECTOR_STORE": "pgvector"}
    limits = {"RATELIMIT_ENABLED": "true", "RATE_ROOM_MESSAGE_USER": "1000 per minute", "WEB_CONCURRENCY": "2"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack, **limits) as one:
        yield one


def test_rooms_go_on_while_redis_is_away(two_workers: Server, own_redis: RedisServer) -> None:
    ada, eve = (Member(two_workers, name) for name in ("ada", "eve"))
    room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    ada.call("PUT", f"/api/rooms/{room_id}/members/{eve.id}/", {"role": "member"})
    with ada.connect() as hers, eve.connect() as mine:
        for client in (hers, mine):
            client.call("join", room_id=room_id)
        texts: list[str] = []
        for fault, (begin, end) in FAULTS.items():
            begin(own_redis)
            try:
                slowest = max(
                    write(client, room_id, texts, f"{fault} {one}") for one in range(5) for client in (hers, mine)
                )
                assert slowest < MAX_ACKNOWLEDGED_SECONDS, fault
                wait_for(lambda: hers.texts() == mine.texts() == texts)
            finally:
                end(own_redis)
            write(hers, room_id, texts, f"after {fault}")
        wait_for(lambda: hers.texts() == mine.texts() == texts)
        assert hers.is_connected
        assert mine.is_connected


def write(client: SocketClient, room_id: str, texts: list[str], text: str) -> float:
    """Write a message; returns the seconds to its acknowledgement."""
    started_at = time.monotonic()
    texts.append(text)
    assert client.call("message", room_id=room_id, text=text)["text"] == text
    return time.monotonic() - started_at


@pytest.mark.parametrize("moment", MOMENTS)
def test_worker_that_dies_beside_the_commit_loses_and_doubles_nothing(
    tmp_path: Path, upstream: Upstream, moment: str
) -> None:
    with crashing(tmp_path, upstream, "post_room_message", moment) as (one, crashed):
        ada = Member(one, "ada")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
        with ada.connect() as client:
            rev = client.call("join", room_id=room_id)["rev"]
            client.send("message", room_id=room_id, text="once", client_id="1")
            wait_for(lambda: not client.is_connected)
            assert crashed()
            assert client.events == []
        wait_for(one.is_ready)
        with ada.connect() as client:
            missed = client.call("join", room_id=room_id, since_rev=rev)["changes"]
            texts = [change["data"]["text"] for change in missed if change["type"] == "message"]
            assert texts == (["once"] if moment == "committed" else [])
            again: dict[str, Any] = client.call("message", room_id=room_id, text="once", client_id="1")
            assert again["seq"] == 1
            stored = ada.call("GET", f"/api/rooms/{room_id}/messages/")["items"]
            assert [message["text"] for message in stored] == ["once"]
