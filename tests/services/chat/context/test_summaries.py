"""Stored summaries: gone with the turns that they cover, one writer at a time, and no harm where one fails."""

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from prometheus_client import REGISTRY

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ChatMessage, Conversation, ConversationSummary
from chatbot.rag.errors import UpstreamRefused
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.summaries import Summary
from chatbot.services.chat import execution
from chatbot.services.chat.context import summaries, summarizer
from chatbot.services.chat.state import get_chat_state
from chatbot.services.operations import retention
from tests.conftest import Person
from tests.support.long_conversations import NOTES, begin, list_summaries, stream_from_prompt
from tests.support.turns import gated

pytestmark = pytest.mark.both_databases

SUMMARY = Summary("Notes.", "m", 7, 3)


def say_five(person: Person) -> tuple[UUID, list[str]]:
    turns = [person.says("0").get_json()]
    for number in range(1, 5):
        turns.append(person.says(str(number), conversation_id=turns[0]["conversation_id"]).get_json())
    return UUID(turns[0]["conversation_id"]), [turn["id"] for turn in turns]


def cover(conversation_id: UUID, up_to: int) -> None:
    assert summaries.claim(conversation_id, up_to)
    assert summaries.store(conversation_id, claimed=up_to, last_sequence=up_to, turns=up_to, summary=SUMMARY)


def count(status: str) -> float:
    return REGISTRY.get_sample_value("chatbot_summaries_total", {"status": status}) or 0.0


@pytest.mark.parametrize(("deleted", "left"), [(0, 0), (2, 0), (3, 1), (4, 1)])
def test_summary_goes_with_each_turn_that_it_covers(context: Flask, ada: Person, deleted: int, left: int) -> None:
    conversation_id, ids = say_five(ada)
    cover(conversation_id, 3)
    assert ada.call("DELETE", f"/api/chat-history/{ids[deleted]}/").status_code == 204
    assert len(list_summaries(context)) == left


def test_summary_goes_with_a_turn_that_is_purged(context: Flask, ada: Person) -> None:
    conversation_id, ids = say_five(ada)
    other_id, _ = say_five(ada)
    for covered_id in (conversation_id, other_id):
        cover(covered_id, 3)
    with write("test") as connection:
        old = sa.update(ChatMessage).where(ChatMessage.id == UUID(ids[0]))
        connection.execute(old.values(created_at=now() - timedelta(days=40)))
    assert retention.purge(timedelta(days=30)).turns == 1
    assert [row.conversation_id for row in list_summaries(context)] == [other_id]


def test_summary_goes_with_its_conversation(context: Flask, ada: Person) -> None:
    conversation_id, _ = say_five(ada)
    cover(conversation_id, 3)
    assert ada.call("DELETE", f"/api/conversations/{conversation_id}/").status_code == 204
    assert list_summaries(context) == []


def test_summary_goes_with_a_turn_that_is_answered_anew(context: Flask, ada: Person) -> None:
    conversation_id, ids = say_five(ada)
    cover(conversation_id, 4)
    assert ada.call("DELETE", f"/api/chat-history/{ids[4]}/").status_code == 204
    assert len(list_summaries(context)) == 1
    assert ada.call("POST", f"/api/chat/{ids[3]}/regenerate/").status_code == 200
    assert list_summaries(context) == []


def test_newer_summary_takes_the_place_of_the_one_before(context: Flask, ada: Person) -> None:
    conversation_id, _ = say_five(ada)
    cover(conversation_id, 2)
    assert not summaries.claim(conversation_id, 2)
    cover(conversation_id, 3)
    (row,) = list_summaries(context)
    assert (row.last_sequence, row.facts["turns"]) == (3, 3)


def test_conversation_has_one_writer_at_a_time(context: Flask, ada: Person) -> None:
    conversation_id, _ = say_five(ada)
    assert summaries.claim(conversation_id, 2)
    assert not summaries.claim(conversation_id, 3)
    with write("test") as connection:
        old = now() - summaries.CLAIM_LIFETIME
        connection.execute(sa.update(ConversationSummary).values(created_at=old))
    assert summaries.claim(conversation_id, 3)
    assert not summaries.store(conversation_id, claimed=2, last_sequence=2, turns=2, summary=SUMMARY)
    with read() as connection:
        assert summaries.find(connection, conversation_id) is None
    assert not summaries.claim(uuid4(), 3)


