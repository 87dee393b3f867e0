"""Each format: the result of a whole file, a broken one, an empty one and a bomb."""

import codecs
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag import registry
from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.loaders import plain
from chatbot.rag.loaders.sniffing import DOCX, PDF
from chatbot.rag.types import Parsed
from tests.rag.loaders.samples import core, docx, paragraph, pdf, shown, table, zipped

PAGE = """<!doctype html><html><head><title>Rules &amp; more</title><style>p {}</style><script>alert(1)</script></head>
<body><h1>Rules</h1><p>Some   <b>bold</b> and <a href="https://example.org/a_b">a link</a>.</p>
<ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul><table><tr><th>A</th><th>B|b</th></tr><tr><td>1</td><td>2</td>
</tr></table><pre><code class="language-py">def f():
    return 1
</code></pre><p hidden>secret</p><img src="data:image/png;base64,AAAA" alt="x"></body></html>"""


def load(media_type: str, data: bytes) -> Parsed:
    result: Parsed = registry.load("loaders", media_type)().load(data)
    return result


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        ("Größe 你好".encode(), "Größe 你好"),
        (codecs.BOM_UTF8 + "Größe".encode(), "Größe"),
        ("Größe 😀".encode("utf-16"), "Größe 😀"),
        (codecs.BOM_UTF16_BE + "Größe".encode("utf-16-be"), "Größe"),
        ("Größe".encode("utf-32"), "Größe"),
        (codecs.BOM_UTF16_LE + b"a\0\x00\xd8b\0", "a\ufffdb"),
        ("Größe".encode("latin-1"), "Größe"),
        (b"\x93quoted\x94 \x80", "“quoted” €"),
        (b"\x81\xe9", "é"),
        (b"a\0b\x07c\x0cd", "abc\nd"),
        ("a\u2028b\ufeff\x85c".encode(), "a\nb\nc"),
    ],
)
def test_text_is_decoded_and_clean(data: bytes, text: str) -> None:
    assert load("text/plain", data).text == text


@given(
    st.one_of(st.binary(), st.text(st.characters(codec=None)).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_no_bytes_make_text_that_cannot_be_stored(data: bytes) -> None:
    text = plain.decode(data)
    assert text.encode().decode() == text
    assert not set(text) & set("\0\r\x0b\x0c\x85\u2028")


def test_surrogates_that_belong_together_become_one_character() -> None:
    assert plain.clean("a\ud83d\ude00b\ud800c") == "a😀bc"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Head #\n\ntext", "Head"),
        ("text\n\n# Head", "Head"),
        ("```\n# comment\n```\n# Head", "Head"),
        ("~~~\n```\n# comment\n~~~\n# Head", "Head"),
        ("Head\n====\n", "Head"),
        ("## Second", None),
        ("#hashtag", None),
        ("#   \n", None),
    ],
)
def test_markdown_is_titled_by_its_first_heading(text: str, title: str | None) -> None:
    assert load("text/markdown", text.encode()) == Parsed(text, title)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("**un**believable, un**believ**able and *The long wo*rd.", "unbelievable, unbelievable and The long word."),
        ("| 这是**人工**智能 |", "| 这是人工智能 |"),
        ("A **bold** word, **Note:**yes, 2**3**4, a*b*c, 2 * 3 * 4, \\*a*b", "A **bold** word, **Note:**yes, 2**3**4, a*b*c, 2 * 3 * 4, *a*b"),
        ("`x**y**z` and ``x**y**z``\n\n```\nx**y**z\n```\nb**c**d\n\n    x**y**z\n", "`x**y**z` and ``x**y**z``\n\n```\nx**y**z\n```\nbcd\n\n    x**y**z\n"),
        ("one\\\ntwo \\\nthree\\\\\nfour\n```\ncurl\\\n-x\n```", "one  \ntwo \\\nthree\\\\\nfour\n```\ncurl\\\n-x\n```"), (r"C\# of ann\@example.org, it\'s 5\$", "C# of ann@example.org, it's 5$"), ("\\# no heading\n  \\* no item", "\\# no heading\n  \\* no item"), (r"`C\#` and \[x\] and \(y\) and \\#", r"`C\#` and \[x\] and \(y\) and \\#"),
    ],
)  # fmt: skip
def test_marks_in_words_and_at_line_ends_of_markdown_are_left_out(text: str, read: str) -> None:
    assert load("text/markdown", text.encode()).text == read


