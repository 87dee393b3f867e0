"""The queue before a model with few slots: users take turns, and waiting counts for no breaker."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from chatbot.concurrency.semaphores import RoundRobinSemaphore
from chatbot.rag.errors import Aborted, UpstreamBusy
from chatbot.rag.llms.fallback import FallbackLLM
from chatbot.rag.llms.queued import QueuedLLM
from chatbot.rag.types import CancelToken, CompletionRequest, Finish, Message
from tests.support.waiting import wait_for


class Held:
    """A model with answers that wait until they are released; it notes the callers."""

    name = "held"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Semaphore(0)

    def stream(self, ask: CompletionRequest) -> Iterator[str | Finish]:
        self.asked.append(ask.messages[0].content)
        yield "text"
        assert self.gate.acquire(timeout=10)
        yield Finish("stop", self.name, 1, 1)

    def has_been_asked(self, times: int) -> bool:
        """Return whether that many have come."""
        return len(self.asked) >= times


def ask(text: str, cancel_token: CancelToken | None = None) -> CompletionRequest:
    return CompletionRequest([Message("user", text)], cancel_token=cancel_token or CancelToken())


def started(model: QueuedLLM, text: str, held: Held, slots: RoundRobinSemaphore) -> threading.Thread:
    """Start one, and return when it streams or waits."""
    come = len(held.asked) + slots.waiting_count
    thread = threading.Thread(target=lambda: list(model.stream(ask(text))), daemon=True)
    thread.start()
    wait_for(lambda: len(held.asked) + slots.waiting_count > come)
    return thread


def test_users_take_turns() -> None:
    held = Held()
    slots = RoundRobinSemaphore(1, 1)
    many, few = (QueuedLLM(held, slots, user, 10.0) for user in ("many", "few"))
    threads = [started(many, f"many {n}", held, slots) for n in range(4)]
    threads += [started(few, f"few {n}", held, slots) for n in range(2)]
    for number in range(1, len(threads)):
        held.gate.release()
        wait_for(partial(held.has_been_asked, number + 1))
    held.gate.release()
    for thread in threads:
        thread.join(10)
    assert held.asked == ["many 0", "many 1", "few 0", "many 2", "few 1", "many 3"]


def test_one_user_holds_only_a_share_of_the_slots() -> None:
    held = Held()
    slots = RoundRobinSemaphore(4, 1)
    many, few = (QueuedLLM(held, slots, user, 10.0) for user in ("many", "few"))
    threads = [started(many, f"many {n}", held, slots) for n in range(3)]
    threads.append(started(few, "few 0", held, slots))
    assert held.asked == ["many 0", "few 0"]
    for _ in threads:
        held.gate.release()
    for thread in threads:
        thread.join(10)
    assert sorted(held.asked) == ["few 0", "many 0", "many 1", "many 2"]


def test_wait_for_a_slot_is_given_up_and_opens_no_breaker() -> None:
    held = Held()
    slots = RoundRobinSemaphore(1, 1)
    model = FallbackLLM([held], retries=0, breaker_failures=1, breaker_seconds=60)
    first = started(QueuedLLM(model, slots, "a", 10.0), "first", held, slots)
    for user in ("b", "c"):
        with pytest.raises(UpstreamBusy) as busy:
            list(QueuedLLM(model, slots, user, 0.05).stream(ask("late")))
        assert busy.value.retry_after is not None
    assert model.breakers() == {"held": False}
    cancel_token = CancelToken()
    threading.Timer(0.1, cancel_token.request).start()
    with pytest.raises(Aborted):
        list(QueuedLLM(model, slots, "d", 10.0).stream(ask("ended", cancel_token)))
    held.gate.release()
    first.join(10)
    held.gate.release()
    assert list(QueuedLLM(model, slots, "b", 1.0).stream(ask("again")))[0] == "text"


def test_answer_that_is_not_read_to_its_end_gives_its_slot_back() -> None:
    held = Held()
    slots = RoundRobinSemaphore(1, 1)
    left = QueuedLLM(held, slots, "a", 1.0).stream(ask("left"))
    assert next(left) == "text"
    left.close()
    held.gate.release()
    assert list(QueuedLLM(held, slots, "b", 0.5).stream(ask("next")))[0] == "text"
