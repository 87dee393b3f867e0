"""Numbers of headings and clauses as Word shows them ("Article 5", "2.1", "(c)"): Word stores only how to count.

ECMA-376, part 1, section 17.9.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
VALUE = f"{W}val"
PLACEHOLDER = re.compile(r"%([1-9])")
ROMAN = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
         (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]  # fmt: skip
MAX_ROMAN = 3_999
MAX_LABEL_LENGTH = 100  # characters: it is repeated in each paragraph
MAX_DIGITS = 9
MAX_BASED_ON = 20  # styles based on one another
UNNUMBERED = {"bullet", "none"}


@dataclass(slots=True)
class Level:
    """One level of a list: its count and the form of its labels."""

    start: int
    number_format: str
    text: str
    is_legal: bool  # all numbers in it are decimal
    restarts_below: int | None  # the level whose numbers, and those above it, restart it; None is any above it


@dataclass(slots=True)
class Numbering:
    """The lists of a document, and the counters of those that have begun."""

    levels: dict[tuple[str, int], Level] = field(default_factory=dict)  # by list definition and level
    definitions: dict[str, str] = field(default_factory=dict)  # by the list that a paragraph names
    styles: dict[str, tuple[str, int]] = field(default_factory=dict)  # list and level by paragraph style
    overrides: dict[tuple[str, int], Level] = field(default_factory=dict)  # by that list and level
    restarts: dict[str, list[int]] = field(default_factory=dict)  # levels that begin anew, by list
    counters: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def label(self, paragraph: Element) -> str | None:
        """Count a paragraph and return its label; None for one that is in no numbered list."""
        found = self._place(paragraph)
        if found is None:
            return None
        definition = self.definitions.get(found[0], "")
        number = found[1]
        level = self._level(found[0], number)
        if level is None or level.number_format in UNNUMBERED:
            return None
        counters = self.counters[definition]
        for anew in self.restarts.pop(found[0], ()):
            counters.pop(anew, None)
        counters[number] = counters.get(number, level.start - 1) + 1
        for deeper in [one for one in counters if one > number and self._is_restarted(found[0], one, number)]:
            del counters[deeper]
        return PLACEHOLDER.sub(lambda place: self._shown(found[0], int(place[1]) - 1, level), level.text).strip()

    def _level(self, name: str, number: int) -> Level | None:
        return self.overrides.get((name, number)) or self.levels.get((self.definitions.get(name, ""), number))

    def _is_restarted(self, name: str, number: int, higher: int) -> bool:
        level = self._level(name, number)
        return level is None or level.restarts_below is None or higher < level.restarts_below

    def _place(self, paragraph: Element) -> tuple[str, int] | None:
        """Return the list of a paragraph and its level there, its own or its style's."""
        properties = paragraph.find(f"{W}pPr")
        if properties is None:
            return None
        style = properties.find(f"{W}pStyle")
        of_style = self.styles.get(style.get(VALUE, "")) if style is not None else None
        own = read_place(properties.find(f"{W}numPr"))
        if own is None:
            return of_style
        return (own[0] or (of_style[0] if of_style else ""), own[1])

    def _shown(self, name: str, number: int, level: Level) -> str:
        of_number = self._level(name, number)
        if of_number is None:
            return ""
        value = self.counters[self.definitions.get(name, "")].setdefault(number, of_number.start)
        return format_number(value, "decimal" if level.is_legal else of_number.number_format)


def read_place(properties: Element | None) -> tuple[str, int] | None:
    """Return the list and the level that numbering properties name."""
    if properties is None:
        return None
    number = properties.find(f"{W}numId")
    level = properties.find(f"{W}ilvl")
    digits = level.get(VALUE, "0") if level is not None else "0"
    return (number.get(VALUE, "") if number is not None else "", _integer(digits, 0))


