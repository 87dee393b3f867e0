"""How long a reader of an answer waits before it reads on, so that the tokens of many come in handfuls."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from chatbot.services.chat.running_turns import MAX_DELAY_SECONDS, read_delay


def waits(turns: int, talking: float | None) -> float:
    """Return the delay of one of so many turns, its text arriving for so many seconds."""
    one: Any = SimpleNamespace(first_text_at=None if talking is None else time.monotonic() - talking)
    return read_delay(one, turns)


@pytest.mark.parametrize(("turns", "talking"), [(1, 1.0), (7, 1.0), (500, None)])
def test_few_turns_and_what_has_no_text_yet_wait_for_nothing(turns: int, talking: float | None) -> None:
    assert waits(turns, talking) == 0


@pytest.mark.parametrize("turns", [32, 64])  # of one process: two share 64
def test_with_64_turns_text_comes_within_a_tenth_of_a_second(turns: int) -> None:
    assert 0.05 < waits(turns, 1.0) < 0.08  # beside the upstream's own 20 ms


def test_a_short_answer_is_not_put_off_by_more_than_twice_its_time() -> None:
    assert waits(500, 0.01) == pytest.approx(0.02, abs=0.005)


def test_however_many_there_are_text_is_seen_to_grow() -> None:
    assert waits(10_000, 60.0) == MAX_DELAY_SECONDS == 0.4
