"""Headers and footers of Word documents: one text for those of all pages and sections that say the same."""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from .docx_numbering import W

BLANKS = {f"{W}tab", f"{W}br", f"{W}cr", f"{W}p"}


def texts(parts: Iterable[Element], seen: set[str]) -> Iterator[str]:
    """Yield the texts of the paragraphs in headers or footers that are not in `seen`, and add them to it."""
    for part in parts:
        for paragraph in _paragraphs(part):
            text = _text(paragraph)
            if text and not text.isdigit() and text not in seen:  # a page's number is no text
                seen.add(text)
                yield text


def _paragraphs(part: Element) -> Iterator[Element]:
    """Yield the paragraphs that are in no other, as those of text boxes are."""
    stack = [part]
    while stack:
        element = stack.pop()
        if element.tag == f"{W}p":
            yield element
        else:
            stack += reversed(element)


def _text(paragraph: Element) -> str:
    """Return the text of a paragraph on one line."""
    parts: list[str] = []
    for element in paragraph.iter():
        if element.tag == f"{W}t":
            parts.append(element.text or "")
        elif element.tag in BLANKS:
            parts.append(" ")
    return " ".join("".join(parts).split())
