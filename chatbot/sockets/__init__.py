"""WebSocket entry: the namespace `/rooms` of Socket.IO."""

from flask import Flask, current_app

from . import connections, server, transport
from .delivery import Deliveries
from .rooms import register

EXTENSION = "chatbot.deliveries"


def init_app(app: Flask) -> None:
    """Serve Socket.IO at `/socket.io/`, beside the routes."""
    transport.refuse_other_websockets()
    registry = connections.init_app(app)
    app.extensions[EXTENSION] = register(server.create(app), registry)
    app.wsgi_app = transport.WebSocketsOnly(app.wsgi_app)  # type: ignore[method-assign]  # the way that Flask documents


def drain() -> None:
    """Send the clients of the current application's sockets elsewhere."""
    deliveries: Deliveries = current_app.extensions[EXTENSION]
    deliveries.drain()
