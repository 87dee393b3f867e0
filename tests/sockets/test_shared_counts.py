"""The number of a user's WebSockets over all processes."""

from uuid import uuid4

import pytest

from chatbot.cluster import Cluster
from chatbot.sockets import shared_counts
from chatbot.sockets.shared_counts import SharedCounts
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.slow


def make_counts(server: RedisServer) -> SharedCounts:
    return SharedCounts(Cluster(server.url, ("", "")).redis)


def test_sockets_of_all_processes_count(own_redis: RedisServer) -> None:
    here = make_counts(own_redis)
    there = make_counts(own_redis)
    ada = uuid4()
    eve = uuid4()
    assert [one.take((ada, number), 3) for number, one in enumerate((here, there, here, there))] == [True] * 3 + [False]
    assert here.take((ada, 0), 3)  # it counts already
    assert there.take((eve, 0), 3)
    here.release((ada, 0))
    assert there.take((ada, 9), 3)
    assert not here.take((ada, 0), 3)


def test_sockets_of_a_process_that_is_gone_expire(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_counts(own_redis)
    there = make_counts(own_redis)
    ada = uuid4()
    monkeypatch.setattr(shared_counts, "EXPIRY_SECONDS", -1)
    assert here.take((ada, 1), 1)
    monkeypatch.undo()
    assert there.take((ada, 2), 1)
    own_redis.flush()
    there.renew({(ada, 2)})
    assert not here.take((ada, 3), 1)


def test_nobody_is_refused_while_redis_is_away(own_redis: RedisServer) -> None:
    counts = make_counts(own_redis)
    own_redis.stop()
    ada = uuid4()
    assert all(counts.take((ada, number), 1) for number in range(3))
    counts.release((ada, 0))
    counts.renew({(ada, 1)})
