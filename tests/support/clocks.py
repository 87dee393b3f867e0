"""The wall clock, for tests that set it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Set the wall clock of this process; the steady one goes on."""
    with time_machine.travel(datetime.now(UTC), tick=True) as traveller:
        yield traveller
