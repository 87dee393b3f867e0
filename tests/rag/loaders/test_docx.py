"""Word documents: formulas, numbers, rubies, headers and embedded parts are text as Word shows it."""

import pytest

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.loaders import docx_numbering
from chatbot.rag.loaders.docx import DocxLoader
from chatbot.rag.loaders.formulas import omml
from tests.rag.loaders.samples import CONTENT_TYPES, NAMESPACE, OFFICE, RELATIONS, docx, paragraph, table, zipped

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
RELATION = '<Relationship Id="{}" Type="x" Target="{}"/>'
REFERENCES = f'xmlns:r="{OFFICE}/officeDocument/2006/relationships"'


def load(data: bytes) -> str:
    return DocxLoader().load(data).text


def related(**targets: str) -> dict[str, str]:
    relations = "".join(RELATION.format(name, target) for name, target in targets.items())
    return {
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{OFFICE}/package/2006/relationships">{relations}</Relationships>'
    }


def numbering(*levels: tuple[str, str], start: int = 1) -> dict[str, str]:
    shown = "".join(
        f'<w:lvl w:ilvl="{number}"><w:start w:val="{start if not number else 1}"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for number, (kind, text) in enumerate(levels)
    )
    lists = f'<w:abstractNum w:abstractNumId="0">{shown}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    return {"word/numbering.xml": f"<w:numbering {NAMESPACE}>{lists}</w:numbering>"}


def numbered(text: str, level: int = 0, style: str = "") -> str:
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    place = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr>'
    return f"<w:p><w:pPr>{styled}{place}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<m:r><m:t>A=π</m:t></m:r><m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>", "A=πr^2"),
        ("<m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>", "(a+b)/2"),
        ("<m:rad><m:deg/><m:e><m:r><m:t>x</m:t></m:r></m:e></m:rad>", "√x"),
        ("<m:sSub><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sub><m:r><m:t>i</m:t></m:r></m:sub></m:sSub>", "x_i"),
        ("<m:d><m:e><m:r><m:t>a</m:t></m:r></m:e></m:d>", "(a)"),
        ('<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub><m:r><m:t>i=1</m:t></m:r></m:sub><m:sup><m:r><m:t>n</m:t></m:r></m:sup><m:e><m:r><m:t>i</m:t></m:r></m:e></m:nary>', "∑_(i=1)^n i"),
        ("<m:m><m:mr><m:e><m:r><m:t>1</m:t></m:r></m:e><m:e><m:r><m:t>2</m:t></m:r></m:e></m:mr></m:m>", "[1 2]"),
    ],
)  # fmt: skip
def test_formula_is_text(formula: str, text: str) -> None:
    body = f'<w:p><w:r><w:t xml:space="preserve">So </w:t></w:r><m:oMath {MATH}>{formula}</m:oMath></w:p>'
    assert load(docx(body)) == f"So {text}\n"


def test_formula_that_is_nested_without_end_is_its_text() -> None:
    deep = "<m:e>" * 200 + "<m:r><m:t>x</m:t></m:r>" + "</m:e>" * 200
    assert load(docx(f"<w:p><m:oMath {MATH}>{deep}</m:oMath></w:p>")) == "x\n"
    assert omml.MAX_DEPTH < 200


def test_clauses_have_the_numbers_that_word_shows() -> None:
    body = "".join([
        numbered("Rent is due monthly."), paragraph("By transfer."), numbered("Two rents."),
        numbered("It bears interest.", 1), numbered("It is returned.", 1), numbered("Pets.", 0), numbered("Dogs.", 1),
    ])  # fmt: skip
    found = load(docx(body, numbering(("decimal", "Article %1"), ("lowerLetter", "(%2)"), start=5)))
    assert found.split("\n\n") == [
        "Article 5 Rent is due monthly.", "By transfer.", "Article 6 Two rents.", "(a) It bears interest.",
        "(b) It is returned.", "Article 7 Pets.", "(a) Dogs.\n",
    ]  # fmt: skip


def test_headings_are_numbered_by_their_level() -> None:
    body = numbered("Scope", 0, "Heading1") + numbered("Terms", 1, "Heading2") + numbered("More", 1, "Heading2")
    found = load(docx(body, numbering(("upperRoman", "%1."), ("decimal", "%1.%2"))))
    assert found == "# I. Scope\n\n## I.1 Terms\n\n## I.2 More\n"


