"""Unicode maps of PDFs that producers have spoiled."""

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import pdf, shown

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
