"""The commands of the guides to rooms, run as printed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_readme import blocks
from tests.support.processes import ROOT, Server, Upstream, running

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


def run_python(page: str, server: Server, token: str, **names: str) -> str:
    """Run the Python block of a page, with names that stand before it; returns its output."""
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    given = "".join(f"{name} = {value!r}\n" for name, value in {"TOKEN": token, **names}.items())
    script = given + block.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


def test_python_clients_of_sockets_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        token = server.sign_in()
        assert run_python("docs/guides/streaming.md", server, token) == "You said: Tell me about the sea.\n"
        room_id = server.call("POST", "/api/rooms/", {"name": "Field trip"}, token)[2]["id"]
        for text in ("One", "Two"):
            server.call("POST", f"/api/rooms/{room_id}/messages/", {"text": text}, token)
        run_python("docs/guides/rooms.md", server, token, ROOM=room_id)
        messages = server.call("GET", f"/api/rooms/{room_id}/messages/", None, token)[2]["items"]
        assert [one["text"] for one in messages] == ["One", "Two", "Hello"]
