"""Bytes to text: byte order marks, declared charsets as browsers know them, and detection for files without one.

Labels are those of the WHATWG Encoding standard (https://encoding.spec.whatwg.org), read with Python's codecs of the
same repertoire.
"""

import codecs
import re

BOMS = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What the standard calls by a narrower name than it reads (section 4.2), and names that Python spells otherwise.
SUPERSETS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "shift_jis": "cp932",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "x-user-defined": "cp1252",  # in a page's own declaration (HTML, 13.2.3.2)
}
SINGLE_BYTE_GUESSES = [
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp437", "cp850",
    "cp852", "cp855", "cp866", "cp874", "iso-8859-2", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7",
    "iso-8859-8", "iso-8859-9", "iso-8859-13", "iso-8859-15", "iso-8859-16", "koi8-r", "koi8-u", "mac-roman",
    "mac-cyrillic", "mac-latin2",
]  # fmt: skip
MULTI_BYTE_GUESSES = [
    "big5hkscs", "cp932", "cp949", "euc-jis-2004", "gb18030", "iso2022-jp-2", "iso2022-kr", "johab",
]  # fmt: skip
WIDE = ["utf-16-le", "utf-16-be", "utf-32-be", "utf-32-le"]
LAST_RESORT = "cp1252"
MAX_DETECTED_BYTES = 20_000  # 30 ms of the detector; a small text is read between two requests
CONTEXT_BYTES = 200  # in front of the first byte beyond ASCII
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
# Bytes that Python's codec leaves undefined are controls in the standard.
WINDOWS_1252 = "".join(bytes([byte]).decode(LAST_RESORT, "ignore") or chr(byte) for byte in range(256))
MIN_EVIDENCE = 12  # bytes beyond ASCII; with fewer, a detector takes "Größe" for Icelandic of a Macintosh
MIN_NULS = 3
MAX_BYTES_PER_NUL = 20  # UTF-16 and UTF-32 have a NUL among so many bytes, at least: a blank or a line's end
MAX_DAMAGE = 0.02  # share of broken characters among those beyond ASCII at which an encoding is still believed
ESCAPES = re.compile(rb"\x1b(?:\$[@B(]|\([BIJ]|\$\)C)")  # of ISO-2022, which has no byte beyond ASCII
# A word of a western language: letters with marks stand beside plain ones, or are words of their own in some.
WESTERN_WORD = re.compile(r"(?=[À-ÖØ-öø-ÿŒœŠšŽžŸ]*+[A-Za-z])[A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžŸ]++|[àáèéêìíòóôùúÀÁÈÉÓÔÅåÖöØø]")
MISPLACED_CAPITAL = re.compile(r"[a-zß-öø-ÿ][À-ÖØ-Þ](?![A-Z])")
WESTERN_SIGNS = frozenset(  # quotes, dashes, currencies, fractions and the like, in Windows-1252
    bytes.fromhex("20808284858687898b91929394959697999ba1a2a3a5a7a9aaabacaeb0b1b2b3b4b5b6b7b9babbbcbdbebfd7f7").decode(
        "cp1252"
    )
)
WORDS = re.compile(r"[^\W\d_]+")


def marked_encoding(data: bytes) -> str | None:
    """Return the encoding that a byte order mark tells, or None without one."""
    return next((name for mark, name in BOMS.items() if data.startswith(mark)), None)


def codec_of(label: str | None) -> str | None:
    """Return the name of Python's codec for a label of the WHATWG standard, or None for an unknown one."""
    import webencodings

    encoding = webencodings.lookup(label) if label else None
    if encoding is None or encoding.name == "replacement":
        return None
    name = str(encoding.name)
    return SUPERSETS.get(name, name)


def decode(data: bytes, declared: str | None = None) -> str:
    """Return bytes as text: by their mark, as UTF-8, by their declared charset, or as detection finds.

    A few bytes that are broken cost a character (U+FFFD) each.
    """
    marked = marked_encoding(data)
    if marked:
        return data.decode(marked, "replace")
    return _decode_unmarked(data, codec_of(declared))


