"""Words and lines of PDF pages: hyphens, gaps between letters, scripts from right to left, wrapped cells."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf, typeset

LINE_HEIGHT = 12


def read(*lines: tuple[float, float, str]) -> str:
    return PdfLoader().load(typeset(*lines)).text


def below(*texts: str, x: float = 60, y: float = 700) -> list[tuple[float, float, str]]:
    """Return texts as lines, one below the other."""
    return [(x, y - LINE_HEIGHT * number, text) for number, text in enumerate(texts)]


def test_unicode_hyphens_at_the_ends_of_lines_are_joined_but_not_those_of_compounds() -> None:
    found = read(
        *below(
            "Jak zbudo\u2010",
            "wa\u0107 dom, well\u2010known to the well\u2010",
            "known, in Rhein\u2010",
            "Main \u2010",
            "too.",
        )
    )
    assert "Jak zbudowa\u0107\ndom, well\u2010known" in found
    assert "the well\u2010known,\nin Rhein\u2010Main" in found
    assert "\u2010\ntoo." in found


def from_right(text: str, x: float = 400) -> list[tuple[float, float, str]]:
    """Return the letters of a text with places from right to left."""
    return [(x - 5 * number, 700, letter) for number, letter in enumerate(text, 1)]


def test_words_from_right_to_left_are_read_so_where_each_letter_is_spelled() -> None:
    word = "\u0627\u0644\u0642\u062f\u064a\u0645"
    assert PdfLoader().load(typeset(*from_right(word)[::-1], spelled=True)).text == word


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("\u05d1-05.052,1", "\u05d1-1,250.50"),
        ("\u05d5-%05", "\u05d5-50%"),
        ("FDP\u0641\u0644\u0645", "PDF\u0641\u0644\u0645"),
        ("\u0628\u0660\u0665\u0662", "\u0628\u0662\u0665\u0660"),
    ],
)
def test_numbers_in_words_from_right_to_left_stay_from_left_to_right(shown: str, text: str) -> None:
    assert read(*from_right(shown)) == text


def test_spacing_of_characters_is_a_space_where_the_word_has_none_elsewhere() -> None:
    """As groff and Ghostscript write it: a pair of letters, parted by a space's width of character spacing."""
    text = b"BT /F1 10 Tf 72 700 Td (museum) Tj 3.5 Tc 38.34 0 Td (se) Tj 0 Tc 14.06 0 Td (ntrance) Tj ET\n"
    heading = b"BT /F1 10 Tf 3.5 Tc 72 650 Td (HEADING) Tj ET"
    assert PdfLoader().load(pdf(text + heading)).text == "museums entrance\nHEADING"


def test_letters_are_words_on_a_page_that_pdfium_takes_for_vertical_writing() -> None:
    """As on a page with a table of Chromium alone: each letter has a place, and more of the height than width is full."""
    rows = [("Anna", "1998"), ("Mia", "2003"), ("Tom", "2010")]
    cells = [
        (x, 700 - LINE_HEIGHT * y, text) for y, row in enumerate(rows) for x, text in zip((60, 200), row, strict=True)
    ]
    letters = [(x + 5 * number, y, letter) for x, y, text in cells for number, letter in enumerate(text)]
    assert read(*letters) == "Anna 1998\nMia 2003\nTom 2010"
