"""The type of a file, and the names that it may have."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.errors import TypeMismatch, UnsupportedType
from chatbot.rag.loaders.sniffing import DOCX, PDF, UNTITLED, media_type, of_fetched, title
from tests.rag.loaders.samples import docx, paragraph, pdf, shown, zipped

PAPER = pdf(shown("x"))
WORD = docx(paragraph("x"))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
NOISE = bytes(range(1, 256)) * 4


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", b"text", "text/plain"),
        ("a.TXT ", b"", "text/plain"),
        ("a.txt", "text".encode("utf-16"), "text/plain"),
        ("a.txt", b"\xe4\xf6\xfc", "text/plain"),
        ("../../a.md", b"# x", "text/markdown"),
        ("a.b.markdown", b"# x", "text/markdown"),
        ("a.htm", b"<p>x", "text/html"),
        ("a.html", "<!doctype html>".encode("utf-16"), "text/html"),
        ("a.csv", b"a,b\n1,2", "text/csv"),
        ("a.pdf", PAPER, PDF),
        ("a.pdf", b"\n\n" + PAPER, PDF),
        ("a.pdf", b" " * 2_000 + PAPER, PDF),
        ("a.txt", "a text of some length\n".encode("utf-16-le"), "text/plain"),
        ("a.txt", b"some words and a stray \0 among them, as careless programs leave it", "text/plain"),
        ("a.docx", WORD, DOCX),
    ],
)
def test_type_is_what_name_and_content_say(name: str, data: bytes, expected: str) -> None:
    assert media_type(name, data) == expected


@pytest.mark.parametrize(
    ("told", "names", "data", "expected"),
    [
        ("application/octet-stream", ("terms.pdf", "download"), PAPER, PDF),
        ("application/vnd.ms-excel", ("export.csv", "csv"), b"name,town\nOlu,Leeds\n", "text/csv"),
        ("application/xhtml+xml", ("x",), b"<html><p>x</p></html>", "text/html"),
        ("application/x-pdf", ("x",), PAPER, PDF),
        ("", ("page",), b"<html><p>x</p></html>", "text/html"),
        ("", ("paper",), PAPER, PDF),
        ("text/x-markdown", ("x",), b"# x", "text/markdown"),
        ("text/html", ("x",), b"a line without a tag", "text/html"),
        ("text/html", ("terms.pdf",), PAPER, PDF),
        ("text/plain", ("a.docx",), WORD, DOCX),
    ],
)
def test_type_of_a_fetched_file_is_the_first_true_one(
    told: str, names: tuple[str, ...], data: bytes, expected: str
) -> None:
    assert of_fetched(told, names, data) == expected


@pytest.mark.parametrize(
    ("told", "names", "data", "error"),
    [
        ("application/json", ("x.json",), b"{}", UnsupportedType),
        ("", ("x",), b"plain words", UnsupportedType),
        ("application/pdf", ("x.pdf",), b"plain words", TypeMismatch),
        ("text/html", ("x",), PNG, TypeMismatch),
    ],
)
def test_fetched_file_of_another_type_is_refused(
    told: str, names: tuple[str, ...], data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        of_fetched(told, names, data)


@pytest.mark.parametrize(
    "name",
    ["", "pdf", "a.exe", "a.pdf\0.exe", "a.pdf\0", "a.doc", "a.pdf.", "a.zip", "a.pdf/", "a.txt:evil", "a.ｐｄｆ"],
)
def test_other_formats_are_unsupported(name: str) -> None:
    with pytest.raises(UnsupportedType, match=r"txt, md, markdown, html, htm, csv, pdf, docx"):
        media_type(name, PAPER)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", PAPER), ("a.txt", WORD), ("a.txt", PNG), ("a.txt", b"a\0b"), ("a.txt", NOISE), ("a.md", b"{\\rtf1 x}"),
        ("a.csv", WORD), ("a.csv", b"\x1f\x8b\x08abc"), ("a.html", b"no tag at all"), ("a.html", PAPER), ("a.html", b""),
        ("a.pdf", b"text"), ("a.pdf", WORD), ("a.pdf", b""), ("a.docx", PAPER),
        ("a.docx", zipped({"x": "y"})), ("a.docx", zipped({"word/document.xml": ""})), ("a.docx", b"x" + WORD),
        ("a.txt", "text".encode("utf-16-le")), ("a.md", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ],
)  # fmt: skip
def test_lying_names_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(TypeMismatch, match=r"^The file's name says .*, but its content is something else\.$"):
        media_type(name, data)


NAMES = [
    ("report.pdf", "report"), ("Report 2020.v2.docx", "Report 2020.v2"), ("a.tar.gz", "a.tar.gz"), ("notes", "notes"),
    ("Größe.md", "Größe"), ("你好.txt", "你好"), ("a_b-c.txt", "a_b-c"), ("C++ guide.html", "C++ guide"),
    ("../../etc/passwd", "passwd"), ("..\\..\\windows\\win.ini", "win.ini"), ("/etc/passwd", "passwd"),
    ("C:\\temp\\a.txt", "a"), ("C:a.txt", "a"), ("\\\\host\\share\\a.txt", "a"), ("file:///etc/passwd", "passwd"),
    ("..", UNTITLED), (".", UNTITLED), ("", UNTITLED), ("/", UNTITLED), ("...", UNTITLED), (" ", UNTITLED),
    (".pdf", UNTITLED), ("../", UNTITLED), ("a/..", "a"), ("~root", "root"), ("~/.ssh/id", "id"), (".hidden", "hidden"),
    (".htaccess.txt", "htaccess"), ("%2e%2e%2fpasswd", "passwd"), ("%252e%252e%252fpasswd", "passwd"),
    ("..%c0%af..%c0%afx.txt", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}..\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}x"),
    ("%00", UNTITLED), ("%2F%2F", UNTITLED), ("%5c..%5cx.md", "x"), ("．．／．．／passwd", "passwd"), ("％２ｅ％２ｅ％２ｆpasswd", "passwd"),
    ("a．ｐｄｆ", "a"), ("a＼b.txt", "b"), ("a\0.txt", "a"), ("\0", UNTITLED), ("a\0/../b.txt", "b"), ("a\nb\r.txt", "a b"),
    ("a\tb.txt", "a b"), ("\x1b[31mred.txt", "[31mred"), ("a\u202egnp.txt", "a gnp"), ("\u2066a\u2069.txt", "a"), ("\u200f.txt", UNTITLED),
    ("a\ud800b.txt", "a b"), ("a\ufeff.txt", "a"), ("a\u2028b.txt", "a b"), ("a\u00a0b.txt", "a b"),
    ("CON", "CON (document)"), ("con.txt", "con (document)"), ("NUL.tar.gz", "NUL.tar.gz (document)"), ("aux.md", "aux (document)"), ("COM1", "COM1 (document)"),
    ("LPT9.txt", "LPT9 (document)"), ("CON .txt", "CON (document)"), ("console.txt", "console"), ("a" * 4096 + ".txt", "a" * 200),
    ("../" * 1365, UNTITLED), ("%25" * 1365, None), ("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 4096, None), ("\N{COMBINING ACUTE ACCENT}" * 4096, None),
    ("a.txt" * 20_000, None), ("%" * 4096, "%" * 200), ("a" * 199 + ". b.txt", "a" * 199),
]  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), NAMES, ids=range(len(NAMES)))
def test_any_name_makes_a_safe_title(name: str, expected: str | None) -> None:
    made = title(name)
    assert_safe(made)
    assert expected is None or made == expected


@given(st.one_of(st.text(st.characters(codec=None)), st.text("./\\%2eEfF5cC:~ \0\u202eCONnul1", max_size=40)))
def test_no_name_makes_an_unsafe_title(name: str) -> None:
    assert_safe(title(name))


def assert_safe(made: str) -> None:
    assert 1 <= len(made) <= 200
    assert not set(made) & set("/\\")
    assert not made.startswith((".", "~", " "))
    assert not made.endswith((".", " "))
    assert all(unicodedata.category(char)[0] != "C" for char in made)
    made.encode()
    assert made.split(".")[0].upper() not in {"CON", "NUL", "AUX", "PRN", "COM1", "LPT1"} or " (" in made
