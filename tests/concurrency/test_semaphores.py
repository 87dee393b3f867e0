"""The queue of SQLite's writers, in order and without losses, and the bound on PostgreSQL's."""

import os
import signal
import threading
import time

import pytest

from chatbot.concurrency.semaphores import FairSemaphore, KeyedSemaphore


def queue_up(turnstile: FairSemaphore, places: int, timeout: float, came: list[int]) -> list[threading.Thread]:
    """Let threads ask one after the other; each notes its place when it is its turn."""

    def ask(place: int) -> None:
        if turnstile.acquire(timeout):
            came.append(place)
            turnstile.release()

    threads = []
    for place in range(places):
        threads.append(threading.Thread(target=ask, args=[place]))
        threads[-1].start()
        while turnstile.waiting_count <= place and threads[-1].is_alive():
            time.sleep(0.001)
    return threads


def test_first_come_first_served() -> None:
    turnstile = FairSemaphore()
    came = list[int]()
    assert turnstile.acquire(0)
    threads = queue_up(turnstile, 20, 30, came)
    turnstile.release()
    assert turnstile.acquire(30)  # whoever has just left queues behind all others
    assert came == list(range(20))
    turnstile.release()
    for thread in threads:
        thread.join()


def test_those_who_went_away_are_not_waited_for() -> None:
    turnstile = FairSemaphore()
    came = list[int]()
    assert turnstile.acquire(0)
    for thread in queue_up(turnstile, 3, 0.05, came):
        thread.join()
    assert came == []
    assert not turnstile.acquire(0)
    turnstile.release()
    assert turnstile.acquire(0)


def test_those_who_are_killed_in_the_queue_are_not_waited_for() -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    turnstile = FairSemaphore()
    before = signal.signal(signal.SIGUSR1, kill)
    try:
        assert turnstile.acquire(0)
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        with pytest.raises(Killed):
            turnstile.acquire(30)
    finally:
        signal.signal(signal.SIGUSR1, before)
    turnstile.release()
    assert turnstile.acquire(0)


def test_who_lets_others_in_comes_back_after_them_however_often_he_is_killed() -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    turnstile = FairSemaphore()
    done = list[str]()
    before = signal.signal(signal.SIGUSR1, kill)

    def write(kind: str) -> None:
        assert turnstile.acquire(30, kind)
        time.sleep(0.2)
        done.append(kind)
        turnstile.release()

    assert turnstile.acquire(0)
    threads = [threading.Thread(target=write, args=[kind]) for kind in ("like", "like", "unlike", "like")]
    for place, thread in enumerate(threads):
        thread.start()
        while turnstile.waiting_count <= place:
            time.sleep(0.001)
    try:
        for moment in (0.1, 0.15, 0.25):
            threading.Timer(moment, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        with pytest.raises(Killed):
            turnstile.yield_to("like")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert done == ["like", "like"]
    assert not turnstile.acquire(0)
    turnstile.release()
    for thread in threads:
        thread.join()
    assert done == ["like", "like", "unlike", "like"]
    assert turnstile.acquire(0)


def test_no_turn_is_lost_when_many_give_up_at_the_moment_it_comes() -> None:
    turnstile = FairSemaphore()
    inside = [0]
    most = [0]

    def work() -> None:
        for _ in range(200):
            if turnstile.acquire(0.0002):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0001)
                inside[0] -= 1
                turnstile.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert turnstile.acquire(0)


def test_crowd_has_few_of_each_and_not_too_many_in_all() -> None:
    crowd = KeyedSemaphore(2, 3)
    assert [crowd.acquire("ada", 0), crowd.acquire("ada", 0), crowd.acquire("ada", 0)] == [True, True, False]
    assert [crowd.acquire("eve", 0), crowd.acquire("eve", 0)] == [True, False]
    threading.Timer(0.1, crowd.release, ["ada"]).start()
    assert crowd.acquire("eve", 5)
    for who in ("ada", "eve", "eve"):
        crowd.release(who)
    assert not crowd.inside


def test_place_may_be_given_back_in_the_midst_of_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector ends a forgotten connection wherever something is made, such as a lock to wait with."""
    turnstile = FairSemaphore(2)
    lock = threading.Lock
    given_back = list[bool]()

    def collect() -> threading.Lock:
        if not given_back:
            given_back.append(True)
            turnstile.release()
        return lock()

    assert turnstile.acquire(0)
    assert turnstile.acquire(0)
    monkeypatch.setattr("chatbot.concurrency.semaphores.threading.Lock", collect)
    with turnstile._guard:  # as behind any statement there
        assert turnstile.acquire(0)
    assert given_back
    assert not turnstile.acquire(0)
    turnstile.release()
    turnstile.release()
    assert turnstile.acquire(0)
    assert turnstile.acquire(0)
    assert not turnstile.acquire(0)
