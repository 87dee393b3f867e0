"""PDF: the text of each page in reading order, and where the pages begin."""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.types import Parsed

from . import pdf_codes, pdf_words, plain
from .pdf_layout import order
from .pdf_words import SOFT_HYPHEN, Word

if TYPE_CHECKING:
    import pypdfium2

MAX_PAGES = 10_000
MAX_NOTES = 1_000  # of a page
TOO_MANY_WORDS = f"has more than {pdf_words.MAX_WORDS:,} words; the others were left out"
BETWEEN_PAGES = "\n\n"
MAX_UNMAPPED = 0.3  # share of a page's words without a Unicode map that makes it unreadable
NO_MAP = "The PDF's text has no Unicode map: what it shows cannot be read."
MAX_MARGIN_LENGTH = 100  # characters of a running head or foot
ROMAN = "(?=[ivxlc])(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
PAGE_NUMBER = re.compile(rf"[-\u2013\u2014 ]{{0,2}}(?:\d{{1,4}}|{ROMAN})[-\u2013\u2014 ]{{0,2}}")
NUMBER = re.compile(r"\d+")
AFTER_SENTENCE = re.compile("(?<=[.!?\u2026:;\"')\u201d\u00bb])\n\n")
TICKED = "[x]"
HYPHEN = "\u2010"  # which producers that hyphenate by themselves put at a line's end
HYPHENS = f"{SOFT_HYPHEN}{HYPHEN}"
# A word whose rest may be parted again; a page's number is no rest.
JOINED = re.compile(
    rf"({SOFT_HYPHEN}|(?<=\w){HYPHEN})(?:\n(?=\d)|[\n ]*\n(?=[^\W\d_]))"
    rf"(\w++)((?:[^\s{HYPHENS}]|[{HYPHENS}](?![\n ]{{0,9}}\n))*+)(?:(?=([{HYPHENS}]))| ?)"
)


class PdfLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text, the pages' starts, and which pages could not be read.

        Raises UnreadableDocument when the file is encrypted with a password, broken, or has no text (scanned pages).
        """
        with plain.reading("PDF"), closing(_opened(pdf_codes.repair_unicode_maps(data))) as document:
            pages = [_read_page(document, number) for number in range(len(document))]
            _leave_out_unmapped(pages)
            _free_sentences(pages)
            if any(page.is_unmapped for page in pages) and not any(page.text for page in pages):
                raise UnreadableDocument(NO_MAP)
            return _parsed(pages, document.get_metadata_value("Title"))


@dataclass(slots=True)
class _Page:
    """A page's text, or the reason why there is none."""

    text: str = ""
    fault: str | None = None
    is_unmapped: bool = False


def _opened(data: bytes) -> "pypdfium2.PdfDocument":
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


