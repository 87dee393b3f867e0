"""Columns of PDF pages that do not begin and end at one height."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf, typeset
from tests.rag.loaders.test_pdf_lines import LINE_HEIGHT, below, read

LEFT = ("The pump runs at", "night. The river", "belongs to all of", "us, and the boat")
RIGHT = ("is ours. A valve", "was closed in May", "by the old pilot", "of the harbour.")
THIRD = ("The crane is new.", "It lifts the nets", "of all the boats", "in one morning.")
SHORT_LEFT = ("Start it", "in May", "by hand", "or call")
SHORT_RIGHT = ("the pilot", "at night", "by horn", "in June")


def lines_of(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def test_right_column_that_begins_a_line_higher_is_read_behind_the_left_one() -> None:
    """As Chromium sets columns of paragraphs: the first one's margin is kept, the rest of another has none."""
    title = [(60, 760, "The harbour report of this year, by the council of the town")]
    columns = [*below(*LEFT), *below(*RIGHT, x=200, y=700 + LINE_HEIGHT)]
    assert lines_of(read(*title, *columns)) == [title[0][2], *LEFT, *RIGHT]


def test_number_far_above_the_right_column_is_not_read_behind_the_left_one() -> None:
    columns = [*below(*LEFT), (200, 740, "17"), *below(*RIGHT, x=200)]
    assert lines_of(read(*columns)) == ["17", *LEFT, *RIGHT]


def test_short_line_below_three_columns_is_read_behind_them() -> None:
    heads = [(60, 712, "Pump"), (200, 712, "Valve"), (340, 712, "Crane")]
    columns = [heads[:1], below(*LEFT), heads[1:2], below(*RIGHT, x=200), heads[2:], below(*THIRD, x=340)]
    foot = (60, 640, "Printed in the town hall, free of charge")
    found = lines_of(read(*(line for column in columns for line in column), foot))
    assert found == ["Pump", *LEFT, "Valve", *RIGHT, "Crane", *THIRD, foot[2]]


def test_short_line_below_two_columns_is_read_behind_them() -> None:
    assert lines_of(read(*below(*LEFT), *below(*RIGHT, x=200), (60, 640, "Printed in May"))) == [
        *LEFT,
        *RIGHT,
        "Printed in May",
    ]


def test_bullets_that_the_page_has_behind_all_text_part_no_columns() -> None:
    """As WeasyPrint has them."""
    left = [(60, 712, "Pump"), *below(*LEFT, x=75)]
    right = [(200, 712, "Valve"), *below("Open it", "in May", "Close it", "in June", x=215)]
    bullets = [(x, y, "\u2022") for x in (60, 200) for y in (700, 700 - 2 * LINE_HEIGHT)]
    found = lines_of(read(*left, *right, (60, 640, "Printed in May"), *bullets))
    assert [text for line in found if (text := line.lstrip("\u2022 "))] == [
        *(text for _, _, text in (*left, *right)),
        "Printed in May",
    ]


def test_long_column_beside_a_note_that_the_page_has_first_is_one_text() -> None:
    note = below("Read this note", "before the text", x=200)
    text = below(*LEFT, *RIGHT)
    found = lines_of(PdfLoader().load(typeset(*note, *text)).text)
    assert [line for line in found if line in LEFT + RIGHT] == [*LEFT, *RIGHT]


def test_slanted_watermark_is_read_apart_from_the_lines_that_it_crosses() -> None:
    lines = [f"BT /F1 10 Tf 60 {y} Td ({text}) Tj ET" for _, y, text in below(*LEFT, *RIGHT)]
    mark = "BT /F1 60 Tf 0.7071 0.7071 -0.7071 0.7071 100 600 Tm (DRAFT COPY) Tj ET"
    found = PdfLoader().load(pdf("\n".join([mark, *lines]).encode())).text
    assert found == "\n".join([*LEFT, *RIGHT]) + "\n\nDRAFT COPY"


@pytest.mark.parametrize("x", [60, 170, 240], ids=["left", "gutter", "right"])
def test_page_number_that_the_page_has_first_interleaves_no_columns_above_it(x: float) -> None:
    """As Chromium has the boxes of the margins."""
    left = [(60, 712, "Pump"), *below(*SHORT_LEFT, y=690)]
    right = [*below(*SHORT_RIGHT, x=200, y=712), (200, 654, "Crane")]
    assert lines_of(read((x, 580, "17"), *left, *right)) == [*(text for _, _, text in (*left, *right)), "17"]


def test_head_and_foot_of_the_printer_cut_no_columns() -> None:
    """As Chromium prints a page by default: the date and the title above, the address and the number below."""
    head = [(40, 780, "11/30/26, 4:11 AM"), (150, 780, "Bulletin of the harbour")]
    foot = [(40, 560, "/bulletin.html"), (330, 560, "1/1")]
    columns = [*below(*LEFT, *THIRD), *below(*RIGHT, *THIRD, x=200)]
    found = lines_of(read(*head, *foot, *columns))
    assert found == ["11/30/26, 4:11 AM Bulletin of the harbour", *(text for *_, text in columns), "/bulletin.html 1/1"]


def test_last_line_of_a_longer_left_column_is_read_before_the_right_one() -> None:
    """However far it is below the others: the page has it between the columns."""
    columns = [*below(*LEFT), (60, 640, "It is paid."), *below(*RIGHT, x=200)]
    assert lines_of(read(*columns)) == [*LEFT, "It is paid.", *RIGHT]


def test_line_above_the_first_heading_of_the_right_column_is_read_behind_the_left_one() -> None:
    """As groff sets columns: a section's heading has a blank line above it, but not at the top of a column."""
    columns = [
        (60, 718, "Start"),
        *below(*LEFT),
        (200, 730, "Ask the pilot."),
        (200, 706, "Help"),
        *below(*RIGHT, x=200, y=688),
    ]
    assert lines_of(read(*columns)) == [text for *_, text in columns]


def test_centred_table_at_the_top_of_the_right_column_parts_no_columns() -> None:
    """Its title, which is wider, stands within the gap on its left, as that of a table of TeX does."""
    table = [(260, 712, "Year"), (290, 712, "Boats"), (260, 700, "2025"), (290, 700, "17"), (250, 688, "By the pilot.")]
    columns = [
        *below(*LEFT, *THIRD, y=712),
        (220, 724, "Table 1: Boats by year."),
        *table,
        *below(*RIGHT, x=200, y=664),
    ]
    found = lines_of(read(*columns))
    assert found == [*LEFT, *THIRD, "Table 1: Boats by year.", "Year Boats", "2025 17", "By the pilot.", *RIGHT]
