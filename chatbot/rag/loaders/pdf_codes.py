"""Characters of fonts with codes of their own.

TeX's bitmap fonts, as dvips, dvipdfmx and pdfTeX embed them, have no Unicode map, and pdfium returns the codes
themselves. Letters and figures have those of ASCII; ligatures stand among the controls: in OT1, TeX's own encoding, and
in T1, that of Cork ("LaTeX font encodings", encguide.pdf). An accent of OT1 is a character in front of the letter that
it is over.

Fonts of symbols have their codes from U+F020 (OpenType's `cmap`, "Symbol encoding"), and old-style figures and small
capitals are from U+F720 in Adobe's corporate use subarea (the Adobe Glyph List).
"""

import re
from collections.abc import Callable

from chatbot.rag.text.normalization import nfc
from chatbot.rag.text.stop_words import FUNCTION_WORDS, stop_word_share

MIN_FUNCTION_WORDS = 0.05  # share of a text's words, at least; letters in any other order have none
# Those of other languages whose letters are in T1 where they are in Latin-1. tantivy's lists are longer: of 1,995 texts
# with letters in another order 1% reach this share; of texts in these languages all do, but 16% of Finnish ones.
LANGUAGES = ("da", "fi", "it", "nl", "no", "pt", "sv")
MIN_STOP_WORDS = 0.1
MIN_WORDS = 20  # for those lists
# A lone CR is a ligature of OT1; with LF it is pdfium's end of a line.
LIGATURE_CODE = re.compile("[\x0b\x0c\x0e-\x1f]|\r(?!\n)")
ACCENTED_LETTER = re.compile(
    "([\x12-\x18\x7f~^`\u00b4\u00a8\u02dc\u02c6\u02c7\u02d8\u00af\u02da\u00b8])([^\\W\\d_]|[\x10\x11])"
)
# A cedilla may be set behind its letter, and pdfium has a space where TeX goes back to the letter's edge.
LETTER_WITH_CEDILLA = re.compile("([^\\W\\d_])([\x18\u00b8])( (?=[^\\W\\d_]))?")
NO_SPACE = "\u2060"  # a word joiner, which is left out with other invisible characters
WORDS = re.compile(r"[^\W\d_]{2,}")
LIGATURES = "\ufb00\ufb01\ufb02\ufb03\ufb04"  # one character each, as the code is one; `spell_out` parts them
OT1_LIGATURES = dict(zip("\x0b\x0c\r\x0e\x0f", LIGATURES, strict=True))
OT1_LETTERS = {
    **OT1_LIGATURES, "\x19": "ß", "\x1a": "æ", "\x1b": "œ", "\x1c": "ø", "\x1d": "Æ", "\x1e": "Œ", "\x1f": "Ø",
}  # fmt: skip
T1_LIGATURES = dict(zip("\x0b\x0c\r\x0e\x0f", LIGATURES, strict=True))
OT1_LETTERS = {
    **OT1_LIGATURES,
    "\x19": "ß",
    "\x1a": "æ",
    "\x1b": "œ",
    "\x1c": "ø",
    "\x1d": "Æ",
    "\x1e": "Œ",
    "\x1f": "Ø",
}
T1_LIGATURES = dict(zip("\x1b\x1c\x1d\x1e\x1f", LIGATURES, strict=True))
T1_QUOTES = {"\x10": "“", "\x11": "”", "\x12": "„", "\x13": "«", "\x14": "»", "\x15": "\u2013", "\x16": "\u2014"}
# Its letters from 0x80 on that Latin-1 has not at their codes.
T1_LETTERS = dict(
    zip(
        map(chr, (*range(0x80, 0xC0), 0xD7, 0xDF, 0xF7, 0xFF)),
        "ĂĄĆČĎĚĘĞĹĽŁŃŇŊŐŔŘŚŠŞŤŢŰŮŸŹŽŻĲİđ§ăąćčďěęğĺľłńňŋőŕřśšşťţűůÿźžżĳ¡¿£Œẞœß",
        strict=True,
    )
)
SECTION_CODE = "\x9f"
CONTROL_CODE = re.compile("[\x80-\x9f]")  # of Latin-1
LATIN_1 = frozenset(map(chr, (*range(0xA0, 0xC0), 0xD7, 0xDF)))  # in it, they stand in words or at their ends
T1_CODE = re.compile("[\x80-\xbf\xd7\xdf\xf7\xff]")
ACCENTS = {
    **dict.fromkeys("\x12`", "\u0300"),
    **dict.fromkeys("\x13\u00b4", "\u0301"),
    **dict.fromkeys("^\u02c6", "\u0302"),
    **dict.fromkeys("~\u02dc", "\u0303"),
    **dict.fromkeys("\x16\u00af", "\u0304"),
    **dict.fromkeys("\x15\u02d8", "\u0306"),
    **dict.fromkeys("\x7f\u00a8", "\u0308"),
    **dict.fromkeys("\x17\u02da", "\u030a"),
    **dict.fromkeys("\x14\u02c7", "\u030c"),
    **dict.fromkeys("\x18\u00b8", "\u0327"),
}
DOTLESS = {"\x10": "i", "\u0131": "i", "\x11": "j", "\u0237": "j"}
# Adobe's Symbol (PDF, annex D.6) by the first codes of runs; ASCII for the rest, and nothing for parts of brackets.
SYMBOL_RUNS = {
    0x21: bytes(range(0x21, 0x60)).decode(),
    0x22: "∀",
    0x24: "∃",
    0x27: "∋",
    0x2A: "\u2217",  # asterisk
    0x2D: "\u2212",  # minus
    0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥",
    0x61: "αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}\u223c",
    0xA2: "\u2032≤\u2044∞ƒ♣♦♥♠↔←↑→↓°±″≥\xd7∝∂•÷≠≡≈…",
    0xC4: "⊗⊕∅∩\u222a⊃⊇⊄⊂⊆∈∉∠∇",
    0xD5: "∏√⋅¬∧\u2228⇔⇐⇑⇒⇓◊",
    0xE5: "∑",
    0xF2: "∫",
}
SYMBOLS = {chr(0xF000 + code): char for first, run in SYMBOL_RUNS.items() for code, char in enumerate(run, first)}
WINGDINGS = dict(zip("\uf06f\uf0a8\uf0e0\uf0fb\uf0fc\uf0fd\uf0fe", "□□→✗✓☒☑", strict=True))  # no mere ornaments
FONTS = {
    **dict.fromkeys(("Symbol", "SymbolMT", "OpenSymbol"), SYMBOLS),
    **dict.fromkeys(("Wingdings", "Wingdings-Regular"), WINGDINGS),
}
PRIVATE = re.compile("[\uf020-\uf0ff]")
EURO = "\u20ac"
# With the nearest letter or figure before and behind.
EURO_CODE = re.compile("(?:(\\w)[^\\w\u00bf]{0,2})?(\u00bf)(?=[^\\w\u00bf]{0,2}(\\w)?)")
FIGURES = re.compile("[\uf721-\uf77e\uf7a1-\uf7ff]")  # their low byte is the character's in Latin-1
LIGATURE_LETTERS = str.maketrans(dict(zip(LIGATURES, ("ff", "fi", "fl", "ffi", "ffl"), strict=True)))


