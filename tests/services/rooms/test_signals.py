"""Presence and typing: one suite for each kind, and Redis between processes."""

from uuid import UUID, uuid4

import pytest

from chatbot.cluster import Cluster
from chatbot.services.rooms.records import RoomUser
from chatbot.services.rooms.signals.memory import MemoryPresence, MemoryTypingFeed
from chatbot.services.rooms.signals.port import PresenceStore, Typing, TypingFeed
from chatbot.services.rooms.signals.presence_script import EXPIRY_SECONDS, MAX_LOGGED
from chatbot.services.rooms.signals.redis_presence import RedisPresence
from chatbot.services.rooms.signals.redis_typing import RedisTypingFeed
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

ADA = RoomUser(UUID(int=1), "ada")
EVE = RoomUser(UUID(int=2), "eve: the second")
ROOM = UUID(int=11)
OTHER = UUID(int=12)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.flush()
    return redis_server


def make_presence(server: RedisServer) -> RedisPresence:
    return RedisPresence(Cluster(server.url, ("", "")).redis)


def make_feed(server: RedisServer) -> RedisTypingFeed:
    feed = RedisTypingFeed(Cluster(server.url, ("", "")).redis)
    assert feed.read() == []  # from now on
    return feed


@pytest.fixture(params=["memory", "redis"])
def presence(request: pytest.FixtureRequest) -> PresenceStore:
    return MemoryPresence() if request.param == "memory" else make_presence(request.getfixturevalue("server"))


@pytest.fixture(params=["memory", "redis"])
def feed(request: pytest.FixtureRequest) -> TypingFeed:
    return MemoryTypingFeed() if request.param == "memory" else make_feed(request.getfixturevalue("server"))


def test_users_of_this_process_are_present_until_they_leave(presence: PresenceStore) -> None:
    assert presence.exchange({}) == {}
    assert presence.exchange({ROOM: {ADA}, OTHER: {EVE}}) == {ROOM: {ADA}, OTHER: {EVE}}
    assert presence.exchange({ROOM: {ADA, EVE}}) == {ROOM: {ADA, EVE}}
    assert presence.exchange({ROOM: {EVE}, OTHER: {EVE}}) == {ROOM: {EVE}, OTHER: {EVE}}
    assert presence.exchange({ROOM: set(), OTHER: {EVE}}) == {ROOM: set(), OTHER: {EVE}}
    assert presence.exchange({ROOM: {ADA}}) == {ROOM: {ADA}}


def test_typing_is_read_once(feed: TypingFeed) -> None:
    feed.publish(Typing(ROOM, ADA))
    feed.publish(Typing(OTHER, EVE))
    assert feed.read() == [Typing(ROOM, ADA), Typing(OTHER, EVE)]
    assert feed.read() == []


def test_typing_reaches_all_processes(server: RedisServer) -> None:
    one = make_feed(server)
    two = make_feed(server)
    one.publish(Typing(ROOM, EVE))
    assert one.read() == two.read() == [Typing(ROOM, EVE)]
    assert one.read() == two.read() == []
    late = make_feed(server)
    server.flush()
    two.publish(Typing(ROOM, ADA))
    assert one.read() == two.read() == late.read() == [Typing(ROOM, ADA)]


def test_typing_goes_on_within_a_process_without_redis(own_redis: RedisServer) -> None:
    one = make_feed(own_redis)
    two = make_feed(own_redis)
    own_redis.stop()
    one.publish(Typing(ROOM, ADA))
    assert (one.read(), two.read()) == ([Typing(ROOM, ADA)], [])
    own_redis.start()

    def is_healed() -> bool:
        one.publish(Typing(ROOM, EVE))
        return two.read() != []

    wait_for(is_healed)