def test_html_keeps_headings_lists_tables_and_code_and_drops_what_is_not_seen() -> None:
    found = load("text/html", PAGE.encode())
    assert found.title == "Rules & more"
    for part in (
        "# Rules\n", "Some **bold** and [a link](https://example.org/a_b).", "- one\n  - inner\n- two\n",
        "| A | B\\|b |\n| --- | --- |\n| 1 | 2 |\n", "```py\ndef f():\n    return 1\n```",
    ):  # fmt: skip
        assert part in found.text
    for part in ("alert", "secret", "base64", "p {}", "---\ntitle"):
        assert part not in found.text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('<meta charset="shift_jis"><p>日本'.encode("shift_jis"), "日本\n"),
        (b'<meta charset="iso-8859-1"><p>\x93x\x94', "“x”\n"),
        (b'<meta charset="nonsense"><p>\xe9', "é\n"),
        ("<p>日本".encode("utf-16"), "日本\n"),
        (b"<p>&#0;&#xD800;x", "\ufffd\ufffdx\n"),
    ],
)
def test_html_is_decoded_as_it_declares(data: bytes, text: str) -> None:
    assert load("text/html", data).text == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<form><input type=hidden value=x><h1>Rules</h1><p>Return the keys.</p></form>", "# Rules\n\nReturn the keys.\n"),
        ("<p>No.<input value='KX-4471'><input type=checkbox checked> insured <input type=radio> not</p>", "No. KX-4471 [x] insured [ ] not\n"),
        ("<p>Size <select><option>Small<option selected>Large</select></p>", "Size Small Large\n"),  # as Chromium's innerText: options are data
        ("<p>City <input list=c value=Ulm><datalist id=c><option value=Bonn>The old capital</option><option>Ulm</datalist>end</p>", "City Ulm end\n"),
        ("<details><summary>Refunds</summary><p>Within 30 days.</p></details>", "**Refunds**\n\nWithin 30 days.\n"),
        ("<p><input type=checkbox class='checked:bg-blue' aria-checked=false>a<input data-value=s type=text><input type=hidden value=x data-type=text></p>", "[ ] a\n"),
        ("<p><i>demur</i>rage, <b>H</b>yper<b>T</b>ext, un<em>believ</em>able, <b>bold</b> word, 2*3*4</p>", "demurrage, HyperText, unbelievable, **bold** word, 2*3*4\n"),
        ("<p><b>The long wo</b>rd, <b>On th</b><i>e first</i> <B class=a><span>d</span></B>ay, <b><i>un</i></b>real <b>now</b>. <b>Note:</b>yes</p>", "The long word, On the first day, unreal **now**. **Note:**yes\n"),
        ("<p>Donau&shy;dampf mega&#8203;corporation</p>", "Donaudampf megacorporation\n"),
        ("<h1>Manual<a href='#manual' title='Permalink'>¶</a></h1>", "# Manual\n"),
        ("<table><tr><td>Menu</td><td><h1>Pump</h1><p>First.</p><p>Second.</p></td></tr></table>", "Menu\n\n# Pump\n\nFirst.\n\nSecond.\n"),
        ("<table><tr><th>A</th></tr><tr><td>1</td></tr></table>", "| A |\n| --- |\n| 1 |\n"),
        ("<p>a<dialog class=open>b</dialog> c</p><dialog open><p>d</dialog>", "a c\n\nd\n"),
        ("<p>x<svg><title>y</title><g><text>svg <tspan>word</tspan></text><text>two</text><path/></g></svg><svg/> z", "x svg word two z\n"),
        ("<p>Kept.</p><svg><p>Never closed.", "Kept.\n\nNever closed.\n"),
        ("<blockquote>one two\n  three<br>four <i>f</i>\nsix</blockquote>", "> one two three  \n> four *f* six\n"),
        ("<p>日本\n 語は、\n次のWeb\nと</p><p>a\nb</p><pre>日本\n語</pre>", "日本語は、次のWeb と\n\na b\n\n```\n日本\n語\n```\n"),
        ("<p style='white-space: pre-line'>a\nb", "a\nb\n"),
        ("<header class=site-header><nav><a href=/>Home</a></nav><h1>Kettle</h1><p>It sings.</p></header><header class=site-header><nav>a</nav></header><p>x", "# Kettle\n\nIt sings.\n\nx\n"),
        ("<p>z <a href=/c><img src=x alt=y></a> exam<a id=p></a>ple</p><a href=/users>/users</a><blockquote cite=x>q</blockquote>", "z example\n\n[/users](/users)\n\n> q\n"),
        ("<p>Wet.<sup><a href='#n1'>[1]</a></sup> Slow<a href='#n2'>2</a></p><ol><li><a href='#r1'>↑</a> Miller.</li><li>See there. <a href='#r2'>↩\ufe0e</a></li></ol>", "Wet.[1] Slow[2]\n\n1. Miller.\n2. See there.\n"),
        ("<p>10<sup>-3</sup> km<sup>2</sup> (a)<sup>2</sup> in 2019<sup>3</sup> word<sup>1</sup>. 1<sup>st</sup> 利用<sup>2</sup></p><p>- a", "10⁻³ km² (a)² in 2019[3] word[1]. 1st 利用[2]\n\n- a\n"),
        ("<p>a<abbr title=World>W</abbr>b<iframe src=x>none</iframe><iframe src=y /> c", "aWb c\n"),
        ("<blockquote><div>" * 100 + "The oldest mail.", "The oldest mail.\n"),
        ("<script>var a='" + "x" * 50_000 + "'</script><p>Body.", "Body.\n"),
        ("<script>var a='<svg>';</script><p>The whole.</p><script>var b='</svg>';</script><p>end</p>", "The whole.\n\nend\n"),
        ("<!-- was: <svg> --><p>The whole.</p><!-- </svg> --><!--><p>Seen</p><style>a{content:'<svg>'}</style><p>end</p>", "The whole.\n\nSeen\n\nend\n"),
        ("<p>Chapter <a href='#c3'>3</a> of <code>[1](#n1)</code></p><pre>\\- e</pre>", "Chapter 3 of `[1](#n1)`\n\n```\n\\- e\n```\n"),
        ("<p>Back to<sup>1</sup> 5 m<sup>2</sup>, mc<sup>2</sup>, <i>v</i><sup>2</sup>, <b>10</b><sup>6</sup>, χ<sup>2</sup>, sin<sup>2</sup></p>", "Back to[1] 5 m\u00b2, mc\u00b2, v\u00b2, 10\u2076, χ\u00b2, sin\u00b2\n"),
    ],
    ids=["form", "fields", "options", "suggestions", "closed details", "other attributes", "marked parts of words", "marks that end in words", "invisible", "permalink", "layout", "table", "dialogs", "drawings", "open drawing", "wrapped quote", "wrapped source", "own line ends", "headers", "links of pictures", "notes", "raised", "tooltips", "quotes", "long head", "scripts", "comments", "code", "short words"],
)  # fmt: skip
def test_html_is_read_as_a_browser_shows_it(page: str, text: str) -> None:
    assert load("text/html", page.encode()).text == text