def test_list_may_begin_anew() -> None:
    lists = numbering(("decimal", "%1."))["word/numbering.xml"]
    again = '<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>'
    more = {"word/numbering.xml": lists.replace("</w:numbering>", f"{again}</w:numbering>")}
    second = numbered("c").replace('w:numId w:val="1"', 'w:numId w:val="2"')
    body = numbered("a") + numbered("b") + second + second.replace(">c<", ">d<")
    assert load(docx(body, more)) == "1. a\n\n2. b\n\n1. c\n\n2. d\n"


LIST = '<w:num w:numId="2"><w:abstractNumId w:val="0"/>{}</w:num>'


def second_list(override: str, *levels: tuple[str, str]) -> dict[str, str]:
    lists = numbering(*levels)["word/numbering.xml"]
    return {"word/numbering.xml": lists.replace("</w:numbering>", f"{LIST.format(override)}</w:numbering>")}


def test_list_may_have_levels_of_its_own() -> None:
    own = '<w:lvlOverride w:ilvl="0"><w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1)"/></w:lvl></w:lvlOverride>'
    second = numbered("b").replace('w:numId w:val="1"', 'w:numId w:val="2"')
    assert load(docx(numbered("a") + second, second_list(own, ("decimal", "%1.")))) == "1. a\n\nII) b\n"


def test_deeper_level_begins_where_its_list_says() -> None:
    own = '<w:lvlOverride w:ilvl="1"><w:startOverride w:val="4"/></w:lvlOverride>'
    body = "".join(
        numbered(text, level).replace('w:numId w:val="1"', 'w:numId w:val="2"') for text, level in (("a", 0), ("b", 1))
    )
    found = load(docx(body, second_list(own, ("decimal", "%1."), ("decimal", "%1.%2"))))
    assert found == "1. a\n\n1.4 b\n"


def test_level_may_go_on_counting_below_higher_ones() -> None:
    lists = numbering(("decimal", "Part %1"), ("decimal", "Article %2"))["word/numbering.xml"]
    going_on = lists.replace('<w:lvl w:ilvl="1">', '<w:lvl w:ilvl="1"><w:lvlRestart w:val="0"/>')
    body = numbered("A") + numbered("a", 1) + numbered("B") + numbered("b", 1)
    assert load(docx(body, {"word/numbering.xml": going_on})).split("\n\n")[-1] == "Article 2 b\n"


def test_paragraph_that_is_struck_out_takes_no_number() -> None:
    struck = numbered("").replace("</w:numPr>", '</w:numPr><w:rPr><w:del w:id="1"/></w:rPr>')
    found = load(docx(numbered("a") + struck + numbered("b"), numbering(("decimal", "%1."))))
    assert found.split("\n\n")[-1] == "2. b\n"


COMPATIBLE = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
BOX = "<w:txbxContent>{}</w:txbxContent>"


def test_text_box_is_numbered_and_read_once() -> None:
    box = BOX.format(numbered("in a box"))
    both = f"<mc:AlternateContent {COMPATIBLE}><mc:Choice>{box}</mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent>"
    body = numbered("a") + f"<w:p><w:r>{both}</w:r></w:p>" + numbered("b")
    assert load(docx(body, numbering(("decimal", "%1.")))).split("\n\n") == ["1. a", "2. in a box", "3. b\n"]


FIELD = '<w:fldSimple w:instr="DATE"><w:r><w:t>kept</w:t></w:r></w:fldSimple>'
BOXED = BOX.format(f"<w:p>{FIELD}</w:p>")
WRAPPED = [
    FIELD, f'<w:bdo w:val="rtl">{FIELD}</w:bdo>', f'<w:dir w:val="ltr">{FIELD}</w:dir>', f"<w:hyperlink>{FIELD}</w:hyperlink>",
    f'<w:r><w:pict><v:oval xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox>{BOXED}</v:textbox></v:oval></w:pict></w:r>',
    f"<w:r><w:drawing><w:graphic>{BOXED}</w:graphic></w:drawing></w:r>",
]  # fmt: skip


@pytest.mark.parametrize("wrapped", WRAPPED, ids=["field", "bdo", "dir", "link", "ellipse", "drawing"])
def test_wrapped_text_is_read(wrapped: str) -> None:
    assert load(docx(f"<w:p>{wrapped}</w:p>")) == "kept\n"


