"""Sentences that go on from a page or column to the next, and notes, heads and feet between."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf
from tests.rag.loaders.test_pdf_lines import below

NOTE = "1See the report of May."
COLUMN = "The pump runs at\nnight. The river\n"
OTHER_COLUMN = "us, and the boat\nis ours. A valve\nwas closed in May."
COLUMN_NOTE = "1 See the report\nof the council."
FIRST = ("The pump runs at night. It is old, and so", "is the crane. The council of this harbour paid")


def show(*lines: tuple[float, float, str], size: int = 10) -> bytes:
    return b"".join(b"BT /F1 %d Tf %d %d Td (%s) Tj ET\n" % (size, x, y, text.encode()) for x, y, text in lines)


def read_pages(*contents: bytes) -> list[str]:
    found = PdfLoader().load(pdf(*contents))
    return [found.text[start:end].strip() for start, end in zip(found.pages, [*found.pages[1:], None], strict=True)]


def test_notes_stay_out_of_a_sentence_that_goes_on_over_the_page() -> None:
    number = show((300, 30, "1"))
    first = show(*below("The pump runs at night.", "The council paid")) + show((60, 60, NOTE), size=8) + number
    found = read_pages(first, show(*below("for a valve in May.", "It was late.")))
    assert found == [
        "The pump runs at night.\n\n1 See the report of May.\n\n1\n\nThe council paid",
        "for a valve in May.\nIt was late.",
    ]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("belongs to all of", f"{COLUMN}belongs to all of\n\n{OTHER_COLUMN}\n\n{COLUMN_NOTE}"),
        ("belongs to us.", f"{COLUMN}belongs to us.\n\n{COLUMN_NOTE}\n\n{OTHER_COLUMN}"),
    ],
    ids=["sentence goes on", "sentence ends"],
)
def test_notes_of_a_column_stand_behind_sentences(end: str, text: str) -> None:
    left = show(*below(*COLUMN.split("\n")[:-1], end))
    note = show(*below("1See the report", "of the council.", y=640), size=8)
    right = show(*below(*OTHER_COLUMN.split("\n"), x=200))
    assert read_pages(left + note + right) == [text]


def test_sentence_goes_on_in_a_capital_or_a_number_behind_a_full_line() -> None:
    for rest in ("Mr. Hill for a valve in May.", "12 euros for a valve."):
        found = read_pages(show(*below(*FIRST), (300, 30, "1")), show(*below(rest, "It was late."), (300, 30, "2")))
        assert found[0].endswith(FIRST[1])
        assert found[1].startswith(rest)


def test_foot_stays_below_a_page_whose_last_line_is_a_heading() -> None:
    found = read_pages(show(*below(FIRST[0] + ".", "The crane"), (300, 30, "1")), show(*below("Mr. Hill paid.")))
    assert found == [f"{FIRST[0]}.\nThe crane\n\n1", "Mr. Hill paid."]


def test_head_and_foot_of_a_page_between_two_parts_of_sentences_are_within_it() -> None:
    head = show((60, 780, "The harbour report"))
    middle = below("for a valve in May.", "It was late.", "Then the old pilot")
    pages = [show(*below(*FIRST)), show(*middle), show(*below("went home.", "The end."))]
    found = read_pages(*(head + page + show((300, 30, str(number))) for number, page in enumerate(pages, 1)))
    assert found[1] == "for a valve in May.\n\nThe harbour report\n\nIt was late.\n\n2\n\nThen the old pilot"
    assert found[2].startswith("went home.")


def test_heads_and_feet_of_two_rows_stay_out_of_a_sentence_that_goes_on_over_the_page() -> None:
    bodies = [
        ("The pump runs at night.", "It is old.", "It is loud.", "The council paid"),
        ("for a valve in May.", "It was late.", "It was dear.", "It is new."),
        ("Nobody had asked.", "Nobody will.", "It is paid.", "The end."),
    ]
    pages = []
    for number, lines in enumerate(bodies, 1):
        rows = [
            (780, "The harbour report"),
            (768, f"Volume 12, page {number}"),
            (40, "Printed in May"),
            (28, "by hand"),
        ]
        rows[2:2] = [(700 - 12 * at, line) for at, line in enumerate(lines)]
        pages.append(b"".join(b"BT /F1 10 Tf 60 %d Td (%s) Tj ET\n" % (y, text.encode()) for y, text in rows))
    found = PdfLoader().load(pdf(*pages)).text
    assert "Printed in May\nby hand\n\nThe council paid\n\nfor a valve in May.\n\nThe harbour report" in found