def test_title_and_charset_are_found_wherever_they_stand() -> None:
    late = (
        f"<!-- <meta charset=utf-8> --><script>{'x' * 5_000}</script><meta charset=shift_jis><title>案内</title><p>会議"
    )
    found = load("text/html", late.encode("cp932"))
    assert (found.title, found.text) == ("案内", "会議\n")
    declared = '<?xml version="1.0" encoding="iso-8859-2"?><html><p>Příliš žluťoučký kůň úpěl ďábelské ódy</p></html>'
    assert load("text/html", declared.encode("iso-8859-2")).text == "Příliš žluťoučký kůň úpěl ďábelské ódy\n"


def test_nothing_unseen_is_indexed() -> None:
    data = "Pump ![photo](data:image/png;base64,AAAA+/==) and data:font/woff;base64," + "A" * 100
    assert load("text/markdown", data.encode()).text == "Pump photo and "
    assert load("text/plain", b"\x1b[31mred\x1b[0m \x1b[2J").text == "red "
    assert load("text/plain", "a\u202eb\U000e0041c\u200dd".encode()).text == "abc\u200dd"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\uf0b7 First\n\ue0f0\tSecond\n", "First\nSecond\n"),
        ("Call \uf095 us (\U000f0001\U00100001) now\uf0e0.", "Call us () now."),
        ("Mr. 高\ue000橋 and m\ue665nd", "Mr. 高\ue000橋 and m\ue665nd"),  # letters of private alphabets
        ("\uf63812 or 12\uf638 (a slashed zero)", "\uf63812 or 12\uf638 (a slashed zero)"),
        ("• − 😀 ﬁ", "• − 😀 ﬁ"),
    ],
)
def test_marks_of_private_use_are_left_out(data: str, text: str) -> None:
    for media_type in ("text/plain", "text/markdown"):
        assert load(media_type, data.encode()).text == text


