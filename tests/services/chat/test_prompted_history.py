"""The history in a prompt: the active turns that were answered, newest first, of this conversation alone."""

import pytest
from flask import Flask, current_app

from chatbot import adapters
from chatbot.database.base import db
from chatbot.database.transactions import write
from chatbot.database.types import uuid7
from chatbot.models import ChatMessage, Conversation
from chatbot.rag import prompt, token_counts
from chatbot.rag.errors import UpstreamIncomplete, UpstreamRefused
from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person

pytestmark = pytest.mark.both_databases


def repeated(llm: MemoryLLM) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in llm.prompts[-1][1:]]


def test_earlier_turns_are_repeated_in_order(ada: Person, eve: Person, llm: MemoryLLM) -> None:
    llm.says("Nice to meet you, Ada.")
    first = ada.says("I am Ada.").get_json()
    eve.says("I am Eve.")
    ada.says("Another conversation")
    ada.says("Who am I?", conversation_id=first["conversation_id"])
    assert repeated(llm) == [("user", "I am Ada."), ("assistant", "Nice to meet you, Ada."), ("user", "Who am I?")]


def test_failed_turns_and_filtered_ones_are_not_repeated(ada: Person, llm: MemoryLLM) -> None:
    llm.says("one")
    home = ada.says("One").get_json()["conversation_id"]
    llm.fails(UpstreamRefused())
    llm.fails(UpstreamIncomplete(), "half")
    llm.says("never mind", finish="content_filter")
    llm.says("cut", finish="length")
    for word in ("Refused", "Broken", "Filtered", "Cut"):
        ada.says(word, conversation_id=home)
    ada.says("And?", conversation_id=home)
    assert repeated(llm) == [
        ("user", "One"),
        ("assistant", "one"),
        ("user", "Cut"),
        ("assistant", "cut"),
        ("user", "And?"),
    ]


def test_conversation_of_500_turns_stays_within_the_budget(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    home = ada.says("First").get_json()["conversation_id"]
    with app.app_context(), write("test") as connection:
        (row,) = connection.execute(db.select(ChatMessage.__table__)).mappings()
        many = [{**row, "id": uuid7(), "sequence": n, "user_message": f"Question {n}? " * 9, "bot_response": f"Answer {n}. " * 9}
                for n in range(2, 501)]  # fmt: skip
        connection.execute(db.insert(ChatMessage), many)
        connection.execute(db.update(Conversation).values(last_sequence=500))
    assert ada.says("And now?", conversation_id=home).status_code == 200
    with app.app_context():
        budget = adapters.get_prompt_budget(current_app.config)
    (sent,) = [messages for messages in llm.prompts if messages[-1].content.endswith("And now?")]
    assert budget.max_tokens * 0.7 < prompt.tokens(sent, budget.count) <= budget.max_tokens
    assert budget.count is token_counts.estimate
    assert sent[-2].content.startswith("Answer 500.")