def test_summary_of_a_turn_that_is_deleted_meanwhile_is_dropped(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    conversation_id, ids = say_five(ada)
    gate = gated(llm, "Notes", "of it.")
    dropped = count("dropped")

    def summarize() -> None:
        with context.app_context():
            summarizer.summarize(UUID(ada.id), conversation_id, 3)

    writer = threading.Thread(target=summarize)
    writer.start()
    while not llm.requests or "Write the new notes." not in llm.requests[-1].messages[-1].content:
        gate.wait(0.01)
    assert ada.call("DELETE", f"/api/chat-history/{ids[1]}/").status_code == 204
    gate.set()
    writer.join()
    assert list_summaries(context) == []
    assert count("dropped") == dropped + 1


def test_failure_is_counted_and_not_tried_again_at_once(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    conversation_id, _ = say_five(ada)
    failed = count("failed")
    llm.fails(UpstreamRefused())
    for _ in range(3):
        summarizer.summarize(UUID(ada.id), conversation_id, 3)
    assert count("failed") == failed + 1
    assert [row.text for row in list_summaries(context)] == [""]
    assert ada.says("5", conversation_id=str(conversation_id)).get_json()["status"] == "completed"


def test_empty_summary_is_a_failure(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    conversation_id, _ = say_five(ada)
    failed = count("failed")
    llm.says("  \n")
    summarizer.summarize(UUID(ada.id), conversation_id, 3)
    assert count("failed") == failed + 1


def test_user_has_one_summary_written_at_a_time(context: Flask, ada: Person, eve: Person, llm: MemoryLLM) -> None:
    slots = get_chat_state().summary_slots
    assert slots.acquire(UUID(ada.id), 0.0)
    for person in (ada, eve):
        conversation_id, _ = say_five(person)
        summarizer.summarize(UUID(person.id), conversation_id, 3)
    assert [row.conversation_id for row in list_summaries(context)] == [conversation_id]
    slots.release(UUID(ada.id))


def test_summaries_end_when_the_process_drains(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    conversation_id, _ = say_five(ada)
    gate = gated(llm, "Notes", "of it.")

    def summarize() -> None:
        with context.app_context():
            summarizer.summarize(UUID(ada.id), conversation_id, 3)

    writer = threading.Thread(target=summarize)
    writer.start()
    while not llm.requests:
        gate.wait(0.01)
    execution.drain(0.0)
    writer.join()
    assert not gate.is_set()
    assert [row.text for row in list_summaries(context)] == [""]
    requests = len(llm.requests)
    summarizer.summarize(UUID(ada.id), conversation_id, 4)
    assert len(llm.requests) == requests


def test_many_old_turns_are_summed_up_prompt_by_prompt(
    context: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation_id = UUID(begin(context, ada))
    prompts: list[Any] = []

    def stream(request: Any) -> Any:
        prompts.append(request.messages)
        return stream_from_prompt(request)

    monkeypatch.setattr(llm, "stream", stream)
    reached = 0
    while reached < 300:
        summarizer.summarize(UUID(ada.id), conversation_id, 300)
        (row,) = list_summaries(context)
        assert (row.text, row.facts["turns"]) == (NOTES, row.last_sequence)
        assert row.last_sequence > reached
        reached = row.last_sequence
    assert 2 < len(prompts) < 20
    assert all("Notes so far:\n" + NOTES in messages[1].content for messages in prompts[1:])


def test_conversation_that_is_gone_has_no_summary(context: Flask, ada: Person) -> None:
    conversation_id, _ = say_five(ada)
    with write("test") as connection:
        connection.execute(sa.delete(ChatMessage))
        connection.execute(sa.delete(Conversation))
    summarizer.summarize(UUID(ada.id), conversation_id, 3)
    assert list_summaries(context) == []
