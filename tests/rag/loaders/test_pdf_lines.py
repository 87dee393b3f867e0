"""Words and lines of PDF pages: hyphens, gaps between letters, scripts from right to left, wrapped cells."""

import pytest

from chatbot.rag.loaders import pdf_codes, plain
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


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("The state-of-", "the-art e-", "mail of a firm."), "The state-of-the-art\ne-mail\nof a firm."),
        (("Die Adresse ist E-Mail-Adres-", "se."), "Die Adresse ist E-Mail-Adresse."),
        (("Das Zust\xe4n\u2010", "digkeits\u2010", "gesetz gilt, auto\u2010", "mobile\u2010clubs auch."), "Das Zust\xe4ndigkeitsgesetz\ngilt, automobile\u2010clubs\nauch."),
    ],
    ids=["compounds", "parts of one", "word of three lines"],
)  # fmt: skip
def test_parts_of_words_are_joined_as_their_text_has_them(lines: tuple[str, ...], text: str) -> None:
    assert read(*below(*lines)).replace("\n\n", "\n") == text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ("The long-standing rule.", "A long-standing\nfriend"),
        ("The longstanding rule.", "A longstanding\nfriend"),
        ("A rule.", "A longstanding\nfriend"),
    ],
    ids=["hyphen", "none", "unknown"],
)
def test_parted_word_is_read_as_other_pages_have_it(known: str, text: str) -> None:
    contents = [page_of_book(1, "A long-", "standing friend", "came."), page_of_book(2, known, "It is old.")]
    assert text in PdfLoader().load(pdf(*contents)).text


def test_words_with_self_keep_their_hyphen() -> None:
    found = read(*below("A self-", "contained unit, not a self-", "less one."))
    assert found == "A self-contained\nunit, not a selfless\none."


WHOLE_WORDS = (  # no line's end has parted one of its long words
    "The members were asked to be",
    "punctual. The annual meeting was a well-",
    "attended one, with forty-",
    "one of them and a last-minute",
    "contribution of the harbour's",
    "administration to the library.",
)


def test_hyphens_are_kept_where_no_line_ends_within_a_word() -> None:
    found = read(*below(*WHOLE_WORDS))
    assert "a well-attended\none, with forty-one\nof them" in found


def test_hyphens_are_not_kept_where_other_lines_end_within_words() -> None:
    found = read(
        *below(*WHOLE_WORDS[:3], "one of them. The harbour's adminis-", "tration has a new contri-", "bution to make.")
    )
    assert "administration\nhas a new contribution\nto make." in found


def test_numerals_keep_their_hyphen_in_text_that_is_hyphenated() -> None:
    found = read(*below("A har-", "bour of forty-", "one boats, Quarante-", "sept, quatre-", "vingts, thirty-", "ish."))
    assert found.split() == [
        "A",
        "harbour",
        "of",
        "forty-one",
        "boats,",
        "Quarante-sept,",
        "quatre-vingts,",
        "thirtyish.",
    ]


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


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (")\u05e9\u05dc(.", "(\u05e9\u05dc)."),
        ("(\u0641\u064a)\u060c", "(\u0641\u064a)\u060c"),
        ("\u00bb\u0641\u064a\u00ab.", "\u00ab\u0641\u064a\u00bb."),
        ("\u00ab\u0641\u064a\u00bb.", "\u00ab\u0641\u064a\u00bb."),
    ],
    ids=["drawn", "meant", "quotes drawn", "quotes meant"],
)
def test_brackets_of_words_from_right_to_left_open_and_close(shown: str, text: str) -> None:
    """pdfium turns both those that are drawn and those that are meant."""
    assert read(*from_right(shown)) == text


@pytest.mark.parametrize("address", ["info@example.com", "www.example.org.il"])
def test_address_between_words_from_right_to_left_is_not_turned(address: str) -> None:
    words = "\u05d5\u05d0\u05d3 \u05dc\u05d0\u05d5\u05d3\u05e9 "
    assert address in read((60, 700, f"{words * 2}{address} {words * 3}")).split()


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


@pytest.mark.parametrize("shift", [0, LINE_HEIGHT / 2])
def test_lines_of_a_cell_are_read_together(shift: float) -> None:
    """`shift` is how far below the first line of the wide cell the others are, as in a row that is centred."""
    rows = [("Pump", ("Check the oil", "and the filter"), "101"), ("Valve", ("Close it at", "night in May"), "102")]
    lines = []
    for number, (name, description, price) in enumerate(rows):
        y = 700 - 30 * number
        lines += [(60, y - shift, name), *below(*description, x=160, y=y), (320, y - shift, price)]
    assert read(*lines).replace("\n\n", "\n") == (
        "Pump Check the oil\nand the filter 101\nValve Close it at\nnight in May 102"
    )


def test_two_cells_with_lines_of_their_own_are_read_one_after_the_other() -> None:
    head = [(60, 730, "Item name"), (200, 730, "Description of it")]
    first = [*below("Air pump", "with gauge"), *below("Shows six bars", "at the gauge", x=200)]
    second = [*below("Oil can and", "its spout", y=670), *below("Holds one litre", "of thin oil", x=200, y=670)]
    found = " ".join(read(*head, *first, *second).split())
    assert found == (
        "Item name Description of it Air pump with gauge Shows six bars at the gauge "
        "Oil can and its spout Holds one litre of thin oil"
    )


