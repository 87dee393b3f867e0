"""The commands of the guides to rooms, run as printed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_readme import blocks
from tests.support.databases import SECRETS
from tests.support.processes import ROOT, Server, Upstream, running
from tests.support.sockets import Member
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

GUIDE = ROOT / "docs/guides/rooms.md"
SCRIPT = ROOT / "docs/guides/rooms.mjs"
PYTHON = ROOT / "docs/guides/rooms_client.py"
PASSWORD = "a sound passphrase"


def test_rooms_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        script = "\n".join(blocks("docs/guides/rooms.md")).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        script = f"TOKEN={server.sign_in('ada')}\n{script}"
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    grace, joined, message, listed, answered, changes = [
        json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")
    ]
    assert (joined["name"], joined["role"], joined["members"]) == ("Field trip", "member", 2)
    assert message["author"] == {"id": grace["id"], "username": "grace"}
    assert [one["text"] for one in listed["items"]] == ["grace joined.", "I bring the boat."]
    (answer,) = answered["items"]
    assert (answer["kind"], answer["status"]) == ("bot", "completed")
    assert answer["text"].endswith("What do we need on a lake?")
    assert [one["id"] for one in changes["items"]] == [message["id"], answer["reply_to"], answer["id"], joined["id"]]
    assert "\n204\n" in ended.stdout
    assert "event: message" in ended.stdout


def test_usage_commands_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        token = server.sign_in()
        assert server.call("POST", "/api/chat/", {"message": "Hi"}, token)[0] == 200
        reports, command, estimate = blocks("docs/guides/usage.md")
        script = f"TOKEN={token}\n{reports}\n{estimate}".replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
        printed = server.flask(*command.removeprefix(".venv/bin/flask ").split()).stdout
    report, head, row, needed = ended.stdout.splitlines()
    assert json.loads(needed)["fits"]
    total = json.loads(report)["total"]
    assert (total["turns"], head.partition(",")[0], row.split(",")[2]) == (1, "start", "1")
    sums = [str(total[name]) for name in ("turns", "failed", "cancelled", "prompt_tokens", "completion_tokens")]
    assert printed.splitlines()[-1].split("\t") == ["total", "", *sums, ""]


def test_erasure_works_as_printed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        token = server.sign_in()
        (curls,) = blocks("docs/guides/privacy.md")
        script = f"TOKEN={token}\n{curls}".replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        ended = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
        receipt = json.loads(ended.stdout)
        assert server.call("GET", "/api/users/me/", None, token)[0] == 401
        path = f"/api/erasures/{receipt['id']}/"
        wait_for(lambda: server.call("GET", path)[2]["status"] == "completed")


def run_python(page: str, server: Server, token: str, **names: str) -> str:
    """Run the Python block of a page, with names in its environment; returns its output."""
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    script = block.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    command = [sys.executable, "-c", script]
    given = {**os.environ, "TOKEN": token, **names}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=True, timeout=60).stdout


def test_python_clients_of_sockets_work_as_printed(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as server:
        token = server.sign_in()
        assert run_python("docs/guides/streaming.md", server, token) == "You said: Tell me about the sea.\n"


def test_rooms_client_in_python_misses_nothing(tmp_path: Path, upstream: Upstream) -> None:
    """The server is restarted in the middle: as an operator does it, and by a crash."""
    assert PYTHON.read_text() in GUIDE.read_text()
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **SECRETS) as server:
        ada = Member(server, "ada")
        eve = Member(server, "eve")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
        ada.call("PUT", f"/api/rooms/{room_id}/members/{eve.id}/", {"role": "member"})
        texts = []
        with (
            python_client(tmp_path / "ada", server, ada, room_id) as hers,
            python_client(tmp_path / "eve", server, eve, room_id) as other,
        ):
            with ada.connect() as present:
                wait_for(lambda: len(present.call("join", room_id=room_id)["present"]) == 2)
            for number, end in enumerate((server.stop, server.kill, None)):
                texts += [f"{number}a", f"{number}b"]
                hers.write(texts[-2])
                wait_for(lambda: len(hers.messages()) == len(other.messages()) == len(texts) - 1, 60)
                if end is not None:
                    end()
                hers.write(texts[-1])
                if end is not None:
                    server.start()
                wait_for(lambda: len(hers.messages()) == len(other.messages()) == len(texts), 60)
            assert [line.split(": ")[1] for line in hers.messages()] == texts
            assert other.messages() == hers.messages()
            other.write("@bot Hello")
            wait_for(lambda: any(" bot: You said:" in line for line in hers.messages()))


class Terminal:
    """A client of the guide, with one line of output for each message that it shows."""

    def __init__(self, folder: Path, command: list[str], **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)  # `node` is a script of Python's, which starts it
        self._process.communicate()

    def write(self, text: str) -> None:
        """Write a line into the room."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def lines(self) -> list[str]:
        """Return the lines that it printed."""
        return self._output.read_text().splitlines()

    def messages(self) -> list[str]:
        """Return the lines that begin with a number, without those of lost connections."""
        return [line for line in self.lines() if line[:1].isdigit()]

    def wait(self) -> int:
        """Wait until it ends by itself; returns its status."""
        return self._process.wait(30)


