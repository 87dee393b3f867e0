"""Pieces of answers that are being written, for the sockets of this process."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from flask_socketio import SocketIO

from chatbot.services.rooms.bot.texts import AnswerText, find_readers, get_answer_texts

from .connections import Connection, Registry


class BotDeltas:
    """Emits the growing texts of answers; each socket has an offset in each."""

    def __init__(self, socketio: SocketIO, registry: Registry, namespace: str) -> None:
        self._socketio = socketio
        self._registry = registry
        self._namespace = namespace

    def emit(self, followed: Mapping[UUID, Sequence[Connection]]) -> None:
        """Emit the text since the last time to the sockets of each room, as far as their users may read it."""
        running = get_answer_texts().list_texts(sorted(followed)) if followed else []
        due: list[tuple[AnswerText, Connection]] = []
        for answer in running:
            for connection in followed[answer.room_id]:
                if connection.answers.get(answer.message_id, 0) < len(answer.text):
                    due.append((answer, connection))
        if due:
            self._emit(due)
        _forget_ended(followed, {one.message_id for one in running})

    def _emit(self, due: Sequence[tuple[AnswerText, Connection]]) -> None:
        readers = find_readers(sorted({answer.message_id for answer, _ in due}))
        texts = {answer.message_id: answer for answer, _ in due}
        sids: defaultdict[tuple[UUID, int], list[str]] = defaultdict(list)
        for answer, connection in due:
            is_open = self._registry.get(connection.sid) is connection  # nothing follows `closing`
            if is_open and connection.caller.user_id in readers.get(answer.message_id, ()):
                sids[answer.message_id, connection.answers.get(answer.message_id, 0)].append(connection.sid)
                connection.answers[answer.message_id] = len(answer.text)
        for (message_id, offset), recipients in sids.items():
            answer = texts[message_id]
            event = {"room_id": answer.room_id, "message_id": message_id, "offset": offset}
            event["text"] = answer.text[offset:]
            self._socketio.emit("bot_delta", event, namespace=self._namespace, to=recipients)


def _forget_ended(followed: Mapping[UUID, Sequence[Connection]], running: set[UUID]) -> None:
    for connections in followed.values():
        for connection in connections:
            if connection.answers:
                connection.answers = {one: at for one, at in connection.answers.items() if one in running}
