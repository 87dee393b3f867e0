"""The text of running turns, in one process and for the others."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatbot.cluster import Cluster
from chatbot.services.chat.records import Turn
from chatbot.services.chat.turn_log.memory import MemoryText, MemoryTurnLog
from chatbot.services.chat.turn_log.port import News, TurnLog
from chatbot.services.chat.turn_log.redis import RedisTurnLog
from tests.support.redis_server import RedisServer
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.slow

PIECES = ["Grüße", " an 😀", "alle", "。", "\n", "event: x"]
WHOLE = "".join(PIECES)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.flush()
    return redis_server


def redis_log(server: RedisServer) -> RedisTurnLog:
    shared = Cluster(server.url, ("", ""))
    return RedisTurnLog(shared.redis, shared.channels)


@pytest.fixture(params=["memory", "redis"])
def log(request: pytest.FixtureRequest) -> TurnLog:
    if request.param == "memory":
        return MemoryTurnLog()
    return redis_log(request.getfixturevalue("server"))


def test_text_is_read_at_any_offset_while_it_grows(log: TurnLog) -> None:
    turn = uuid4()
    text = log.open(turn)
    assert log.find(turn) is text
    assert text.wait(0, 0.01) is False
    threading.Timer(0.05, text.append, [PIECES[0]]).start()
    assert text.wait(0, 5) is True
    for piece in PIECES[1:]:
        text.append(piece)
    assert [text.since(offset) for offset in range(len(WHOLE) + 2)] == [
        WHOLE[offset:] for offset in range(len(WHOLE) + 2)
    ]
    log.close(turn)
    ended = Turn(turn, uuid4(), "Hi", datetime.now(UTC), status="completed")
    text.end(ended)
    assert log.find(turn) is None
    assert text.wait(len(WHOLE), 0) is True
    assert text.ended is ended


def test_turn_that_nobody_runs_has_no_news(log: TurnLog) -> None:
    with log.elsewhere(uuid4()) as news:
        assert news.since(0) == ""
        assert news.wait(0.2) is True


@contextmanager
def followed(server: RedisServer, turn: UUID) -> Iterator[News]:
    with redis_log(server).elsewhere(turn) as news:
        yield news


def read_on(news: News, text: str, seconds: float = 5.0) -> str:
    """Follow until a text is whole, never back."""
    deadline = time.monotonic() + seconds
    found = news.since(0)
    while found != text and time.monotonic() < deadline:
        news.wait(0.2)
        found += news.since(len(found))
        assert text.startswith(found)
    return found


def test_text_of_another_process_is_followed_to_its_end(server: RedisServer) -> None:
    log = redis_log(server)
    turn = uuid4()
    text = log.open(turn)
    text.append(PIECES[0])
    with followed(server, turn) as news, followed(server, turn) as second:
        assert read_on(news, PIECES[0]) == PIECES[0]
        for number, piece in enumerate(PIECES[1:], 2):
            text.append(piece)
            said = "".join(PIECES[:number])
            assert read_on(news, said) == said
        assert read_on(second, WHOLE) == WHOLE
        assert [news.since(offset) for offset in range(len(WHOLE))] == [WHOLE[offset:] for offset in range(len(WHOLE))]
        wait_for(lambda: news.wait(0.05))
        threading.Timer(0.2, log.close, [turn]).start()
        started = time.monotonic()
        wait_for(lambda: news.wait(30))
        assert time.monotonic() - started < 5
    wait_for(lambda: server.client().keys("chatbot:*") == [])


def test_many_followers_leave_connections_for_the_rest(server: RedisServer) -> None:
    log = redis_log(server)
    turn = uuid4()
    text = log.open(turn)
    elsewhere = redis_log(server)
    text.append(PIECES[0])
    with ExitStack() as held:
        followers = [held.enter_context(elsewhere.elsewhere(turn)) for _ in range(150)]
        assert {read_on(news, PIECES[0]) for news in followers} == {PIECES[0]}
        text.append("".join(PIECES[1:]))
        assert {read_on(news, WHOLE) for news in followers} == {WHOLE}
        assert elsewhere.redis.ping()
    log.close(turn)


def test_what_redis_lost_is_copied_again(server: RedisServer) -> None:
    log = redis_log(server)
    turn = uuid4()
    text = log.open(turn)
    text.append(PIECES[0])
    with followed(server, turn) as news:
        read_on(news, PIECES[0])
        server.flush()
        text.append("".join(PIECES[1:]))
        assert read_on(news, WHOLE) == WHOLE
        with followed(server, turn) as late:
            assert read_on(late, WHOLE) == WHOLE
    log.close(turn)


@pytest.mark.parametrize("away", ["stopped", "paused"])
def test_redis_that_is_away_for_a_while_harms_no_text(tmp_path: Path, away: str) -> None:
    server = RedisServer(tmp_path)
    try:
        log = redis_log(server)
        turn = uuid4()
        text = log.open(turn)
        text.append(PIECES[0])
        with followed(server, turn) as news:
            assert read_on(news, PIECES[0]) == PIECES[0]
            server.stop() if away == "stopped" else server.pause()
            started = time.monotonic()
            for piece in PIECES[1:]:
                text.append(piece)
            assert time.monotonic() - started < 0.5  # who writes never waits for it
            assert text.since(0) == WHOLE
            assert news.since(0) == PIECES[0]
            assert news.wait(5) is True  # to look at the row instead
            let_pass(1.5)
            server.start() if away == "stopped" else server.resume()
            assert read_on(news, WHOLE, 10) == WHOLE
        log.close(turn)
    finally:
        server.stop()


def test_reasoning_wakes_no_reader_that_did_not_ask_for_it() -> None:
    text = MemoryText()
    thinking = threading.Thread(target=lambda: [text.add_reasoning("hm ") for _ in range(1_000)])
    thinking.start()
    assert not text.wait(0, 0.2)
    thinking.join()
    assert text.wait(0, 0.2, reasoning_offset=0)
