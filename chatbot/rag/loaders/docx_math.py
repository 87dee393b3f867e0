"""Formulas of Word as text on one line: a fraction as (a)/(b), powers with ^, indices with _ (ECMA-376, 22.1)."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MAX_DEPTH = 50


def linear(element: Element, depth: int = 0) -> str:
    """Return the text of a formula or of a part of one."""
    if depth > MAX_DEPTH:
        return "".join(element.itertext())
    name = element.tag.removeprefix(M)
    if name == "t":
        return element.text or ""
    part = _reader(element, depth)
    if name in FORMS:
        return FORMS[name](part)
    if name == "d":
        return _delimited(element, depth)
    if name == "nary":
        return f"{_character(element, 'chr', '∫')}{_script(part('sub'), '_')}{_script(part('sup'), '^')} {part('e')}"
    if name in ROWS:
        rows = "; ".join(_row(one, depth) for one in element.findall(f"{M}{ROWS[name]}"))
        return f"[{rows}]" if name == "m" else rows
    return "".join(linear(child, depth + 1) for child in element if not child.tag.endswith("Pr"))


def _reader(element: Element, depth: int) -> Callable[[str], str]:
    def part(name: str) -> str:
        child = element.find(f"{M}{name}")
        return "" if child is None else linear(child, depth + 1)

    return part


def _row(row: Element, depth: int) -> str:
    if row.tag == f"{M}mr":
        return " ".join(linear(cell, depth + 1) for cell in row)
    return linear(row, depth + 1)


def _grouped(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def _script(text: str, sign: str) -> str:
    return f"{sign}{_grouped(text)}" if text else ""


def _character(element: Element, name: str, default: str) -> str:
    found = element.find(f"{M}{element.tag.removeprefix(M)}Pr/{M}{name}")
    return default if found is None else found.get(f"{M}val", default)


def _delimited(element: Element, depth: int) -> str:
    separator = _character(element, "sepChr", "|")
    inside = separator.join(linear(one, depth + 1) for one in element.findall(f"{M}e"))
    return f"{_character(element, 'begChr', '(')}{inside}{_character(element, 'endChr', ')')}"


ROWS = {"m": "mr", "eqArr": "e", "oMathPara": "oMath"}  # of a matrix, or equations below one another
FORMS: dict[str, Callable[[Callable[[str], str]], str]] = {
    "f": lambda part: f"{_grouped(part('num'))}/{_grouped(part('den'))}",
    "sSup": lambda part: part("e") + _script(part("sup"), "^"),
    "sSub": lambda part: part("e") + _script(part("sub"), "_"),
    "sSubSup": lambda part: part("e") + _script(part("sub"), "_") + _script(part("sup"), "^"),
    "rad": lambda part: f"{part('deg')}√{_grouped(part('e'))}",
    "func": lambda part: f"{part('fName')} {part('e')}",
    "limLow": lambda part: part("e") + _script(part("lim"), "_"),
    "limUpp": lambda part: part("e") + _script(part("lim"), "^"),
}
