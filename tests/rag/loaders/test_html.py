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


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<ol type=a><li>x<li>y<ol type=i><li>z</ol><li>w</ol><p>end", "a. x\n\nb. y\n\ni. z\n\nc. w\n\nend\n"),
        ("<ol type=A start=26><li><p>x</p><p>more</p></li></ol>", "Z. x\n\nmore\n"),
        ("<ol start=5><li>x</li><li value=9>y</li><li>z</li></ol>", "5. x\n\n9. y\n\n10. z\n"),
        ("<ol reversed><li>x</li><li>y</li></ol>", "2. x\n\n1. y\n"),
        ("<ol style='list-style-type: upper-roman'><li>x</li></ol>", "I. x\n"),
        ("<ol style='list-style: none'><li>x</li></ol>", "x\n"),
        ("<ol start=4><li>x<li>y<ul><li>z</ul></ol>", "4. x\n5. y\n   - z\n"),
    ],
    ids=["letters", "paragraphs", "values", "reversed", "style", "none", "numbers"],
)
def test_lists_have_the_labels_that_a_browser_shows(page: str, text: str) -> None:
    assert load(page) == text


def test_long_list_whose_items_have_no_end_is_not_deep() -> None:
    assert load("<ol type=i>" + "<li>x" * 600 + "</ol>").endswith("\n\ndc. x\n")


def test_shadow_roots_are_shown_and_other_templates_are_not() -> None:
    page = "<div>A<template shadowrootmode=open><p>shown</p><template><p>not</p></template></template></div><template>no</template><p>B"
    assert load(page) == "A\n\nshown\n\nB\n"


def test_values_of_fields_are_parted_from_the_words_beside_them() -> None:
    """A browser shows a box with a frame, whether or not the page has a space there."""
    ticks = "E-mail<input type=checkbox checked>I agree<input type=radio>later"
    choice = "Size<select><option>S</option><option>M</option></select>please"
    assert load(f"<p>{ticks}</p><p>{choice}</p>") == "E-mail [x] I agree [ ] later\n\nSize S M please\n"


def test_raised_numbers_of_abbreviations_are_those_of_notes() -> None:
    page = "<p>The BBC<sup>1</sup> on TV<sup>2</sup>, Dr<sup>3</sup> Miller, 3 kg<sup>2</sup>, 5m<sup>2</sup></p><p>mV<sup>2</sup></p>"
    assert load(page) == "The BBC[1] on TV[2], Dr[3] Miller, 3 kg\u00b2, 5m\u00b2\n\nmV\u00b2\n"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            "10<b><sup>6</sup></b> and 10<sup><strong>7</strong></sup> of <b>10<sup>8</sup></b>",
            "10⁶ and 10⁷ of **10⁸**",
        ),
        ("10<strong><em><sup>6</sup></em></strong> by note<i class='n'><sup>3</sup></i>", "10⁶ by note[3]"),
        ("H<i><sub>2</sub></i>O in a <b>word</b>", "H2O in a **word**"),
    ],
)
def test_raised_and_lowered_numbers_have_no_marks_of_emphasis(page: str, text: str) -> None:
    assert load(f"<p>{page}</p>") == f"{text}\n"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p><span style='display:block'>Monday</span><span style='display: block'>closed</span>", "Monday closed"),
        ("<div style='display:flex; gap:1em'><span>Monday</span><a>closed</a></div>", "Monday closed"),
        ("<div style='display:grid;justify-content:space-between'><b>Mon</b><i>Tue</i></div>", "**Mon** *Tue*"),
        ("<div style='display:flex;gap:0'><span>Mon</span><span>day</span></div>", "Monday"),
        (
            "<div style='display:flex;gap:8px'><span>Mo<b>n</b>day<br></span><span>9</span></div>x<b>y</b>",
            "Monday 9 xy",
        ),
        ("<p style='display:block'>Mon<span style='color:red'>day</span></p>", "Monday"),
    ],
    ids=["blocks", "gap", "space between", "no gap", "in one another", "others"],
)
def test_inline_elements_that_their_style_parts_are_words(page: str, text: str) -> None:
    assert load(page).split() == text.split()
