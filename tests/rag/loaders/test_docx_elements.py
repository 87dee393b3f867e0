"""Elements of Word documents that the converter passes over: boxes, raised text, choices, tabs, tables in tables."""

import pytest

from chatbot.rag.loaders.docx import DocxLoader
from tests.rag.loaders.samples import docx, paragraph, table

COMPATIBLE = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
BOX = f"<w:drawing><w:txbxContent>{paragraph('boxed')}</w:txbxContent></w:drawing>"
OLDER = f"<w:pict><w:txbxContent>{paragraph('older')}</w:txbxContent></w:pict>"


def load(body: str) -> str:
    return DocxLoader().load(docx(body)).text


@pytest.mark.parametrize(
    ("forms", "text"),
    [
        (f"<mc:Choice>{BOX}</mc:Choice><mc:Fallback/>", "boxed"),
        (f"<mc:Choice>{BOX}</mc:Choice><mc:Fallback><w:pict/></mc:Fallback>", "boxed"),
        (f"<mc:Choice><w:drawing/></mc:Choice><mc:Choice>{BOX}</mc:Choice>", "boxed"),
        (f"<mc:Choice>{BOX}</mc:Choice><mc:Fallback>{OLDER}</mc:Fallback>", "older"),
    ],
    ids=["empty", "picture", "two choices", "text"],
)
def test_text_box_is_read_in_the_form_that_has_its_text(forms: str, text: str) -> None:
    run = f"<w:r><mc:AlternateContent {COMPATIBLE}>{forms}</mc:AlternateContent></w:r>"
    assert load(f"<w:p>{run}</w:p>") == f"{text}\n"


def positioned(half_points: int, text: str, more: str = "") -> str:
    return f'<w:r><w:rPr><w:position w:val="{half_points}"/>{more}</w:rPr><w:t>{text}</w:t></w:r>'


@pytest.mark.parametrize(
    ("before", "raised", "text"),
    [
        ("10", positioned(8, "6"), "10⁶"),
        ("word", positioned(6, "2"), "word[2]"),
        ("H", positioned(-4, "2"), "H2"),
        ("10", positioned(1, "6"), "106"),
        ("10", positioned(8, "6", '<w:vertAlign w:val="baseline"/>'), "106"),
    ],
)
def test_text_that_is_raised_by_points_is_a_power_or_a_note(before: str, raised: str, text: str) -> None:
    assert load(f"<w:p><w:r><w:t>{before}</w:t></w:r>{raised}</w:p>") == f"{text}\n"


def dropdown(chosen: str) -> str:
    entries = '<w:listEntry w:val="Small"/><w:listEntry w:val="Medium"/>'
    start = f'<w:fldChar w:fldCharType="begin"><w:ffData><w:ddList>{chosen}{entries}</w:ddList></w:ffData></w:fldChar>'
    field = f'<w:r>{start}</w:r><w:r><w:instrText>FORMDROPDOWN</w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
    return f'<w:p><w:r><w:t xml:space="preserve">Size: </w:t></w:r>{field}<w:r><w:t>.</w:t></w:r></w:p>'


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ('<w:result w:val="1"/>', "Size: Medium.\n"),
        ('<w:default w:val="1"/>', "Size: Medium.\n"),
        ('<w:result w:val="0"/><w:default w:val="1"/>', "Size: Small.\n"),
        ("", "Size: Small.\n"),
        ('<w:result w:val="7"/>', "Size: .\n"),
        ('<w:result w:val="x"/>', "Size: .\n"),
    ],
)
def test_chosen_entry_of_a_list_is_text(chosen: str, text: str) -> None:
    assert load(dropdown(chosen)) == text


def test_tab_to_a_margin_parts_words() -> None:
    tab = '<w:ptab w:relativeTo="margin" w:alignment="right" w:leader="none"/>'
    assert load(f"<w:p><w:r><w:t>Left</w:t>{tab}<w:t>Right</w:t></w:r></w:p>") == "Left\tRight\n"


def test_cells_of_a_table_in_a_table_are_in_their_places() -> None:
    inner = table(("b1", "b2"), ("b3", "b4"))
    outer = table(("a", "B", "c"), ("d", "e", "f")).replace(paragraph("B"), f"{paragraph('b')}{inner}{paragraph('B')}")
    words = load(outer).replace("|", " ").replace("-", " ").split()
    assert words == ["a", "b", "b1", "b2", "b3", "b4", "B", "c", "d", "e", "f"]
