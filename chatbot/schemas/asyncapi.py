"""The AsyncAPI document of the sockets, made from the table of their events."""

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin, resolver
from marshmallow import Schema

from . import room_messages, rooms
from .problem import ProblemSchema
from .socket_events import NAMESPACES, SocketNamespace

VERSION = "3.0.0"
DESCRIPTION = (
    "Socket.IO 5 over WebSocket; a channel is a namespace. A client connects to it with `auth: {token}`, an access "
    "token or an API key, and is refused with a problem document as the data of `connect_error`. Each event of a "
    "client is acknowledged, with the reply that its operation names or with a problem document."
)
SERVER = {
    "host": "{host}",
    "pathname": "/socket.io/",
    "protocol": "ws",
    "description": "This server.",
    "variables": {"host": {"default": "127.0.0.1:8000"}},
    "security": [{"$ref": "#/components/securitySchemes/token"}],
}
TOKEN = {"type": "apiKey", "in": "user", "description": "The `token` of `auth`: an access token or an API key."}
REFERRED = (room_messages.RoomMessageSchema, rooms.RoomMemberSchema, rooms.RoomSettingsSchema)  # by name, in `changed`


def describe() -> dict[str, Any]:
    """Return the document (AsyncAPI 3.0)."""
    components = Components()
    channels = {}
    operations: dict[str, Any] = {}
    for address, namespace in NAMESPACES.items():
        name = address.strip("/")
        channels[name] = _describe_channel(address, namespace, components)
        operations |= _describe_operations(name, namespace)
    return {
        "asyncapi": VERSION,
        "info": {"title": "Chatbot API", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"self": SERVER},
        "channels": channels,
        "operations": operations,
        "components": {"schemas": components.to_dict(), "securitySchemes": {"token": TOKEN}},
    }


class Components:
    """The schemas of the document, as JSON Schema by name."""

    def __init__(self) -> None:
        self._plugin = MarshmallowPlugin()
        self._spec = APISpec("", "", "3.1.0", plugins=[self._plugin])
        for schema in REFERRED:
            self.refer(schema)

    def refer(self, schema: type[Schema]) -> dict[str, Any]:
        """Return the reference to a schema, which is in the document from now on."""
        name = resolver(schema)
        if name not in self._spec.components.schemas:
            self._spec.components.schema(name, schema=schema)
        return {"$ref": f"#/components/schemas/{name}"}

    def to_dict(self) -> dict[str, Any]:
        """Return all schemas."""
        found: dict[str, Any] = self._spec.to_dict()["components"]["schemas"]
        return found


def _describe_channel(address: str, namespace: SocketNamespace, components: Components) -> dict[str, Any]:
    messages = {}
    for name, event in namespace.client_events.items():
        messages[f"{name}.request"] = _describe_message(name, event.summary, components.refer(event.data))
        messages[f"{name}.reply"] = _describe_message(
            name, f"The acknowledgement of `{name}`.", components.refer(event.acknowledgement)
        )
    for name, sent in namespace.server_events.items():
        messages[f"{name}.event"] = _describe_message(name, sent.summary, components.refer(sent.data))
    messages["problem"] = _describe_message("problem", "An event was refused.", components.refer(ProblemSchema))
    description = f"{namespace.summary} An API key needs the scope `{namespace.scope}`."
    return {"address": address, "description": description, "messages": messages}


def _describe_message(name: str, summary: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "summary": summary, "payload": payload}


def _describe_operations(channel: str, namespace: SocketNamespace) -> dict[str, Any]:
    """Return the operations: the server receives the events of clients, and sends its own."""
    place = {"$ref": f"#/channels/{channel}"}

    def refer(message: str) -> dict[str, str]:
        return {"$ref": f"#/channels/{channel}/messages/{message}"}

    operations: dict[str, Any] = {}
    for name, event in namespace.client_events.items():
        reply = {"channel": place, "messages": [refer(f"{name}.reply"), refer("problem")]}
        facts = {"action": "receive", "channel": place, "summary": event.summary, "reply": reply}
        operations[f"{channel}.receive.{name}"] = {**facts, "messages": [refer(f"{name}.request")]}
    for name, sent in namespace.server_events.items():
        facts = {"action": "send", "channel": place, "summary": sent.summary}
        operations[f"{channel}.send.{name}"] = {**facts, "messages": [refer(f"{name}.event")]}
    return operations
