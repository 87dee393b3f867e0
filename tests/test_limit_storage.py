"""Rate-limit storage in bounded memory."""

import threading
import time
from collections.abc import Iterator

import pytest
import time_machine
from limits import parse
from limits.strategies import MovingWindowRateLimiter

from chatbot import limit_storage
from chatbot.limit_storage import LeastRecentlyUsedStorage


@pytest.fixture
def stopped_clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(1000.0, tick=False) as traveller:
        yield traveller


def test_window_moves(stopped_clock: time_machine.Traveller) -> None:
    limiter = MovingWindowRateLimiter(LeastRecentlyUsedStorage())
    three = parse("3 per minute")
    hits = []
    for _ in range(5):
        hits.append(limiter.hit(three, "a"))
        stopped_clock.shift(10)
    assert hits == [True, True, True, False, False]
    assert limiter.get_window_stats(three, "a") == (1060.0, 0)
    stopped_clock.shift(11)  # 61 seconds after the first
    assert [limiter.hit(three, "a"), limiter.hit(three, "a"), limiter.hit(three, "b")] == [True, False, True]


def test_counter_lives_from_its_first_addition(stopped_clock: time_machine.Traveller) -> None:
    storage = LeastRecentlyUsedStorage()
    assert [storage.incr("a", 60), storage.incr("a", 60), storage.get("a"), storage.get("b")] == [1, 2, 2, 0]
    assert storage.get_expiry("a") == 1060
    stopped_clock.shift(61)
    assert [storage.get("a"), storage.incr("a", 60)] == [0, 1]
    storage.clear("a")
    assert storage.get("a") == 0
    storage.incr("a", 60)
    assert storage.reset() == 1


def test_keys_are_bounded_and_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_storage, "MAX_ENTRIES", 3 * (limit_storage.KEY_ENTRIES + 1))
    storage = LeastRecentlyUsedStorage()
    for key in "abcd":
        assert storage.acquire_entry(key, 1, 60)
    assert not storage.acquire_entry("d", 1, 60)
    assert storage.acquire_entry("a", 1, 60)


def test_many_keys_cost_no_request_more_than_few() -> None:
    """The library's own storage went through all keys, 60 ms for 100,000, up to a hundred times a second."""
    storage = LeastRecentlyUsedStorage()
    for number in range(limit_storage.MAX_KEYS):
        storage.acquire_entry(str(number), 10, 3600)
    threads = threading.active_count()
    started = time.process_time()
    for number in range(1000):
        storage.acquire_entry(f"more {number}", 10, 3600)
        storage.get_moving_window(f"more {number}", 10, 3600)
    assert time.process_time() - started < 0.25
    assert threading.active_count() == threads
