"""Waits for work beside a test: the one place where a test polls."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 30.0, *, interval: float = 0.01) -> T:
    """Return the first true value of a condition; raises AssertionError where none comes within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s, but {value!r}"
        time.sleep(interval)
    return value


def let_pass(seconds: float) -> None:
    """Let real time pass where there is nothing to wait for: an outage's, an attack's, a slow peer's."""
    time.sleep(seconds)
