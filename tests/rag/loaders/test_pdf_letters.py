"""Letters of PDF pages that are set apart from one another, or higher than the rest of their word."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf

WIDTH = 6  # points, of a letter of Courier


def show(size: float, x: float, y: float, text: str) -> bytes:
    return b"BT /F1 %.1f Tf %.2f %.2f Td (%s) Tj ET\n" % (size, x, y, text.encode())


def spread(text: str, gap: float) -> bytes:
    """Show each letter of a text with a gap behind it, and no blanks."""
    places = ((60 + (WIDTH + gap) * at, letter) for at, letter in enumerate(text))
    return b"".join(show(10, x, 700, letter) for x, letter in places if letter != " ")


def read(content: bytes) -> str:
    return PdfLoader().load(pdf(content).replace(b"Helvetica", b"Courier")).text


@pytest.mark.parametrize("text", ["Heading of the report", "WIDE HEADING", "a line of words, too."])
@pytest.mark.parametrize("gap", [2, 2.5])
def test_letters_that_are_set_apart_are_words(text: str, gap: float) -> None:
    assert read(spread(text, gap)) == text


@pytest.mark.parametrize("text", ["ABCDEF", "1250134", "x=y+z-u"])
def test_labels_numbers_and_signs_that_are_set_apart_stay_so(text: str) -> None:
    assert read(spread(text, gap=2.5)) == " ".join(text)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("initial", "line", "text"),
    [("O", "nce upon a time", "Once upon a time"), ("I", "n the war it was", "In the war it was"), ("A", "man came to it", "A man came to it")],
    ids=["word", "function word", "letter"],
)  # fmt: skip
def test_initial_of_three_lines_is_of_its_word(is_first: bool, initial: str, line: str, text: str) -> None:
    lines = [
        (82, 700, line),
        (82, 688, "the harbour had a"),
        (82, 676, "pump that was loud"),
        (60, 664, "and old. It was late."),
    ]
    shown = [show(10, 60, 724, "The harbour"), *(show(10, *place) for place in lines)]
    shown.insert(1 if is_first else len(shown), show(36, 60, 677, initial))
    found = read(b"".join(shown))
    assert found.split("\n") == ["The harbour", "", text, *(line for _, _, line in lines[1:])]


def test_letter_beside_one_line_is_no_initial() -> None:
    assert read(show(36, 60, 690, "B") + show(10, 90, 700, "erth number 12")).split() == ["B", "erth", "number", "12"]