def replace_private(text: str, font: Callable[[int], str]) -> str:
    """Return a page's characters, as many as there were, with public ones for those of private use that are known.

    `font` returns the name of the font of the character at a position.
    """

    def publish(found: re.Match[str]) -> str:
        name = font(found.start()).rpartition("+")[2].partition(",")[0]  # without the marks of a subset and a style
        return FONTS.get(name, {}).get(found[0], found[0])

    return FIGURES.sub(lambda found: chr(ord(found[0]) & 0xFF), PRIVATE.sub(publish, text))


def replace_euro(text: str, is_unmapped: Callable[[int], bool], is_one_font: Callable[[int, int], bool]) -> str:
    """Return a page's characters with the euro sign of TeX's bitmap fonts of symbols in place of its code.

    Its code is that of an inverted question mark, and its font has no letters: `is_one_font` returns whether the
    characters at two positions have the same.
    """

    def restore(found: re.Match[str]) -> str:
        position = found.start(2)
        if not is_unmapped(position) or any(is_one_font(position, found.start(side)) for side in (1, 3) if found[side]):
            return found[0]
        return found[0][:-1] + EURO

    return EURO_CODE.sub(restore, text)


def decode(
    text: str,
    is_coded: Callable[[int], bool],
    is_one_font: Callable[[int, int], bool],
    is_over: Callable[[int, int], bool],
    is_beside: Callable[[int, int], bool],
) -> str:
    """Return a page's characters, as many as there were, with TeX's ligatures and accents in place of their codes.

    Of the character at a position, `is_coded` returns whether it is a bitmap font's without a Unicode map; of two,
    `is_one_font` whether they have the same, `is_over` whether the first stands over or under the second, and
    `is_beside` whether the second follows without a gap.
    """

    def compose(found: re.Match[str]) -> str:
        accent, letter = found.groups()
        is_accented = is_over(found.start(), found.start() + 1)
        return DOTLESS.get(letter, letter) + ACCENTS[accent] if is_accented else found[0]

    def compose_cedilla(found: re.Match[str]) -> str:
        letter, cedilla, space = found.groups(default="")
        if not is_over(found.start() + 1, found.start()):
            return found[0]
        if space and is_beside(found.start(), found.end()):
            space = NO_SPACE
        return letter + ACCENTS[cedilla] + space

    positions = [found.start() for found in LIGATURE_CODE.finditer(text) if is_coded(found.start())]
    codes = [text[position] for position in positions]
    text = LETTER_WITH_CEDILLA.sub(compose_cedilla, ACCENTED_LETTER.sub(compose, text))
    if sum(map(OT1_LIGATURES.__contains__, codes)) > sum(map(T1_LIGATURES.__contains__, codes)):
        return _replace(text, positions, letters=OT1_LETTERS, marks={})
    text = _restore_letters(text, is_coded, is_one_font, has_ligatures=bool(codes))
    return _replace(text, positions, letters=T1_LIGATURES, marks=T1_QUOTES)


