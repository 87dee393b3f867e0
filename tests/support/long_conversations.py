"""Helpers for long conversations: many turns at once, and a model that answers from its prompt alone."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import uuid7
from chatbot.models import ChatMessage, Conversation, ConversationSummary
from chatbot.rag import summaries
from chatbot.rag.types import CompletionRequest, Finish
from tests.conftest import Person
from tests.support.waiting import wait_for

FACT = "Rex"
NOTES = f"Notes: the user has a dog, {FACT}."
MAX_WAIT_SECONDS = 10.0


def stream_from_prompt(request: CompletionRequest) -> Iterator[str | Finish]:
    """Answer with the fact, and write notes of it, where the prompt has it."""
    is_known = any(FACT in message.content for message in request.messages)
    if request.messages[-1].content.endswith(summaries.REQUEST):
        yield NOTES if is_known else "Notes: nothing."
    else:
        yield f"It is {FACT}." if is_known else "I do not know."
    yield Finish("stop", "scripted", prompt_tokens=7, completion_tokens=3)


def begin(app: Flask, person: Person, turns: int = 499, *, first: str = f"My dog is called {FACT}.") -> str:
    """Return the id of a conversation of so many turns, of which the first one has the fact."""
    conversation_id: str = person.says(first).get_json()["conversation_id"]
    with app.app_context(), write("test") as connection:
        of_conversation = ChatMessage.conversation_id == UUID(conversation_id)
        (row,) = connection.execute(sa.select(ChatMessage.__table__).where(of_conversation)).mappings()
        filler = " The weather was fine and the train was late again, as it is on most days of the week."
        rows = [
            {**row, "id": uuid7(), "sequence": n, "user_message": f"Entry {n}.{filler}", "bot_response": f"Noted {n}.{filler}"}
            for n in range(2, turns + 1)
        ]  # fmt: skip
        connection.execute(sa.insert(ChatMessage), rows)
        values = {"last_sequence": turns, "turns": turns}
        connection.execute(sa.update(Conversation).where(Conversation.id == UUID(conversation_id)).values(values))
    return conversation_id


def list_summaries(app: Flask) -> list[Any]:
    """Return the rows of all summaries and claims."""
    table = ConversationSummary.__table__
    with app.app_context(), read() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.last_sequence)))


def wait_for_summary(app: Flask, after: int = 0) -> Any:
    """Wait for the summary that reaches further than this."""

    def find() -> list[Any]:
        rows = list_summaries(app)
        return rows if len(rows) == 1 and rows[0].text and rows[0].last_sequence > after else []

    return wait_for(find, MAX_WAIT_SECONDS)[0]
