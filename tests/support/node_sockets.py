"""npm's `socket.io-client` in a namespace."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

SCRIPT = ROOT / "tests/node/sockets.mjs"
CHANGES = ("message", "changed", "removed", "closing")


class NodeClient:
    """npm's `socket.io-client` in a process of its own; `events` are those that came, each a name and its data."""

    def __init__(self, port: int, token: str, namespace: str = "/rooms") -> None:
        node = str(Path(sys.executable).with_name("node"))
        command = [node, str(SCRIPT), f"http://127.0.0.1:{port}", token, namespace]
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "NodeClient":
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # `node` is a script of Python's, which starts it
        self._process.communicate()

    def call(self, event: str, **data: Any) -> dict[str, Any]:
        """Send an event and return its acknowledgement."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([event, data]) + "\n")
        self._process.stdin.flush()
        return self._answers.get(timeout=20)

    def names(self) -> list[str]:
        """Return the names of the events that came."""
        return [name for name, _ in self.events]

    def list_changes(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the changes of rooms among the events."""
        return [one for one in self.events if one[0] in CHANGES]

    def list_messages(self) -> list[dict[str, Any]]:
        """Return the new messages among the events."""
        return [data for name, data in self.events if name == "message"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # it was closed
            for line in self._process.stdout:
                found = json.loads(line)
                if "answer" in found:
                    self._answers.put(found["answer"])
                else:
                    self.events.append((found["event"], found["data"]))
