"""WebSocket entry: the namespaces of Socket.IO."""

from flask import Flask, current_app

from chatbot.services.rooms.signals import state as signals

from . import chat, connections, delivery, ends, presence, rooms, server, shared_counts, transport, typing_events
from .followers import Followers
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
    adapters = signals.create(app)
    present = presence.Presence(socketio, registry, adapters.presence)
    typing = typing_events.TypingEvents(socketio, registry, adapters.typing)
    loops = (
        Loop(registry, "ends of sockets", closing.look, ends.LOOK_SECONDS),
        Loop(registry, "room delivery", deliveries.look, delivery.LOOK_SECONDS),
        Loop(registry, "presence", present.look, presence.LOOK_SECONDS),
        Loop(registry, "counts of sockets", registry.keep_counts, shared_counts.KEEP_SECONDS),
        Loop(registry, "typing", typing.look, typing_events.LOOK_SECONDS),
    )

    def start() -> None:
        for loop in loops:
            loop.start()

    Namespace(delivery.NAMESPACE, rooms.create_handlers(present, typing)).register(socketio, start)
    followers = Followers(socketio, registry, closing)
    Namespace(chat.NAMESPACE, chat.create_handlers(followers)).register(socketio, start)
    handshakes = transport.WebSocketsOnly(app.wsgi_app, lambda: closing.is_draining)
    app.wsgi_app = handshakes  # type: ignore[method-assign]  # the way that Flask documents


def drain() -> None:
    """Send the clients of the current application's sockets elsewhere."""
    closing: ends.Ends = current_app.extensions[EXTENSION]
    closing.drain()
