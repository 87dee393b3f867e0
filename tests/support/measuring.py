"""Coverage of the processes that tests start: of those alone that tests marked `measured` start.

A measured server takes twice as long to start and to answer, and most of them run the code that others run too.
"""

import os

import pytest

from tests.support.processes import MEASURED

GIVEN = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "measured: coverage is recorded in the processes that it starts too")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    given = os.environ.get(MEASURED)
    if given:
        item.config.stash.setdefault(GIVEN, given)
    is_measured = item.get_closest_marker("measured") is not None
    os.environ[MEASURED] = item.config.stash.get(GIVEN, "") if is_measured else ""
