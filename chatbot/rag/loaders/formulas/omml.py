"""Formulas of Word documents (Office MathML: ECMA-376, part 1, 22.1) as text on one line."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from . import linear
from .linear import Part

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MAX_DEPTH = 50
ALIGNMENT = "&"  # a mark in equations below one another, which Word does not show


def read(element: Element) -> str:
    """Return the text of a formula or of a part of one."""
    return _read(element, 0).closed


def _read(element: Element, depth: int) -> Part:
    if depth > MAX_DEPTH:
        return Part("".join(element.itertext()))
    name = element.tag.removeprefix(M)
    if name == "t":
        return Part(element.text or "")
    formula = _Formula(element, depth)
    if name in READERS:
        return READERS[name](formula)
    parts = (_read(child, depth + 1) for child in element if not child.tag.endswith("Pr"))
    return linear.join(parts)


class _Formula:
    """An element of a formula with its arguments and properties."""

    def __init__(self, element: Element, depth: int) -> None:
        self._element = element
        self._depth = depth
        self._name = element.tag.removeprefix(M)

    def part(self, name: str) -> str:
        """Return the text of an argument."""
        child = self._element.find(f"{M}{name}")
        return "" if child is None else _read(child, self._depth + 1).closed.strip()

    def parts(self, name: str) -> list[Part]:
        """Return all arguments of a name."""
        return [_read(child, self._depth + 1) for child in self._element.findall(f"{M}{name}")]

    def rows(self) -> list[list[str]]:
        """Return the cells of a matrix by its rows."""
        rows = self._element.findall(f"{M}mr")
        return [[_read(cell, self._depth + 2).closed for cell in row] for row in rows]

    def character(self, name: str, default: str) -> str:
        """Return a sign among the properties."""
        found = self._property(name)
        return default if found is None else found.get(f"{M}val", default)

    def is_on(self, name: str) -> bool:
        """Return whether a switch among the properties is on."""
        found = self._property(name)
        return found is not None and found.get(f"{M}val", "1") not in {"0", "false", "off"}

    def _property(self, name: str) -> Element | None:
        return self._element.find(f"{M}{self._name}Pr/{M}{name}")


def _delimited(formula: _Formula) -> Part:
    opening = formula.character("begChr", "(")
    parts = formula.parts("e")
    inside = formula.character("sepChr", "|").join(
        part.text if len(parts) == 1 and opening else part.closed for part in parts
    )
    return Part(f"{opening}{inside}{formula.character('endChr', ')')}")


def _nary(formula: _Formula) -> Part:
    sign = linear.script(formula.character("chr", "∫"), formula.part("sub"), formula.part("sup"))
    return Part(f"{sign} {formula.part('e')}")


def _root(formula: _Formula) -> Part:
    degree = "" if formula.is_on("degHide") else formula.part("deg")
    return Part(linear.root(formula.part("e"), degree), is_parted_before=degree not in {"", "2"}, is_parted_behind=True)


def _fraction(formula: _Formula) -> Part:
    has_line = formula.character("type", "bar") != "noBar"
    text = linear.fraction(formula.part("num"), formula.part("den"), has_line)
    return Part(text, is_parted_before=True, is_parted_behind=True)


def _bar(formula: _Formula) -> Part:
    base = formula.part("e")
    is_above = formula.character("pos", "bot") == "top"
    return Part(linear.accent(base, linear.OVERLINE) if is_above else linear.underline(base))


def _before(formula: _Formula) -> Part:
    prefix = linear.script("", formula.part("sub"), formula.part("sup"))
    return Part(f"{prefix} {formula.part('e')}".strip())


def _equations(formula: _Formula) -> Part:
    return Part("; ".join(part.closed.replace(ALIGNMENT, "") for part in formula.parts("e")))


def _scripted(below: str = "", above: str = "") -> Callable[[_Formula], Part]:
    def read_script(formula: _Formula) -> Part:
        text = linear.script(formula.part("e"), formula.part(below), formula.part(above))
        return Part(text, is_parted_behind=True)

    return read_script


READERS: dict[str, Callable[[_Formula], Part]] = {
    "f": _fraction,
    "rad": _root,
    "d": _delimited,
    "nary": _nary,
    "bar": _bar,
    "acc": lambda formula: Part(linear.accent(formula.part("e"), formula.character("chr", "\u0302"))),
    "sPre": _before,
    "sSub": _scripted("sub"),
    "sSup": _scripted(above="sup"),
    "sSubSup": _scripted("sub", "sup"),
    "limLow": _scripted("lim"),
    "limUpp": _scripted(above="lim"),
    "func": lambda formula: Part(f"{formula.part('fName')} {formula.part('e')}", is_parted_before=True),
    "m": lambda formula: Part("; ".join(" ".join(row) for row in formula.rows()), is_rows=True),
    "eqArr": _equations,
    "oMathPara": lambda formula: Part("; ".join(part.closed for part in formula.parts("oMath"))),
}