def python_client(folder: Path, server: Server, member: Member, room_id: str) -> Terminal:
    """Start the guide's client in Python, with an API key."""
    folder.mkdir()
    script = folder / PYTHON.name
    script.write_text(PYTHON.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"))
    key = member.call("POST", "/api/users/api-keys/", {"name": "room", "scopes": ["rooms"]})["secret"]
    return Terminal(folder, [sys.executable, str(script)], TOKEN=key, ROOM=room_id)


def javascript_client(folder: Path, server: Server, member: Member, room_id: str) -> Terminal:
    """Start the guide's client in JavaScript."""
    folder.mkdir()
    script = folder / SCRIPT.name
    script.write_text(SCRIPT.read_text())
    (folder / "node_modules").symlink_to(ROOT / "tests/node/node_modules")
    node = str(Path(sys.executable).with_name("node"))
    arguments = [f"http://127.0.0.1:{server.port}", f"{member.name}@example.org", room_id]
    return Terminal(folder, [node, str(script), *arguments], PASSWORD=PASSWORD)


def test_rooms_client_in_javascript_misses_nothing(tmp_path: Path, upstream: Upstream) -> None:
    """The server is killed while both write; each message, edit and deletion is shown once."""
    assert SCRIPT.read_text() in GUIDE.read_text()
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **SECRETS) as server:
        ada = Member(server, "ada")
        eve = Member(server, "eve")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake", "history": "all"})["id"]
        ada.call("PUT", f"/api/rooms/{room_id}/members/{eve.id}/", {"role": "member"})
        first = post(ada, room_id, "first")
        with (
            javascript_client(tmp_path / "ada", server, ada, room_id) as hers,
            javascript_client(tmp_path / "eve", server, eve, room_id) as other,
        ):
            wait_for(lambda: len(hers.lines()) == len(other.lines()) == 2)
            hers.write("second")
            wait_for(lambda: len(other.lines()) == 3)
            server.kill()
            hers.write("third")
            server.start()
            ada.call("PATCH", f"/api/rooms/{room_id}/messages/{first}/", {"text": "First"})
            third = f"4 {ada.name}: third"
            edited = f"2 {ada.name}: First (edited)"
            wait_for(lambda: all({third, edited} <= set(one.lines()) for one in (hers, other)))
            ada.call("DELETE", f"/api/rooms/{room_id}/messages/{first}/")
            wait_for(lambda: all("deleted" in one.lines()[-1] for one in (hers, other)))
            shown = hers.lines()
            ada.call("DELETE", f"/api/rooms/{room_id}/members/{eve.id}/")
            assert other.wait() == 1
    assert shown[:3] == [f"1 system: {eve.name} was added.", f"2 {ada.name}: first", f"3 {ada.name}: second"]
    assert sorted(shown[3:5]) == sorted([third, edited])
    assert shown[5:] == [f"2 {ada.name}: (deleted)"]
    assert other.lines() == [*shown, "You are no member of this room any more."]


def post(member: Member, room_id: str, text: str) -> Any:
    return member.call("POST", f"/api/rooms/{room_id}/messages/", {"text": text})["id"]
