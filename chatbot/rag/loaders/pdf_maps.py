"""Maps of codes to characters that pdfium refuses or misreads.

Unicode maps may count their entries wrongly: pdfium takes no entry of a `beginbfchar` or `beginbfrange` whose number is
not that of the entries behind it; every other viewer reads them.

A map may have no characters for a glyph whose ones are those of another glyph of its cluster: WeasyPrint's points and
vowels, for which pdfium has their codes.

Where a range of a map that Ghostscript 10.00 reads begins with a character of two bytes, it writes the sum of the
bytes: Chromium's Cyrillic letters become figures and signs. Those alone are right that no range had.
"""

import re
import zlib
from bisect import bisect

STREAM = re.compile(rb"(?<!end)stream\r?\n")
COUNT = re.compile(rb"(\d{1,5})([ \t\r\n]{1,8}beginbf(char|range))")
CODE = re.compile(rb"<[0-9A-Fa-f \t\r\n]{0,1100}>")
SINGLE = re.compile(rb"<([0-9a-f]{2,4})><\1><([0-9a-f]{4})>")  # as Ghostscript writes each entry of a range
EMPTY = re.compile(rb"(<[0-9A-Fa-f]{2,8}>[ \t]{0,9})<>")  # of a glyph whose character another one of its cluster has
NOTHING = rb"\1<2060>"  # NO_SPACE; pdfium has the code itself for a code without a character
SYSTEM = re.compile(rb"/CIDSystemInfo[^<>]{0,9}<<[^<>]{0,200}>>\s{1,9}def\s|/CMapName\s{1,9}\S{1,99}\s{1,9}def\s")
MIN_TWO_BYTES = 0x200  # of the sums of two bytes, none is as high
MAX_MAP_BYTES = 2_000_000
HEAD_BYTES = 2_000  # in which a map tells that it is one
CODES_PER_ENTRY = {b"char": 2, b"range": 3}


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
    mended = EMPTY.sub(NOTHING, mended)
    if mended == unpacked:
        return None
    for part in (mended, SYSTEM.sub(b"", mended)):  # without names that nothing needs, where room is scarce
        packed = zlib.compress(part, 9) if _is_packed(stream) else part
        if len(packed) <= len(stream):
            return packed.ljust(len(stream))
    return None


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
