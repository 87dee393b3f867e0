"""Directions of writing on a PDF page: quarter turns, clockwise, and slanted text between them."""

import math
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pypdfium2

QUARTER = math.pi / 2
MAX_SLANT = 0.1  # of a quarter turn, of text that is upright all the same
SLANTED = 4  # the direction of text that is not, such as watermarks

MAX_SAMPLE = 40  # characters of a page, for its direction
MIN_SHARE = 0.9  # of these
BLANK = 0x20
TURNS = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}  # matrices that make text of a direction upright

Box = tuple[float, float, float, float]


def find_direction(angle: float) -> int:
    """Return the direction of letters at an angle."""
    quarters = angle / QUARTER
    return round(quarters) % 4 if abs(quarters - round(quarters)) < MAX_SLANT else SLANTED


def find_page_direction(text_page: "pypdfium2.PdfTextPage") -> int:
    """Return the direction of nearly all of a page's text; 0 where it is upright, slanted or mixed."""
    from pypdfium2 import raw

    count = text_page.count_chars()
    numbers = range(0, count, max(1, count // MAX_SAMPLE))
    shown = [number for number in numbers if raw.FPDFText_GetUnicode(text_page.raw, number) > BLANK]
    found = Counter(find_direction(raw.FPDFText_GetCharAngle(text_page.raw, number)) for number in shown)
    direction, times = max(found.items(), key=itemgetter(1), default=(0, 0))
    return direction if direction in TURNS and times >= MIN_SHARE * len(shown) else 0


def turn(box: Box, direction: int) -> Box:
    """Return the left, top, right and bottom of a box as it lies when its text is upright; y grows downwards."""
    left, bottom, right, top = box
    if direction == 1:
        return -top, -right, -bottom, -left
    if direction == 2:
        return -right, bottom, -left, top
    if direction == 3:
        return bottom, left, top, right
    return left, -top, right, -bottom


def level(box: Box, angle: float) -> Box:
    """Return the left, top, right and bottom of a slanted letter, taken for a square, when its text is upright."""
    left, bottom, right, top = box
    x = (left + right) / 2
    y = (bottom + top) / 2
    cosine = math.cos(angle)
    sine = math.sin(angle)
    half = (top - bottom) / 2 / (abs(cosine) + abs(sine))
    across = x * cosine - y * sine
    down = -x * sine - y * cosine
    return across - half, down - half, across + half, down + half