def test_marks_of_a_list_stay_with_their_lines() -> None:
    lines = below("Start it.", "Sound the horn.", "Call the pilot.", x=90)
    assert read(*lines, *below("1.", "2.", "3.")) == "1. Start it.\n2. Sound the horn.\n3. Call the pilot."


def test_cedilla_behind_its_letter_is_on_it() -> None:
    """As TeX sets that of a capital."""
    letters = [(60, 700, "C"), (60.5, 700, "\u00b8"), (65, 700, "a va"), (100, 700, "alone"), (130, 700, "\u00b8")]
    assert read(*letters) == "\u00c7a va alone \u00b8"


@pytest.mark.parametrize(("is_beside", "text"), [(True, "\u00c7a va"), (False, "\u00c7 a va")])
def test_space_of_pdfium_behind_a_cedilla_is_none_where_the_next_letter_touches(is_beside: bool, text: str) -> None:
    found = pdf_codes.decode(
        "C\u00b8 a va",
        is_coded=lambda _: False,
        is_one_font=lambda *_: False,
        is_over=lambda mark, letter: (mark, letter) == (1, 0),
        is_beside=lambda left, right: is_beside and (left, right) == (0, 3),
    )
    assert len(found) == len("C\u00b8 a va")
    assert plain.clean(pdf_codes.spell_out(found)) == text


def page_of_book(number: int, *lines: str) -> bytes:
    """Show lines between a running head and a page number."""
    placed = [(60, 780, "The harbour report"), *below(*lines), (300, 30, str(number))]
    return b"".join(b"BT /F1 10 Tf %d %d Td (%s) Tj ET\n" % (x, y, text.encode()) for x, y, text in placed)


def test_heads_and_page_numbers_stay_out_of_a_sentence_that_goes_on_over_the_page() -> None:
    first = page_of_book(1, "The pump runs at night.", "It is old.", "It is loud.", "The council paid")
    second = page_of_book(2, "for a valve in May.", "It was late.", "It was dear.", "It is new.")
    third = page_of_book(3, "Nobody had asked.", "Nobody will.", "It is paid.", "The end.")
    found = PdfLoader().load(pdf(first, second, third))
    pages = [found.text[start:end].strip() for start, end in zip(found.pages, [*found.pages[1:], None], strict=True)]
    assert pages == [
        "The harbour report\n\nThe pump runs at night.\nIt is old.\nIt is loud.\n\n1\n\nThe council paid",
        "for a valve in May.\n\nThe harbour report\n\nIt was late.\nIt was dear.\nIt is new.\n\n2",
        "The harbour report\n\nNobody had asked.\nNobody will.\nIt is paid.\nThe end.\n\n3",
    ]


def test_word_that_goes_on_over_the_page_is_whole() -> None:
    first = page_of_book(1, "The pump runs at night.", "It is old.", "It is loud.", "The council has main-")
    second = page_of_book(2, "tained a valve in May.", "It was late.", "It was dear.", "It is new.")
    found = PdfLoader().load(pdf(first, second)).text
    assert "The council has maintained\n\na valve in May." in found


@pytest.mark.parametrize(
    ("drawn", "text"),
    [
        (".1998", "1998."),
        ("(2019)", "(2019)"),
        (".(2019", "2019)."),
        (".31.12.2024", "31.12.2024."),
        (".1", "1."),
    ],
)
def test_stops_and_brackets_of_numbers_between_words_from_right_to_left(drawn: str, text: str) -> None:
    """`drawn` is the line from left to right: a stop behind a number is on its left."""
    word = "\u05d4\u05d7\u05d3\u05e9"
    words = [*from_right(word), *from_right(word, x=370)]
    number = [(340 - 5 * place, 700, letter) for place, letter in enumerate(drawn[::-1], 1)]
    assert read(*words, *number).split(" ")[-1] == text


def test_words_from_left_to_right_between_others_keep_their_order() -> None:
    word = "\u05d4\u05d7\u05d3\u05e9"
    found = read(*from_right(word), (346, 700, "Cohen"), (312, 700, "Sarah"), *from_right(word, x=300))
    assert found == f"{word} Sarah Cohen {word}"


def test_brackets_within_a_number_between_words_from_right_to_left_open_and_close() -> None:
    word = "\u05d4\u05d7\u05d3\u05e9"
    assert "14(2)" in read(*from_right(word), (315, 700, "(2)14"), *from_right(word, x=300)).split()


def test_head_above_paragraphs_of_one_line_is_a_paragraph() -> None:
    """As pages of short notes: most distances are those of paragraphs, and few of lines show how much more one is."""
    notes = [(60, 700 - 33 * number, text) for number, text in enumerate(("It is old.", "It is loud.", "It is paid."))]
    assert read((60, 744, "Pump"), *notes) == "Pump\n\nIt is old.\nIt is loud.\nIt is paid."


def test_rows_of_a_table_far_from_one_another_are_no_paragraphs() -> None:
    rows = [(x, 700 - 40 * y, f"{text} {y}") for y in range(5) for x, text in ((60, "Pump"), (200, "Price"))]
    assert read(*rows) == "\n".join(f"Pump {y} Price {y}" for y in range(5))
