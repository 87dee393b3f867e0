"""WebSocket entry: the namespaces of Socket.IO."""

from flask import Flask, current_app
from werkzeug.routing import Rule

from chatbot.services.rooms.signals import state as signals

from . import chat, closing, connections, delivery, handshakes, presence, rooms, server, shared_counts, typing_events
from .loops import Loop
from .namespace import Namespace
from .turn_readers import TurnReaders

EXTENSION = "chatbot.connection_closer"


def init_app(app: Flask) -> None:
    """Serve Socket.IO at `/socket.io/`, beside the routes."""
    handshakes.refuse_other_websockets()
    registry = connections.init_app(app)
    socketio = server.create(app)
    closer = app.extensions[EXTENSION] = closing.ConnectionCloser(socketio, registry)
    deliveries = delivery.Deliveries(socketio, registry, closer)
    adapters = signals.create(app)
    present = presence.Presence(socketio, registry, adapters.presence)
    typing = typing_events.TypingEvents(socketio, registry, adapters.typing)
    loops = (
        Loop(registry, "closing of sockets", closer.poll, closing.POLL_INTERVAL_SECONDS),
        Loop(registry, "room delivery", deliveries.poll, delivery.POLL_INTERVAL_SECONDS),
        Loop(registry, "presence", present.poll, presence.POLL_INTERVAL_SECONDS),
        Loop(registry, "counts of sockets", registry.renew_counts, shared_counts.RENEW_INTERVAL_SECONDS),
        Loop(registry, "typing", typing.poll, typing_events.POLL_INTERVAL_SECONDS),
    )

    def start() -> None:
        for loop in loops:
            loop.start()

    Namespace(delivery.NAMESPACE, rooms.create_handlers(present, typing)).register(socketio, start)
    turn_readers = TurnReaders(socketio, registry, closer)
    Namespace(chat.NAMESPACE, chat.create_handlers(turn_readers)).register(socketio, start)
    # Each event has a request context of its own: without a rule Flask-Limiter counts nothing, and the exception of its
    # routing kept the context, with the event's data, until the next collection of garbage.
    app.url_map.add(Rule(handshakes.PATH, endpoint="sockets", websocket=True))
    gate = handshakes.WebSocketsOnly(app.wsgi_app, lambda: closer.is_draining)
    app.wsgi_app = gate  # type: ignore[method-assign]  # the way that Flask documents


def drain() -> None:
    """Send the clients of the current application's sockets elsewhere."""
    closer: closing.ConnectionCloser = current_app.extensions[EXTENSION]
    closer.drain()
