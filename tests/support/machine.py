"""The speed of this machine at the moment: it swings by a factor of three over hours."""

import time

LOOP_SECONDS = 0.012  # of the loop below on the machine that the bounds were set on, in a good hour


def allow(measured: float, bound: float) -> float:
    """Return a bound in seconds of processor time; where it was not held, that of this machine in this hour."""
    return bound if measured < bound else bound * max(1.0, _measure() / LOOP_SECONDS)


def _measure() -> float:
    """Return the best of three times of a loop that nothing here changes."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        sum(range(1_000_000))
        best = min(best, time.thread_time() - began)
    return best
