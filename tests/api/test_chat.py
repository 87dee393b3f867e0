"""Routes for the chat, with a scripted model."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.models import ChatMessage
from chatbot.rag.errors import UpstreamBusy, UpstreamTimeout
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import execution, maintenance, turn_statements, turns
from tests.conftest import Person

pytestmark = pytest.mark.both_databases

TURN = {
    "id", "conversation_id", "user_message", "bot_response", "status", "created_at", "completed_at", "model", "usage",
    "citations", "grounded", "retrieval_query", "siblings",
}  # fmt: skip


def test_message_is_answered(ada: Person, llm: MemoryLLM) -> None:
    llm.says("Hello", ", ", "Ada!")
    response = ada.says("Hi, I am Ada")
    turn = response.get_json()
    assert response.status_code == 200
    assert set(turn) == TURN
    assert (turn["user_message"], turn["bot_response"], turn["status"]) == ("Hi, I am Ada", "Hello, Ada!", "completed")
    assert turn["created_at"] <= turn["completed_at"]
    assert turn["usage"]["completion_tokens"] == 3
    assert [message.role for message in llm.prompts[-1]] == ["system", "user"]
    assert llm.prompts[-1][-1].content == "Hi, I am Ada"


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/"])
def test_chat_answers_with_and_without_slash(ada: Person, path: str) -> None:
    assert ada.call("POST", path, {"message": "Hi"}).status_code == 200


@pytest.mark.parametrize(("finish", "status"), [("length", "truncated"), ("content_filter", "filtered")])
def test_end_of_the_answer_is_told(ada: Person, llm: MemoryLLM, finish: str, status: str) -> None:
    llm.says("Half", finish=finish)
    assert ada.says("Hi").get_json()["status"] == status


def test_turn_can_be_read_again(ada: Person) -> None:
    turn = ada.says("Hi").get_json()
    assert ada.call("GET", f"/api/chat/{turn['id']}/").get_json() == turn
    assert ada.call("GET", f"/api/chat/{turn['id']}").get_json() == turn


def test_conversation_goes_on(ada: Person) -> None:
    first = ada.says("One").get_json()
    second = ada.says("Two", conversation_id=first["conversation_id"]).get_json()
    third = ada.says("Three").get_json()
    assert second["conversation_id"] == first["conversation_id"] != third["conversation_id"]


def test_message_is_committed_before_the_model_is_called(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    seen: list[tuple[str, str]] = []
    stream = llm.stream

    def look(messages):
        with db.engine.connect() as connection:  # another connection: what a crash would leave
            row = connection.execute(db.select(ChatMessage.user_message, ChatMessage.status)).one()
            seen.append((row.user_message, row.status))
        assert db.engine.pool.checkedout() == 0
        return stream(messages)

    llm.stream = look
    ada.says("Keep me")
    assert seen == [("Keep me", "pending")]


def test_failure_keeps_the_message_and_the_text_so_far(ada: Person, llm: MemoryLLM) -> None:
    llm.fails(UpstreamTimeout("internal words"), "Half", " an")
    response = ada.says("Hi")
    problem = response.get_json()
    assert (response.status_code, problem["code"], problem["retryable"]) == (504, "upstream_timeout", True)
    (turn,) = ada.history()
    assert problem["instance"] == f"/api/chat/{turn['id']}/"
    assert (turn["user_message"], turn["bot_response"], turn["status"]) == ("Hi", "Half an", "failed")
    assert turn["error"] == {"code": "upstream_timeout", "title": "The model took too long.", "retryable": True}
    assert "internal words" not in response.text


def test_retry_after_of_the_model_is_passed_on(ada: Person, llm: MemoryLLM) -> None:
    llm.fails(UpstreamBusy(retry_after=17))
    assert ada.says("Hi").headers["Retry-After"] == "17"


def test_unforeseen_error_is_a_500_with_a_failed_turn_and_the_traceback_in_the_log_alone(
    ada: Person, llm: MemoryLLM, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(messages):
        raise ZeroDivisionError("secret-detail")
        yield

    llm.stream = explode
    response = ada.says("Hi")
    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (500, "internal_error")
    assert response.content_type == "application/problem+json"
    assert "secret-detail" not in response.text
    assert "Traceback" not in response.text
    said = caplog.text
    assert "secret-detail" in said
    assert problem["request_id"] in said
    assert ada.history()[0]["error"]["code"] == "internal_error"


def test_turn_that_was_closed_elsewhere_is_interrupted(
    ada: Person, llm: MemoryLLM, clock: time_machine.Traveller
) -> None:
    stream = llm.stream

    def slow(messages):
        clock.shift(2 * turn_statements.LEASE)
        assert maintenance.close_abandoned() == 1
        return stream(messages)

    llm.stream = slow
    problem = ada.says("Hi").get_json()
    assert (problem["status"], problem["code"], problem["retryable"]) == (503, "interrupted", True)
    turn = ada.call("GET", problem["instance"]).get_json()
    assert (turn["status"], turn["error"]["code"]) == ("interrupted", "interrupted")


def test_failure_after_the_turn_was_closed_elsewhere_changes_nothing(ada: Person, llm: MemoryLLM) -> None:
    def fail(messages):
        with execution.write("test") as connection:
            connection.execute(db.update(ChatMessage).values(status="interrupted", lease_token=None))
        raise UpstreamTimeout
        yield

    llm.stream = fail
    assert ada.says("Hi").get_json()["code"] == "interrupted"
    assert ada.history()[0]["status"] == "interrupted"


def test_model_that_ends_without_saying_how_is_a_failure(ada: Person, llm: MemoryLLM) -> None:
    llm.stream = lambda messages: iter(["half"])
    assert ada.says("Hi").get_json()["code"] == "upstream_incomplete"


def test_second_message_to_a_running_conversation_is_409(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    answers: list[int] = []
    stream = llm.stream

    def meanwhile(messages):
        (turn,) = ada.history()
        again = ada.client.application.test_client()
        other = Person(again, "ada", ada.id, ada.access_token, "")
        response = other.says("Me too", conversation_id=turn["conversation_id"])
        answers.append(response.status_code)
        assert response.get_json()["code"] == "conversation_busy"
        return stream(messages)

    llm.stream = meanwhile
    assert ada.says("Hi").status_code == 200
    assert answers == [409]
    assert len(ada.history()) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"), ({"message": None}, "message"), ({"message": 5}, "message"), ({"message": ["Hi"]}, "message"),
        ({"message": ""}, "message"), ({"message": " \n"}, "message"), ({"message": "x" * 32_001}, "message"),
        ({"message": "Hi", "conversation_id": "5"}, "conversation_id"), ({"message": "Hi", "conversation_id": 5}, "conversation_id"),
        *(({"message": "Hi", name: "x"}, name) for name in (
            "role", "id", "user_id", "created_at", "model_base_url", "api_base", "base_url", "status", "bot_response")),
    ],
)  # fmt: skip
def test_bad_message_is_400_names_the_field_and_stores_nothing(
    ada: Person, llm: MemoryLLM, body: dict[str, object], field: str
) -> None:
    response = ada.call("POST", "/api/chat/", body)
    assert (response.status_code, list(response.get_json()["errors"])) == (400, [field])
    assert ada.history() == []
    assert llm.prompts == []


def test_message_of_32000_characters_is_fine(ada: Person) -> None:
    message = "\N{GRINNING FACE}" * 32_000
    assert ada.says(message).get_json()["bot_response"] == message


def test_text_comes_back_as_it_went_in(ada: Person, llm: MemoryLLM) -> None:
    message = "<script>alert('1')</script>\r\n\tGrüße 你好 \u202e\ufeff' OR 1=1; --"
    assert ada.says(message).get_json()["user_message"] == message
    assert ada.history()[0]["user_message"] == message


def test_foreign_conversation_is_as_absent_as_a_random_one(ada: Person, eve: Person, llm: MemoryLLM) -> None:
    conversation = ada.says("Mine").get_json()["conversation_id"]
    asked = len(llm.prompts)
    answers = [eve.says("Mine?", conversation_id=i).get_json() for i in (conversation, str(uuid4()))]
    assert [answer["status"] for answer in answers] == [404, 404]
    assert [{**answer, "request_id": ""} for answer in answers][0] == {**answers[1], "request_id": ""}
    assert len(llm.prompts) == asked
    assert len(ada.history()) == 1
    assert eve.history() == []


def test_turn_without_lease_is_closed_with_the_next_look(app: Flask, ada: Person) -> None:
    from chatbot.services.accounts.callers import Caller

    with app.app_context():
        caller = Caller(UUID(ada.id), uuid4(), "user")
        turn = turns.open_turn(caller, "Left alone")
        assert maintenance.close_abandoned() == 0
        with execution.write("test") as connection:
            past = now() - timedelta(seconds=1)
            connection.execute(db.update(ChatMessage).values(lease_expires_at=past))
        assert maintenance.close_abandoned() == 1
        with read() as connection:
            row = connection.execute(db.select(ChatMessage.__table__).where(ChatMessage.id == turn.turn_id)).one()
            assert (row.status, row.lease_token) == ("interrupted", None)
            assert row.completed_at is not None
