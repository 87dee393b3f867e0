"""One text as PDFs of different producers, read in the order of its words; `pdfs/README.md` has how each was made."""

import io
import re
from pathlib import Path

import pypdfium2
import pytest
from pypdfium2 import raw

from chatbot.rag.loaders.pdf import PdfLoader
from tests.support.word_order import count_common, split_words

FOLDER = Path(__file__).parent / "pdfs"
PRODUCERS = sorted(path.stem for path in FOLDER.glob("*.pdf"))
TEX_CODES = {"dvipdfmx", "ghostscript"}  # ligatures and accents that pdfium does not put together
MIN_SHARE = 0.98
TURNS = [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
BETWEEN_PARTS = re.compile("[\x02\ufffe](?:\r\n)?")  # of a word at the end of a line


def read(producer: str) -> list[str]:
    return split_words(PdfLoader().load((FOLDER / f"{producer}.pdf").read_bytes()).text)


def read_with_pdfium(producer: str) -> list[str]:
    with pypdfium2.PdfDocument(FOLDER / f"{producer}.pdf") as document:
        texts = [page.get_textpage().get_text_range() for page in document]
    return split_words(BETWEEN_PARTS.sub("", "\n".join(texts)))


@pytest.mark.parametrize("producer", PRODUCERS)
def test_words_are_those_of_the_source_in_order(producer: str) -> None:
    source = split_words((FOLDER / "source.txt").read_text())
    found = read(producer)
    assert count_common(found, source) >= MIN_SHARE * max(len(source), len(found))


@pytest.mark.parametrize("producer", [name for name in PRODUCERS if name not in TEX_CODES])
def test_words_are_those_of_pdfium_in_order(producer: str) -> None:
    theirs = read_with_pdfium(producer)
    assert count_common(read(producer), theirs) >= MIN_SHARE * len(theirs)


def turn(path: Path, matrix: tuple[float, ...]) -> bytes:
    """Return a document with the content of its pages in another direction."""
    with pypdfium2.PdfDocument(path) as document:
        for number in range(len(document)):
            page = document[number]
            width, height = page.get_size()
            at = ((width, 0), (width, height), (0, height))[TURNS.index(matrix)]
            assert raw.FPDFPage_TransFormWithClip(page.raw, raw.FS_MATRIX(*matrix, *at), None)
        turned = io.BytesIO()
        document.save(turned)
    return turned.getvalue()


@pytest.mark.parametrize("matrix", TURNS, ids=["left", "upside down", "right"])
@pytest.mark.parametrize("producer", [name for name in PRODUCERS if name not in TEX_CODES])
def test_turned_pages_are_read_as_upright_ones(producer: str, matrix: tuple[float, ...]) -> None:
    turned = PdfLoader().load(turn(FOLDER / f"{producer}.pdf", matrix)).text
    assert split_words(turned) == read(producer)


@pytest.mark.parametrize("producer", sorted(TEX_CODES))
def test_ligatures_and_accents_of_tex_are_letters(producer: str) -> None:
    found = read(producer)
    for word in ("office", "efficient", "fluffy", "first", "Café", "señores", "Müller", "naïve", "façade", "Øresund"):
        assert word in found


def test_words_in_common_are_counted_in_order() -> None:
    assert count_common(["a", "b", "c"], ["b", "x", "c", "a"]) == 2
    assert count_common([], ["a"]) == count_common(["a"], []) == 0
    assert split_words("ﬁne, “self-made”") == ["fine", "self", "made"]