def test_users_of_other_processes_are_present(server: RedisServer) -> None:
    one = make_presence(server)
    two = make_presence(server)
    one.exchange({ROOM: {ADA}})
    assert two.exchange({ROOM: {EVE}, OTHER: {EVE}}) == {ROOM: {ADA, EVE}, OTHER: {EVE}}
    assert one.exchange({ROOM: {ADA}}) == {ROOM: {ADA, EVE}}
    two.exchange({ROOM: {ADA}})  # a user with sockets in two processes
    assert one.exchange({ROOM: set()}) == {ROOM: {ADA}}
    assert two.exchange({ROOM: {ADA}}) == {ROOM: {ADA}}
    two.exchange({ROOM: set()})
    assert two.exchange({ROOM: {EVE}}) == {ROOM: {EVE}}


def test_process_that_has_missed_many_changes_reads_all(server: RedisServer) -> None:
    one = make_presence(server)
    two = make_presence(server)
    two.exchange({ROOM: {EVE}})
    many = {RoomUser(uuid4(), f"user {number}") for number in range(MAX_LOGGED + 10)}
    one.exchange({ROOM: many})
    assert two.exchange({ROOM: {EVE}}) == {ROOM: many | {EVE}}
    one.exchange({ROOM: {ADA}})
    assert two.exchange({ROOM: {EVE}}) == {ROOM: {ADA, EVE}}


def test_exchange_without_news_is_small_and_one_round_trip(server: RedisServer) -> None:
    one = make_presence(server)
    many = {RoomUser(uuid4(), f"user {number}") for number in range(500)}
    rooms = {ROOM: many, OTHER: many}
    one.exchange(rooms)
    count = _count_calls(server)
    before = server.client().info("stats")["total_net_output_bytes"]
    one.exchange(rooms)
    assert server.client().info("stats")["total_net_output_bytes"] - before < 10_000
    assert _count_calls(server) == count + 1


def _count_calls(server: RedisServer) -> int:
    return int(server.client().info("commandstats")["cmdstat_evalsha"]["calls"])


@pytest.mark.parametrize("fault", ["flushed", "restarted"])
def test_presence_heals_behind_a_lost_redis(own_redis: RedisServer, fault: str) -> None:
    one = make_presence(own_redis)
    two = make_presence(own_redis)
    assert one.exchange({ROOM: {ADA}}) == {ROOM: {ADA}}
    assert two.exchange({ROOM: {EVE}}) == {ROOM: {ADA, EVE}}
    if fault == "flushed":
        own_redis.flush()
    else:
        own_redis.stop()
        assert two.exchange({ROOM: {EVE}}) == {ROOM: {EVE}}
        assert one.exchange({ROOM: {ADA}, OTHER: {ADA}}) == {ROOM: {ADA}, OTHER: {ADA}}
        own_redis.start()
    everybody = {ROOM: {ADA, EVE}}
    wait_for(lambda: one.exchange({ROOM: {ADA}}) == two.exchange({ROOM: {EVE}}) == everybody)


def test_users_of_a_dead_process_go(server: RedisServer) -> None:
    one = make_presence(server)
    two = make_presence(server)
    one.exchange({ROOM: {ADA}})
    assert two.exchange({ROOM: {EVE}}) == {ROOM: {ADA, EVE}}
    wait_for(lambda: two.exchange({ROOM: {EVE}}) == {ROOM: {EVE}}, 2 * EXPIRY_SECONDS, interval=0.5)
    assert one.exchange({ROOM: {ADA}}) == {ROOM: {ADA, EVE}}  # it was only slow
    assert two.exchange({ROOM: {EVE}}) == {ROOM: {ADA, EVE}}


def test_keys_expire(server: RedisServer) -> None:
    make_presence(server).exchange({ROOM: {ADA}})
    feed = make_feed(server)
    feed.publish(Typing(ROOM, ADA))
    client = server.client()
    lifetimes = [client.ttl(key) for key in client.keys("chatbot:*")]
    assert len(lifetimes) == 5
    assert all(0 < one <= 60 for one in lifetimes)
