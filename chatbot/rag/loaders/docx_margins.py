"""The margins of Word documents: headers and footers, one text for all that say the same, and comments."""

from collections.abc import Collection, Iterable, Iterator
from xml.etree.ElementTree import Element

from . import docx_elements, docx_numbering
from .docx_numbering import W

BLANKS = {f"{W}tab", f"{W}br", f"{W}cr", f"{W}p"}
STRUCK = {f"{W}del", f"{W}moveFrom"}  # its comments go with it


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
    return _find(part, f"{W}p")


def _find(parent: Element, name: str, skipped: Collection[str] = ()) -> Iterator[Element]:
    """Yield the elements of a name that are in no other, nor in one of the names in `skipped`."""
    stack = [parent]
    while stack:
        element = stack.pop()
        if element.tag == name:
            yield element
        elif element.tag not in skipped:
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


def read_comments(part: Element) -> dict[str, Element]:
    """Return each comment by its number, as a paragraph with its author's name."""
    found: dict[str, Element] = {}
    for comment in part.iter(f"{W}comment"):
        author = " ".join(comment.get(f"{W}author", "").split())
        text = " ".join(filter(None, map(_text, _paragraphs(comment))))
        if text:
            label = f"Comment by {author}" if author else "Comment"
            found[comment.get(f"{W}id", "")] = docx_elements.paragraph(f"{label}: {text}")
    return found


def insert_comments(root: Element, comments: dict[str, Element]) -> None:
    """Put each comment behind the paragraph that refers to it, and take it from `comments`."""
    stack = [root]
    while stack:
        element = stack.pop()
        children: list[Element] = []
        waiting: list[Element] = []  # for the end of a paragraph that goes on in the next one
        for child in element:
            children.append(child)
            if child.tag != f"{W}p":
                stack.append(child)
                continue
            numbers = [found.get(f"{W}id", "") for found in _find(child, f"{W}commentReference", STRUCK)]
            waiting += [comments.pop(number) for number in numbers if number in comments]
            if not docx_numbering.is_end_struck(child):
                children += waiting
                waiting = []
        element[:] = [*children, *waiting]
