"""Questions to the bot of a room, among the messages of its members."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.database.types import uuid7
from chatbot.errors import BotBusy, BotOff
from chatbot.models import Room, RoomMessage
from chatbot.services.accounts.callers import Caller
from chatbot.services.sync.changes import Change

from . import answers

MAX_WAITING = 8  # questions in a room, beside the one that is being answered
RETRY_SECONDS = 5.0
MENTION = re.compile(r"(?<![\w.@-])@bot(?:(!)|(?![\w-]))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A message that asks the bot, for the asker alone or for all."""

    is_private: bool


def is_asked(room_id: UUID, text: str) -> bool:
    """Return whether a text would ask the bot of a room."""
    if MENTION.search(text):
        return True
    with read() as connection:
        return connection.scalar(sa.select(Room.bot).where(Room.id == room_id)) == "always"


def find(connection: sa.Connection, room_id: UUID, text: str) -> Question | None:
    """Return the question of a message in a locked room, None where it asks nothing.

    Raises BotOff for a question to the bot alone in a room without it, BotBusy where too many wait.
    """
    mode = connection.scalar(sa.select(Room.bot).where(Room.id == room_id))
    is_private = any(found[1] for found in MENTION.finditer(text))
    is_mentioned = MENTION.search(text) is not None
    if mode == "off":
        if is_private:  # it would be read by all
            raise BotOff("The room has no bot to be asked in private.")
        return None
    if not is_mentioned and mode != "always":
        return None
    of_room = (RoomMessage.room_id == room_id, answers.IS_QUEUED)
    waiting = connection.scalar(sa.select(sa.func.count()).where(*of_room)) or 0
    if waiting < MAX_WAITING:
        return Question(is_private)
    if is_mentioned:
        raise BotBusy(f"{MAX_WAITING} questions wait for the bot.", retry_after=RETRY_SECONDS)
    return None  # a message as any other: talk goes on where the bot cannot follow


def add_answer(connection: sa.Connection, caller: Caller, question: Question, message: dict[str, Any]) -> Change:
    """Queue the answer to a new message, right behind it, and return the change; `message` is its row."""
    message_id = uuid7()
    values = {
        "id": message_id,
        "room_id": message["room_id"],
        "seq": message["seq"] + 1,
        "rev": message["rev"] + 1,
        "kind": "bot",
        "text": "",
        "reply_to": message["id"],
        "status": "queued",
        "asker_id": caller.user_id,
        "visible_to": caller.user_id if question.is_private else None,
    }
    connection.execute(sa.insert(RoomMessage).values(values))
    return Change("room_message", message_id)


def strip_mention(text: str) -> str:
    """Return a question without the bot's name, or the text where nothing else is in it."""
    return " ".join(MENTION.sub(" ", text).split(" ")).strip(" ,:") or text
