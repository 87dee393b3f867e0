"""A client of the namespace `/rooms`: python-socketio's own, with a list of its events."""

from typing import Any

import socketio

from tests.support.processes import Server
from tests.support.waiting import wait_for

NAMESPACE = "/rooms"
EVENTS = ("message", "changed", "removed", "closing")


class SocketClient:
    """A connected client; `events` are those that came, each a name and its data."""

    def __init__(self, server: Server, token: Any, **headers: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.refusal: Any = None
        self._client = socketio.Client(reconnection=False)
        for name in EVENTS:
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

    def _note(self, name: str) -> Any:
        return lambda data: self.events.append((name, data))

    def _note_refusal(self, data: Any) -> None:
        self.refusal = data
