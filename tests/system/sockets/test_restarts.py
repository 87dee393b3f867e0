"""Rooms while workers are restarted, drained and killed; `make chaos` is the long run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import room_chaos
from tests.support.chaos import stack
from tests.support.processes import Upstream

pytestmark = pytest.mark.slow

RESTARTS = 6


@pytest.fixture(scope="module")
def pen() -> Iterator[Upstream]:
    upstream = Upstream("--interval", "0.01", "--tokens", "20")
    yield upstream
    upstream.stop()


@pytest.mark.parametrize("kind", ["sqlite", "hosts"])
def test_rolling_restarts_lose_and_double_nothing(tmp_path: Path, pen: Upstream, kind: str) -> None:
    with stack(kind, tmp_path) as settings:
        wrong, seen = room_chaos.run(tmp_path, pen, RESTARTS, rooms=2, streams=4, stack=settings)
    assert wrong == {}
    assert seen["messages"] > 4 * RESTARTS
    assert seen["heard"] > 20 * RESTARTS
    assert seen["draining"] > 0


def test_run_turns_red_without_resynchronisation(tmp_path: Path, pen: Upstream) -> None:
    wrong, _ = room_chaos.run(tmp_path, pen, 2, rooms=1, streams=1, is_resynchronising=False)
    assert wrong["missed"] > 0
