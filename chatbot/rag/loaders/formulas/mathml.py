"""MathML (W3C, MathML Core and 3.0) as text on one line."""

import re
from collections.abc import Callable
from html import unescape
from xml.etree.ElementTree import Element, SubElement

from chatbot.rag.loaders.html_layout import attributes

from . import linear
from .linear import Part

TAG = re.compile(r"<(/?)(?:[a-z][\w.-]{0,20}:)?([a-z][a-z0-9-]{0,40})\b([^<>]*+)>", re.IGNORECASE)
MAX_DEPTH = 100
MAX_UNCLOSED = 8  # elements without an end in one that ends
TOKENS = {"mi", "mn", "mo", "mtext", "ms"}
UNSHOWN = {"annotation", "annotation-xml", "mphantom", "none", "mprescripts", "maligngroup", "malignmark"}
BLANKS = " \t\r\n"
APPLICATION = "\u2061"  # of a function to its argument
INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064\u200b"))
NO_LINE = re.compile(r"0+(?:\.0*)?(?:px|em|ex|pt|%)?")
ALIGNED = re.compile(r"\s*right\s+left\b", re.IGNORECASE)


def read(markup: str) -> str:
    """Return the text of a formula in the markup of a page, which may lack ends of elements."""
    formula = _parse(markup)
    text = " ".join(_read(formula, 0).closed.split())
    return text or next((one.get("alttext", "") for one in formula if one.get("alttext")), "")


def _parse(markup: str) -> Element:
    root = Element("math")
    opened = [root]
    end = 0
    for tag in TAG.finditer(markup):
        _add_text(opened[-1], unescape(markup[end : tag.start()]))
        end = tag.end()
        name = tag[2].lower()
        if tag[1]:
            _close(opened, name)
            continue
        values = {key: unescape(value) for key, value in attributes(tag[3]).items()}
        child = SubElement(opened[-1], name, values)
        if not tag[3].endswith("/"):
            opened.append(child)
    _add_text(opened[-1], unescape(markup[end:]))
    return root


