"""Elements of Word documents that the converter passes over, in the form of ones that it reads.

Headers and footers are one text for all pages and sections that say the same, and comments stand behind the paragraphs
that they are on. Formulas are text on one line.
"""

import re
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
TEXTS = {f"{W}t", f"{M}t", f"{W}sym"}
HALF_POINTS = re.compile(r"-?\d{1,5}")
MIN_SHIFT = 4  # half points by which a raised or lowered text is moved, at least
MAX_DIGITS = 4  # of the number of an entry in a list
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


def _tab(_: Element) -> Element:
    return Element(f"{W}tab")


def _run(one: Element) -> Element:
    """Return nothing of a run that is hidden; one that is raised or lowered by points is as a power or an index."""
    properties = one.find(f"{W}rPr")
    if properties is None:
        return one
    if is_on(properties.find(f"{W}vanish")):
        return Element(f"{W}r")
    position = properties.find(f"{W}position")
    points = position.get(f"{W}val", "0") if position is not None else "0"
    if HALF_POINTS.fullmatch(points) and abs(int(points)) >= MIN_SHIFT and properties.find(f"{W}vertAlign") is None:
        shift = "subscript" if points.startswith("-") else "superscript"
        SubElement(properties, f"{W}vertAlign", {f"{W}val": shift})
    return one


def _field_character(one: Element) -> Element:
    """Return the start of a field with the chosen entry of its list behind it, if it has one: Word has it nowhere."""
    choices = one.find(f"{W}ffData/{W}ddList")
    if choices is None:
        return one
    entries = [entry.get(f"{W}val", "") for entry in choices.findall(f"{W}listEntry")]
    chosen = choices.find(f"{W}result")
    if chosen is None:
        chosen = choices.find(f"{W}default")
    number = chosen.get(f"{W}val", "0")[:MAX_DIGITS] if chosen is not None else "0"
    if not number.isdecimal() or int(number) >= len(entries):
        return one
    both = Element(f"{W}smartTag")
    both.append(one)
    SubElement(both, f"{W}t").text = entries[int(number)]
    return both


def _one_alternative(alternatives: Element) -> Element:
    """Leave the older one of a content's forms, which the converter reads, or one with text in its place."""
    older = alternatives.find(f"{MC}Fallback")
    choices = alternatives.findall(f"{MC}Choice")
    if older is None or not _has_text(older):
        newer = next(filter(_has_text, choices), choices[0] if choices and older is None else None)
        older = older if newer is None else newer
    for form in [*choices, *alternatives.findall(f"{MC}Fallback")]:
        if form is not older:
            alternatives.remove(form)
    if older is not None:
        older.tag = f"{MC}Fallback"
    return alternatives


def _has_text(element: Element) -> bool:
    return any(one.tag in TEXTS and (one.text or one.tag == f"{W}sym") for one in element.iter())


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
    f"{W}ptab": _tab,
    f"{W}r": _run,
    f"{W}fldChar": _field_character,
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
