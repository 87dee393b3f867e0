"""PDF pages in reading order, fields and notes on them, and unreadable pages."""

import pytest

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.loaders import pdf_codes, pdf_words
from chatbot.rag.loaders.pdf import PdfLoader
from chatbot.rag.loaders.pdf_layout.order import read
from chatbot.rag.loaders.pdf_words import Word
from chatbot.rag.types import Parsed
from tests.rag.loaders.samples import pdf, pdf_in_bitmap_font, shown

ROWS = [
    ("BERGER, ANNA", "CLERK", "4,210.50"),
    ("HUBER, TOM", "DRIVER", "3,050.00"),
    ("OLSEN, MIA", "NURSE", "3,870.25"),
]
TABLE = "\n".join(" ".join(row) for row in ROWS)
LEFT = ["The first column speaks", "of the garden and its", "many old apple trees."]
RIGHT = ["The second column tells", "of the kitchen and the", "copper pots in it."]


def load(data: bytes) -> Parsed:
    return PdfLoader().load(data)


def at(x: float, y: float, text: str, matrix: str = "1 0 0 1") -> bytes:
    """Show a text at a place."""
    return f"BT {matrix} {x} {y} Tm /F1 10 Tf ({text}) Tj ET\n".encode("latin-1")


def columns(order: str) -> bytes:
    left = [at(60, 700 - 12 * number, line) for number, line in enumerate(LEFT)]
    right = [at(320, 700 - 12 * number, line) for number, line in enumerate(RIGHT)]
    lines = [*left, *right] if order == "columns" else [line for pair in zip(left, right, strict=True) for line in pair]
    return b"".join([at(60, 730, "A headline across the whole width of both columns, as papers have it"), *lines])