def _read_page(document: "pypdfium2.PdfDocument", number: int) -> _Page:
    """Read a page; one that is broken costs itself alone."""
    import pypdfium2

    try:
        with closing(document[number]) as page, closing(page.get_textpage()) as text_page:
            found = pdf_words.read_words(text_page)
            direction = next(iter(found.by_direction), -page.get_rotation() // 90 % 4)  # of the fields' labels
            fields = list(_annotations(page, direction))
    except pypdfium2.PdfiumError:
        return _Page(fault="is broken")
    found.by_direction.setdefault(direction, []).extend(one.word for one in fields if one.word is not None)
    texts = [order.read(words) for words in found.by_direction.values()]
    texts += [one.note for one in fields if one.note]
    fault = TOO_MANY_WORDS if found.words > pdf_words.MAX_WORDS else None
    text = plain.clean(_join_hyphens(pdf_codes.spell_out("\n\n".join(filter(None, texts))))).strip()
    return _Page(text, fault, is_unmapped=found.unmapped > MAX_UNMAPPED * found.words)


def _leave_out_unmapped(pages: list[_Page]) -> None:
    """Empty the pages without a Unicode map, unless the codes of their characters are those of their letters."""
    unmapped = [page for page in pages if page.is_unmapped]
    if unmapped and not pdf_codes.is_language("\n".join(page.text for page in unmapped)):
        for page in unmapped:
            page.text = ""
            page.fault = "has text without a Unicode map"


def _free_sentences(pages: list[_Page]) -> None:
    """Move running heads and feet out of the sentences that go on from a page to the next."""
    heads = Counter(_without_numbers(page.text.partition("\n\n")[0]) for page in pages)
    feet = Counter(_without_numbers(page.text.rpartition("\n\n")[2]) for page in pages)
    for page, following in pairwise(pages):
        body, foot = _part_foot(page.text, feet)
        head, rest = _part_head(following.text, heads)
        if not body or body.endswith(tuple(".!?\u2026:;")) or not rest[:1].islower():
            continue
        if body.endswith(("-", HYPHEN)):  # the word's rest belongs to it
            word, _, rest = rest.partition(" ")
            body = body[:-1] + word
        ends = [found.start() for found in AFTER_SENTENCE.finditer(body)]
        page.text = _insert(body, ends[-1] if ends else 0, foot)
        end = AFTER_SENTENCE.search(rest)
        following.text = _insert(rest, end.start() if end else len(rest), head)


def _part_foot(text: str, feet: Counter[str]) -> tuple[str, str]:
    body, _, foot = text.rpartition("\n\n")
    return (body, foot) if _is_margin(foot, feet) else (text, "")


def _part_head(text: str, heads: Counter[str]) -> tuple[str, str]:
    head, _, body = text.partition("\n\n")
    return (head, body) if _is_margin(head, heads) else ("", text)


def _without_numbers(text: str) -> str:
    return NUMBER.sub("0", text[:MAX_MARGIN_LENGTH])


def _is_margin(text: str, known: Counter[str]) -> bool:
    """Return whether a page's first or last paragraph is a head or foot: a page number, or a line of several pages."""
    if "\n" in text or len(text) > MAX_MARGIN_LENGTH:
        return False
    return PAGE_NUMBER.fullmatch(text) is not None or known[_without_numbers(text)] > 1


def _insert(text: str, position: int, paragraph: str) -> str:
    parts = (text[:position], paragraph, text[position:])
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _parsed(pages: list[_Page], title: str) -> Parsed:
    texts = [page.text for page in pages]
    starts = accumulate((len(text) + len(BETWEEN_PAGES) for text in texts[:-1]), initial=0)
    warnings = [f"Page {number} {page.fault}." for number, page in enumerate(pages, 1) if page.fault]
    return plain.parsed(BETWEEN_PAGES.join(texts), title or None, tuple(starts), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Annotation:
    """The value of a form's field where it stands on the page, or a note."""

    word: Word | None
    note: str = ""


def _annotations(page: "pypdfium2.PdfPage", direction: int) -> Iterator[_Annotation]:
    """Yield a page's notes, and the values of its fields as they lie in text of a direction."""
    from pypdfium2 import raw

    form = page.formenv.raw if page.formenv else None
    for number in range(min(MAX_NOTES, raw.FPDFPage_GetAnnotCount(page.raw))):
        annotation = raw.FPDFPage_GetAnnot(page.raw, number)
        if not annotation:
            continue
        try:
            found = _annotation(raw, form, annotation, direction)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
        if found is not None:
            yield found


def _annotation(raw: Any, form: Any, annotation: Any, direction: int) -> _Annotation | None:
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


def _join_hyphens(text: str) -> str:
    """Join words that a line's end has parted; a hyphen of their own is kept where the text has them with it."""

    def join(parted: re.Match[str]) -> str:
        before = text[: parted.start()].rpartition("\n")[2].split(" ")[-1]
        hyphen, rest, punctuation, next_hyphen = parted.groups()
        own = "-" if hyphen == SOFT_HYPHEN else hyphen
        is_compound = not rest[:1].islower() or before + own + rest in text
        if is_compound or _is_compound(before, rest, punctuation, text):
            rest = own + rest
        return rest + punctuation + ("" if next_hyphen else "\n")

    return JOINED.sub(join, text).replace(SOFT_HYPHEN, "-")


def _is_compound(before: str, rest: str, punctuation: str, text: str) -> bool:
    """Return whether the parts of a word are words: "E-mail", or such as "state-of-the-art" with another hyphen."""
    *others, last = before.lstrip("(\"'\u201c").split("-")
    if len(last) == 1 and last.isalpha():
        return True
    if others and punctuation.startswith("-"):
        return True
    known = (
        {word.strip(".,;:!?()\"'").lower() for word in text.split()} if others or punctuation.startswith("-") else ()
    )
    return last.lower() in known and rest.lower() in known
