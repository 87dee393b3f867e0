"""Work in native threads under gevent, in a process of its own: this one is not patched."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

SCRIPT = """
from gevent import monkey
monkey.patch_all()
from chatbot.concurrency import threads
try:
    threads.{name}(int, "no number")
except ValueError:
    print(threads.{name}(int, "7", base=8))
"""


@pytest.mark.parametrize("name", ["run_in_thread", "run_in_slow_thread", "run_in_own_thread"])
def test_error_is_the_callers_and_nothing_is_printed(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name=name)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("7\n", "")
