"""The logical order of a line of text that runs in both directions: the reverse of Unicode's algorithm (UAX 9)."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from .brackets import PAIRS
from .glyphs import SOFT_HYPHEN, Glyph

CODES = {"L": "L", "R": "R", "AL": "A", "EN": "N", "AN": "Z", "ES": "s", "CS": "c", "ET": "t", "WS": "b", "S": "b"}
OTHER = "o"
MAX_CODES = 4_096  # that are kept, of clusters
# What is read from left to right, by the codes of its glyphs. Signs beside a number belong to it, but not to a word.
RUN = re.compile(r"(?:(?<!t)t*+Nt*+|L)(?:[^RAZ]*(?:Nt*+|L))?|Z(?:c?Z)*")
NUMBER = re.compile(r"(?<!t)t*+N(?:[sc]?N)*+t*+")
NUMBER_BEHIND_ARABIC = re.compile(r"N(?:c?N)*+")
FROM_RIGHT = re.compile(r"[RA](?:[^L]*[RA])?")  # in a line from left to right
UNIT = re.compile(
    r"[kKMGTPmcdn\u00b5\u03bch]?(?:m[\u00b2\u00b3]?|g|t|l|L|s|A|K|V|W|J|N|Pa|Hz|B|b|bps|i?B|Wh|Ah|cal|eV|bar)|k?m/[hs]|"
    r"min|px|pt|in|ft|lb|oz|mi|mph|rpm|dpi|ppm|ha|[AaPp][Mm]|[A-Z]{2}[DRPSF]|\u00b0?[CF]"
)


def order(glyphs: list[Glyph], is_from_right: bool) -> list[Glyph]:
    """Return the glyphs of a line, which are from right to left, in the order in which they are read."""
    if is_from_right:
        return list(_order_from_right(glyphs))
    has_hyphen = glyphs[-1].text == SOFT_HYPHEN
    glyphs = [*glyphs[-1 - has_hyphen :: -1], *glyphs[len(glyphs) - has_hyphen :]]
    found: list[Glyph] = []
    end = 0
    for run in FROM_RIGHT.finditer(_codes(glyphs)):
        found += glyphs[end : run.start()]
        found += _order_from_right(glyphs[run.start() : run.end()][::-1])
        end = run.end()
    return found + glyphs[end:]


def _codes(glyphs: list[Glyph]) -> str:
    return "".join([_code(glyph.text) for glyph in glyphs])


@lru_cache(MAX_CODES)
def _code(text: str) -> str:
    codes = [CODES.get(unicodedata.bidirectional(letter), OTHER) for letter in text]
    return next((code for code in codes if code in "LRANZ"), codes[0])


def _order_from_right(glyphs: list[Glyph]) -> Iterator[Glyph]:
    codes = _codes(glyphs)
    shared = {glyph.source for glyph, code in zip(glyphs, codes, strict=True) if code in "RA"}
    end = 0
    for run in RUN.finditer(codes):
        start = run.start()
        if "L" in run[0] and start > end and _closes(glyphs[start - 1], glyphs[start : run.end()]):
            start -= 1
        yield from glyphs[end:start]
        end = run.end()
        if "L" in run[0]:
            yield from _turn_words(glyphs[start:end], shared)
        else:
            yield from _turn_numbers(glyphs[start:end], run[0], is_behind_arabic=_is_arabic(codes[:start], codes[end:]))
    yield from glyphs[end:]


def _is_arabic(before: str, behind: str) -> bool:
    """Return whether the last letter is one of Arabic, behind which signs do not belong to numbers (UAX 9, W2).

    The last letter before the beginning of a line is in another line, and as its next one is.
    """
    last = max(before.rfind("A"), before.rfind("R"))
    letter = before[last : last + 1] if last >= 0 else next((code for code in behind if code in "RAL"), "")
    return letter == "A"


def _closes(glyph: Glyph, run: list[Glyph]) -> bool:
    """Return whether a bracket on the right of words from left to right closes one of theirs."""
    pair = PAIRS.get(glyph.text)
    return pair is not None and sum(one.text in pair for one in run) % 2 == 1


def _turn_numbers(glyphs: list[Glyph], codes: str, is_behind_arabic: bool) -> Iterator[Glyph]:
    if "Z" in codes:
        yield from reversed(glyphs)
        return
    end = 0
    for number in (NUMBER_BEHIND_ARABIC if is_behind_arabic else NUMBER).finditer(codes):
        yield from glyphs[end : number.start()]
        yield from reversed(glyphs[number.start() : number.end()])
        end = number.end()
    yield from glyphs[end:]


def _turn_words(glyphs: list[Glyph], shared: set[int]) -> Iterator[Glyph]:
    """Yield words from left to right, but a number on the right of its unit first: it is drawn before it.

    "Python 3" has its number there, too: as one object of text, unless that has the letters from right to left as well
    (`shared`), or by its word.
    """
    words = [list(word) for is_blank, word in groupby(glyphs, key=lambda one: one.text.isspace()) if not is_blank]
    count = next((at for at, word in enumerate(words) if "L" in _codes(word)), 0)
    number = sum(map(len, words[:count])) + count
    is_unit = count > 0 and UNIT.fullmatch("".join(glyph.text for glyph in reversed(words[count])))
    if is_unit and (words[count][0].source != words[count - 1][0].source or words[count][0].source in shared):
        yield from _turn_numbers(glyphs[:number], _codes(glyphs[:number]), is_behind_arabic=False)
        glyphs = glyphs[number:]
    yield from reversed(glyphs)
