"""Elements of Word documents that the converter passes over, in the form of ones that it reads.

Headers and footers are one text for all pages and sections that say the same, and comments stand behind the paragraphs
that they are on. Formulas are text on one line.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from xml.etree.ElementTree import Element, SubElement

from .docx_numbering import W, is_end_struck, is_on
from .formulas import omml
from .formulas.omml import M

MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
V = "{urn:schemas-microsoft-com:vml}"
SHAPES = ("oval", "line", "polyline", "arc", "curve")
WRAPPERS = (f"{W}fldSimple", f"{W}bdo", f"{W}dir", *(f"{V}{shape}" for shape in SHAPES))
BLANKS = {f"{W}tab", f"{W}br", f"{W}cr", f"{W}p"}
STRUCK = {f"{W}del", f"{W}moveFrom"}  # its comments go with it


def run(text: str) -> Element:
    """Return a run of this text."""
    found = Element(f"{W}r")
    SubElement(found, f"{W}t", {"{http://www.w3.org/XML/1998/namespace}space": "preserve"}).text = text
    return found


def paragraph(text: str) -> Element:
    """Return a paragraph of this text."""
    found = Element(f"{W}p")
    found.append(run(text))
    return found


def _formula(formula: Element) -> Element:
    return run(omml.read(formula))


def _base_text(ruby: Element) -> Element:
    text = Element(f"{W}t")
    text.text = "".join(found.text or "" for found in ruby.findall(f"{W}rubyBase//{W}t"))
    return text


def _line_break(_: Element) -> Element:
    return Element(f"{W}br")


def _visible(one: Element) -> Element:
    return Element(f"{W}r") if is_on(one.find(f"{W}rPr/{W}vanish")) else one


def _one_alternative(alternatives: Element) -> Element:
    """Leave the older one of a content's two forms, which the converter reads, or the newer one in its place."""
    choices = alternatives.findall(f"{MC}Choice")
    if alternatives.find(f"{MC}Fallback") is None and choices:
        choices.pop(0).tag = f"{MC}Fallback"
    for choice in choices:
        alternatives.remove(choice)
    return alternatives


def _unwrapped(wrapper: Element) -> Element:
    """Return a field, a direction or a shape as an element that the converter looks into."""
    wrapper.tag = f"{W}smartTag"
    return wrapper


def _boxes(drawing: Element) -> Element:
    """Leave the text boxes of a drawing alone, if it has any."""
    boxes: list[Element] = []
    stack = [drawing]
    while stack:
        element = stack.pop()
        if element.tag == f"{W}txbxContent":
            boxes.append(element)
        else:
            stack.extend(reversed(element))
    if boxes:
        drawing[:] = boxes
    return drawing


CHANGES: dict[str, Callable[[Element], Element]] = {
    **dict.fromkeys((f"{M}oMath", f"{M}oMathPara"), _formula),
    f"{W}ruby": _base_text,
    f"{W}cr": _line_break,
    f"{W}r": _visible,
    **dict.fromkeys(WRAPPERS, _unwrapped),
    f"{W}drawing": _boxes,
    f"{MC}AlternateContent": _one_alternative,
}


def read_margins(parts: Iterable[Element], seen: set[str]) -> Iterator[str]:
    """Yield the texts of the paragraphs in headers or footers that are not in `seen`, and add them to it."""
    for part in parts:
        for one in _paragraphs(part):
            text = _text(one)
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


def _text(one: Element) -> str:
    """Return the text of a paragraph on one line."""
    parts: list[str] = []
    for element in one.iter():
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
            found[comment.get(f"{W}id", "")] = paragraph(f"{label}: {text}")
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
            if not is_end_struck(child):
                children += waiting
                waiting = []
        element[:] = [*children, *waiting]
