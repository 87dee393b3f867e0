"""The queue of SQLite's writers, in order and without losses, and the bound on PostgreSQL's."""

import os
import signal
import threading

import pytest

from chatbot.concurrency.semaphores import FairSemaphore, KeyedSemaphore, RoundRobinSemaphore
from tests.support.waiting import let_pass, wait_for


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
        wait_for(lambda place=place: turnstile.waiting_count > place or not threads[-1].is_alive())
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

    kills = list[int]()
    goes_on = threading.Event()

    def kill(number: int, _: object) -> None:
        kills.append(number)
        if len(kills) == 3:
            goes_on.set()
        raise Killed

    turnstile = FairSemaphore()
    done = list[str]()
    before = signal.signal(signal.SIGUSR1, kill)

    def write(kind: str) -> None:
        assert turnstile.acquire(30, kind)
        assert goes_on.wait(30)
        done.append(kind)
        turnstile.release()

    assert turnstile.acquire(0)
    threads = [threading.Thread(target=write, args=[kind]) for kind in ("like", "like", "unlike", "like")]
    for place, thread in enumerate(threads):
        thread.start()
        wait_for(lambda place=place: turnstile.waiting_count > place)
    try:
        for moment in (0.1, 0.15, 0.2):
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
                let_pass(0.0001)
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


def test_place_may_be_given_back_while_a_lock_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert turnstile.acquire(0)
    assert given_back
    require_places(turnstile, 2)


def test_place_may_be_given_back_behind_the_guard() -> None:
    """As above, in the midst of a look at the queue, which holds the guard."""
    turnstile = FairSemaphore(2)

    class Kind:
        def __hash__(self) -> int:
            return 0

        def __eq__(self, other: object) -> bool:
            turnstile.release()
            return True

    assert turnstile.acquire(0)
    assert turnstile.acquire(0)
    came = list[bool]()
    waiter = threading.Thread(target=lambda: came.append(turnstile.acquire(30, Kind())))
    waiter.start()
    wait_for(lambda: turnstile.waiting_count == 1)
    assert turnstile.is_waited_for("another kind")
    waiter.join(30)
    assert came == [True]
    require_places(turnstile, 2)


def require_places(turnstile: FairSemaphore, number: int) -> None:
    """Require that all places are taken, and that as many are there when they are given back."""
    assert not turnstile.acquire(0)
    for _ in range(number):
        turnstile.release()
    for _ in range(number):
        assert turnstile.acquire(0)
    assert not turnstile.acquire(0)


def test_key_with_waiters_is_told() -> None:
    semaphore = RoundRobinSemaphore(4, 1)
    assert semaphore.acquire("ada", 1)
    assert not semaphore.is_waited_for("ada")
    waiter = threading.Thread(target=semaphore.acquire, args=["ada", 30])
    waiter.start()
    wait_for(lambda: semaphore.is_waited_for("ada"))
    assert not semaphore.is_waited_for("eve")
    semaphore.release("ada")
    waiter.join(30)
    assert not semaphore.is_waited_for("ada")
