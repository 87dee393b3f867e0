"""Estimates of a message's tokens and cost."""

import pytest

from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person
from tests.support.budgets import set_budgets

pytestmark = pytest.mark.both_databases
CHAT = "/api/chat/"
HI = {"message": "Hi"}


def test_estimate_writes_nothing_and_asks_no_model(root: Person, ada: Person, llm: MemoryLLM) -> None:
    first = ada.call("POST", CHAT, {"message": "a long beginning " * 40}).get_json()
    alone = ada.call("POST", f"{CHAT}estimate/", HI).get_json()
    following = {**HI, "conversation_id": first["conversation_id"]}
    assert ada.call("POST", f"{CHAT}estimate/", following).get_json()["prompt_tokens"] > alone["prompt_tokens"] + 100
    assert ada.call("POST", f"{CHAT}estimate/", {**HI, "external_id": "none yet"}).get_json() == alone
    set_budgets(root, ada, turns_day=0)
    assert (alone["fits"], ada.call("POST", f"{CHAT}estimate/", HI).get_json()["fits"]) == (True, False)
    assert len(llm.requests) == 1
    assert len(ada.history()) == 1
    assert len(ada.call("GET", "/api/conversations/").get_json()["items"]) == 1


def test_estimate_is_of_ones_own_conversations(ada: Person, eve: Person) -> None:
    hers = ada.call("POST", CHAT, HI).get_json()["conversation_id"]
    assert eve.call("POST", f"{CHAT}estimate/", {**HI, "conversation_id": hers}).status_code == 404


def test_strict_question_without_passages_needs_no_tokens(ada: Person) -> None:
    needed = ada.call("POST", f"{CHAT}estimate/", {**HI, "grounding": "strict"}).get_json()
    assert (needed["prompt_tokens"], needed["max_tokens"]) == (0, 0)
