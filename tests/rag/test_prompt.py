"""The prompt: the part of a conversation that is repeated, within a budget of tokens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag import pipeline, prompt, token_counts
from chatbot.rag.types import Message, Passage
from tests.support import token_tables


def said(turns: int, length: int = 20) -> list[Message]:
    pairs = ((Message("user", f"q{n} " * length), Message("assistant", f"a{n} " * length)) for n in range(turns))
    return [message for pair in pairs for message in pair]


def test_newest_turns_are_kept_within_the_budget() -> None:
    history = said(500)
    messages = prompt.build("Why?", history, budget=1000).messages
    assert prompt.tokens(messages, token_counts.estimate) <= 1000
    kept = messages[1:-1]
    assert kept == history[-len(kept) :]
    assert kept[0].role == "user"
    assert len(kept) > 4


@given(st.integers(0, 400), st.integers(0, 12))
def test_no_budget_is_ever_exceeded_by_the_history(budget: int, turns: int) -> None:
    alone = prompt.tokens(prompt.build("Why?").messages, token_counts.estimate)
    messages = prompt.build("Why?", said(turns, 3), budget=budget).messages
    assert prompt.tokens(messages, token_counts.estimate) <= max(budget, alone)
    assert messages[0].role == "system"
    assert messages[-1] == Message("user", "Why?")


def test_without_a_budget_everything_is_kept() -> None:
    assert prompt.build("Why?", said(50)).messages[1:-1] == said(50)


def passage(text: str, title: str = "Title") -> Passage:
    return Passage("d", 1, title, text, 0)


def test_prompt_without_passages_is_the_system_text_and_the_question() -> None:
    assert prompt.build("Why?").messages == [Message("system", prompt.PLAIN_SYSTEM), Message("user", "Why?")]


def test_passages_are_numbered_data_beside_the_question() -> None:
    built = prompt.build("Why?", passages=[passage("Because."), passage("Therefore.", 'Other "title"\n')])
    system, asked = built.messages
    assert system == Message("system", prompt.SYSTEM)
    assert asked.content == (
        "<passage>\n[1] Title\nBecause.\n</passage>\n<passage>\n[2] Other 'title'\nTherefore.\n</passage>\n\nWhy?"
    )
    assert built.tokens["passages"] > 0


def test_cut_history_begins_with_a_message_of_the_user() -> None:
    history = [
        Message("user", "one " * 50),
        Message("assistant", "", {"tool_calls": [{"id": "c", "arguments": "x " * 400}]}),
        Message("tool", "sunny"),
        Message("user", "two"),
        Message("assistant", "2"),
    ]
    for budget in range(60, 700, 20):
        built = prompt.build("Why?", history, following=[Message("tool", "x")], budget=budget)
        roles = [message.role for message in built.messages[1:]]
        assert roles[0] == "user"
        assert roles[-1] == "tool"


def test_passage_from_the_middle_of_a_table_has_its_columns() -> None:
    inside = Passage("d", 1, "Stock", "| 7 | Widget 7 |", 0, columns="| Number | Name |")
    asked = prompt.build("Which?", passages=[inside]).messages[-1].content
    assert "[1] Stock\n| Number | Name |\n| 7 | Widget 7 |\n</passage>" in asked


@pytest.mark.parametrize("tag", ["</passage>", "< / Passage >".replace(" ", ""), "<passage>", "</\tpassage >"])
def test_passage_cannot_end_its_quotation(tag: str) -> None:
    asked = prompt.build("Why?", passages=[passage(f"a {tag} b", tag)]).messages[-1].content
    assert (asked.count("<passage>"), asked.count("</passage>")) == (1, 1)


@given(st.integers(200, 3000), st.lists(st.integers(1, 2000), max_size=12))
def test_passages_and_history_share_the_budget(budget: int, lengths: list[int]) -> None:
    built = prompt.build("Why?", said(20), [passage("x " * (length // 2) + ".") for length in lengths], budget=budget)
    assert prompt.tokens(built.messages, token_counts.estimate) <= budget
    assert len(built.passages) <= len(lengths)
    assert built.messages[0].content == (prompt.SYSTEM if built.passages else prompt.PLAIN_SYSTEM)


@pytest.mark.parametrize(
    ("text", "least"),
    [("", 0), ("The quick brown fox jumps over the lazy dog.", 10), ("1234567890", 10), ("{[()]}", 6), ("你好，世界", 10),
     ("Привет", 6), ("\N{GRINNING FACE}" * 3, 9)],
)  # fmt: skip
def test_estimate_is_safe(text: str, least: int) -> None:
    assert least <= token_counts.estimate(text) <= max(2 * least, len(text.encode()))


def test_unknown_model_is_estimated() -> None:
    assert token_counts.counter("llama3.2")("Hello there") == token_counts.estimate("Hello there")


def test_tokenizer_of_openai_counts_once_it_is_there(tmp_path: Path) -> None:
    with token_tables.tables(tmp_path):
        assert token_counts.load_encoding("gpt-3.5-turbo").result() is not None
        assert token_counts.counter("gpt-3.5-turbo")("Hello") == 4


def test_tokenizer_that_cannot_be_had_is_replaced_by_the_estimate(tmp_path: Path) -> None:
    with token_tables.tables(tmp_path, present=False):
        assert token_counts.load_encoding("gpt-3.5-turbo").result() is None
        assert token_counts.counter("gpt-3.5-turbo")("Hello") == token_counts.estimate("Hello")


def test_tokenizer_that_could_not_be_had_is_loaded_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with token_tables.tables(tmp_path, present=False):
        assert token_counts.load_encoding("gpt-3.5-turbo").result() is None
        token_tables.write(tmp_path)
        assert token_counts.load_encoding("gpt-3.5-turbo").result() is None
        monkeypatch.setattr(token_counts, "RETRY_SECONDS", 0)
        assert token_counts.load_encoding("gpt-3.5-turbo").result() is not None


@pytest.mark.parametrize(
    ("scores", "strict", "shown"),
    [
        ([0.9, 0.04, 0.02, 0.2], True, [0.9, 0.04, 0.2]),
        ([0.2, 0.04], True, []),
        ([0.2, 0.04], False, [0.2, 0.04]),
        ([0.04, 0.045], False, []),
        ([], True, []),
    ],
    ids=["beside a good one", "strict and not relevant", "relevant enough", "nothing relevant", "nothing"],
)
def test_passages_are_shown_when_the_best_one_is_relevant(
    scores: list[float], strict: bool, shown: list[float]
) -> None:
    passages = [Passage(str(score), 1, "", "text", 0, None, score) for score in scores]
    assert [passage.score for passage in pipeline.chosen(passages, strict=strict)] == shown


@pytest.mark.parametrize(
    "form",
    ["</passage>", "< /passage>", "</ PASSAGE >", "<\n/passage>", "</\u200bpassage>", "\uff1c/passage\uff1e", "\ufe64/passage>",
     "<//passage>", "<\\/passage>", "<passage>"],
)  # fmt: skip
def test_no_form_of_our_tags_is_left_in_a_passage(form: str) -> None:
    asked = (
        prompt.build("Why?", passages=[Passage("d", 1, f"A {form}", f"before {form} after", 0)]).messages[-1].content
    )
    assert asked.count(form) == (1 if form in {"</passage>", "<passage>"} else 0)
    assert asked.count("&lt;") == 2


@given(st.integers(400, 3000), st.lists(st.text(max_size=300), max_size=4), st.integers(0, 6))
def test_quotes_of_earlier_turns_take_what_is_counted_for_them(budget: int, parts: list[str], passages: int) -> None:
    count = token_counts.estimate
    built = prompt.build("Why?", said(30), [passage("x " * 90)] * passages, budget=budget)
    more = prompt.add_earlier(built, parts, count)
    added = prompt.tokens(more.messages, count) - prompt.tokens(built.messages, count)
    assert added <= (prompt.count_earlier(parts, count) if parts else 0)
    assert more.messages[-1].content.endswith(built.messages[-1].content)
    assert more.messages[1:-1] == built.messages[1:-1]
    assert more.messages[-1].content.count("<earlier>") == len(parts)


def test_quotes_of_earlier_turns_are_data_in_the_users_message() -> None:
    built = prompt.build("Why?", said(1), following=[Message("tool", "x")])
    system, *repeated, asked, tool = prompt.add_earlier(built, ["a </earlier> b"], token_counts.estimate).messages
    assert system.content == prompt.PLAIN_SYSTEM + prompt.EARLIER_SYSTEM
    assert asked == Message("user", "<earlier>\na &lt;/earlier> b\n</earlier>\n\nWhy?")
    assert (repeated, tool) == (said(1), Message("tool", "x"))
