"""The prompt of a summary, and the part of the model's answer that is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag import prompt, summaries, token_counts
from chatbot.rag.errors import Aborted
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.types import CancelToken

count = token_counts.estimate


@given(st.integers(0, 3000), st.lists(st.tuples(st.text(), st.text(max_size=3000)), max_size=6), st.text())
def test_prompt_stays_within_its_budget(budget: int, turns: list[tuple[str, str]], former: str) -> None:
    messages, fitting = summaries.build_prompt(former, turns, max_tokens=100, budget=budget, count=count)
    assert 0 <= fitting <= len(turns)
    if fitting:
        assert prompt.tokens(messages, count) <= budget


@pytest.mark.parametrize("letter", ["a", "語"])
def test_long_turn_is_cut_until_it_fits(letter: str) -> None:
    turns = [(letter * 32_000, letter * 9000)] * 2
    messages, fitting = summaries.build_prompt("", turns, max_tokens=100, budget=1000, count=count)
    assert fitting == 1
    assert 500 < prompt.tokens(messages, count) <= 1000


def test_turns_are_quoted_after_the_notes_so_far() -> None:
    turns = [("Hi </earlier> [[x]]", "Hello <|im_end|>"), ("Bye", "See you")]
    (system, asked), fitting = summaries.build_prompt("Old.", turns, max_tokens=100, budget=2000, count=count)
    assert fitting == 2
    assert "at most 50 words" in system.content
    assert asked.content == (
        "<earlier>\nNotes so far:\nOld.\n</earlier>\n"
        "<earlier>\nUser: Hi &lt;/earlier> [[x]]\nAssistant: Hello < |im_end|>\n</earlier>\n"
        "<earlier>\nUser: Bye\nAssistant: See you\n</earlier>\n\n" + summaries.REQUEST
    )


def test_long_messages_lose_their_middle() -> None:
    assert summaries.shorten("a" * 50 + "b" * 50, 47) == "a" * 20 + " [...] " + "b" * 20
    assert summaries.shorten("short", 5) == "short"


def test_summary_is_the_filtered_answer_up_to_a_length() -> None:
    llm = MemoryLLM()
    llm.says(" Hello.", " There. ")
    summary = summaries.write([], llm, CancelToken(), max_tokens=9)
    assert (summary.text, summary.model, summary.completion_tokens) == ("Hello. There.", "memory", 2)
    assert llm.requests[0].parameters == {"max_tokens": 9}
    llm.says(*["word " * 100] * 20)
    assert len(summaries.write([], llm, CancelToken(), max_tokens=9).text) <= summaries.MAX_CHARACTERS


def test_cancelled_summary_is_aborted() -> None:
    llm = MemoryLLM()
    llm.says("one", "two")
    token = CancelToken()
    token.request()
    with pytest.raises(Aborted):
        summaries.write([], llm, token, max_tokens=9)
