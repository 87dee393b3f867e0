"""Chunks: their bounds, their coverage, their cuts."""

import itertools
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.rag.text import markdown
from chatbot.rag.text.chunking import MAX_CHARACTERS, MAX_OVERLAP, MIN_CHARACTERS, MIN_OVERLAP, indexed_text, split

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "

pieces = st.sampled_from(
    [SENTENCE, SENTENCE * 9, "word ", "\n", "\n\n", " ", "\t", "# Title\n", "\n## Part\n", "Under\n=====\n", "```\n", "```py\nx = 1\n```\n",
     "```\n" + "call(argument)\n" * 40 + "```\n", "| a | b |\n", "| " + "cell " * 90 + "|\n", "- item one\n", "1. first\n", "x" * 700, "x" * 2_000,
     "黑豹队的防守只丢了分。", "他赢了！" * 80, "\u2028", "\x0c", "\N{GRINNING FACE}", "\r"]
)  # fmt: skip
texts = st.one_of(st.text(max_size=400), st.lists(pieces, max_size=40).map("".join))


@settings(max_examples=300)
@given(texts)
def test_chunks_cover_all_that_is_not_blank_in_order(text: str) -> None:
    chunks = split(text)
    assert all(0 <= chunk.start < chunk.end <= len(text) for chunk in chunks)
    assert all(text[chunk.start : chunk.end].strip() == text[chunk.start : chunk.end] for chunk in chunks)
    assert all(one.start < other.start and one.end < other.end for one, other in pairwise(chunks))
    covered = {offset for chunk in chunks for offset in range(chunk.start, chunk.end)}
    assert not any(char.strip() for offset, char in enumerate(text) if offset not in covered)


@settings(max_examples=300)
@given(texts)
def test_no_chunk_is_longer_and_no_overlap_wider_than_allowed(text: str) -> None:
    chunks = split(text)
    assert all(chunk.end - chunk.start <= MAX_CHARACTERS for chunk in chunks)
    assert all(one.end - other.start <= MAX_OVERLAP for one, other in pairwise(chunks))


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([SENTENCE, SENTENCE[:20] + "\n\n", "word ", "第一句话。" * 3]), min_size=30, max_size=200)
)
def test_prose_has_chunks_and_overlaps_of_the_usual_size(parts: list[str]) -> None:
    chunks = split("".join(parts))
    assert all(
        chunk.end - chunk.start + 3 >= MIN_CHARACTERS for chunk in chunks[:-1]
    )  # the blanks at its end are cut off
    # An overlap is less by the blanks at both of its ends, up to three each in these texts.
    assert all(one.end - other.start >= MIN_OVERLAP - 6 for one, other in pairwise(chunks))


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([SENTENCE, SENTENCE * 5, "\n\n", "plain line\n"]), max_size=30),
    st.integers(1, 60),
    st.integers(1, 12),
)
def test_fenced_code_and_rows_stay_whole(parts: list[str], lines: int, cells: int) -> None:
    code = "\n```\n" + "call(argument)\n" * lines + "```\n"
    row = "\n| " + SENTENCE * cells + "|\n"
    text = "".join(parts) + code + "".join(parts) + row + "".join(parts)
    for block in (code.strip(), row.strip()):
        start = text.index(block)
        for chunk in split(text):
            inside = [offset for offset in (chunk.start, chunk.end) if start < offset < start + len(block)]
            assert not inside or len(block) > MAX_CHARACTERS


@pytest.mark.parametrize(
    ("before", "after"),
    [(SENTENCE * 14, "## Next\n\n" + SENTENCE * 14), (SENTENCE * 14 + "\n\n", SENTENCE * 14), (SENTENCE * 14 + "\n", "- " + SENTENCE * 14),
     (SENTENCE * 14 + "\n", SENTENCE * 14), ("word " * 190 + "end. ", "word " * 190), ("字" * 900 + "。", "字" * 1_000),
     ("字" * 900 + "！」", "字" * 1_000), ("x" * 1_100 + " ", "x" * 1_100)],
    ids=["heading", "paragraph", "list", "line", "sentence", "cjk", "cjk quote", "space"],
)  # fmt: skip
def test_first_chunk_ends_at_the_best_place(before: str, after: str) -> None:
    text = before + ("\n" if after.startswith("#") else "") + after
    assert text[: split(text)[0].end] == before.rstrip()


def test_heading_path_has_no_addresses_of_links_and_no_marks() -> None:
    text = '# [Home](/ "a") and **bold**\n## Moor[[edit](/e)]\n### f(x) [1] (y) 2 ** 3 ** 4\nText.'
    path = ("Home and bold", "Moor[edit]", "f(x) [1] (y) 2 ** 3 ** 4")
    assert split(text + "\n" + SENTENCE * 20)[-1].headings == path


def test_lines_without_spaces_are_not_cut_when_a_sentence_ends() -> None:
    text = "昨日の夕方、先生はカワタミの値段が千\n二百円だと言った。図書館で本を借りた\n人は三人であった。" * 40
    assert all(text[: chunk.end].endswith("。") for chunk in split(text))


def test_lines_of_a_wrapped_paragraph_are_not_cut_when_a_sentence_ends() -> None:
    text = "alpha beta gamma delta. epsilon zeta eta theta\niota kappa lambda " * 40
    assert text[: split(text)[0].end].endswith("delta.")


