"""Two hosts: gunicorns of two workers each, one PostgreSQL, one Redis, and a balancer that gives each connection to the
next host that takes it."""

import contextlib
import itertools
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.processes import Answer, Server, call

HOSTS = 2
WORKERS = 2
PIECE = 65_536


class Balancer:
    """Round robin over ports of loopback, by connection."""

    def __init__(self, ports: list[int]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._turns = itertools.cycle(ports)
        self._number = len(ports)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        for _ in range(self._number):
            with contextlib.suppress(OSError):
                host = socket.create_connection(("127.0.0.1", next(self._turns)), timeout=5)
                host.settimeout(None)
                break
        else:
            client.close()
            return
        back = threading.Thread(target=_pass_on, args=[host, client], daemon=True)
        back.start()
        _pass_on(client, host)
        back.join()
        client.close()
        host.close()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class Fleet:
    """All hosts, as one server: requests land on any of them."""

    def __init__(self, folder: Path, **settings: str) -> None:
        shared = {
            "SECRET_KEY": "x" * 40 + "-both-hosts",
            "JWT_SECRET_KEY": "y" * 40 + "-both-hosts",
            "WEB_CONCURRENCY": str(WORKERS),
        }
        self.hosts = []
        for number in range(HOSTS):
            own = folder / f"host-{number}"
            own.mkdir()
            self.hosts.append(Server(own, **shared, **settings))
        self.balancer = Balancer([host.port for host in self.hosts])
        self.port = self.balancer.port
        self.application = self.hosts[0].application

    def prepare(self) -> "Fleet":
        """Bring the database to the code's schema."""
        self.hosts[0].prepare()
        return self

    def start(self) -> "Fleet":
        """Start the hosts that do not run."""
        for host in self.hosts:
            if not hasattr(host, "process") or host.process.poll() is not None:
                host.start()
        return self

    def stop(self) -> None:
        """End all hosts."""
        started = [host for host in self.hosts if hasattr(host, "process")]
        for host in started:
            host.process.send_signal(signal.SIGINT)
        for host in started:
            host.stop()
        self.balancer.close()

    def kill(self) -> None:
        """Kill one host at once, whichever."""
        random.choice(self.hosts).kill()

    def workers(self) -> list[int]:
        """Return the pid of one worker, whichever: the others serve on."""
        return [random.choice(random.choice(self.hosts).workers())]

    def log(self) -> str:
        """Return the output of all hosts so far."""
        return "".join(host.log() for host in self.hosts)

    def lines(self) -> list[dict[str, Any]]:
        """Return their log lines."""
        return [line for host in self.hosts for line in host.lines()]

    def call(self, method: str, path: str, body: Any = None, token: str = "", **options: Any) -> Answer:
        """Make one request, to the next host."""
        return call(self.port, method, path, body, token, **options)

    def sign_in(self, name: str = "ada") -> str:
        """Make an account and return its access token."""
        return Server.sign_in(self, name)  # type: ignore[arg-type]  # needs `call` alone


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Fleet]:
    """Migrate and run two hosts for the time of a block."""
    fleet = Fleet(folder, **settings).prepare()
    try:
        yield fleet.start()
    finally:
        fleet.stop()
