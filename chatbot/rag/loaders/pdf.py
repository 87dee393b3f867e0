"""PDF: the text of each page in reading order, and where the pages begin."""

import ctypes
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.types import Parsed

from . import pdf_codes, pdf_maps, pdf_words, plain
from .pdf_layout import directions, order
from .pdf_layout.hyphens import Vocabulary, join_hyphens
from .pdf_layout.pages import Page, free_sentences
from .pdf_words import Word

if TYPE_CHECKING:
    import pypdfium2

MAX_PAGES = 10_000
MAX_NOTES = 1_000  # of a page
TOO_MANY_WORDS = f"has more than {pdf_words.MAX_WORDS:,} words; the others were left out"
BETWEEN_PAGES = "\n\n"
MAX_UNMAPPED = 0.3  # share of a page's words without a Unicode map that makes it unreadable
NO_MAP = "The PDF's text has no Unicode map: what it shows cannot be read."
TICKED = "[x]"


class PdfLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text, the pages' starts, and which pages could not be read.

        Raises UnreadableDocument when the file is encrypted with a password, broken, or has no text (scanned pages).
        """
        with plain.reading("PDF"), closing(_open_document(pdf_maps.repair_unicode_maps(data))) as document:
            pages = [_read_page(document, number) for number in range(len(document))]
            _leave_out_unmapped(pages)
            vocabulary = Vocabulary(page.text for page in pages)
            for page in pages:
                page.text = plain.clean(join_hyphens(page.text, vocabulary)).strip()
                page.notes = plain.clean(join_hyphens(page.notes, vocabulary)).strip()
            free_sentences(pages, vocabulary)
            if any(page.is_unmapped for page in pages) and not any(page.text for page in pages):
                raise UnreadableDocument(NO_MAP)
            return _build_parsed(pages, document.get_metadata_value("Title"))


def _open_document(data: bytes) -> "pypdfium2.PdfDocument":
    import pypdfium2
    from pypdfium2 import raw

    start = max(0, data.find(b"%PDF-"))  # some have bytes before it, and offsets that do not count them
    try:
        document = pypdfium2.PdfDocument(data[start:])
    except pypdfium2.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise UnreadableDocument("The PDF is encrypted.") from error
        raise
    if len(document) > MAX_PAGES:
        document.close()
        raise UnreadableDocument(f"The PDF has more than {MAX_PAGES:,} pages.")
    document.init_forms()
    return document


def _read_page(document: "pypdfium2.PdfDocument", number: int) -> Page:
    """Read a page; one that is broken costs itself alone."""
    import pypdfium2

    try:
        with _open_page(document, number) as (page, text_page, turn):
            found = pdf_words.read_words(text_page)
            direction = next(iter(found.by_direction), -page.get_rotation() // 90 % 4)  # of the fields' labels
            fields = list(_read_annotations(page, turn or direction))
    except pypdfium2.PdfiumError:
        return Page(fault="is broken")
    found.by_direction.setdefault(direction, []).extend(one.word for one in fields if one.word is not None)
    parts = [order.read(words) for words in found.by_direction.values()]
    texts = [*(part.text for part in parts), *(one.note for one in fields)]
    notes = pdf_codes.spell_out("\n".join(part.notes for part in parts if part.notes))
    fault = TOO_MANY_WORDS if found.words > pdf_words.MAX_WORDS else None
    text = pdf_codes.spell_out("\n\n".join(filter(None, texts)))
    return Page(text, notes, fault=fault, is_unmapped=found.unmapped > MAX_UNMAPPED * found.words)


@contextmanager
def _open_page(
    document: "pypdfium2.PdfDocument", number: int
) -> Iterator[tuple["pypdfium2.PdfPage", "pypdfium2.PdfTextPage", int]]:
    """Yield a page, its text, and the direction from which it was turned upright: pdfium reads others badly."""
    from pypdfium2 import raw

    with closing(document[number]) as page, closing(page.get_textpage()) as text_page:
        turn = directions.find_page_direction(text_page)
        if not turn:
            yield page, text_page, turn
            return
        raw.FPDFPage_TransFormWithClip(page.raw, raw.FS_MATRIX(*directions.TURNS[turn], 0, 0), None)
    with closing(document[number]) as page, closing(page.get_textpage()) as text_page:
        yield page, text_page, turn


def _leave_out_unmapped(pages: list[Page]) -> None:
    """Empty the pages without a Unicode map, unless the codes of their characters are those of their letters."""
    unmapped = [page for page in pages if page.is_unmapped]
    if unmapped and not pdf_codes.is_language("\n".join(page.text for page in unmapped)):
        for page in unmapped:
            page.text = ""
            page.notes = ""
            page.fault = "has text without a Unicode map"


def _build_parsed(pages: list[Page], title: str) -> Parsed:
    texts = [page.text for page in pages]
    starts = accumulate((len(text) + len(BETWEEN_PAGES) for text in texts[:-1]), initial=0)
    warnings = [f"Page {number} {page.fault}." for number, page in enumerate(pages, 1) if page.fault]
    return plain.parsed(BETWEEN_PAGES.join(texts), title or None, tuple(starts), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Annotation:
    """The value of a form's field where it stands on the page, or a note."""

    word: Word | None
    note: str = ""


def _read_annotations(page: "pypdfium2.PdfPage", direction: int) -> Iterator[_Annotation]:
    """Yield a page's notes, and the values of its fields as they lie in text of a direction."""
    from pypdfium2 import raw

    form = page.formenv.raw if page.formenv else None
    for number in range(min(MAX_NOTES, raw.FPDFPage_GetAnnotCount(page.raw))):
        annotation = raw.FPDFPage_GetAnnot(page.raw, number)
        if not annotation:
            continue
        try:
            found = _read_annotation(raw, form, annotation, direction)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
        if found is not None:
            yield found


def _read_annotation(raw: Any, form: Any, annotation: Any, direction: int) -> _Annotation | None:
    if raw.FPDFAnnot_GetFlags(annotation) & raw.FPDF_ANNOT_FLAG_HIDDEN:
        return None
    kind = raw.FPDFAnnot_GetSubtype(annotation)
    if kind == raw.FPDF_ANNOT_WIDGET and form is not None:
        text = _field_value(raw, form, annotation)
        box = raw.FS_RECTF()
        if not text or not raw.FPDFAnnot_GetRect(annotation, ctypes.byref(box)):
            return None
        left, right = sorted((box.left, box.right))  # a rectangle may begin at any corner (ISO 32000-2, 7.9.5)
        bottom, top = sorted((box.bottom, box.top))
        word = pdf_words.turned(text, (left, bottom, right, top), direction)
        word.is_value = True
        return _Annotation(word)
    if kind in {raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_WIDGET}:
        return None
    note = _utf16(lambda *out: raw.FPDFAnnot_GetStringValue(annotation, b"Contents", *out))
    return _Annotation(None, note.strip()) if note.strip() else None


def _field_value(raw: Any, form: Any, annotation: Any) -> str:
    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in {raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON}:
        return TICKED if raw.FPDFAnnot_IsChecked(form, annotation) else ""
    if kind in {raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}:
        return " ".join(_utf16(lambda *out: raw.FPDFAnnot_GetFormFieldValue(form, annotation, *out)).split())
    return ""


def _utf16(call: Any) -> str:
    """Return the string that a function of pdfium writes: asked for its size first."""
    from pypdfium2 import raw

    size = call(None, 0)
    buffer = ctypes.create_string_buffer(size + 2)
    call(ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return buffer.raw[:size].decode("utf-16-le", "ignore").rstrip("\0")
