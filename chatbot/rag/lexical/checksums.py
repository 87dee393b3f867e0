"""Checksums of a tantivy index: tantivy keeps a CRC-32 of each file, and opens it without a check.

A file ends with a footer: JSON with the `crc` of all before it, its length, and a number by which it is known
(tantivy, src/directory/footer.rs).
"""

import struct
import zlib
from pathlib import Path

import orjson

MAGIC = 1337
TAIL = struct.Struct("<II")  # length of the footer's JSON, MAGIC


def damaged(folder: Path) -> str | None:
    """Return the name of a file of the index's last commit that is not as it was written, or None.

    A missing file is none: opening the index finds that, and another process may just have merged it.
    """
    for path in _committed(folder):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        if not _whole(data):
            return path.name
    return None


def _committed(folder: Path) -> list[Path]:
    try:
        segments = orjson.loads((folder / "meta.json").read_bytes())["segments"]
        names = {str(one["segment_id"]).replace("-", "") for one in segments}
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        return []  # a new index, or one that cannot be opened
    return sorted(path for path in folder.iterdir() if path.name.split(".")[0] in names)


def _whole(data: bytes) -> bool:
    if len(data) < TAIL.size:
        return False
    length, magic = TAIL.unpack_from(data, len(data) - TAIL.size)
    end = len(data) - TAIL.size - length
    if magic != MAGIC or end < 0:
        return False
    try:
        crc: int = orjson.loads(data[end : -TAIL.size])["crc"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return zlib.crc32(memoryview(data)[:end]) == crc