@pytest.mark.parametrize("order", ["columns", "lines"])
def test_columns_are_read_one_after_the_other(order: str) -> None:
    head, *rest = load(pdf(columns(order))).text.split("\n\n")
    assert head.startswith("A headline")
    assert rest == ["\n".join(LEFT), "\n".join(RIGHT)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_cells_are_read_row_by_row_whatever_their_order_in_the_file(order: tuple[int, int, int]) -> None:
    cells = [at(60 + 150 * at_, 700 - 14 * y, row[at_]) for y, row in enumerate(ROWS) for at_ in order]
    assert load(pdf(b"".join(cells))).text == TABLE


@pytest.mark.parametrize(
    ("matrix", "place"),
    [
        ("0 1 -1 0", lambda x, y: (100 + 14 * y, 100 + 150 * x)),
        ("0 -1 1 0", lambda x, y: (500 - 14 * y, 600 - 150 * x)),
        ("-1 0 0 -1", lambda x, y: (500 - 150 * x, 100 + 14 * y)),
    ],
)
def test_turned_table_is_read_as_a_turned_page(matrix: str, place) -> None:
    cells = [at(*place(x, y), cell, matrix) for y, row in enumerate(ROWS) for x, cell in enumerate(row)]
    assert load(pdf(b"".join(cells))).text == TABLE


def test_turned_text_behind_a_line_is_read_in_its_own_direction() -> None:
    content = b"BT /F1 10 Tf 1 0 0 1 60 700 Tm (The figure shows the harbour) Tj 0 1 -1 0 130 697 Tm (Courtesy of a Polish weekly) Tj ET"
    assert set(load(pdf(content)).text.split("\n\n")) == {"The figure shows the harbour", "Courtesy of a Polish weekly"}


def test_overprinted_bold_is_text_once() -> None:
    assert load(pdf(at(60, 700, "IMPORTANT DATES") + at(60.3, 700, "IMPORTANT DATES"))).text == "IMPORTANT DATES"


def test_gaps_between_letters_are_spaces() -> None:
    content = b"BT /F1 10 Tf 60 700 Td [(Payment) -330 (is) -330 (due)] TJ ET"
    assert load(pdf(content)).text == "Payment is due"


def test_hyphens_at_the_ends_of_lines_are_joined_but_not_those_of_compounds() -> None:
    lines = [
        "The lessee answers for main-",
        "tenance. A self-contained flat is self-",
        "contained, in Rhein-",
        "Main too.",
    ]
    found = load(pdf(b"".join(at(60, 700 - 12 * number, line) for number, line in enumerate(lines)))).text
    assert "for maintenance." in found
    assert "is self-contained," in found
    assert "in Rhein-Main\ntoo." in found


def test_filled_fields_and_notes_are_text() -> None:
    field = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (insured) /V (Ola Nordmann) /Rect [200 715 400 735] >>"
    box = b"<< /Type /Annot /Subtype /Widget /FT /Btn /T (flood) /V /Yes /AS /Yes /Rect [200 695 214 709] /AP << /N << /Yes 10 0 R /Off 10 0 R >> >> >>"
    note = b"<< /Type /Annot /Subtype /Text /Contents (Ask the broker first.) /Rect [10 10 20 20] >>"
    empty = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length 0 >>\nstream\n\nendstream"
    hidden = b"<< /Type /Annot /Subtype /Text /F 2 /Contents (Never shown.) /Rect [10 10 20 20] >>"
    content = at(60, 720, "Name of the insured:") + at(60, 700, "Flood cover:")
    data = pdf(content, more=(field, box, note, hidden, empty))
    data = data.replace(b"/Catalog /Pages", b"/Catalog /AcroForm << /Fields [6 0 R 7 0 R] >> /Pages")
    data = data.replace(b"/Type /Page /Parent", b"/Type /Page /Annots [6 0 R 7 0 R 8 0 R 9 0 R] /Parent")
    assert load(data).text == "Name of the insured: Ola Nordmann\nFlood cover: [x]\n\nAsk the broker first."


@pytest.mark.parametrize(
    ("rotation", "matrix", "place"),
    [
        (0, "1 0 0 1", lambda x, y: (x, y)),
        (90, "0 1 -1 0", lambda x, y: (612 - y, x)),
        (180, "-1 0 0 -1", lambda x, y: (612 - x, 792 - y)),
        (270, "0 -1 1 0", lambda x, y: (y, 792 - x)),
    ],
)
def test_fields_of_a_rotated_page_stand_beside_their_labels(rotation: int, matrix: str, place) -> None:
    labels = ("Name of the insured:", "Number of the policy:", "Name of the broker:")
    content = b"".join(at(*place(60, 500 - 20 * row), label, matrix) for row, label in enumerate(labels))
    fields = []
    for row, value in enumerate((b"Ola Nordmann", b"KX-4471", b"Mia Olsen")):
        box = b"[%d %d %d %d]" % (*place(200, 495 - 20 * row), *place(400, 510 - 20 * row))
        fields.append(b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (f%d) /V (%s) /Rect %s >>" % (row, value, box))
    data = pdf(content, more=tuple(reversed(fields)))
    data = data.replace(b"/Catalog /Pages", b"/Catalog /AcroForm << /Fields [6 0 R 7 0 R 8 0 R] >> /Pages")
    turned = b"/Type /Page /Rotate %d /Annots [6 0 R 7 0 R 8 0 R] /Parent" % rotation
    assert load(data.replace(b"/Type /Page /Parent", turned)).text == (
        "Name of the insured: Ola Nordmann\nNumber of the policy: KX-4471\nName of the broker: Mia Olsen"
    )


def test_fields_alone_on_a_rotated_page_are_read_as_it_is_seen() -> None:
    field = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (f%d) /V (%s) /Rect [%d 300 %d 400] >>"
    fields = [
        field % (left, value, left, left + 15) for left, value in ((140, b"low"), (100, b"high"), (120, b"middle"))
    ]
    data = pdf(b"", more=tuple(fields))
    data = data.replace(b"/Catalog /Pages", b"/Catalog /AcroForm << /Fields [6 0 R 7 0 R 8 0 R] >> /Pages")
    turned = b"/Type /Page /Rotate 90 /Annots [6 0 R 7 0 R 8 0 R] /Parent"
    assert load(data.replace(b"/Type /Page /Parent", turned)).text == "high\nmiddle\nlow"


def test_broken_page_costs_itself_alone_and_the_document_says_so() -> None:
    whole = pdf(shown("First"), shown("Second"), shown("Third"))
    second = whole.index(b"<< /Type /Page ", whole.index(b"6 0 obj"))
    found = load(whole[:second] + b"<< /Type /Nope" + whole[second + len(b"<< /Type /Nope") :])
    assert found.text == "First\n\n\n\nThird"
    assert found.pages == (0, 7, 9)
    assert found.warnings == ("Page 2 is broken.",)


def map_of(entries: int, told: int, first: int = 66) -> bytes:
    """Return a Unicode map of letters to characters from `first`, with any number told for its entries."""
    lines = b"".join(b"<%02x> <%04x>\n" % (65 + number, first + number) for number in range(entries))
    cmap = b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange\n%d beginbfchar\n%sendbfchar\nendcmap" % (
        told,
        lines,
    )
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap)


