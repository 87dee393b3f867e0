"""Fixtures of routes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jwks_server import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    """Run a foreign issuer of tokens."""
    found = Issuer(tmp_path / "issuer")
    yield found
    found.stop()
