"""The filter before the append: removed and kept text, whichever way the answer is split."""

from html.parser import HTMLParser
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.rag.output_filter.answer_filter import MAX_HELD_CHARACTERS, AnswerFilter

LONG = "https://evil.example/?" + "d" * 400


def filtered(*pieces: str, passages: int = 3) -> str:
    answer = AnswerFilter(passages)
    return "".join([*map(answer.feed, pieces), answer.end()])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Rome [1].", "Rome [1]."), ("Rome [4].", "Rome ."), ("Rome [4] is", "Rome is"), ("Rome [2, 3]", "Rome [2][3]"),
        ("Rome [1][2]", "Rome [1][2]"), ("Rome [1, 9]", "Rome [1]"), ("Rome [1-3]", "Rome [1][2][3]"), ("Rome【2】", "Rome[2]"),
        ("Rome【2†source】", "Rome[2]"), ("Rome【7】", "Rome"), ("Rome[^1]", "Rome[1]"), ("Rome [^8]", "Rome "), ("So![1]", "So! [1]"),
        ("in [1998] and [12 km]", "in [1998] and [12 km]"), ("a[0]", "a[0]"), ("[0] a", "a"), ("[1](https://a.example)", "[1](https://a.example)"),
        ("[9](https://a.example)", "[9](https://a.example)"), ("- [ ] do\n- [x] done", "- [ ] do\n- [x] done"), ("[1", "[1"), ("[[9]]", "[]"),
    ],
)  # fmt: skip
def test_markers_are_normalised_and_those_to_no_passage_leave(text: str, shown: str) -> None:
    assert filtered(text) == shown


@pytest.mark.parametrize("text", ["a[0] and [1998]", "see [1] and [2, 3]", "【1】", "x[^1]", "[]", "[", "wow!"])
def test_without_passages_brackets_are_ordinary_text(text: str) -> None:
    assert filtered(text, passages=0) == text


@pytest.mark.parametrize(
    "text",
    [
        "use `a[7]` here", "use ``a[7] ` b`` here", "```python\na[7] = b\n```\n", "~~~\na[7]\n~~~\n", "1. x\n   ```\n   a[7]\n   ```\n",
        "- x\n\n    ```\n    a[7] <b> `\n    ```\n", "```md\n![a](https://e.example/i.png)\n[x]: http://e.example\n<img src='x'>\n```\n",
        "write `![alt](url)` or `<img src=x>`", "[text](https://a.example 'title')", "<https://a.example/x>", "a <b>c</b> <your name> 1 < 2 > 0",
        '<a href="https://a.example">x</a>', "List<String> x != y!", "| a | b |\n|---|---|\n",
    ],
)  # fmt: skip
def test_code_links_and_ordinary_text_stay_as_they_are(text: str) -> None:
    assert filtered(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a ![alt](https://e.example/i.png) b", "a alt b"), ("![alt](<https://e.example/i i.png> 'title')", "alt"), ("![a](//e.example)", "a"),
        ("![alt][ref]", "alt"), ("![alt][]", "alt"), ("![alt] b", "! [alt] b"), (f"![alt]({LONG}) b", "alt b"), (f"![alt]({LONG}", "alt"),
        ("[![alt](https://e.example/i)](https://a.example)", "[alt](https://a.example)"), ("![a [b] c](https://e.example)", "a b c"),
        ("![alt](data:image/png;base64,AAAA)", "alt"), ("![never closed", "! [never closed"), ("![alt](https://e.example\nb", "alt\nb"),
        ("`\n![alt](https://e.example) `", "`\nalt `"), ("\\` ![alt](https://e.example) `", "\\` ! [alt](https://e.example) `"),
        ("[r]: https://e.example", "[r] : https://e.example"), ("> [r]: <https://e.example>", "> [r] : <https://e.example>"),
        ("[1]: https://e.example", "[1] : https://e.example"), ("[a\nb]: https://e.example", "[a\nb] : https://e.example"),
        ("[r【9】]: https://e.example", "[r] : https://e.example"), ("So [1]: yes, [r]: no", "So [1]: yes, [r]: no"),
        ('<img src="https://e.example/i.png" alt="A cat">', "A cat"), ("<IMG SRC=//e.example>", ""), (f"<img src={LONG}>", f"< img src={LONG}>"),
        ("<picture><source srcset='//e.example'><img src='//e.example'></picture>", ""), ("<svg><image href='//e.example'/>text</svg>", "text"),
        ("<iframe src='//e.example'></iframe>x", "x"), ("<link rel=stylesheet href=//e.example>x", "x"), ("<style>@import '//e.example'</style>", "@import '//e.example'"),
        ("<p style='background:url(//e.example)'>x</p>", "x</p>"), ("<a href='x' onclick='y'>z</a>", "z</a>"), ("<img\nsrc=//e.example>", "< img\nsrc=//e.example>"),
        ("!【9】[x](https://e.example)", "! [x](https://e.example)"), ("<<b x=y>img src=//e.example>", "< img src=//e.example>"),
        ("<div>\n```\n</div>\n\n![alt](https://e.example)\n```", "<div>\n```\n</div>\n\n! [alt](https://e.example)\n```"),
        ("| ` | ![alt](https://e.example) ` |", "| ` | ! [alt](https://e.example) ` |"),
    ],
)  # fmt: skip
def test_nothing_is_left_that_a_client_would_fetch(text: str, shown: str) -> None:
    assert filtered(text) == shown