def test_html_without_title_is_titled_by_its_heading() -> None:
    assert load("text/html", b"<h1>Head</h1><p>x").title == "Head"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"name,born\nAda,1815\nAlan,1912\n", "name: Ada\nborn: 1815\n\nname: Alan\nborn: 1912"),
        (b"name;note\nAda;\"a;b\nc\"\n", "name: Ada\nnote: a;b c"),
        (b"name\tborn\nAda\t1815", "name: Ada\nborn: 1815"),
        (b"name,,\nAda,,x,y\n\n,,\nAlan\n", "name: Ada\ncolumn 3: x\ncolumn 4: y\n\nname: Alan"),
        (b"alone, \n", "alone"),
        (b"Nr;Text\n1;a, b, c, d\n2;e, f, g, h\n", "Nr: 1\nText: a, b, c, d\n\nNr: 2\nText: e, f, g, h"),
        (b'item;size\nmonitor;27";\nrail;3", low\n', 'item: monitor\nsize: 27"\n\nitem: rail\nsize: 3", low'),
        (b"2031-04-01,Bristol\n2031-04-02,Leeds\n", "column 1: 2031-04-01\ncolumn 2: Bristol\n\ncolumn 1: 2031-04-02\ncolumn 2: Leeds"),
        (b"Town,2019,2020\nYork,17.4,3\nHull,2,1\n", "Town: York\n2019: 17.4\n2020: 3\n\nTown: Hull\n2019: 2\n2020: 1"),
        (b'id,remark,town\n1,"never closed,Leeds\n2,"fine",York\n', "id: 1\nremark: never closed\ntown: Leeds\n\nid: 2\nremark: fine\ntown: York"),
        (b"Sales of May,,\n,,\nname,sold,left\nnut,3,4\nbolt,5,6\n", "Sales of May\n\nname: nut\nsold: 3\nleft: 4\n\nname: bolt\nsold: 5\nleft: 6"),
        (b"SEP=;\na;b\n1;2,3,4\n", "a: 1\nb: 2,3,4"),
        ("編号,名称\n17,ねじ回し\n".encode("cp932"), "編号: 17\n名称: ねじ回し"),
    ],
)  # fmt: skip
def test_each_row_of_csv_keeps_its_columns_names(data: bytes, text: str) -> None:
    assert load("text/csv", data).text == text


def test_pdf_knows_where_its_pages_begin() -> None:
    title = b"<< /Title (The rules) >>"
    found = load(PDF, pdf(shown("First page"), b"", shown("Third page"), trailer="/Info 10 0 R", more=(title,)))
    assert found == Parsed("First page\n\n\n\nThird page", "The rules", (0, 12, 14))
    assert found.text[found.pages[2] :] == "Third page"


def test_docx_keeps_headings_tables_and_title() -> None:
    body = paragraph("Rules", "Heading1") + paragraph("Text &amp; more.") + table(("A", "B"), ("1", "2"))
    found = load(DOCX, docx(body, core("The rules")))
    assert found == Parsed("# Rules\n\nText & more.\n\n| A | B |\n| --- | --- |\n| 1 | 2 |\n", "The rules")
    assert load(DOCX, docx(body)).title == "Rules"


def test_docx_may_have_a_sheet_behind_a_chart() -> None:
    data = docx(paragraph("x"), {"word/embeddings/sheet.xlsx": zipped({"a": "b"})})
    assert load(DOCX, data).text == "x\n"


ENCRYPTED = "/Encrypt << /Filter /Standard /V 1 /R 2 /O ({0}) /U ({0}) /P -4 >> /ID [(a) (a)]".format("x" * 32)
AES = "/Encrypt << /Filter /Standard /V 5 /R 6 /Length 256 /O ({0}) /U ({0}) /OE ({1}) /UE ({1}) /Perms ({2}) /P -4 /CF << /StdCF << /CFM /AESV3 /Length 32 >> >> /StmF /StdCF /StrF /StdCF >> /ID [(a) (a)]".format(
    "x" * 48, "x" * 32, "x" * 16
)
ENTITIES = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>'
TEXTLESS = "The document has no text."


