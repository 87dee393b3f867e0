"""Where sentences begin and end."""

from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.text.sentences import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]), ("", []), (" \n ", []),
        ("Dr. Smith met J. K. Rowling in the U.S. in Jan. 2020. He paid $3.50!", ["Dr. Smith met J. K. Rowling in the U.S. in Jan. 2020.", "He paid $3.50!"]),
        ("See Fig. 3, e.g. this. It is No. 5. No. Never.", ["See Fig. 3, e.g. this.", "It is No. 5.", "No.", "Never."]),
        ('He said "No." Then he left. (It was late.) Done.', ['He said "No."', "Then he left.", "(It was late.)", "Done."]),
        ("It ends here. [1] And here.[2][3] Or [1].", ["It ends here. [1]", "And here.[2][3]", "Or [1]."]), ("It ends【1】. 【2】 And", ["It ends【1】. 【2】", "And"]),
        ("今天很好。明天下雨！“是的。”他说。", ["今天很好。", "明天下雨！", "“是的。”", "他说。"]), ("彼は来た。[1]そして", ["彼は来た。[1]", "そして"]),
        ("# Head\nText one.\n\n- item one\n- two. Three\n1. First\n2. Second", ["# Head", "Text one.", "- item one", "- two.", "Three", "1. First", "2. Second"]),
        ("Do:\n```py\na. B\n\nc\n```\nAfter it.", ["Do:", "```py\na. B\n\nc\n```", "After it."]), ("```\nA. B", ["```\nA. B"]),
        ("| A. B | c |\n| d | e |", ["| A. B | c |", "| d | e |"]),
        ("A line that somebody wrapped at sixty characters or a bit more\ngoes on here. Next", ["A line that somebody wrapped at sixty characters or a bit more\ngoes on here.", "Next"]),
        ("昨日の夕方、先生はカワタミの値段が千二\n百円だと言った。次に、三冊の本を借りて、\n帰った。", ["昨日の夕方、先生はカワタミの値段が千二\n百円だと言った。", "次に、三冊の本を借りて、\n帰った。"]),
        ("ローマ\nパリ", ["ローマ", "パリ"]), ("Rome\nParis", ["Rome", "Paris"]), ("Wait... what? yes", ["Wait... what? yes"]),
    ],
)  # fmt: skip
def test_sentences(text: str, parts: list[str]) -> None:
    assert split(text) == parts


@given(st.one_of(st.text(), st.text(alphabet="aB. !?\n[]1`#-|。”", max_size=300)))
def test_spans_are_in_order_and_leave_out_nothing_but_white_space(text: str) -> None:
    spans = sentences(text)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    assert edges == sorted(edges)
    assert "".join("".join(split(text)).split()) == "".join(text.split())
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)


@pytest.mark.parametrize(
    "piece", ["a. ", ".", "a\n", "```\n", "[1]", ".[1", " \n", "a" * 70 + "\n", "A. B", ". ", "\n", "x"]
)
def test_time_is_linear(piece: str) -> None:
    def cost(length: int) -> float:
        text = piece * (length // len(piece))
        began = thread_time()
        sentences(text)
        return thread_time() - began

    assert min(cost(80_000) for _ in range(3)) < 0.02 + 10 * min(cost(20_000) for _ in range(3))
