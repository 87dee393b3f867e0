"""Clusters of glyphs that are spelled out beside them, as Chromium does in scripts of India, in Thai and in Khmer.

pdfium has the characters of a cluster (`ActualText`, ISO 32000-2, 14.9.4) with its first glyph, and again with one that
is drawn out of turn, and takes the room of its other glyphs for a blank.
"""

import ctypes
import re
from codecs import BOM_UTF16_BE
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LETTERS = re.compile("[\u0900-\u0eff\u1000-\u109f\u1780-\u17ff]")
MIN_WIDTH = 0.1  # points, of an object with letters; one of a blank alone has none
ASCENT = 0.8  # of a font's size
MAX_GAP = 0.25  # of the height of letters, between two clusters of a word
MAX_GAP_WITHOUT_BLANK = 0.6  # where the page's blanks are objects
NO_SPACE = "\u2060"  # a word joiner, which is left out with other invisible characters


@dataclass(slots=True)
class Cluster:
    """The objects of text that show some characters, or one that shows its own: their places in turn, and their box."""

    first: int
    last: int
    left: float
    bottom: float
    right: float
    top: float
    source: int | None = None  # the object that pdfium has the characters with
    text: str = ""  # the characters, where they are spelled out
    baseline: float = 0.0  # of the largest object: marks are above or below it
    size: float = 0.0  # of the font
    area: float = 0.0  # of the largest object

    @property
    def is_blank(self) -> bool:
        """Whether nothing is drawn."""
        return self.right - self.left < MIN_WIDTH

    def find_box(self) -> tuple[float, float, float, float]:
        """Return the left, top, right and bottom of a box as high as the font; y grows downwards."""
        top = -self.baseline - ASCENT * self.size
        return self.left, top, self.right, top + self.size


def read_clusters(raw: Any, page: Any) -> dict[int, Cluster]:
    """Return the clusters of a page by the addresses of their objects, in their order."""
    found: dict[int, Cluster] = {}
    by_mark: dict[int, Cluster] = {}
    sides = [ctypes.c_float() for _ in range(4)]
    size = ctypes.c_ulong()
    for number in range(raw.FPDFPage_CountObjects(page)):
        one = raw.FPDFPage_GetObject(page, number)
        if raw.FPDFPageObj_GetType(one) != raw.FPDF_PAGEOBJ_TEXT:
            continue
        raw.FPDFPageObj_GetBounds(one, *sides)
        left, bottom, right, top = (side.value for side in sides)
        cluster = Cluster(number, number, left=left, bottom=bottom, right=right, top=top)
        cluster.area = (right - left) * (top - bottom)
        cluster.baseline, cluster.size = _read_font(raw, one)
        for mark in (raw.FPDFPageObj_GetMark(one, at) for at in range(raw.FPDFPageObj_CountMarks(one))):
            if raw.FPDFPageObjMark_GetParamStringValue(mark, b"ActualText", None, 0, size):
                cluster = _union(by_mark.setdefault(address(mark), cluster), cluster)
                cluster.text = cluster.text or _read_text(raw, mark)
        found[address(one)] = cluster
    return found


def _read_font(raw: Any, one: Any) -> tuple[float, float]:
    """Return the height of an object's baseline above that of the page, and the size of its font in points."""
    matrix = raw.FS_MATRIX()
    size = ctypes.c_float()
    raw.FPDFPageObj_GetMatrix(one, matrix)
    raw.FPDFTextObj_GetFontSize(one, size)
    return matrix.f, size.value * abs(matrix.d)


def _read_text(raw: Any, mark: Any) -> str:
    """Return the characters that a mark spells out; pdfium's function for strings returns UTF-16 byte by byte."""
    size = ctypes.c_ulong()
    raw.FPDFPageObjMark_GetParamBlobValue(mark, b"ActualText", None, 0, size)
    buffer = (ctypes.c_ubyte * size.value)()
    raw.FPDFPageObjMark_GetParamBlobValue(mark, b"ActualText", buffer, size.value, size)
    data = bytes(buffer)
    return data[2:].decode("utf-16-be", "ignore") if data.startswith(BOM_UTF16_BE) else data.decode("latin-1")


def address(pointer: Any) -> int:
    """Return the address that a pointer of pdfium's holds; 0 for none."""
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


def _union(cluster: Cluster, other: Cluster) -> Cluster:
    cluster.last = other.last
    if other.area > cluster.area:
        cluster.area = other.area
        cluster.baseline = other.baseline
        cluster.size = other.size
    cluster.left = min(cluster.left, other.left)
    cluster.bottom = min(cluster.bottom, other.bottom)
    cluster.right = max(cluster.right, other.right)
    cluster.top = max(cluster.top, other.top)
    return cluster


def join_clusters(text: str, clusters: dict[int, Cluster], object_of: Callable[[int], int]) -> str:
    """Return a page's characters, as many as there were, with its words whole and each cluster once.

    `object_of` returns the address of the object that shows the character at a position, 0 for a blank of pdfium's own.
    """
    blanks = {one.first for one in clusters.values() if one.is_blank}
    joined = list(text)
    waiting: list[int] = []
    before: Cluster | None = None
    for position in range(len(text)):
        shown_by = object_of(position)
        cluster = clusters.get(shown_by)
        if cluster is None or cluster.source not in {None, shown_by}:
            joined[position] = " " if cluster else text[position]
            waiting.append(position)
            continue
        cluster.source = shown_by
        if before is not None and _is_word(before, cluster, blanks):
            for blank in waiting:
                joined[blank] = NO_SPACE
        waiting = []
        before = cluster
    return "".join(joined)


def _is_word(before: Cluster, cluster: Cluster, blanks: set[int]) -> bool:
    """Return whether two clusters stand beside each other without a blank, or are one."""
    if before is cluster:
        return cluster.first < cluster.last
    most = MAX_GAP_WITHOUT_BLANK if blanks else MAX_GAP
    height = max(before.top - before.bottom, cluster.top - cluster.bottom)
    is_line = min(before.top, cluster.top) > max(before.bottom, cluster.bottom)
    is_near = abs(cluster.left - before.right) <= most * height
    return is_line and is_near and blanks.isdisjoint(range(before.last + 1, cluster.first))
