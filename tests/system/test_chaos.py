"""A short chaos run on both databases, and that it would notice; `make chaos N=1000` is the long one."""

from pathlib import Path

import pytest

from tests.support import chaos
from tests.support.processes import Upstream

pytestmark = pytest.mark.both_databases

KILLS = 3


@pytest.fixture(scope="module")
def slow() -> "chaos.Iterator[Upstream]":
    upstream = Upstream("--interval", "0.01", "--tokens", "20")
    yield upstream
    upstream.stop()


def test_nothing_acknowledged_is_lost_when_the_worker_is_killed(
    database_url: str, tmp_path: Path, slow: Upstream
) -> None:
    wrong, seen = chaos.run(tmp_path, slow, KILLS, DATABASE_URL=database_url)
    assert wrong == {}
    assert seen["acknowledged"] > 20


def test_nothing_acknowledged_is_lost_when_hosts_are_killed(tmp_path: Path, slow: Upstream) -> None:
    with chaos.stack("hosts", tmp_path) as settings:
        wrong, seen = chaos.run(tmp_path, slow, KILLS, **settings)
    assert wrong == {}
    assert seen["acknowledged"] > 20


def test_run_turns_red_when_the_commit_of_an_opened_turn_is_taken_out(tmp_path: Path, slow: Upstream) -> None:
    wrong, seen = chaos.run(tmp_path, slow, 1, "tests.support.mutant:app")
    assert seen["acknowledged"] > 0
    assert wrong["lost"] == seen["acknowledged"]
