"""Unicode maps of PDFs that producers have spoiled."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf, pdf_in_bitmap_font, shown

HEAD = b"begincmap 1 begincodespacerange\n<00><ff>\nendcodespacerange"


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        # Of a range from U+0431, the second letter is written as 0x04 + 0x31.
        (b"<41><41><0410>\n<62><62><0035>\n<63><63><0036>\n<80><80><044f>", "\u0410\u0431\u0432"),
        (b"<41><41><0391>\n<62><62><00b5>\n<63><63><00b6>", "\u0391\u03b2\u03b3"),
        (b"<41><41><0391>\n<62><62><0035>\n<63><63><0036>", "\u039156"),  # the sums of no letters so near
        (b"<41><41><0041>\n<62><62><0035>\n<63><63><0036>", "A56"),
    ],
    ids=["cyrillic", "greek", "figures", "latin"],
)
def test_characters_whose_bytes_ghostscript_has_added_up_are_restored(entries: bytes, text: str) -> None:
    size = entries.count(b"\n") + 1
    cmap = b"%s\n%d beginbfrange\n%s\nendbfrange\nendcmap" % (HEAD, size, entries)
    data = pdf(shown("Abc"), more=(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap),))
    data = data.replace(b"/BaseFont /Helvetica", b"/ToUnicode 6 0 R /BaseFont /Custom")
    assert PdfLoader().load(data).text == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"/F1 10 Tf (costs 12 ) Tj /F2 10 Tf (\\277) Tj /F1 10 Tf (, or less) Tj", "costs 12 \u20ac, or less"),
        (b"/F1 10 Tf (costs ) Tj /F2 10 Tf (\\27712) Tj /F1 10 Tf (, or less) Tj", "costs \u00bf12, or less"),
        (b"/F1 10 Tf (\\277Le da nombre?) Tj", "\u00bfLe da nombre?"),
    ],
    ids=["symbols", "letters", "mapped"],
)
def test_euro_of_a_bitmap_font_of_symbols_is_no_question_mark(content: bytes, text: str) -> None:
    data = pdf_in_bitmap_font(b"BT 72 700 Td " + content + b" ET", range(48, 192))
    encoded = data.replace(b"/BaseFont /Helvetica", b"/BaseFont /Helvetica /Encoding /WinAnsiEncoding")
    assert PdfLoader().load(encoded).text == text


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (b"Ma\xffe gro\xff", "Maße groß"),
        (b"\x9f 1 b\xf7uf", "§ 1 bœuf"),
        (b"\x92pe\xb5 \xaalka \x10x\x11", "Špeţ łlka “x”"),
        (b"12 m\xb2 \xd7 3", "12 m\xb2 \xd7 3"),  # as in Latin-1
    ],
    ids=["sharp s", "section", "quotes", "latin-1"],
)
def test_letters_of_bitmap_fonts_of_t1_are_read(codes: bytes, text: str) -> None:
    found = PdfLoader().load(
        pdf_in_bitmap_font(b"BT /F2 10 Tf 72 700 Td (the) ' 0 -12 Td (%s) Tj ET" % codes, range(256))
    )
    assert found.text == f"the\n{text}"


def test_codes_without_a_map_of_other_fonts_are_no_ligatures() -> None:
    cmap = b"begincmap 1 begincodespacerange <0000> <FFFF> endcodespacerange\n1 beginbfchar <0041> <0061> endbfchar endcmap"
    descendant = b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Custom /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 500 >>"
    made = pdf(
        b"BT /F1 12 Tf 72 700 Td <00410041001e00410041> Tj ET",
        more=(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap), descendant),
    )
    font = b"/Subtype /Type0 /BaseFont /ABCDEF+Custom /Encoding /Identity-H /DescendantFonts [7 0 R] /ToUnicode 6 0 R"
    found = PdfLoader().load(made.replace(b"/Subtype /Type1 /BaseFont /Helvetica", font))
    assert found.text.replace(" ", "") == "aaaa"
