"""Files of each format, made by hand."""

import io
import zipfile
from collections.abc import Mapping

NAMESPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org"
CONTENT_TYPES = (
    f'<Types xmlns="{OFFICE}/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    f'<Relationships xmlns="{OFFICE}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{OFFICE}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></cp:coreProperties>'
)
SYSTEM = b"/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
SPELLED = b"/Span << /ActualText <feff%s> >> BDC %s EMC"


def pdf(*contents: bytes, filters: str = "", trailer: str = "", more: tuple[bytes, ...] = ()) -> bytes:
    """One page for each content stream; object 3 is the font, `more` are the last objects."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids.encode(), len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * number)
        )
        head = b"<< /Length %d %s >>" % (len(content), filters.encode())
        objects.append(head + b"\nstream\n" + content + b"\nendstream")
    out = b"%PDF-1.4\n"
    starts = []
    for number, body in enumerate([*objects, *more], 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    end = b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF" % (
        len(starts) + 1, trailer.encode(), len(out),
    )  # fmt: skip
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(starts) + 1) + table + end


def pdf_in_bitmap_font(content: bytes, codes: range) -> bytes:
    """Build a page with /F2, a Type 3 font of these codes: its glyphs have no names and no Unicode map."""
    names = [b"/g%d" % code for code in codes]
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [1 0 0 1 0 0] /FirstChar %d /LastChar %d "
        b"/Widths [%s] /CharProcs << %s >> /Encoding << /Type /Encoding /Differences [%d %s] >> >>"
    ) % (
        codes[0],
        codes[-1],
        b"0.5 " * len(names),
        b" ".join(name + b" 7 0 R" for name in names),
        codes[0],
        b" ".join(names),
    )
    glyph = b"<< /Length 27 >>\nstream\n0.5 0 d0 0 0 0.4 0.7 re f   \nendstream"
    return pdf(content, more=(font, glyph)).replace(b"/F1 3 0 R >>", b"/F1 3 0 R /F2 6 0 R >>")


def shown(text: str) -> bytes:
    """A content stream that shows a line."""
    return b"BT /F1 24 Tf 72 720 Td (%s) Tj ET" % text.encode("latin-1")


def typeset(*lines: tuple[float, float, str], spelled: bool = False) -> bytes:
    """A page with texts of any script at places, their letters half as wide as high, of 10 points.

    `spelled` adds each text as what it is to be read as, as Chromium does with each letter of Arabic.
    """
    codes = _codes("".join(text for _, _, text in lines))
    content = b""
    for x, y, text in lines:
        show = b"1 0 0 1 %.2f %.2f Tm <%s> Tj" % (x, y, b"".join(codes[letter] for letter in text))
        if spelled:
            show = SPELLED % (text.encode("utf-16-be").hex().encode(), show)
        content += b"BT /F1 10 Tf %s ET\n" % show
    return _in_any_script(content, codes)


def typeset_clusters(*clusters: tuple[float, str]) -> bytes:
    """A line of letters with marks at places, as Chromium draws them: first the marks, higher than the letter."""
    codes = _codes("".join(text for _, text in clusters))
    content = b""
    for x, text in clusters:
        letter, *marks = text
        shows = [b".3 0 0 .3 %.2f 706 Tm <%s> Tj " % (x, codes[mark]) for mark in marks]
        show = b"".join([*shows, b"1 0 0 1 %.2f 700 Tm <%s> Tj" % (x, codes[letter])])
        content += b"BT /F1 10 Tf %s ET\n" % (SPELLED % (text.encode("utf-16-be").hex().encode(), show))
    return _in_any_script(content, codes)


def typeset_glyphs(*glyphs: str) -> bytes:
    """A line of glyphs from left to right, as one object; each is read as some letters, or as none."""
    codes = {letters: b"%02x" % code for code, letters in enumerate(sorted(set(glyphs)), 33)}
    shown = b"".join(codes[letters] for letters in glyphs)
    return _in_any_script(b"BT /F1 10 Tf 1 0 0 1 60 700 Tm <%s> Tj ET\n" % shown, codes)


def _codes(text: str) -> dict[str, bytes]:
    return {letter: b"%02x" % code for code, letter in enumerate(sorted(set(text)), 33)}


def _in_any_script(content: bytes, codes: Mapping[str, bytes]) -> bytes:
    characters = b"".join(
        b"<%s> <%s>\n" % (code, letters.encode("utf-16-be").hex().encode()) for letters, code in codes.items()
    )
    head = b"begincmap %s1 begincodespacerange <00> <FF> endcodespacerange\n" % SYSTEM
    cmap = b"%s%d beginbfchar\n%sendbfchar\nendcmap" % (head, len(codes), characters)
    widths = b"/FirstChar 33 /LastChar %d /Widths [%s]" % (32 + len(codes), b"500 " * len(codes))
    made = pdf(content, more=(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap),))
    return made.replace(b"/BaseFont /Helvetica", b"/BaseFont /Custom /ToUnicode 6 0 R " + widths)


def paragraph(text: str, style: str = "") -> str:
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"


def table(*rows: tuple[str, ...]) -> str:
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx(body: str, more: Mapping[str, bytes | str] = {}, before: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("_rels/.rels", RELATIONS)
        archive.writestr("word/document.xml", f"{before}<w:document {NAMESPACE}><w:body>{body}</w:body></w:document>")
        for name, content in more.items():
            archive.writestr(name, content)
    return out.getvalue()


def core(title: str) -> Mapping[str, str]:
    return {"docProps/core.xml": CORE.format(title)}


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
