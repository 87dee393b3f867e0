"""The growing texts of answers, for the sockets and streams of a process."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, current_app

from chatbot.database.transactions import read
from chatbot.errors import ChatbotError
from chatbot.models import Room, RoomMember, RoomMessage, User
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import following, history
from chatbot.services.chat.records import Turn
from chatbot.services.rooms import message_rows, rows
from chatbot.services.rooms.records import Message

from . import answers
from .records import Answer

EXTENSION = "chatbot.answer_texts"


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The text so far of an answer that is being written."""

    message_id: UUID
    room_id: UUID
    text: str


class AnswerTexts:
    """Reads the texts of running answers; it follows those of other processes."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._followed: dict[UUID, list[str]] = {}

    def list_texts(self, room_ids: Sequence[UUID]) -> list[AnswerText]:
        """Return the texts so far of the answers that are being written in some rooms."""
        running = answers.list_running(room_ids)
        return [AnswerText(one.id, one.room_id, self._read(one)) for one in running]

    def _read(self, answer: Answer) -> str:
        if answer.turn_id is None or answer.asker is None:
            return ""
        text = following.find_text(answer.turn_id)
        if text is not None:
            return text.since(0)
        with self._lock:
            pieces = self._followed.get(answer.turn_id)
            if pieces is None:
                pieces = self._followed[answer.turn_id] = []
                arguments = (answer.asker, answer.turn_id, pieces)
                threading.Thread(target=self._follow, args=arguments, name="room answer", daemon=True).start()
        return "".join(pieces)

    def _follow(self, asker: Caller, turn_id: UUID, pieces: list[str]) -> None:
        try:
            with self._app.app_context():
                followed = following.follow(asker, turn_id, 0)
            with suppress(ChatbotError):  # it was deleted, or the database is away: the next reading follows it again
                for piece in followed:
                    if isinstance(piece, str):
                        pieces.append(piece)
                    elif isinstance(piece, Turn):
                        return
        finally:
            with self._lock:
                self._followed.pop(turn_id, None)


def init_app(app: Flask) -> None:
    """Give the application its texts."""
    app.extensions[EXTENSION] = AnswerTexts(app)


def get_answer_texts() -> AnswerTexts:
    """Return the current application's texts."""
    texts: AnswerTexts = current_app.extensions[EXTENSION]
    return texts


def with_texts(caller: Caller, messages: Sequence[Message]) -> list[Message]:
    """Return messages of a room with the texts so far of answers that the caller may read."""
    running = {one.id: one.room_id for one in messages if one.status == "pending"}
    if not running:
        return list(messages)
    found = [
        AnswerText(one.id, one.room_id, _read_saved(one)) for one in answers.list_running(sorted(set(running.values())))
    ]
    # After the texts: a text that is added meanwhile was not asked for.
    readable = find_readers([one.message_id for one in found], user_id=caller.user_id)
    texts = {one.message_id: one.text for one in found if one.message_id in readable}
    return [replace(one, text=texts.get(one.id, one.text)) for one in messages]


def _read_saved(answer: Answer) -> str:
    """Return the text so far of an answer that runs here, else as it was last saved: a page starts no follower."""
    if answer.turn_id is None:
        return ""
    text = following.find_text(answer.turn_id)
    if text is not None:
        return text.since(0)
    with read() as connection:
        return history.read_logged_text(connection, answer.turn_id)


def find_readers(message_ids: Sequence[UUID], *, user_id: UUID | None = None) -> dict[UUID, set[UUID]]:
    """Return the users that may read some answers at this moment, or of them the one of `user_id`."""
    of_room = rows.is_member_of(RoomMessage.room_id)
    is_withheld = message_rows.is_withheld(User.id, User.role == "admin")
    statement = sa.select(RoomMessage.id, User.id.label("user_id")).join(RoomMember, of_room)
    statement = statement.join(User, User.id == RoomMember.user_id).join(Room, Room.id == RoomMessage.room_id)
    is_shown = message_rows.is_shown(RoomMember.user_id, RoomMember.joined_seq)
    if user_id is not None:
        statement = statement.where(User.id == user_id)
    # Of one that has ended or was deleted since its text was read, nothing is passed on.
    statement = statement.where(answers.IS_RUNNING, ~RoomMessage.deleted)
    readers: defaultdict[UUID, set[UUID]] = defaultdict(set)
    with read() as connection:
        for row in connection.execute(statement.where(RoomMessage.id.in_(message_ids), is_shown, ~is_withheld)):
            readers[row.id].add(row.user_id)
    return readers