@pytest.mark.parametrize(
    "text", ["Hello", " world", "Why not.", "a) b (c) {d}", "x\ny", "**bold** 1. 2", "“so” – 今天。"]
)
def test_what_is_not_suspicious_is_passed_on_at_once(text: str) -> None:
    answer = AnswerFilter(3)
    assert answer.feed(text) == text
    assert answer.feed(text) == text


@pytest.mark.parametrize(
    "text",
    ["[", "[1", "![", "![a](", "![a](x ", "<", "<a ", "`[", "``![x]", "【1†", "```", "~~~", " " * 300, "```\n   "],
)
def test_what_is_never_closed_does_not_stop_the_stream(text: str) -> None:
    answer = AnswerFilter(3)
    answer.feed(text)
    for _ in range(5_000):
        answer.feed("a")
    assert answer.feed("still there") == "still there"


def test_many_unclosed_things_cost_no_more_than_their_length() -> None:
    def cost(length: int) -> float:
        began = thread_time()
        filtered(*"![[<a `[【1†" * length)
        return thread_time() - began

    cost(100)
    assert min(cost(4_000) for _ in range(3)) < 8 * min(cost(1_000) for _ in range(3))


NASTY = st.lists(
    st.sampled_from(
        [
            "`", "``", "```", "~~~", "![", "!", "[", "]", "(", ")", "](http://e/x)", "![a](http://e/i.png)", "![a][r]", "[r]: http://e/x",
            "\n", "\n\n", " ", "    ", "- ", "1. ", "> ", "\\", "<", "<img src=http://e/x>", "<img ", 'src="http://e">', ">", "<b>", "<div>",
            "</div>", "<!--", "-->", "word", "[1]", "[9]", "[2, 3]", "【1】", "【9】", "[^1]", ":", "|", "|-|-|", "'", '"', "=", "\n```\n",
            "\n`` `", "<iframe src=//e>", "<svg>", "<b x=y>", "\t", "[0]", "<https://e>", "<pre>", "(<", "\n    ```\n", "\n  ```py\n", "a" * 190,
        ]
    ),
    max_size=30,
).map("".join)  # fmt: skip
ANY = st.one_of(NASTY, st.text(alphabet="ab []()!<>`~1【】†:\\\n^,", max_size=450), st.text())


@settings(max_examples=400)
@given(ANY, st.sampled_from([0, 3]), st.data())
def test_output_is_the_same_for_every_split_and_little_is_held_back(
    text: str, passages: int, data: st.DataObject
) -> None:
    whole = filtered(text, passages=passages)
    answer = AnswerFilter(passages)
    passed = ""
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 40))
        passed += answer.feed(text[at : at + size])
        at += size
        assert answer.held <= MAX_HELD_CHARACTERS
        assert whole.startswith(passed)
    assert passed + answer.end() == whole
    assert filtered(*text, passages=passages) == whole


class Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = [
            name
            for name, value in attrs
            if value is not None and name not in ("href", "title", "class", "start", "style")
        ]
        if values or tag in ("img", "image", "svg", "iframe", "script", "style", "link"):
            self.tags.append(tag)


def fetched(text: str) -> list[str]:
    markdown = (
        pytest.importorskip("markdown_it", reason="markdown-it is not installed")
        .MarkdownIt("commonmark", {"html": True})
        .enable("table")
    )
    parser = Fetched()
    parser.feed(markdown.render(text))
    return parser.tags


@settings(max_examples=400)
@given(NASTY, st.sampled_from([0, 3]))
def test_a_reader_of_markdown_finds_nothing_to_fetch(text: str, passages: int) -> None:
    assert fetched(filtered(text, passages=passages)) == []


def test_the_reader_of_markdown_would_have_found_it() -> None:
    assert fetched("![a](http://e/i.png) <iframe src='//e'></iframe>") == ["img", "iframe"]
