"""Processor time of a server and of its database, beside the time that passes."""

import http.client
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import Server


def list_database_processes(folder: Path) -> list[int]:
    """Return the pids of a folder's PostgreSQL; none of SQLite's, which has no process."""
    path = folder / "pg" / "postmaster.pid"
    if not path.exists():
        return []
    postmaster = int(path.read_text().split("\n", 1)[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


def read_nanoseconds(pids: Iterable[int]) -> int:
    """Return the nanoseconds of processor that some processes' threads have used."""
    threads = (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(path.read_text().split()[0]) for path in threads)


@dataclass
class Meter:
    """Milliseconds of each request, and those of processor that the server and its database used for all."""

    server: Server
    walls: list[float] = field(default_factory=list)
    worker_ms: float = 0.0
    database_ms: float = 0.0

    def __enter__(self) -> "Meter":
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        worker, database = (after - before for after, before in zip(self._read(), self._before, strict=True))
        self.worker_ms += worker / 1e6
        self.database_ms += database / 1e6

    def _read(self) -> tuple[int, int]:
        return read_nanoseconds(self.server.workers()), read_nanoseconds(list_database_processes(self.server.folder))

    def call(self, connection: "Connection", path: str) -> None:
        """Time a GET."""
        started = time.perf_counter()
        connection.get(path)
        self.walls.append((time.perf_counter() - started) * 1000)


class Connection:
    """A kept connection of one user."""

    def __init__(self, server: Server, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        self.server = server
        self._headers = {"Authorization": f"Bearer {token}"}
        self.received = 0  # bytes of the last answer, with its headers

    def get(self, path: str) -> dict[str, object]:
        """Make a GET; raises RuntimeError for any status but 200."""
        status, body = self.fetch(path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:200]!r} {self.server.log()[-3000:]}")
        found: dict[str, object] = json.loads(body)
        return found

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def fetch(self, path: str) -> tuple[int, bytes]:
        """Make a GET; returns status and body."""
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        self.received = len(body) + sum(len(name) + len(value) + 4 for name, value in response.getheaders()) + 19
        return response.status, body
