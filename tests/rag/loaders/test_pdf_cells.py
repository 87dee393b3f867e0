"""Cells of PDF tables with prose in them: justified, centred, and close to one another."""

from itertools import count

from chatbot.rag.loaders.pdf_layout.columns import MAX_ROWS_BELOW, split_into_blocks
from chatbot.rag.loaders.pdf_layout.segments import Segment
from chatbot.rag.loaders.pdf_words import Word
from tests.rag.loaders.test_pdf_lines import LINE_HEIGHT, below, read

ROWS = (
    ("Is it open?", ("The pump runs at", "night. The river", "belongs to us all.")),
    ("Who pays for it?", ("A valve was shut", "in May by the old", "pilot of the port.")),
    ("Can I see it?", ("The crane is new.", "It lifts the nets", "of all the boats.")),
)


def spread(text: str, x: float, y: float, width: float) -> list[tuple[float, float, str]]:
    """Return the words of a justified line."""
    words = text.split()
    space = (width - 5 * sum(map(len, words))) / (len(words) - 1)
    places = []
    for word in words:
        places.append((x, y, word))
        x += 5 * len(word) + space
    return places


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def read_table(*cells: list[tuple[float, float, str]]) -> str:
    """Read two rows of two cells each, which a page has cell by cell; the second row is three lines lower."""
    lower = [(x, y - 4 * LINE_HEIGHT, text) for cell in cells for x, y, text in cell]
    return in_one_line(read(*(line for cell in cells for line in cell), *lower))


def test_wide_spaces_of_justified_cells_part_no_lines() -> None:
    question = [
        *spread("Can you see", 60, 700, 90),
        *spread("the boats in", 60, 688, 90),
        (60, 676, "the days of May?"),
    ]
    answer = [*spread("The pump runs", 180, 700, 115), *spread("at night. The river", 180, 688, 115)]
    text = "Can you see the boats in the days of May? The pump runs at night. The river belongs to us."
    assert read_table(question, [*answer, (180, 676, "belongs to us.")]) == f"{text} {text}"


def test_two_words_at_the_edges_of_a_justified_cell_are_one_line() -> None:
    first = [*spread("The pump", 60, 700, 95), *below("of this river works", "at night.", y=688)]
    second = below("It is old, and has", "never been mended", "since May.", x=180)
    text = "The pump of this river works at night. It is old, and has never been mended since May."
    assert read_table(first, second) == f"{text} {text}"


def test_wider_spaces_behind_stops_part_no_line_of_a_cell() -> None:
    """As TeX stretches them."""
    first = [*spread("Ask Mr.", 60, 700, 40), (112, 700, "Hill"), (139, 700, "or"), *below("his friend, on the", y=688)]
    second = below("Both of them know", "how it is done in", "this town.", x=200)
    text = "Ask Mr. Hill or his friend, on the first floor. Both of them know how it is done in this town."
    assert read_table([*first, (60, 676, "first floor.")], second) == f"{text} {text}"


def test_centred_cells_make_no_paragraphs_of_the_lines_above_them() -> None:
    """As fpdf2 sets them: the lines of one cell are beside the spaces between the lines of the other."""
    prose = ("The harbour report of this year", "is here, and the council has", "read it in one long night.")
    lines = spaced(*prose, x=60, y=760)
    for number, (_, (first, second, third)) in enumerate(ROWS):
        y = 700 - 48 * number
        lines += [*spaced(first, second, third, x=60, y=y), *spaced(third, first, x=200, y=y - 8)]
    words = [f"{first} {second} {third} {third} {first}" for _, (first, second, third) in ROWS]
    found = read(*lines)
    assert found.startswith("\n".join(prose))
    assert in_one_line(found) == " ".join([*prose, *words])


def spaced(*texts: str, x: float, y: float) -> list[tuple[float, float, str]]:
    """Return lines with the space of one between them."""
    return [(x, y - 16 * number, text) for number, text in enumerate(texts)]


def test_prose_on_both_sides_of_a_table_is_read_row_by_row() -> None:
    lines = []
    for number, (_, (first, second, third)) in enumerate(ROWS):
        y = 700 - 40 * number
        lines += [*below(first, second, third, y=y), *below(third, first, second, x=160, y=y)]
    words = " ".join(f"{first} {second} {third} {third} {first} {second}" for _, (first, second, third) in ROWS)
    assert in_one_line(read(*lines)) == words


def test_number_close_to_a_cell_is_a_cell_of_its_own() -> None:
    lines = []
    for number, (question, (first, second, third)) in enumerate(ROWS):
        y = 700 - 40 * number
        mark = (60, y, f"K-{number}")
        lines += [mark, *spread(first, 86, y, 5 * len(first)), *below(second, x=86, y=y - LINE_HEIGHT)]
        lines += below(third, question, x=200, y=y)
    words = " ".join(
        f"K-{number} {first} {second} {third} {question}"
        for number, (question, (first, second, third)) in enumerate(ROWS)
    )
    assert in_one_line(read(*lines)) == words


class CountedSegment(Segment):
    """Counts how often its text is read: once for each look at its place in the page's own order."""

    reads = 0

    @property
    def text(self) -> str:
        CountedSegment.reads += 1
        return "pump"


def count_reads(pairs: int) -> int:
    """Return the reads of a page of stairs: pairs of rows in two columns, left of the gutter of all pairs above."""
    place = count()
    rows = []
    for step in range(pairs):
        gutter = 1_000.0 - step
        lefts = [counted(next(place), 0, gutter - 2, 2 * step + number) for number in (0, 1)]
        rights = [counted(next(place), gutter - 1.5, gutter - 1.1, 2 * step + number) for number in (0, 1)]
        rows += [[left, right] for left, right in zip(lefts, rights, strict=True)]
    CountedSegment.reads = 0
    split_into_blocks(rows, 40)
    return CountedSegment.reads


def counted(position: int, left: float, right: float, row: int) -> Segment:
    top = 12.0 * row
    return CountedSegment([Word("pump", left, top, right, top + 10)], position, left, top, right, top + 10)


def test_looks_at_rows_below_columns_do_not_grow_with_the_square_of_the_rows() -> None:
    rows = 2 * MAX_ROWS_BELOW
    assert count_reads(4 * rows) < 5 * count_reads(rows)