@pytest.mark.parametrize(
    ("media_type", "data", "sentence"),
    [
        ("text/plain", b"", TEXTLESS),
        ("text/plain", b" \n\0\t", TEXTLESS),
        ("text/markdown", b"\n", TEXTLESS),
        ("text/html", b"<p></p><script>x</script>", TEXTLESS),
        ("text/csv", b",,\n", TEXTLESS),
        (PDF, pdf(b""), TEXTLESS),
        (DOCX, docx(""), TEXTLESS),
        (PDF, pdf(shown("x"), trailer=ENCRYPTED), "The PDF is encrypted."),
        (PDF, pdf(shown("x"), trailer=AES), "The PDF is encrypted."),
        (PDF, b"%PDF-1.4\nnothing", "The PDF is broken and cannot be read."),
        (PDF, pdf(shown("x"))[:200], "The PDF is broken and cannot be read."),
        (PDF, pdf(zlib.compress(bytes(80_000_000)), filters="/Filter /FlateDecode"), TEXTLESS),
        (DOCX, docx(paragraph("x"))[:-40], "The Word document is broken and cannot be read."),
        (DOCX, zipped({"word/x": "y"}), "The Word document is broken and cannot be read."),
        (DOCX, docx("<w:p>"), "The Word document is broken and cannot be read."),
        (DOCX, docx("x", {"word/a.xml": bytes(50_000_001)}), "A part of the Word document is too large when unpacked."),
        (DOCX, docx("x", {f"m{n}.xml": bytes(19_000_000) for n in range(6)}), "The Word document is too large when unpacked."),
        (DOCX, docx("x", {f"m{n}": "" for n in range(3_000)}), "The Word document has more than 3,000 parts."),
        (DOCX, docx(paragraph("x"), before=ENTITIES), "The Word document declares XML entities."),
        (DOCX, docx(paragraph("x"), {"docProps/core.xml": f"{ENTITIES}<a/>".encode("utf-16")}), "The Word document declares XML entities."),
        (DOCX, docx("<w:tbl><w:tr><w:tc>" * 5_000 + "</w:tc></w:tr></w:tbl>" * 5_000), "The Word document is broken and cannot be read."),
        ("text/html", b"<div>" * 1_000 + b"x", "The document's elements are nested too deep to be read."),
        ("text/html", b"<p>x" + b"\0" * 1_000 + b"<b>" * 500 + b"y", "The document's elements are nested too deep to be read."),
        ("text/csv", b'a,b\n"' + b"x" * 1_000_001 + b'",\n', "The CSV file is broken and cannot be read."),
        ("text/csv", b"x," * 5_001 + b"\n1,2\n", "The CSV file has more than 5,000 columns."),
        ("text/csv", b",".join([b"n" * 100] * 5_000) + b"\n" + (b"1," * 4_999 + b"1\n") * 50, "The document has more than 20,000,000 characters of text."),
        ("text/plain", b"x" * 20_000_001, "The document has more than 20,000,000 characters of text."),
    ],
    ids=range(27),
)  # fmt: skip
def test_file_that_gives_no_text_says_why(media_type: str, data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableDocument) as refused:
        load(media_type, data)
    assert str(refused.value) == sentence


def test_encrypted_member_of_a_docx_is_told() -> None:
    data = bytearray(docx(paragraph("x")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnreadableDocument, match="The Word document is encrypted"):
        load(DOCX, bytes(data))


@pytest.mark.parametrize("media_type", sorted(registry.ADAPTERS["loaders"]))
def test_every_cut_of_a_file_is_text_or_unreadable(media_type: str) -> None:
    whole = {PDF: pdf(shown("x"), shown("y")), DOCX: docx(paragraph("x")), "text/html": PAGE.encode()}
    data = whole.get(media_type, "a,b\nGröße,é\n".encode("utf-16"))
    for end in range(0, len(data), max(1, len(data) // 60)):
        try:
            text = load(media_type, data[:end]).text
        except UnreadableDocument as error:
            text = str(error)
        assert text.strip()