def test_header_is_one_line_with_its_text_box_once() -> None:
    box = BOX.format(paragraph("Secret"))
    both = f"<mc:AlternateContent {COMPATIBLE}><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    line = f"<w:p><w:r><w:t>Left</w:t><w:tab/><w:t>Right</w:t></w:r><w:r>{both}</w:r></w:p>"
    section = f'<w:sectPr {REFERENCES}><w:headerReference r:id="rIdH"/></w:sectPr>'
    more = {**related(rIdH="header1.xml"), "word/header1.xml": f"<w:hdr {NAMESPACE}>{line}</w:hdr>"}
    assert load(docx(paragraph("Body.") + section, more)) == "Left Right Secret\n\nBody.\n"


def test_formulas_below_one_another_stay_apart() -> None:
    one, two = (f"<m:oMath><m:r><m:t>{text}</m:t></m:r></m:oMath>" for text in ("a=1", "b=2"))
    rows = "<m:eqArr><m:e><m:r><m:t>x</m:t></m:r></m:e><m:e><m:r><m:t>y</m:t></m:r></m:e></m:eqArr>"
    assert load(docx(f"<w:p><m:oMathPara {MATH}>{one}{two}</m:oMathPara></w:p>")) == "a=1; b=2\n"
    assert load(docx(f"<w:p><m:oMath {MATH}>{rows}</m:oMath></w:p>")) == "x; y\n"


def test_formula_in_a_footnote_is_read() -> None:
    note = f'<w:footnote w:id="2"><w:p><w:r><w:t>Or </w:t></w:r><m:oMath {MATH}><m:r><m:t>E=h</m:t></m:r></m:oMath></w:p></w:footnote>'
    more = {
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{OFFICE}/package/2006/relationships"><Relationship Id="rId1" Type="{OFFICE}/officeDocument/2006/relationships/footnotes" Target="footnotes.xml"/></Relationships>',
        "word/footnotes.xml": f"<w:footnotes {NAMESPACE}>{note}</w:footnotes>",
    }
    body = '<w:p><w:r><w:t>See.</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    assert load(docx(body, more)) == "See.[1]\n\n1. Or E=h\n"


def test_main_part_may_have_another_name() -> None:
    renamed = RELATIONS.replace("word/document.xml", "word/document2.xml")
    body = numbered("a")
    members = {
        "[Content_Types].xml": CONTENT_TYPES.replace("document.xml", "document2.xml"),
        "_rels/.rels": renamed,
        "word/document2.xml": f"<w:document {NAMESPACE}><w:body>{body}</w:body></w:document>",
        **numbering(("decimal", "%1.")),
    }
    assert load(zipped(members)) == "1. a\n"


def test_bullets_stay_a_list() -> None:
    assert load(docx(numbered("one") + numbered("two"), numbering(("bullet", "•")))) == "- one\n- two\n"


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [(4, "lowerRoman", "iv"), (1994, "upperRoman", "MCMXCIV"), (27, "upperLetter", "AA"), (3, "decimalZero", "03"), (7, "hebrew1", "7"), (0, "upperLetter", "0")],
)  # fmt: skip
def test_formats_of_numbers(value: int, number_format: str, shown: str) -> None:
    assert docx_numbering.format_number(value, number_format) == shown


def test_base_of_a_ruby_is_read_and_line_breaks_are_kept() -> None:
    ruby = "<w:r><w:ruby><w:rt><w:r><w:t>かんじ</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>漢字</w:t></w:r></w:rubyBase></w:ruby></w:r>"
    body = f"<w:p>{ruby}<w:r><w:t>を</w:t><w:cr/><w:t>書く</w:t></w:r></w:p>"
    assert load(docx(body)) == "漢字を  \n書く\n"


def test_hidden_text_is_not_read() -> None:
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
    assert load(docx(f"<w:p><w:r><w:t>shown</w:t></w:r>{hidden}</w:p>")) == "shown\n"


def test_hidden_text_that_is_switched_on_again_is_read() -> None:
    shown = '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>shown</w:t></w:r>'
    assert load(docx(f"<w:p>{shown}</w:p>")) == "shown\n"