@pytest.mark.parametrize("told", [26, 27, 99])
def test_unicode_map_that_counts_wrongly_is_used_all_the_same(told: int) -> None:
    data = pdf(shown("HAL"), more=(map_of(26, told),)).replace(
        b"/BaseFont /Helvetica", b"/ToUnicode 6 0 R /BaseFont /Custom"
    )
    assert load(data).text == "IBM"


@pytest.mark.parametrize(
    ("font", "first", "text"),
    [
        (b"Symbol", 0xF061, "αβχ"),
        (b"ABCDEF+SymbolMT,Bold", 0xF0B1, "±″≥"),
        (b"Wingdings-Regular", 0xF0FC, "✓☒☑"),
        (b"LMRoman10-Regular", 0xF731, "123"),  # old-style figures
        (b"LMRomanCaps10-Regular", 0xF761, "abc"),
        (b"Custom", 0xF0B7, ""),
        (b"EUEX10", 0xF8F1, ""),  # parts of brackets
        (b"FontAwesome", 0xE0F0, ""),
    ],
)
def test_characters_of_private_use_are_text_where_they_are_known(font: bytes, first: int, text: str) -> None:
    custom = b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /ToUnicode 7 0 R >>" % font
    content = b"BT /F1 12 Tf 72 700 Td (Known:) Tj /F2 12 Tf 60 0 Td (ABC) Tj /F1 12 Tf 60 0 Td (end) Tj ET"
    data = pdf(content, more=(custom, map_of(26, 26, first))).replace(b"/F1 3 0 R >>", b"/F1 3 0 R /F2 6 0 R >>")
    assert load(data).text.split() == ["Known:", *text.split(), "end"]


def test_text_without_a_unicode_map_is_refused_and_never_nonsense() -> None:
    names = b" ".join(b"/g%d" % number for number in range(1, 40))
    font = b"/BaseFont /ABCDEF+Custom /Encoding << /Type /Encoding /Differences [1 %s] >>" % names
    nameless = pdf(b"BT /F1 12 Tf 72 700 Td (\\001\\002\\003 \\004\\005\\006) Tj ET").replace(
        b"/BaseFont /Helvetica", font
    )
    with pytest.raises(UnreadableDocument, match="no Unicode map"):
        load(nameless)


def test_page_with_too_many_words_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_words, "MAX_WORDS", 3)
    found = load(pdf(at(60, 700, "one two three four five")))
    assert found.text == "one two three"
    assert found.warnings == ("Page 1 has more than 20,000 words; the others were left out.",)


def test_bytes_before_the_file_are_passed_over() -> None:
    assert load(b"From: a mail\n" * 200 + pdf(shown("x"))).text == "x"


def test_lines_from_right_to_left_are_read_so() -> None:
    words = [Word("עולם", 0, 0, 40, 10, is_from_right=True), Word("שלום", 100, 0, 140, 10, is_from_right=True)]
    assert read(words).text == "שלום עולם"


def test_paragraphs_are_apart() -> None:
    tops = (0, 12, 24, 60, 72)
    lines = [Word(f"line{number}", 0, top, 50, top + 10) for number, top in enumerate(tops)]
    assert read(lines).text == "line0\nline1\nline2\n\nline3\nline4"


def test_page_without_words_is_empty() -> None:
    assert read([]).text == ""


