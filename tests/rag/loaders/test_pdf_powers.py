"""Raised numbers of PDF pages: exponents of numbers and symbols, notes of words."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from chatbot.rag.loaders.pdf_layout.powers import is_raised, raise_digits
from tests.rag.loaders.samples import pdf

LARGE = (0.0, 10.0)
SMALL = (-1.0, 5.0)


def read(content: str) -> str:
    return PdfLoader().load(pdf(content.encode("latin-1"))).text


def raised(base: str, number: str, size: float = 7, rise: float = 4, behind: str = " holds") -> str:
    shows = f"({base}) Tj /F1 {size} Tf {rise} Ts ({number}) Tj /F1 12 Tf 0 Ts ({behind}) Tj"
    return f"BT /F1 12 Tf 72 700 Td (So ) Tj {shows} 0 -14 Td (for all of them.) Tj ET"


@pytest.mark.parametrize(
    ("base", "number", "text"),
    [
        ("2", "10", "2\u00b9\u2070"),
        ("10", "-6", "10\u207b\u2076"),
        ("\\(1+r\\)", "12", "(1+r)\u00b9\u00b2"),
        ("5 m", "2", "5 m\u00b2"),
        ("in 1998", "3", "in 1998[3]"),
        ("the rule", "2", "the rule[2]"),
        ("the rule.", "14", "the rule.[14]"),
    ],
)
def test_raised_number_is_an_exponent_or_a_note(base: str, number: str, text: str) -> None:
    assert read(raised(base, number)) == f"So {text} holds\nfor all of them."


@pytest.mark.parametrize(("size", "rise"), [(12, 2), (7, 0), (7, -2), (11.5, 2)])
def test_number_of_the_same_size_or_height_is_a_part_of_its_word(size: float, rise: float) -> None:
    assert read(raised("2", "10", size, rise)) == "So 210 holds\nfor all of them."


def test_raised_number_in_a_line_of_its_own_belongs_to_the_number_before_it() -> None:
    """pdfium has a new line where the raised one is the second text of the page."""
    assert read("BT /F1 12 Tf 72 700 Td (2) Tj /F1 7 Tf 4 Ts (10) Tj ET") == "2\u00b9\u2070"


def test_raised_numerator_of_a_fraction_is_parted_from_the_whole() -> None:
    assert read(raised("2", "1", behind="/") + " BT /F1 7 Tf 105 700 Td (2) Tj ET").startswith("So 2 1/ 2\n")


def test_raised_digits_behind_one_another_have_their_own_bases() -> None:
    assert raise_digits("2a3+b5", [LARGE, LARGE, SMALL, LARGE, LARGE, SMALL], "") == "2a\u00b3+b\u2075"
    assert not is_raised(LARGE, SMALL)