def test_headings_are_a_path() -> None:
    body = SENTENCE * 14 + "\n"
    text = f"# Guide #\n{body}\n## Install\n{body}\n### Linux\n{body}\n## Use\n{body}\n```\n# no heading\n```\n{body}\nTop\n===\n{body}"
    paths = [chunk.headings for chunk in split(text)]
    assert list(dict.fromkeys(paths)) == [
        ("Guide",),
        ("Guide", "Install"),
        ("Guide", "Install", "Linux"),
        ("Guide", "Use"),
        ("Top",),
    ]


def test_nothing_of_one_section_is_in_the_next() -> None:
    text = "# One\n" + SENTENCE * 14 + "\n# Two\n" + SENTENCE * 14
    assert [text[chunk.start : chunk.start + 5] for chunk in split(text)] == ["# One", "# Two"]


@pytest.mark.parametrize(
    ("fence", "headings"),
    [("```", ()), ("~~~", ()), ("````\n```", ()), ("``` a`b", ("inside",)), ("    ```", ("inside",))],
    ids=["backticks", "tildes", "longer than what closes it", "no fence: a backtick in its info", "no fence: indented"],
)
def test_heading_in_fenced_code_is_none(fence: str, headings: tuple[str, ...]) -> None:
    text = f"{SENTENCE}\n\n{fence}\n# inside\n{SENTENCE * 40}"
    assert split(text)[-1].headings == headings


def test_chunk_lies_on_one_page() -> None:
    text = SENTENCE * 60
    chunks = split(text, (0, 1_000, 1_000, 2_500))
    assert [chunk.page for chunk in chunks] == [1 if c.start < 1_000 else 3 if c.start < 2_500 else 4 for c in chunks]
    assert {chunk.page for chunk in chunks} == {1, 3, 4}
    edges = (0, 1_000, 2_500, len(text))
    assert all(any(low <= c.start < c.end <= high for low, high in itertools.pairwise(edges)) for c in chunks)
    assert {chunk.page for chunk in split(text)} == {None}


@pytest.mark.parametrize("text", ["", " ", "\n\t\n", " " * 5_000])
def test_blank_text_has_no_chunks(text: str) -> None:
    assert split(text) == []


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        "\n",
        " ",
        ".",
        "`",
        "#",
        "|",
        "```\n",
        "# a\n",
        "| a | b |\n",
        "a\n---\n",
        "黑豹队。",
        " " * 500 + "\n",
        "a" * 190 + "\n",
        "=",
        "# #",
        "a  ",
    ],
)
def test_megabyte_of_anything_takes_no_more_than_seconds(unit: str) -> None:
    text = unit * (1_000_000 // len(unit)) + "x"
    began = time.process_time()
    split(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("title", "headings", "text", "expected"),
    [("Guide", ("Install", "Linux"), "Run it.", "Guide\nInstall\nLinux\nRun it."), (None, (), "Run it.", "Run it."), ("", ("",), "Run it.", "Run it."),
     ("Guide", ("Guide", "Use"), "Run it.", "Guide\nUse\nRun it."), ("Guide", ("Use",), "## Use\nRun it.", "Guide\n## Use\nRun it.")],
)  # fmt: skip
def test_title_and_headings_are_indexed_once_with_the_text(
    title: str | None, headings: tuple[str, ...], text: str, expected: str
) -> None:
    assert indexed_text(title, headings, "", text) == expected


def test_each_chunk_of_a_table_knows_its_columns() -> None:
    rows = "".join(f"| {number} | Widget {number} |\n" for number in range(200))
    text = f"# Stock\n\n| Part number | Name |\n| --- | :-: |\n{rows}\nThe end.\n\n" + "More. " * 200
    chunks = split(text)
    inside = [chunk for chunk in chunks if text[chunk.start] == "|" and chunk.start < text.index("The end.")]
    assert len(inside) > 3
    assert {chunk.columns for chunk in inside} == {"| Part number | Name |"}
    assert {chunk.columns for chunk in chunks if chunk not in inside} == {""}
    assert indexed_text("Stock", ("Stock",), "| Part number | Name |", "| 7 | Widget 7 |") == (
        "Stock\n| Part number | Name |\n| 7 | Widget 7 |"
    )


@pytest.mark.parametrize(
    "table", ["| a | b |\n| 1 | 2 |\n| 3 | 4 |\n", "| a | b |\n\n| --- | --- |\n| 1 | 2 |\n", "| a |\n| --- |\n"]
)
def test_rows_without_a_row_of_names_have_no_columns(table: str) -> None:
    assert markdown.outline(table).tables == []


@pytest.mark.parametrize("underline", ["===", "---", "  ---"])
def test_outline_is_the_same_wherever_a_slice_ends(underline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = f"# One\n\ntext here\n\nTwo words\n{underline}\n\n| a | b |\n```\n# inside\n```\nlast line\n"
    whole = markdown.outline(part * 20)
    for size in range(20, 90):  # lines are shorter: one that is longer than a slice is no heading
        monkeypatch.setattr(markdown, "SLICE", size)
        assert markdown.outline(part * 20) == whole
