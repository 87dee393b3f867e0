"""WebSocket entry: the namespaces of Socket.IO."""

from flask import Flask, current_app

from . import connections, delivery, ends, rooms, server, transport
from .loops import Loop
from .namespace import Namespace

EXTENSION = "chatbot.socket_ends"


def init_app(app: Flask) -> None:
    """Serve Socket.IO at `/socket.io/`, beside the routes."""
    transport.refuse_other_websockets()
    registry = connections.init_app(app)
    socketio = server.create(app)
    closing = app.extensions[EXTENSION] = ends.Ends(socketio, registry)
    deliveries = delivery.Deliveries(socketio, registry, closing)
    loops = (
        Loop(registry, "ends of sockets", closing.look, ends.LOOK_SECONDS),
        Loop(registry, "room delivery", deliveries.look, delivery.LOOK_SECONDS),
    )

    def start() -> None:
        for loop in loops:
            loop.start()

    Namespace(delivery.NAMESPACE, "rooms", rooms.EVENTS).register(socketio, start)
    app.wsgi_app = transport.WebSocketsOnly(app.wsgi_app)  # type: ignore[method-assign]  # the way that Flask documents


def drain() -> None:
    """Send the clients of the current application's sockets elsewhere."""
    closing: ends.Ends = current_app.extensions[EXTENSION]
    closing.drain()