def read(numbering: Element | None, styles: Element | None) -> Numbering:
    """Return the lists of a document from its numbering part and its styles."""
    found = Numbering()
    if numbering is None:
        return found
    for definition in numbering.iter(f"{W}abstractNum"):
        name = definition.get(f"{W}abstractNumId", "")
        for level in definition.iter(f"{W}lvl"):
            found.levels[name, _integer(level.get(f"{W}ilvl"), 0)] = _level(level)
    for number in numbering.iter(f"{W}num"):
        definition_of = number.find(f"{W}abstractNumId")
        if definition_of is not None:
            name = number.get(f"{W}numId", "")
            found.definitions[name] = definition_of.get(VALUE, "")
            _read_overrides(found, name, number)
    found.styles = _style_places(styles) if styles is not None else {}
    return found


def _read_overrides(numbering: Numbering, name: str, number: Element) -> None:
    """Add the levels that a list has otherwise than its definition, and those that it begins anew."""
    for override in number.iter(f"{W}lvlOverride"):
        at = _integer(override.get(f"{W}ilvl"), 0)
        own = override.find(f"{W}lvl")
        level = _level(own) if own is not None else numbering.levels.get((numbering.definitions[name], at))
        if level is None:
            continue
        start = override.find(f"{W}startOverride")
        if start is not None:
            numbering.restarts.setdefault(name, []).append(at)
            level = replace(level, start=_integer(start.get(VALUE), 1))
        numbering.overrides[name, at] = level


def _level(level: Element) -> Level:
    def value(name: str, default: str) -> str:
        child = level.find(f"{W}{name}")
        return default if child is None else child.get(VALUE, default)

    is_legal = is_on(level.find(f"{W}isLgl"))
    text = value("lvlText", "")[:MAX_LABEL_LENGTH]
    restart = value("lvlRestart", "")
    restarts_below = _integer(restart, 0) if restart else None
    return Level(_integer(value("start", "1"), 1), value("numFmt", "decimal"), text, is_legal, restarts_below)


def is_on(switch: Element | None) -> bool:
    """Return whether a switch is there and not turned off."""
    return switch is not None and switch.get(VALUE, "1") not in {"0", "false", "off"}


def is_end_struck(paragraph: Element) -> bool:
    """Return whether the end of a paragraph is struck out: the next one goes on in it."""
    return paragraph.find(f"{W}pPr/{W}rPr/{W}del") is not None


def numbered_levels(numbering: Element) -> list[Element]:
    """Return the levels that count; bullets are left to the converter."""
    return [level for level in numbering.iter(f"{W}lvl") if _level(level).number_format not in UNNUMBERED]


def _style_places(styles: Element) -> dict[str, tuple[str, int]]:
    own: dict[str, tuple[str, int]] = {}
    based_on: dict[str, str] = {}
    for style in styles.iter(f"{W}style"):
        name = style.get(f"{W}styleId", "")
        place = read_place(style.find(f"{W}pPr/{W}numPr"))
        if place is not None:
            own[name] = place
        base = style.find(f"{W}basedOn")
        if base is not None:
            based_on[name] = base.get(VALUE, "")
    found = dict(own)
    for name in based_on:
        base_name = name
        for _ in range(MAX_BASED_ON):
            if base_name in own:
                found[name] = own[base_name]
                break
            base_name = based_on.get(base_name, "")
    return found


def _integer(digits: str | None, default: int) -> int:
    return int(digits[:MAX_DIGITS]) if digits and digits.isdecimal() else default


def format_number(value: int, number_format: str) -> str:
    """Return a number in a format of Word's; in one that is not known, in decimal digits."""
    if number_format in {"upperRoman", "lowerRoman"} and 0 < value <= MAX_ROMAN:
        shown = _roman(value)
    elif number_format in {"upperLetter", "lowerLetter"} and value > 0:
        shown = chr(ord("A") + (value - 1) % 26) * min((value - 1) // 26 + 1, 50)
    elif number_format == "decimalZero":
        shown = f"{value:02}"
    else:
        shown = str(value)
    return shown.lower() if number_format.startswith("lower") else shown


def _roman(value: int) -> str:
    shown = []
    for worth, letters in ROMAN:
        shown.append(letters * (value // worth))
        value %= worth
    return "".join(shown)
