"""schemathesis over every operation: no 500, and every answer as the document says. Part of `make check`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, Server, Upstream, running

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "50")
ENDS = (
    "^/api/users/(logout/|sessions/.session_id./)$"  # end the session that all others need: they get one of their own
)
HALF = "^/api/(rooms|collections|documents|invitations|admin|analytics)/"  # of the others, so that two processes share them
GROUPS = {
    "ends": ["--include-path-regex", ENDS],
    "first half": ["--include-path-regex", HALF],
    "second half": ["--exclude-path-regex", f"{ENDS}|{HALF}"],
}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run a server with a model that answers at once."""
    with running(tmp_path_factory.mktemp("fuzz"), OPENAI_BASE_URL=upstream.url) as server:
        yield server


def describe_events(document: dict[str, Any]) -> dict[str, Any]:
    """Return the API document with each event of a stream as schemathesis reads it: an object with texts (OpenAPI 3.2).

    OpenAPI 3.1 has no word for that, and here the schema of a stream is that of the data: docs/decisions/0070.
    """
    for item in document["paths"].values():
        for operation in item.values():
            responses = operation.get("responses", {}) if isinstance(operation, dict) else {}
            stream = responses.get("200", {}).get("content", {}).get("text/event-stream")
            if stream:
                data = {"type": "string", "contentMediaType": "application/json", "contentSchema": stream.pop("schema")}
                event = {"type": "object", "required": ["data"], "properties": {"data": data}}
                end = {"type": "object", "required": ["data"], "properties": {"data": {"const": "[DONE]"}}}
                stream["itemSchema"] = {"anyOf": [end, event]}
    return document


@pytest.mark.parametrize("group", GROUPS)
def test_every_answer_of_every_operation_is_as_documented(fuzzed: Server, tmp_path: Path, group: str) -> None:
    token = fuzzed.sign_in(f"fuzzer-{group.replace(' ', '-')}")
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(describe_events(fuzzed.call("GET", "/api/openapi.json")[2])))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(ROOT / "tests/fuzz/schemathesis.toml"),
        "run", str(described), "--url", f"http://127.0.0.1:{fuzzed.port}", "--header", f"Authorization: Bearer {token}",
        "--max-examples", EXAMPLES, "--seed", "1", *GROUPS[group],
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    print(ended.stdout[-20_000:])
    assert ended.returncode == 0
    assert "Traceback" not in fuzzed.log()
