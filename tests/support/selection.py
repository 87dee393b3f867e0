"""The tiers of tests, and their databases.

`make test` leaves out the tests marked `slow`, which start servers or take seconds, `tests/system` and `tests/hostile`.
Tests marked `both_databases` run on SQLite and PostgreSQL; others that take a database run on SQLite. `--sqlite-only`
leaves out all that need PostgreSQL. `--beyond-make-test` leaves out what `make test` runs.
"""

from typing import Any

import pytest

from tests.support.processes import ROOT

MAX_ID_LENGTH = 60
SYSTEM = ROOT / "tests" / "system"
POSTGRESQL = ("postgresql", "pgvector")  # parameters that stand for it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlite-only", action="store_true", help="Leave out the tests that need PostgreSQL.")
    parser.addoption("--beyond-make-test", action="store_true", help="Leave out the tests that `make test` runs.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: starts servers, or takes seconds; left out of `make test`")
    config.addinivalue_line("markers", "both_databases: also runs on PostgreSQL; what takes a database matters there")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _is_left_out(item, sqlite_only=config.getoption("--sqlite-only"))]
    if config.getoption("--beyond-make-test"):
        left_out += [item for item in items if _is_in_make_test(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        rest = set(items) - set(left_out)
        items[:] = [item for item in items if item in rest]


def _is_left_out(item: pytest.Item, *, sqlite_only: bool) -> bool:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    if sqlite_only:
        fixtures = getattr(item, "fixturenames", ())
        return "postgres" in fixtures or any(
            value in POSTGRESQL for value in parameters.values() if isinstance(value, str)
        )
    return parameters.get("database_url") == "postgresql" and item.get_closest_marker("both_databases") is None


def _is_in_make_test(item: pytest.Item) -> bool:
    is_slow = item.get_closest_marker("slow") is not None or SYSTEM in item.path.parents
    return not is_slow and not _is_left_out(item, sqlite_only=True)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a row of a table by its content: pytest itself numbers all but words and numbers."""
    if isinstance(val, BaseException):
        return type(val).__name__
    if isinstance(val, dict | list | tuple):
        written = repr(val)
        return None if " at 0x" in written or "b'" in written else written[:MAX_ID_LENGTH]
    return None
