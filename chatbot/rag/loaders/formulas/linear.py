"""The parts of a formula on one line: a fraction as (a+b)/c, powers with ^, indices with _, a matrix as [a b; c d].

As "UnicodeMath, a nearly plain-text encoding of mathematics" (Unicode Technical Note 28) has them, where it can be read
by a person without its rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass

OPENING = "([{\u27e8\u2308\u230a"
CLOSING = ")]}\u27e9\u2309\u230b"
FENCES = frozenset(f"{OPENING}|\u2016\u2225")
OPERATORS = frozenset("+-\u2212\u00b1\u2213*\u2217\u00b7\u22c5\u00d7/=<>\u2264\u2265\u2260,;")
PRIMES = frozenset("'\u2032\u2033\u2034\u2057")
RING = "\u2218"  # which is a degree as a power of its own
DEGREES = str.maketrans("0123456789+-\u2212nijkm", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿⁱʲᵏᵐ")
# Marks over a letter by their combining forms, and their names over several.
MARKS = (
    ("^\u02c6\u0302", "\u0302", "hat"),
    ("~\u02dc\u223c\u0303", "\u0303", "tilde"),
    ("\u00af\u02c9\u203e\u2015\u0304\u0305", "\u0304", "overline"),
    ("\u2192\u27f6\u20d7", "\u20d7", "vec"),
    ("\u02d9\u0307", "\u0307", "dot"),
    ("\u00a8\u0308", "\u0308", "ddot"),
    ("\u02c7\u030c", "\u030c", "check"),
    ("\u02d8\u0306", "\u0306", "breve"),
    ("\u00b4\u0301", "\u0301", "acute"),
    ("`\u0300", "\u0300", "grave"),
    ("\u02da\u030a", "\u030a", "ring"),
)
ACCENTS = {mark: (combining, name) for marks, combining, name in MARKS for mark in marks}
LINES = frozenset("_\u0331\u0332\u203e\u00af\u2015")  # below a term
OVERLINE = "\u0304"
LOW_LINE = "\u0332"
WORD_START = "\u221a\u2211\u220f\u222b\u2202\u2207"  # signs that are parted from a term before them, as letters are


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a formula: whether a blank parts it from letters on its sides, and whether it is rows of a matrix."""

    text: str
    is_parted_before: bool = False
    is_parted_behind: bool = False
    is_rows: bool = False

    @property
    def closed(self) -> str:
        """The text, with brackets around rows of a matrix."""
        return f"[{self.text}]" if self.is_rows else self.text


def join(parts: Iterable[Part]) -> Part:
    """Return parts as one, with blanks where a reader could not tell them apart: `sin x`, `1/2 x`."""
    shown = [part for part in parts if part.text or part.is_parted_before]
    if len(shown) == 1:
        return shown[0]
    texts: list[str] = []
    before = ""
    is_parted = False
    for part in shown:
        text = part.text if part.is_rows and before in FENCES else part.closed
        is_parted = is_parted or part.is_parted_before
        if is_parted and _ends_term(before) and _begins_term(text):
            texts.append(" ")
        texts.append(text)
        before = text[-1:] or before
        is_parted = part.is_parted_behind or (is_parted and not text)
    first = shown[0].is_parted_before if shown else False
    return Part("".join(texts), is_parted_before=first, is_parted_behind=is_parted)


def _ends_term(character: str) -> bool:
    return character.isalnum() or (character != "" and character in CLOSING)


def _begins_term(text: str) -> bool:
    return text[:1].isalnum() or (text != "" and text[0] in WORD_START)


def group(text: str) -> str:
    """Return a term with brackets, unless it is one sign, a word, or in brackets already."""
    return text if len(text) <= 1 or text.isalnum() or _is_in_brackets(text) else f"({text})"


def fraction(numerator: str, denominator: str, has_line: bool = True) -> str:
    """Return a fraction; one without its line is a binomial coefficient."""
    if not has_line:
        return f"{group(numerator)} choose {group(denominator)}"
    return f"{group(numerator)}/{group(denominator)}"


def root(radicand: str, degree: str = "") -> str:
    """Return a root, its degree raised before the sign where its characters have raised forms."""
    if not degree or degree == "2":
        return f"\u221a{group(radicand)}"
    if all(ord(character) in DEGREES for character in degree):
        return f"{degree.translate(DEGREES)}\u221a{group(radicand)}"
    return f"root_{group(degree)}({radicand})"


def script(base: str, below: str = "", above: str = "") -> str:
    """Return a term with an index and a power, or with limits below and above it."""
    if _has_operator(base) and (below or above):
        base = f"({base})"
    index = f"_{group(below)}" if below else ""
    if above and PRIMES.issuperset(above):
        power = above
    elif above == RING:
        power = "\u00b0"
    else:
        power = f"^{group(above)}" if above else ""
    return f"{base}{index}{power}"


def accent(base: str, mark: str) -> str:
    """Return a term with a mark over it: on a letter itself, and by its name on several."""
    if mark not in ACCENTS:
        return script(base, above=mark)
    combining, name = ACCENTS[mark]
    return f"{base}{combining}" if len(base) == 1 else f"{name}({base})"


def underline(base: str) -> str:
    """Return a term with a line below it."""
    return f"{base}{LOW_LINE}" if len(base) == 1 else f"underline({base})"


def _is_in_brackets(text: str) -> bool:
    """Return whether a text's first bracket is closed by its last one."""
    if text[0] not in OPENING or text[-1] not in CLOSING:
        return False
    depth = 0
    for number, character in enumerate(text):
        depth += (character in OPENING) - (character in CLOSING)
        if depth == 0:
            return number == len(text) - 1
    return False


def _has_operator(text: str) -> bool:
    """Return whether an operator stands between terms of a text, outside of brackets."""
    depth = 0
    for character in text[1:-1]:
        depth += (character in OPENING) - (character in CLOSING)
        if depth == 0 and character in OPERATORS and text[0] not in OPENING:
            return True
    return False
