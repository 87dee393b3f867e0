"""The embedded model's server, started without its supervisor."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from chatbot.rag.llms import embedded
from tests.support.processes import ROOT, free_port
from tests.support.waiting import wait_for


class ModelServer:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer k"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def model_server() -> Iterator[ModelServer]:
    pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")
    port = free_port()
    script = str(ROOT / "chatbot/rag/llms/embedded.py")
    command = [sys.executable, "-P", script, "serve", "--port", str(port), "--name", "m"]
    # Its end is not measured: the process leaves with its standard input.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={"EMBEDDED_MODEL_KEY": "k", "PATH": ""})
    wait_for(lambda: embedded.healthy(port), 60)
    yield ModelServer(port)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)