def _restore_letters(
    text: str, is_coded: Callable[[int], bool], is_one_font: Callable[[int, int], bool], *, has_ligatures: bool
) -> str:
    """Return the text with the letters of T1 that Latin-1 has not at their codes, in words of their fonts."""
    is_t1 = has_ligatures or any(is_coded(found.start()) for found in CONTROL_CODE.finditer(text))

    def restore(found: re.Match[str]) -> str:
        position = found.start()
        if not is_t1 and found[0] in LATIN_1:
            return found[0]
        beside = [at for at in (position - 1, position + 1) if text[max(at, 0) : at + 1].isalpha()]
        is_letter = found[0] == SECTION_CODE or any(is_one_font(position, at) for at in beside)
        return T1_LETTERS[found[0]] if is_letter and is_coded(position) else found[0]

    return T1_CODE.sub(restore, text)


def _replace(text: str, positions: list[int], letters: dict[str, str], marks: dict[str, str]) -> str:
    """Return the text with characters for codes; the codes of letters that stand alone are symbols of formulas."""
    if not positions:
        return text
    replaced = list(text)
    for position in positions:
        code = text[position]
        replaced[position] = marks.get(code, code)
        if code in letters and _is_in_word(text, position):
            replaced[position] = letters[code]
    return "".join(replaced)


def _is_in_word(text: str, position: int) -> bool:
    return text[position - 1 : position].isalpha() or text[position + 1 : position + 2].isalpha()


def spell_out(text: str) -> str:
    """Return a text with letters in place of ligatures, and accents on their letters."""
    return nfc(text.translate(LIGATURE_LETTERS))


def is_language(text: str) -> bool:
    """Return whether a text has the function words of a language: English, German, French, Spanish or of LANGUAGES."""
    words = WORDS.findall(text.lower())
    if sum(word in FUNCTION_WORDS for word in words) > MIN_FUNCTION_WORDS * len(words):
        return True
    return len(words) >= MIN_WORDS and any(stop_word_share(words, code) >= MIN_STOP_WORDS for code in LANGUAGES)
