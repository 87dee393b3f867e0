"""Repair of Unicode maps that count their entries wrongly, which pdfium refuses.

pdfium takes no entry of a `beginbfchar` or `beginbfrange` whose number is not that of the entries behind it; every
other viewer reads them.
"""

import re
import zlib

STREAM = re.compile(rb"(?<!end)stream\r?\n")
COUNT = re.compile(rb"(\d{1,5})([ \t\r\n]{1,8}beginbf(char|range))")
CODE = re.compile(rb"<[0-9A-Fa-f \t\r\n]{0,1100}>")
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
    """Return a map with right counts, in as many bytes; None where they are right, or there is no room."""
    unpacked = _unpacked(stream, MAX_MAP_BYTES)
    counted = COUNT.sub(lambda found: _counted(unpacked, found), unpacked)
    if counted == unpacked:
        return None
    packed = zlib.compress(counted, 9) if _is_packed(stream) else counted
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
