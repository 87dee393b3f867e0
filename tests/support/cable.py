"""A cable that breaks: passes bytes between a client and a server, and cuts the answer's connection again and again."""

import contextlib
import socket
import threading
from types import TracebackType

from tests.support.processes import free_port

BITE = 900  # bytes of an answer after which the connection is cut: its head, the turn, and some text


class Cable:
    """Listens on a port of its own; the first `lives` answers that are longer than a bite are cut there."""

    def __init__(self, port: int, lives: int, bite: int = BITE) -> None:
        self._to = port
        self._lives = lives
        self._bite = bite
        self.cut = 0
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self) -> "Cable":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(100):
                client.sendall(data)
                passed += len(data)
                if passed > self._bite and self.cut < self._lives:
                    self.cut += 1
                    break
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
