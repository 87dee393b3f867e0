"""HTML pages: their text as a browser shows it, with characters of tags in their attributes, and frames."""

from html import escape

import pytest

from chatbot.rag.loaders.html import HtmlLoader


def load(page: str) -> str:
    return HtmlLoader().load(page.encode()).text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>A</p><iframe title='<b>'></iframe><p>B</p>", "A\n\nB\n"),
        (f"<p>A<iframe src='{'x' * 2_500}'></iframe><p>B</p>", "A\n\nB\n"),
        ("<p>A<div data-x='<!-- x'></div><p>B</p><!-- c --><p>C</p>", "A\n\nB\n\nC\n"),
        ('<p>A<div data-x="<script>"></div><p>B</p><script>1</script><p>C</p>', "A\n\nB\n\nC\n"),
        ("<p>It is <input value='5 > 3'> and <input value='a<b'>", "It is 5 > 3 and a<b\n"),
        ("<p>A<dialog data-x='<b>'>hidden</dialog>", "A\n"),
        ("<p>A <b class='x>y'>bo</b>ld <a id=it's href=/x?a='1>end</a>", "A bold [end](/x?a='1)\n"),
        ("<title>a <b c</title><p>A<textarea>x <y</textarea>", "A x <y\n"),
    ],
    ids=["frame", "long address", "comment", "script", "fields", "dialog", "quotes", "raw text"],
)
def test_attribute_with_characters_of_tags_takes_no_text(page: str, text: str) -> None:
    assert load(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>A</p><iframe srcdoc='<p>in</p>'>old</iframe><p>B</p>", "A\n\nin\n\nB\n"),
        ("<p>A<iframe srcdoc='&lt;title>T&lt;/title>&lt;style>p{}&lt;/style>&lt;p>R&amp;amp;D'></iframe>B", "A\n\nR&D\n\nB\n"),
        ("<iframe srcdoc='&lt;iframe srcdoc=&quot;&amp;lt;p>deep&quot;>'></iframe>", "deep\n"),
        ("<p>A<iframe>never closed<p>B", "Anever closed\n\nB\n"),
    ],
    ids=["markup", "escaped", "frame in a frame", "no end"],
)  # fmt: skip
def test_frame_with_its_own_page_is_read_in_its_place(page: str, text: str) -> None:
    assert load(page) == text


def test_frames_in_one_another_have_an_end() -> None:
    page = "<p>innermost"
    for _ in range(6):
        page = f'<p>level<iframe srcdoc="{escape(page)}"></iframe>'
    found = load(page)
    assert found.split() == ["level"] * 4
