"""The Postman collection: made from the API document, and run by newman against a real server."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from docs.postman import generate
from tests.support.processes import ROOT, Server

pytestmark = pytest.mark.slow

NEWMAN = ROOT / "tests/node/node_modules/newman/bin/newman.js"
FOLDER = ROOT / "docs/postman"


@pytest.mark.parametrize("name", ["chatbot.postman_collection.json", "local.postman_environment.json"])
def test_files_are_what_the_api_document_gives(name: str) -> None:
    assert json.loads((FOLDER / name).read_text()) == generate.documents()[name], "run `make docs`"


def test_newman_runs_the_collection_without_a_failure(server: Server, tmp_path: Path) -> None:
    assert NEWMAN.exists(), "run `make test-all`, which installs newman"
    report = tmp_path / "report.json"
    command = [
        "node", str(NEWMAN), "run", str(FOLDER / "chatbot.postman_collection.json"),
        "--environment", str(FOLDER / "local.postman_environment.json"),
        "--env-var", f"baseUrl=http://127.0.0.1:{server.port}",
        "--reporters", "cli,json", "--reporter-json-export", str(report),
    ]  # fmt: skip
    environment = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    stats = json.loads(report.read_text())["run"]["stats"]
    assert (stats["requests"]["total"], stats["requests"]["failed"]) == (8, 0)
    assert (stats["assertions"]["total"], stats["assertions"]["failed"]) == (21, 0)
