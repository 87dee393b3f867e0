"""Questions to the bot of a room, among the messages of its members."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.transactions import read
from chatbot.database.types import uuid7
from chatbot.errors import BotBusy, BotOff
from chatbot.models import Room, RoomMember, RoomMessage
from chatbot.services.accounts.callers import Caller
from chatbot.services.rooms import rows
from chatbot.services.sync.changes import Change

from . import answers

MAX_WAITING = 8  # questions in a room, beside the one that is being answered
MAX_WAITING_PER_ASKER = 4
RETRY_SECONDS = 5.0
MODE = Prepared(sa.select(Room.bot).where(Room.id == rows.ROOM_ID))
MENTION = re.compile(r"(?<![\w.@-])@bot(?![\w-])", re.IGNORECASE)
# Also as other keyboards write it: what was meant for the bot alone is not to be read by all.
UNSEEN = r"[\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*+"
PRIVATE_MENTION = re.compile(rf"(?<![^\W_])[@\uff20]{UNSEEN}bot{UNSEEN}[!\uff01\u00a1\ufe57]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A message that asks the bot, for the asker alone or for all."""

    is_private: bool


def is_asked(caller: Caller, room_id: UUID, text: str) -> bool:
    """Return whether a text of a member would ask the bot of a room."""
    if _is_mentioned(text):
        return True
    is_own = sa.and_(rows.is_member_of(Room.id), RoomMember.user_id == caller.user_id)
    with read() as connection:
        mode = connection.scalar(sa.select(Room.bot).join(RoomMember, is_own).where(Room.id == room_id))
    return mode == "always"


def find(connection: sa.Connection, caller: Caller, room_id: UUID, text: str) -> Question | None:
    """Return the question of a message in a locked room, None where it asks nothing.

    Raises BotOff for a question to the bot alone in a room without it, BotBusy where too many wait.
    """
    mode = MODE.run(connection, {"room_id": room_id}).scalar()
    is_private = PRIVATE_MENTION.search(text) is not None
    is_mentioned = _is_mentioned(text)
    if mode == "off":
        if is_private:  # it would be read by all
            raise BotOff("The room has no bot to be asked in private.")
        return None
    if not is_mentioned and mode != "always":
        return None
    of_room = (RoomMessage.room_id == room_id, answers.IS_QUEUED)
    askers = connection.scalars(sa.select(RoomMessage.asker_id).where(*of_room)).all()
    if len(askers) < MAX_WAITING and askers.count(caller.user_id) < MAX_WAITING_PER_ASKER:
        return Question(is_private)
    if is_mentioned:
        raise BotBusy("Too many questions wait for the bot.", retry_after=RETRY_SECONDS)
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
    return " ".join(MENTION.sub(" ", PRIVATE_MENTION.sub(" ", text)).split(" ")).strip(" ,:") or text


def _is_mentioned(text: str) -> bool:
    return MENTION.search(text) is not None or PRIVATE_MENTION.search(text) is not None
