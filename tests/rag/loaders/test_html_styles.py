"""HTML pages with style sheets of their own: hidden elements, and elements that are lines or words of their own."""

import pytest

from chatbot.rag.loaders.html import HtmlLoader

HIDDEN = ".h{display:none}"


def load(page: str, sheet: str = HIDDEN, style: str = "<style>") -> str:
    return HtmlLoader().load(f"{style}{sheet}</style>{page}".encode()).text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>A<span class='x h'>no</span></p><div class=h>no</div><p>B", "A\n\nB\n"),
        ("<p>A<p class=h>no<p>B", "A\n\nB\n"),
        ("<ul><li>A<li class=h>no<li>B</ul>", "- A\n- B\n"),
        ("<ol type=a><li>A</li><li class=h>no</li><li>B</li></ol>", "a. A\n\nb. B\n"),
        ("<dl><dt>A<dd class=h>no<dt>B</dl>", "A\n\nB\n"),
        ("<table><tr><td class=h>no<td>A<tr><td class=h>no<td>B</table>", "| A |\n| --- |\n| B |\n"),
        ("<table><tr><td class=h>no</td><td><h2>A</h2></td></tr></table>", "## A\n"),
        ("<header class=h><h1>no</h1></header><p>A <input class=h value=no> <abbr class=h>no</abbr>B", "A B\n"),
        ("<dialog open class=h>no</dialog>A", "A\n"),
    ],
    ids=["blocks", "paragraphs", "items", "letters", "terms", "cells", "layout", "header", "dialog"],
)
def test_elements_that_a_sheet_hides_are_not_read(page: str, text: str) -> None:
    assert load(page) == text


@pytest.mark.parametrize(
    ("sheet", "is_shown"),
    [
        ("#i, .x { color: red; display : none }", False),
        ("div{display:none}", False),
        (".t{display:none!important} .b{display:block}", False),
        (".t{display:none} .d:hover .t{display:block}", False),
        (".t{display:none} @media print{.t{display:block}}", False),
        (".t{display:none} .b{display:block}", True),
        (".t{display:none} .t.b{display:block}", True),
        (".t{display:none} .t.c{display:block}", False),
        (".t{display:none} @media (min-width: 1px){.t{display:block}}", True),
        ("@media print{.t{display:none}}", True),
        ("@media screen{.other .t{display:none}}", True),
        ("/* .t{display:none} */ body{display:none}", True),
        (".other .t{display:none}", True),
    ],
)
def test_rules_of_a_sheet_count_as_in_a_browser(sheet: str, is_shown: bool) -> None:
    text = load("<body><p>A</p><div class='t b' id=i>text</div></body>", sheet)
    assert text == ("A\n\ntext\n" if is_shown else "A\n")


def test_style_of_an_element_and_sheets_for_others_show_it() -> None:
    assert load("<p style='display:block' class=h>A") == "A\n"
    assert load("<p class=h>A", style="<style media='print'>") == "A\n"
    assert load("</noscript><p class=h>A", style="<noscript><style>") == "A\n"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p><span class=l>Mon</span><span class=l>Tue</span>", "Mon Tue\n"),
        ("<div class=r><span>Mon</span><span>Tue</span></div>", "Mon Tue\n"),
        ("<pre><span class=l>if x:</span><span class=l>    y</span></pre>", "```\nif x:\n    y\n```\n"),
        ("<pre><span class=l>if x:\n</span><span class=l>    y</span></pre>", "```\nif x:\n    y\n```\n"),
    ],
    ids=["blocks", "row", "lines", "lines with ends"],
)
def test_elements_that_a_sheet_parts_are_apart(page: str, text: str) -> None:
    assert load(page, ".l{display:block} .r{display:flex; gap:8px}") == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<table><tr><td><pre>1\n2</pre></td><td><pre>if x:\n    y</pre></td></tr></table>", "```\n1\n2\n```\n\n```\nif x:\n    y\n```\n"),
        ("<table><tr><td><pre>if x:<br>    y</pre></td></tr></table>", "```\nif x:\n    y\n```\n"),
        ("<table><tr><td><pre>x</pre></td><td>y</td></tr></table>", "| `x` | y |\n| --- | --- |\n"),
        ("<listing>if x:\n    y</listing>", "```\nif x:\n    y\n```\n"),
    ],
    ids=["cells", "line breaks", "one line", "listing"],
)  # fmt: skip
def test_preformatted_lines_keep_their_indentation(page: str, text: str) -> None:
    assert load(page) == text
