"""Both namespaces over one WebSocket: npm's `socket.io-client` joins them so by itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Server
from tests.support.sockets import Member

pytestmark = [pytest.mark.slow, pytest.mark.measured]


def test_client_joins_both_namespaces_over_one_web_socket(server: Server, ada: Member, room_id: str) -> None:
    node = str(Path(sys.executable).with_name("node"))
    command = [node, str(ROOT / "tests/node/namespaces.mjs"), f"http://127.0.0.1:{server.port}", ada.token, room_id]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == {
        "shared": True,
        "present": 1,
        "first": {"text": "You said: one", "whole": "You said: one", "status": "completed"},
        "second": {"text": "You said: two", "whole": "You said: two", "status": "completed"},
    }
