"""Word documents: comments stand behind the paragraph that they are on, with their author."""

import pytest

from tests.rag.loaders.samples import NAMESPACE, docx, paragraph, table
from tests.rag.loaders.test_docx import load

MARK = '<w:r><w:commentReference w:id="{}"/></w:r>'


def comments(*written: tuple[str, str]) -> dict[str, str]:
    shown = "".join(
        f'<w:comment w:id="{number}" w:author="{author}">{body}</w:comment>'
        for number, (author, body) in enumerate(written)
    )
    return {"word/comments.xml": f"<w:comments {NAMESPACE}>{shown}</w:comments>"}


def commented(text: str, *numbers: int) -> str:
    return paragraph(text).replace("</w:p>", "".join(map(MARK.format, numbers)) + "</w:p>")


def test_comment_stands_behind_its_paragraph() -> None:
    body = commented("The rent is 900 euros.", 0, 1) + paragraph("Pets are allowed.")
    more = comments(("Anna Berg", paragraph("Was it") + paragraph("not 850?")), ("", paragraph("No.")))
    assert load(docx(body, more)).split("\n\n") == [
        "The rent is 900 euros.", "Comment by Anna Berg: Was it not 850?", "Comment: No.", "Pets are allowed.\n",
    ]  # fmt: skip


def test_comment_in_a_table_stays_in_its_cell() -> None:
    cell = f"<w:tc>{commented('900', 0)}</w:tc>"
    body = table(("Rent", "Deposit")).replace("</w:tbl>", f"<w:tr>{cell}<w:tc>{paragraph('2')}</w:tc></w:tr></w:tbl>")
    found = load(docx(body, comments(("Anna", paragraph("High!")))))
    row = next(line for line in found.split("\n") if "| 2 |" in line)
    assert "900" in row
    assert "Comment by Anna: High!" in row


def test_comment_does_not_part_a_paragraph_whose_end_is_struck_out() -> None:
    struck = commented("One ", 0).replace("<w:p>", "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr>")
    found = load(docx(struck + paragraph("two."), comments(("A", paragraph("Why?")))))
    assert found == "One two.\n\nComment by A: Why?\n"


@pytest.mark.parametrize(
    "body",
    [
        paragraph("Text."),  # no paragraph refers to it
        paragraph("Text.").replace("</w:p>", f"<w:del>{MARK.format(0)}</w:del></w:p>"),
        commented("Text.", 7),
    ],
    ids=["unreferred", "struck out", "unknown"],
)
def test_comment_that_word_does_not_show_is_left_out(body: str) -> None:
    assert load(docx(body, comments(("A", paragraph("Why?"))))) == "Text.\n"


def test_comment_on_a_footnote_stands_in_it() -> None:
    note = f'<w:footnote w:id="2">{commented("The note.", 0)}</w:footnote>'
    more = {
        "word/footnotes.xml": f"<w:footnotes {NAMESPACE}>{note}</w:footnotes>",
        **comments(("A", paragraph("Why?"))),
    }
    body = '<w:p><w:r><w:t>See.</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    assert " ".join(load(docx(body, more)).split()) == "See.[1] 1. The note. Comment by A: Why?"