def _add_text(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = text
    else:
        element.text = text


def _close(opened: list[Element], name: str) -> None:
    for back in range(1, min(MAX_UNCLOSED, len(opened) - 1) + 1):
        if opened[-back].tag == name:
            del opened[-back:]
            return


def _read(element: Element, depth: int) -> Part:
    """Return an element's text, as a part of the formula around it."""
    name = element.tag
    if depth > MAX_DEPTH:
        return Part("".join(element.itertext()))
    if name in WHOLE:
        return WHOLE[name](element, depth)
    parts = [_read(child, depth + 1) for child in element]
    return READERS[name](element, parts) if name in READERS else linear.join(parts)


def _nothing(_: Element, __: int) -> Part:
    return Part("")


def _token(element: Element, _: int) -> Part:
    shown = "".join(element.itertext()).strip(BLANKS).replace("\xa0", " ")
    text = shown.translate(INVISIBLE)
    is_word = element.tag in {"mtext", "ms"} or (len(text) > 1 and any(map(str.isalpha, text)))
    is_parted = is_word or shown == APPLICATION
    return Part(text, is_parted_before=is_parted, is_parted_behind=is_parted)


def _space(element: Element, parts: list[Part]) -> Part:
    width = element.get("width", "0").strip()
    is_shown = not width.startswith(("-", "negative")) and NO_LINE.fullmatch(width) is None
    return linear.join([Part(" " if is_shown else ""), *parts])


def _first_form(element: Element, depth: int) -> Part:
    """Return the first one of the forms of a formula, or its TeX where it has no other."""
    forms = [child for child in element if child.tag not in UNSHOWN]
    if forms:
        return _read(forms[0], depth + 1)
    return Part(" ".join("".join(element.itertext()).split()))


def _table(element: Element, depth: int) -> Part:
    """Return the rows of a table; those of equations below one another are no matrix."""
    is_aligned = ALIGNED.match(element.get("columnalign", "")) is not None
    rows = []
    for row in element:
        cells = [_read(cell, depth + 2).closed.strip() for cell in row]
        if row.tag == "mlabeledtr":  # whose first cell is shown at the side
            cells = [*cells[1:], *cells[:1]]
        rows.append(("" if is_aligned and row.tag != "mlabeledtr" else " ").join(filter(None, cells)))
    return Part("; ".join(filter(None, rows)), is_rows=not is_aligned)


def _texts(parts: list[Part], count: int) -> list[str]:
    texts = [part.closed.strip() for part in parts[:count]]
    return texts + [""] * (count - len(texts))


def _fraction(element: Element, parts: list[Part]) -> Part:
    numerator, denominator = _texts(parts, 2)
    has_line = NO_LINE.fullmatch(element.get("linethickness", "1").strip()) is None
    text = linear.fraction(numerator, denominator, has_line)
    return Part(text, is_parted_before=True, is_parted_behind=True)


def _square_root(_: Element, parts: list[Part]) -> Part:
    return Part(linear.root(linear.join(parts).closed), is_parted_behind=True)


def _root(_: Element, parts: list[Part]) -> Part:
    radicand, degree = _texts(parts, 2)
    return Part(linear.root(radicand, degree), is_parted_before=degree not in {"", "2"}, is_parted_behind=True)


def _enclosed(element: Element, parts: list[Part]) -> Part:
    is_root = "radical" in element.get("notation", "longdiv").split()
    return _square_root(element, parts) if is_root else linear.join(parts)


def _scripted(text: str, parts: list[Part]) -> Part:
    before = parts[0].is_parted_before if parts else False
    return Part(text, is_parted_before=before, is_parted_behind=True)


def _with_index(_: Element, parts: list[Part]) -> Part:
    base, below = _texts(parts, 2)
    return _scripted(linear.script(base, below), parts)


def _with_power(_: Element, parts: list[Part]) -> Part:
    base, above = _texts(parts, 2)
    return _scripted(linear.script(base, above=above), parts)


def _with_both(_: Element, parts: list[Part]) -> Part:
    base, below, above = _texts(parts, 3)
    return _scripted(linear.script(base, below, above), parts)


def _under(_: Element, parts: list[Part]) -> Part:
    base, below = _texts(parts, 2)
    text = linear.underline(base) if below in linear.LINES else linear.script(base, below)
    return _scripted(text, parts)


def _over(_: Element, parts: list[Part]) -> Part:
    base, above = _texts(parts, 2)
    return _scripted(linear.accent(base, above), parts)


def _with_scripts(element: Element, parts: list[Part]) -> Part:
    """Return a base with pairs of indices and powers behind it, and before it those behind `mprescripts`."""
    names = [child.tag for child in element]
    turn = names.index("mprescripts") if "mprescripts" in names else len(names)
    base = _texts(parts, 1)[0]
    behind = [part.closed for part in parts[1:turn]]
    before = [part.closed for part in parts[turn + 1 :]]
    prefix = linear.script("", "".join(before[::2]), "".join(before[1::2]))
    text = linear.script(base, "".join(behind[::2]), "".join(behind[1::2]))
    return _scripted(f"{prefix} {text}" if prefix else text, parts)


def _fenced(element: Element, parts: list[Part]) -> Part:
    separators = "".join(element.get("separators", ",").split())
    opening = element.get("open", "(").strip()
    texts = [part.text if len(parts) == 1 and opening else part.closed for part in parts]
    inside = texts[0] if texts else ""
    for number, text in enumerate(texts[1:]):
        inside += separators[min(number, len(separators) - 1)] if separators else ""
        inside += text
    return Part(f"{opening}{inside}{element.get('close', ')').strip()}")


WHOLE: dict[str, Callable[[Element, int], Part]] = {
    **dict.fromkeys(UNSHOWN, _nothing),
    **dict.fromkeys(TOKENS, _token),
    **dict.fromkeys(("semantics", "maction"), _first_form),
    "mtable": _table,
}
READERS: dict[str, Callable[[Element, list[Part]], Part]] = {
    "mspace": _space,
    "mfrac": _fraction,
    "msqrt": _square_root,
    "mroot": _root,
    "menclose": _enclosed,
    "msub": _with_index,
    "msup": _with_power,
    "msubsup": _with_both,
    "munder": _under,
    "mover": _over,
    "munderover": _with_both,
    "mmultiscripts": _with_scripts,
    "mfenced": _fenced,
}
