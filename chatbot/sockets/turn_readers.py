"""The readers of turns over sockets: each is at an offset, waits for its client, and ends with its socket."""

import _thread
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from flask import g, url_for
from flask_socketio import SocketIO

from chatbot.errors import ChatbotError
from chatbot.schemas.sockets import TurnDeltaSchema
from chatbot.services.chat.records import Turn
from chatbot.web import admission, sse

from . import problems
from .closing import ConnectionCloser
from .connections import Connection, Registry

MAX_WAITING_PACKETS = 16  # of a client, before its readers wait for it
MAX_LAG_SECONDS = 10.0  # that they wait
LAG_POLL_SECONDS = 0.02
MAX_DELTA_LENGTH = 16_384  # code points in one event

_deltas = TurnDeltaSchema()


class TurnReaders:
    """Starts the readers of turns."""

    def __init__(self, socketio: SocketIO, registry: Registry, closer: ConnectionCloser) -> None:
        self._socketio = socketio
        self._registry = registry
        self._closer = closer

    def start(self, connection: Connection, turn_id: UUID, offset: int) -> None:
        """Follow a turn from an offset on, in place of an earlier reader of the same turn.

        Within a request that was counted as a stream, and behind its acknowledgement.
        """
        g.instance = url_for("chat.get_turn", turn_id=turn_id)
        reader = sse.Reader(connection.caller, turn_id)
        turn_reader = TurnReader(connection, turn_id, self._socketio, self._registry, self._closer)
        connection.turns[turn_id] = turn_reader
        arguments = (reader, offset, admission.keep_stream())
        connection.websocket.call_when_answered(lambda: _thread.start_new_thread(turn_reader.run, arguments))


@dataclass(eq=False, slots=True)
class TurnReader:
    """A reader of a turn for a connection."""

    connection: Connection
    turn_id: UUID
    socketio: SocketIO
    registry: Registry
    closer: ConnectionCloser

    def run(self, reader: sse.Reader, offset: int, release: Callable[[], None]) -> None:
        """Emit a turn's text and its end, while the connection lasts."""
        try:
            self._follow(reader, offset)
        except Exception as error:  # noqa: BLE001 - the client is waiting for an end
            self._emit("error", problems.describe(error, "follow") | {"turn_id": self.turn_id})
        finally:
            release()
            if self.connection.turns.get(self.turn_id) is self:
                del self.connection.turns[self.turn_id]

    def _follow(self, reader: sse.Reader, offset: int) -> None:
        for news in reader.news(offset):
            if not self._is_wanted():
                return
            if isinstance(news, str):
                if not self._emit_text(news, offset):
                    return
                offset += len(news)
            elif isinstance(news, Turn | ChatbotError):
                self._emit_end(reader, news, offset)

    def _emit_text(self, text: str, offset: int) -> bool:
        """Emit a piece of text in events of a bounded length; return whether the connection lasts."""
        for start in range(0, len(text), MAX_DELTA_LENGTH):
            if not self._wait_for_client(MAX_WAITING_PACKETS):
                return False
            piece = text[start : start + MAX_DELTA_LENGTH]
            event = {"turn_id": self.turn_id, "offset": offset + start, "text": piece}
            self._emit("delta", _deltas.dump(event))
        return True

    def _emit_end(self, reader: sse.Reader, news: Turn | ChatbotError, offset: int) -> None:
        name, data = reader.describe_end(news, offset)
        if self._wait_for_client(1):  # none before it: the answer may be longer than the queue takes
            self._emit(name, data if name == "done" else {**data, "turn_id": self.turn_id})

    def _wait_for_client(self, max_packets: int) -> bool:
        """Wait until fewer packets wait for the client, and close its socket where it takes none for long.

        The text that comes meanwhile is one piece of the next reading.
        """
        deadline = time.monotonic() + MAX_LAG_SECONDS
        while self._is_wanted():
            queue = self.closer.find_queue(self.connection)
            if queue is None:
                return False
            if queue.qsize() < max_packets:
                return True
            if time.monotonic() > deadline:
                self.closer.close_slow(self.connection)
                return False
            time.sleep(LAG_POLL_SECONDS)
        return False

    def _is_wanted(self) -> bool:
        """Return whether the connection lasts, and no other reader has taken this one's place."""
        is_open = self.registry.get(self.connection.sid) is self.connection
        return is_open and self.connection.turns.get(self.turn_id) is self

    def _emit(self, name: str, data: object) -> None:
        connection = self.connection
        self.socketio.emit(name, data, namespace=connection.namespace, to=connection.sid)