def test_bullets_by_style_stay_a_list() -> None:
    level = '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:pStyle w:val="ListBullet"/><w:lvlText w:val="•"/></w:lvl>'
    lists = f'<w:abstractNum w:abstractNumId="0">{level}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    body = paragraph("one", "ListBullet") + paragraph("two", "ListBullet")
    assert (
        load(docx(body, {"word/numbering.xml": f"<w:numbering {NAMESPACE}>{lists}</w:numbering>"})) == "- one\n- two\n"
    )


def test_headers_and_footers_are_read_once() -> None:
    header = f"<w:hdr {NAMESPACE}>{paragraph('Contract No. 4471')}{paragraph('7')}</w:hdr>"
    footer = f"<w:ftr {NAMESPACE}>{paragraph('Draft')}</w:ftr>"
    references = '<w:headerReference w:type="{}" r:id="rIdH"/>'
    section = f'<w:sectPr {REFERENCES}>{references.format("default")}{references.format("first")}<w:footerReference r:id="rIdF"/></w:sectPr>'
    more = {**related(rIdH="header1.xml", rIdF="footer1.xml"), "word/header1.xml": header, "word/footer1.xml": footer}
    assert load(docx(paragraph("Body.") + section, more)) == "Contract No. 4471\n\nBody.\n\nDraft\n"


CHUNK = f'<w:altChunk {REFERENCES} r:id="rId7"/>'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part.html", b"<!DOCTYPE html><p>The contract.</p>"),
        ("part.docx", docx(paragraph("The contract."))),
        ("part.txt", b"The contract."),
        (
            "part.mht",
            b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>The=20contract.</p>\r\n--x--\r\n",
        ),
        ("german.html", '<meta charset="iso-8859-1"><p>The contract.</p>'.encode("latin-1")),
    ],
)
def test_embedded_part_is_read_in_its_place(name: str, content: bytes) -> None:
    data = docx(paragraph("Before.") + CHUNK + paragraph("After."), {**related(rId7=name), f"word/{name}": content})
    assert load(data) == "Before.\n\nThe contract.\n\nAfter.\n"


def test_document_with_marks_of_private_use_keeps_its_embedded_part_in_its_place() -> None:
    body = paragraph("\ue0f00\ue0f0") + paragraph("\uf0b7 Before.") + CHUNK
    data = docx(body, {**related(rId7="part.txt"), "word/part.txt": b"The contract."})
    assert load(data) == "\ue0f00\ue0f0\n\nBefore.\n\nThe contract.\n"


def test_embedded_part_in_a_cell_stays_in_its_row() -> None:
    cell = f"<w:tc>{CHUNK}{paragraph('x')}</w:tc>"
    body = table(("Name", "Value")).replace("</w:tbl>", f"<w:tr>{cell}<w:tc>{paragraph('2')}</w:tc></w:tr></w:tbl>")
    found = load(docx(body, {**related(rId7="part.txt"), "word/part.txt": b"One\n\ntwo."}))
    assert "One two." in next(line for line in found.split("\n") if "| 2 |" in line)


def test_embedded_part_that_cannot_be_read_is_named() -> None:
    for name, content in (("a.rtf", b"{\\rtf1 x}"), ("a.docx", b"PK nothing")):
        data = docx(paragraph("Before.") + CHUNK, {**related(rId7=name), f"word/{name}": content})
        found = DocxLoader().load(data)
        assert found.text == "Before.\n"
        assert [warning.startswith(f"The embedded part {name} was left out: ") for warning in found.warnings] == [True]


def test_document_in_a_document_has_an_end() -> None:
    data = docx(paragraph("innermost"))
    for _ in range(6):
        data = docx(paragraph("level") + CHUNK, {**related(rId7="a.docx"), "word/a.docx": data})
    found = DocxLoader().load(data)
    assert "innermost" not in found.text
    assert found.warnings == ("The embedded part a.docx was left out: documents are embedded too deep.",)


def test_parts_that_are_not_text_may_be_large_and_of_any_kind() -> None:
    more = {
        "word/media/a.bmp": bytes(30_000_000),
        "word/embeddings/a.xlsx": zipped({"a": "b"}),
        "word/fonts/a.odttf": b"x",
    }
    assert load(docx(paragraph("x"), more)) == "x\n"


def test_embedded_bomb_is_bounded() -> None:
    more = {**related(rId7="a.html"), "word/a.html": bytes(50_000_000)}
    with pytest.raises(UnreadableDocument, match="too large when unpacked"):
        load(docx(paragraph("x") + CHUNK, more))
