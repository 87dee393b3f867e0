"""Replicas that sync at random moments between random changes equal the server after each sync."""

import pytest
from flask import Flask

from tests.support import sync_chaos

pytestmark = pytest.mark.both_databases

EXAMPLES = 5  # 300 steps: some 10 s on a busy machine
STEPS = 60


def test_replicas_equal_the_server(app: Flask) -> None:
    sync_chaos.run(app, examples=EXAMPLES, steps=STEPS)
