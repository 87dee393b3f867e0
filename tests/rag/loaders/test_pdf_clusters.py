"""Clusters of glyphs that are spelled out, as Chromium does in Hindi and Thai, are read once, and words whole."""

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf

LETTERS = {"A": "क", "B": "ि", "C": "त", "D": "व", "E": "ห", "F": "ง"}  # by the letter whose code each has
SPELLED = b"/Span << /ActualText <feff%s> >> BDC %s EMC "


def spell(text: str, shown: bytes) -> bytes:
    return SPELLED % (text.encode("utf-16-be").hex().encode(), shown)


def read(content: bytes) -> str:
    entries = b"".join(b"<%02x> <%04x>\n" % (ord(code), ord(letter)) for code, letter in LETTERS.items())
    head = b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange\n"
    cmap = b"%s%d beginbfchar\n%sendbfchar\nendcmap" % (head, len(LETTERS), entries)
    more = (b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap),)
    widths = b"/FirstChar 65 /LastChar 70 /Widths [500 500 500 500 500 500]"
    made = pdf(b"BT /F1 20 Tf 72 700 Td " + content + b" ET", more=more)
    return PdfLoader().load(made.replace(b"/BaseFont /Helvetica", b"/BaseFont /Custom /ToUnicode 6 0 R " + widths)).text


def test_room_of_a_second_glyph_is_no_blank() -> None:
    cluster = spell("कि", b"<41> Tj 8 0 Td <42> Tj")
    assert read(cluster + b"10 0 Td <43> Tj 10 0 Td <44> Tj") == "कितव"


def test_blank_that_is_drawn_parts_words() -> None:
    cluster = spell("कि", b"<41> Tj 8 0 Td <42> Tj")
    assert read(cluster + b"10 0 Td <20> Tj 5 0 Td <43> Tj 10 0 Td <44> Tj") == "कि तव"


def test_cluster_that_is_drawn_out_of_turn_is_read_once() -> None:
    cluster = spell("ห้", b"<45> Tj 10 0 Td <42> Tj")
    assert read(cluster + b"-.01 0 Td <46> Tj 10 0 Td <45> Tj") == "ห้งห"