def decoded(text: str, over: str = "") -> str:
    """Decode a text in which all characters are unmapped, and those of `over` stand over the next one."""
    found = pdf_codes.decode(
        text,
        is_coded=lambda _: True,
        is_one_font=lambda *_: True,
        is_over=lambda mark, letter: letter == mark + 1 and text[mark] in over,
        is_beside=lambda *_: False,
    )
    assert len(found) == len(text)
    return pdf_codes.spell_out(found)


@pytest.mark.parametrize(
    ("text", "over", "expected"),
    [
        ("o\x1ece, \x1drst, \x10ad hoc\x11 \x15 \x1bn", "", "office, flrst, “ad hoc” – ffn"),  # T1
        ("o\x0ece \rowers\r\nMa\x19e \x1clfarve", "", "office flowers\r\nMaße ølfarve"),  # OT1
        ("e\x0ba na\x7f\x10ve se~nor gar\x18con ~x", "\x7f~\x18", "effa naïve señor garçon x̃"),
        ("Caf´e na¨ıve it´s `a ~user", "´¨", "Café naïve itś `a ~user"),
        ("the angle \x0b and \x1b", "", "the angle \x0b and \x1b"),  # Greek letters of formulas
    ],
)
def test_codes_of_tex_are_letters(text: str, over: str, expected: str) -> None:
    assert decoded(text, over) == expected


def test_codes_of_mapped_fonts_stay() -> None:
    text = "o\x1ece"
    assert pdf_codes.decode(text, lambda _: False, *[lambda *_: False] * 3) == text


LANGUAGES = {
    "da": "Pumpen skal efterses hver uge af driften, og filteret skiftes, inden ventilen lukkes. Der må ikke være olie i vandet, som kommer frem.",
    "fi": "Pumppu tarkastetaan joka viikko, ja suodatin vaihdetaan ennen kuin venttiili suljetaan. Jos vesi ei ole kirkasta, siinä voi olla öljyä, mutta se ei ole vaarallista.",
    "it": "La pompa deve essere controllata ogni settimana e il filtro si cambia prima che la valvola sia chiusa. Non ci deve essere olio nella acqua che esce.",
    "nl": "De pomp moet elke week worden nagekeken en het filter wordt vervangen voordat de klep dicht is. Er mag geen olie in het water zitten dat naar buiten komt.",
    "no": "Pumpen skal kontrolleres hver uke av driften, og filteret byttes før ventilen er stengt. Det må ikke være olje i vannet som kommer ut.",
    "pt": "A bomba deve ser verificada em cada semana e o filtro é mudado antes que a válvula seja fechada. Não deve haver óleo na água que sai.",
    "sv": "Pumpen ska kontrolleras varje vecka av driften, och filtret byts innan ventilen har stängts. Det får inte finnas olja i vattnet som kommer fram.",
}
OTHER_ORDER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "qhvkxzjrfgtbpwlymcnsodaeui")


@pytest.mark.parametrize("language", LANGUAGES)
def test_codes_in_the_order_of_letters_are_a_language(language: str) -> None:
    assert pdf_codes.is_language(LANGUAGES[language])
    assert not pdf_codes.is_language(LANGUAGES[language].lower().translate(OTHER_ORDER))
    assert not pdf_codes.is_language("Wxq vzk")


def in_bitmap_font(text: str) -> bytes:
    """Show a text of ASCII in a font of glyphs without names or a Unicode map, as dvips embeds them."""
    lines = b" ".join(b"(%s) '" % line.encode("ascii") for line in text.split("\n"))
    return pdf_in_bitmap_font(b"BT /F2 10 Tf 72 700 Td 12 TL " + lines + b" ET", range(32, 127))


def test_bitmap_fonts_are_read_in_a_language_with_stop_words() -> None:
    text = "Pumpen ska kontrolleras varje vecka av driften,\noch filtret byts innan ventilen tas ut.\nDet kan inte finnas olja i vattnet som kommer fram."
    assert load(in_bitmap_font(text)).text == text
    with pytest.raises(UnreadableDocument, match="no Unicode map"):
        load(in_bitmap_font(text.lower().translate(OTHER_ORDER)))
