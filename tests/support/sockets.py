"""Clients of the namespaces: python-socketio's own, with a list of its events, and WebSockets by hand."""

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import socketio
import websocket

from tests.support.processes import Server
from tests.support.socket_schemas import EVENT, REPLY, get_schemas
from tests.support.waiting import wait_for

NAMESPACES = ("/rooms", "/chat")
EVENTS = ("message", "changed", "removed", "bot_delta", "bot_done", "delta", "done", "error", "closing")
SIGNALS = ("typing", "presence")


class SocketClient:
    """A connected client; `events` are those that came, each a name and its data, and `signals` the passing ones."""

    def __init__(self, server: Server, token: Any, namespace: str = "/rooms", **headers: str) -> None:
        self.namespace = namespace
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.signals: list[tuple[str, dict[str, Any]]] = []
        self.refusal: Any = None
        self._faults: list[str] = []
        self._schemas = get_schemas(server)
        self._client = socketio.Client(reconnection=False)
        for name in (*EVENTS, *SIGNALS):
            self._client.on(name, self._note(name), namespace=namespace)
        self._client.on("connect_error", self._note_refusal, namespace=namespace)
        self._client.connect(
            f"http://127.0.0.1:{server.port}",
            headers=headers,
            auth={"token": token},
            namespaces=[namespace],
            transports=["websocket"],
            wait=False,
        )
        self._websocket = self._client.eio.ws
        wait_for(lambda: self.refusal is not None or namespace in self._client.namespaces)

    def __enter__(self) -> "SocketClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._websocket.shutdown()  # which the client leaves open where the server ended it
        assert self._faults == []

    @property
    def is_connected(self) -> bool:
        """Whether the socket is open."""
        return bool(self._client.connected)

    def call(self, event: str, **data: Any) -> dict[str, Any]:
        """Send an event and return its acknowledgement."""
        answer: dict[str, Any] = self._client.call(event, data, namespace=self.namespace, timeout=10)
        if event in self._schemas.list_events(self.namespace):
            self._check(event, REPLY, answer)
        return answer

    def send(self, event: str, **data: Any) -> None:
        """Send an event that needs no acknowledgement."""
        self._client.emit(event, data, namespace=self.namespace)

    def texts(self) -> list[str]:
        """Return the texts of the messages that came, by their numbers: the client handles each in a thread."""
        messages = [data for name, data in self.events if name == "message"]
        return [data["text"] for data in sorted(messages, key=lambda one: int(one["seq"]))]

    def read_answer(self, turn_id: str, offset: int = 0) -> str:
        """Return the text of a turn from an offset on, as far as it came; raises AssertionError for a gap."""
        text = ""
        deltas = [data for name, data in self.events if name == "delta" and data["turn_id"] == turn_id]
        for delta in sorted(deltas, key=lambda one: int(one["offset"])):
            assert delta["offset"] == offset + len(text), delta
            text += delta["text"]
        return text

    def wait_for_end(self, turn_id: str) -> tuple[str, dict[str, Any]]:
        """Wait for the last event of a turn."""
        ids = ("id", "turn_id")

        def find() -> list[tuple[str, dict[str, Any]]]:
            ends = [event for event in self.events if event[0] in {"done", "error"}]
            return [event for event in ends if turn_id in {event[1].get(one) for one in ids}]

        return wait_for(find)[0]

    def names(self) -> list[str]:
        """Return the names of the events that came."""
        return [name for name, _ in self.events]

    def signals_of(self, name: str) -> list[dict[str, Any]]:
        """Return the data of the passing events of a name."""
        return [data for one, data in self.signals if one == name]

    def _note(self, name: str) -> Any:
        noted = self.signals if name in SIGNALS else self.events

        def note(data: Any) -> None:
            noted.append((name, data))
            self._check(name, EVENT, data)

        return note

    def _check(self, name: str, kind: str, data: Any) -> None:
        """Note where data are not as the AsyncAPI document says; the client handles events in threads."""
        self._faults += self._schemas.find_faults(self.namespace, name, kind, data)

    def _note_refusal(self, data: Any) -> None:
        self.refusal = data


class Member:
    """A user of a server."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = f"{name}{uuid4().hex[:8]}"
        self.token = server.sign_in(self.name)
        self.id: str = server.call("GET", "/api/users/me/", None, self.token)[2]["id"]

    def at(self, server: Server) -> "Member":
        """Return the same user at another host."""
        other = copy.copy(self)
        other.server = server
        return other

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request and return the JSON of its answer."""
        return self.server.call(method, path, body, self.token)[2]

    def connect(self, namespace: str = "/rooms") -> SocketClient:
        """Open a socket."""
        client = SocketClient(self.server, self.token, namespace)
        assert client.refusal is None, client.refusal
        return client


@contextlib.contextmanager
def open_raw(
    server: Server, token: str | None = None, *namespaces: str, **options: Any
) -> Iterator[websocket.WebSocket]:
    """Open a WebSocket that speaks engine.io by hand, in namespaces where there is a token."""
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    raw = websocket.create_connection(url, timeout=20, **options)
    try:
        raw.recv()
        for namespace in (namespaces or ("/rooms",)) if token is not None else ():
            raw.send(f"40{namespace}," + json.dumps({"token": token}))
            assert raw.recv().startswith(f"40{namespace}")
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


def read_close_code(raw: websocket.WebSocket) -> int:
    """Return the code with which the server closes the socket (RFC 6455, 7.4); packets before it are dropped.

    Nothing is answered: an answer to the closing frame may find a socket that is closed for writing.
    """
    while True:
        frame = raw.recv_frame()
        if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(frame.data[:2])