def transcode(data: bytes, charset: str) -> bytes:
    """Return a file as UTF-8 with a mark, so that the charset told with it outranks the one that it declares.

    It is left alone where it has a mark or the charset is unknown.
    """
    if marked_encoding(data) or codec_of(charset) is None:
        return data
    return codecs.BOM_UTF8 + decode(data, charset).encode("utf-8", "replace")


def is_wide(data: bytes) -> bool:
    """Return whether it is UTF-16 or UTF-32, by its mark or its NULs."""
    return bool(marked_encoding(data) or _wide_encoding(data))


def _decode_unmarked(data: bytes, declared: str | None) -> str:
    if declared and declared.startswith("utf-16"):  # without NULs in turn it cannot be (HTML, 13.2.3.2)
        declared = None
    wide = _wide_encoding(data)
    if wide:
        return data.decode(wide, "replace")
    data = data.replace(b"\0", b"")
    if declared and ESCAPES.search(data):  # valid UTF-8 too
        return data.decode(declared, "replace")
    for encoding in ("utf-8", declared):
        text = _decode_undamaged(data, encoding)
        if text is not None:
            return text
    return _decode_with_controls(data, detect(data))


def _decode_undamaged(data: bytes, encoding: str | None) -> str | None:
    """Return the text unless more of it is broken than damage explains, or an encoding of 7 bits is likelier."""
    if encoding is None or (encoding == "utf-8" and ESCAPES.search(data)):
        return None
    text = data.decode(encoding, "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore")) if broken else 0
    return text if broken <= MAX_DAMAGE * beyond_ascii else None


def _wide_encoding(data: bytes) -> str | None:
    """Return which of UTF-16 and UTF-32 bytes without a mark are, as their NULs tell."""
    import chardet

    head = data[:MAX_DETECTED_BYTES]
    even = head[::2].count(0)
    odd = head[1::2].count(0)
    are_in_turn = min(even, odd) * 10 <= max(even, odd) or min(even, odd) * 4 >= len(head) // 2  # of 2 bytes, or of 4
    if even + odd < MIN_NULS or (even + odd) * MAX_BYTES_PER_NUL < len(head) or not are_in_turn:
        return None
    return chardet.detect(head, compat_names=False, include_encodings=WIDE, no_match_encoding=WIDE[0])["encoding"]


def detect(data: bytes) -> str:
    """Return the likeliest codec of bytes that declare none and are not UTF-8."""
    import chardet

    first = BEYOND_ASCII.search(data)
    start = max(0, first.start() - CONTEXT_BYTES) if first else 0
    sample = data[start : start + MAX_DETECTED_BYTES]
    beyond_ascii = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    if 0 < beyond_ascii < MIN_EVIDENCE and _is_western(sample):
        return LAST_RESORT
    guesses = [*SINGLE_BYTE_GUESSES, *MULTI_BYTE_GUESSES]
    found = chardet.detect(sample, compat_names=False, include_encodings=guesses)
    return found["encoding"] or LAST_RESORT


def _is_western(data: bytes) -> bool:
    """Return whether all that is beyond ASCII, as Windows-1252, are words of western languages and their signs."""
    try:
        text = data.decode(LAST_RESORT)
    except UnicodeDecodeError:
        return False
    words = WORDS.findall(text)
    signs = (character for character in WORDS.sub("", text) if character > "\x7f")
    return (
        all(map(WESTERN_WORD.fullmatch, words))
        and not MISPLACED_CAPITAL.search(text)
        and all(character in WESTERN_SIGNS for character in signs)
    )


def _decode_with_controls(data: bytes, encoding: str) -> str:
    if encoding != LAST_RESORT:
        return data.decode(encoding, "replace")
    return codecs.charmap_decode(data, "strict", WINDOWS_1252)[0]
