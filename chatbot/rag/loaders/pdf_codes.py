"""Characters of fonts with codes of their own, and maps of codes to characters that pdfium refuses or misreads.

TeX's bitmap fonts, as dvips, dvipdfmx and pdfTeX embed them, have no Unicode map, and pdfium returns the codes
themselves. Letters and figures have those of ASCII; ligatures stand among the controls: in OT1, TeX's own encoding, and
in T1, that of Cork ("LaTeX font encodings", encguide.pdf). An accent of OT1 is a character in front of the letter that
it is over.

Fonts of symbols have their codes from U+F020 (OpenType's `cmap`, "Symbol encoding"), and old-style figures and small
capitals are from U+F720 in Adobe's corporate use subarea (the Adobe Glyph List).

Unicode maps may count their entries wrongly: pdfium takes no entry of a `beginbfchar` or `beginbfrange` whose number is
not that of the entries behind it; every other viewer reads them.

Where a range of a map that Ghostscript 10.00 reads begins with a character of two bytes, it writes the sum of the
bytes: Chromium's Cyrillic letters become figures and signs. Those alone are right that no range had.
"""

import re
import zlib
from bisect import bisect
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
STREAM = re.compile(rb"(?<!end)stream\r?\n")
COUNT = re.compile(rb"(\d{1,5})([ \t\r\n]{1,8}beginbf(char|range))")
CODE = re.compile(rb"<[0-9A-Fa-f \t\r\n]{0,1100}>")
SINGLE = re.compile(rb"<([0-9a-f]{2,4})><\1><([0-9a-f]{4})>")  # as Ghostscript writes each entry of a range
MIN_TWO_BYTES = 0x200  # of the sums of two bytes, none is as high
MAX_MAP_BYTES = 2_000_000
HEAD_BYTES = 2_000  # in which a map tells that it is one
CODES_PER_ENTRY = {b"char": 2, b"range": 3}


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


def repair_unicode_maps(data: bytes) -> bytes:
    """Return the file with right numbers in its Unicode maps, in as many bytes: all offsets stay true."""
    repaired = bytearray(data)
    end = 0
    while (begin := STREAM.search(data, end)) is not None:
        end = data.find(b"endstream", begin.end())
        if end < 0:
            break
        stream = data[begin.end() : end]
        mended = _mended(stream) if b"begincmap" in _unpacked(stream, HEAD_BYTES) else None
        if mended is not None:
            repaired[begin.end() : end] = mended
    return bytes(repaired)


def _mended(stream: bytes) -> bytes | None:
    """Return a map with right counts and characters, in as many bytes; None where it is right, or lacks room."""
    unpacked = _unpacked(stream, MAX_MAP_BYTES)
    mended = _without_sums(COUNT.sub(lambda found: _counted(unpacked, found), unpacked))
    if mended == unpacked:
        return None
    packed = zlib.compress(mended, 9) if _is_packed(stream) else mended
    return packed.ljust(len(stream)) if len(packed) <= len(stream) else None


def _is_packed(stream: bytes) -> bool:
    return stream[:1] == b"\x78"  # zlib with a window of 32 KB, as all writers have it


def _unpacked(stream: bytes, size: int) -> bytes:
    if not _is_packed(stream):
        return stream
    try:
        return zlib.decompressobj().decompress(stream, size)
    except zlib.error:
        return b""


def _counted(cmap: bytes, found: re.Match[bytes]) -> bytes:
    end = cmap.find(b"endbf", found.end())
    codes = len(CODE.findall(cmap, found.end(), end if end >= 0 else len(cmap)))
    entries = codes // CODES_PER_ENTRY[found[3]]
    if b"[" in cmap[found.end() : end] or entries == int(found[1]):
        return found[0]
    return str(entries).encode().rjust(len(found[1])) + found[2]


def _without_sums(cmap: bytes) -> bytes:
    """Return a map with characters in place of the sums of their two bytes.

    Such a character lies in the same 256 as that of the nearest right code, and as far from it as their codes do.
    """
    entries = sorted((int(code, 16), int(character, 16)) for code, character in SINGLE.findall(cmap))
    right = [entry for entry in entries if entry[1] >= MIN_TWO_BYTES]

    def restore(found: re.Match[bytes]) -> bytes:
        code, written = (int(digits, 16) for digits in found.groups())
        position = bisect(right, (code, written))
        for near, character in right[max(0, position - 1) : position + 1]:
            restored = character + code - near
            high, low = divmod(restored, 0x100)
            if high == character // 0x100 and high + low == written:
                return found[0][:-5] + b"%04x>" % restored
        return found[0]

    return SINGLE.sub(restore, cmap)
