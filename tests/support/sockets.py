"""Clients of the namespace `/rooms`: python-socketio's own, with a list of its events, and WebSockets by hand."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import socketio
import websocket

from tests.support.processes import Server
from tests.support.waiting import wait_for

NAMESPACE = "/rooms"
EVENTS = ("message", "changed", "removed", "closing")
SIGNALS = ("typing", "presence")


class SocketClient:
    """A connected client; `events` are those that came, each a name and its data, and `signals` the passing ones."""

    def __init__(self, server: Server, token: Any, **headers: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.signals: list[tuple[str, dict[str, Any]]] = []
        self.refusal: Any = None
        self._client = socketio.Client(reconnection=False)
        for name in (*EVENTS, *SIGNALS):
            self._client.on(name, self._note(name), namespace=NAMESPACE)
        self._client.on("connect_error", self._note_refusal, namespace=NAMESPACE)
        self._client.connect(
            f"http://127.0.0.1:{server.port}",
            headers=headers,
            auth={"token": token},
            namespaces=[NAMESPACE],
            transports=["websocket"],
            wait=False,
        )
        self._websocket = self._client.eio.ws
        wait_for(lambda: self.refusal is not None or NAMESPACE in self._client.namespaces)

    def __enter__(self) -> "SocketClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._websocket.shutdown()  # which the client leaves open where the server ended it

    @property
    def is_connected(self) -> bool:
        """Whether the socket is open."""
        return bool(self._client.connected)

    def call(self, event: str, **data: Any) -> dict[str, Any]:
        """Send an event and return its acknowledgement."""
        answer: dict[str, Any] = self._client.call(event, data, namespace=NAMESPACE, timeout=10)
        return answer

    def texts(self) -> list[str]:
        """Return the texts of the messages that came, by their numbers: the client handles each in a thread."""
        messages = [data for name, data in self.events if name == "message"]
        return [data["text"] for data in sorted(messages, key=lambda one: int(one["seq"]))]

    def names(self) -> list[str]:
        """Return the names of the events that came."""
        return [name for name, _ in self.events]

    def signals_of(self, name: str) -> list[dict[str, Any]]:
        """Return the data of the passing events of a name."""
        return [data for one, data in self.signals if one == name]

    def _note(self, name: str) -> Any:
        noted = self.signals if name in SIGNALS else self.events
        return lambda data: noted.append((name, data))

    def _note_refusal(self, data: Any) -> None:
        self.refusal = data


class Member:
    """A user of a server."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = f"{name}{uuid4().hex[:8]}"
        self.token = server.sign_in(self.name)
        self.id: str = server.call("GET", "/api/users/me/", None, self.token)[2]["id"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request and return the JSON of its answer."""
        return self.server.call(method, path, body, self.token)[2]

    def connect(self) -> SocketClient:
        """Open a socket."""
        client = SocketClient(self.server, self.token)
        assert client.refusal is None, client.refusal
        return client


@contextlib.contextmanager
def open_raw(server: Server, token: str | None = None, **options: Any) -> Iterator[websocket.WebSocket]:
    """Open a WebSocket that speaks engine.io by hand, in the namespace where there is a token."""
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    raw = websocket.create_connection(url, timeout=20, **options)
    try:
        raw.recv()
        if token is not None:
            raw.send("40/rooms," + json.dumps({"token": token}))
            assert raw.recv().startswith("40/rooms")
        yield raw
    finally:
        raw.shutdown()


def read_all(raw: websocket.WebSocket) -> list[str]:
    """Return the packets that come until the server closes the socket."""
    packets: list[str] = []
    with contextlib.suppress(websocket.WebSocketException, OSError):
        while packet := raw.recv():
            packets.append(packet)
    return packets
