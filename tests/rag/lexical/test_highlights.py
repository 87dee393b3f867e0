"""Snippets: where a text is cut, and which places are marked."""

import pytest

from chatbot.rag.lexical.highlights import SNIPPET_LENGTH, Highlighter


def cut(query: str, *texts: str) -> tuple[str, list[str]]:
    snippet = Highlighter(query, ["plain", "en"]).cut(texts)
    return snippet.text, [snippet.text[start:end] for start, end in snippet.highlights]


def test_text_with_most_words_is_cut_around_them() -> None:
    text, marked = cut(
        "library hours", "The library", "word " * 100 + "The library's hours are these. " + "word " * 100
    )
    assert marked == ["library", "hours"]
    assert text.startswith("word word")
    assert text.endswith("word")
    assert SNIPPET_LENGTH - 10 <= len(text) <= SNIPPET_LENGTH


def test_first_of_equals_is_cut() -> None:
    assert cut("bees", "bees here", "bees there") == ("bees here", ["bees"])


def test_text_without_a_match_is_shown_from_its_beginning() -> None:
    assert cut("bees", "one " * 100, "two") == (("one " * 50)[:-1], [])


@pytest.mark.parametrize(
    "before",
    ["x" * 500, "x" * 500 + " ", "", " " * 500, "é\u0301" * 300],
    ids=["word", "words", "nothing", "blanks", "accents"],
)
@pytest.mark.parametrize(
    "after", ["", "y" * 500, " y", "\u0301" * 500], ids=["nothing", "word", "another word", "accents"]
)
def test_cut_holds_the_word_whole(before: str, after: str) -> None:
    text, marked = cut("needle", f"{before} needle {after}")
    assert marked == ["needle"]
    assert len(text) <= SNIPPET_LENGTH
    assert text in f"{before} needle {after}"


def test_word_longer_than_a_snippet_is_marked_as_far_as_it_goes() -> None:
    assert cut("b" * 300, "b" * 300) == ("b" * SNIPPET_LENGTH, ["b" * SNIPPET_LENGTH])


def test_other_forms_are_marked_where_the_word_itself_is_not() -> None:
    assert cut("knihovna", "knihovny")[1] == ["knihovny"]
    assert cut("knihovna", "knihovny a knihovna")[1] == ["knihovna"]


@pytest.mark.parametrize("line_end", ["\n", "\n  "])
def test_word_is_marked_over_the_end_of_a_line(line_end: str) -> None:
    text = f"春になると、村の人々は\U00020000ヤ{line_end}ラを運んだ。"
    assert cut("\U00020000ヤラ", text) == (text, [f"\U00020000ヤ{line_end}ラ"])
    assert cut("나라", "나\n라")[1] == []
