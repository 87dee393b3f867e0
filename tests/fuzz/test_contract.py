"""schemathesis over every operation: no 500, and every answer as the document says. Part of `make check`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Server, Upstream, running

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "50")
LOGOUT = "/api/users/logout/"  # ends the session that all others need, so it gets one of its own


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run a server with a model that answers at once."""
    with running(tmp_path_factory.mktemp("fuzz"), OPENAI_BASE_URL=upstream.url) as server:
        yield server


@pytest.mark.parametrize("which", [["--exclude-path", LOGOUT], ["--include-path", LOGOUT]])
def test_every_answer_of_every_operation_is_as_documented(fuzzed: Server, tmp_path: Path, which: list[str]) -> None:
    token = fuzzed.sign_in(f"fuzzer{which[0].count('x')}")
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(ROOT / "tests/fuzz/schemathesis.toml"),
        "run", f"http://127.0.0.1:{fuzzed.port}/api/openapi.json", "--header", f"Authorization: Bearer {token}",
        "--max-examples", EXAMPLES, "--seed", "1", *which,
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    print(ended.stdout[-20_000:])
    assert ended.returncode == 0
    assert "Traceback" not in fuzzed.log()
