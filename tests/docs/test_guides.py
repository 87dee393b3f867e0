"""The commands of the guides to rooms, run as printed."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_readme import blocks
from tests.support.processes import Upstream, running

pytestmark = pytest.mark.slow


def test_rooms_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        script = "\n".join(blocks("docs/guides/rooms.md")).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        script = f"TOKEN={server.sign_in('ada')}\n{script}"
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    grace, joined, message, listed, changes = [
        json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")
    ]
    assert (joined["name"], joined["role"], joined["members"]) == ("Field trip", "member", 2)
    assert message["author"] == {"id": grace["id"], "username": "grace"}
    assert [one["text"] for one in listed["items"]] == ["grace joined.", "I bring the boat."]
    assert [one["rev"] for one in changes["items"]] == [4]
    assert "\n204\n" in ended.stdout
    assert "event: message" in ended.stdout
