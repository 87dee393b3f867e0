"""Budgets hold while workers are killed; `make bench-accounts` has the long run."""

from pathlib import Path

import pytest

from tests.support import budget_chaos
from tests.support.processes import Upstream


@pytest.mark.both_databases
def test_no_budget_is_used_beyond_its_limit_when_workers_are_killed(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    wrong, seen = budget_chaos.run(tmp_path, upstream, 2, 80, DATABASE_URL=database_url)
    assert wrong == {}
    assert min(seen["200"], seen["429"]) > 10
