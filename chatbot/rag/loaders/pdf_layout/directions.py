"""Directions of writing on a PDF page: quarter turns, clockwise, and slanted text between them."""

import math

QUARTER = math.pi / 2
MAX_SLANT = 0.1  # of a quarter turn, of text that is upright all the same
SLANTED = 4  # the direction of text that is not, such as watermarks

Box = tuple[float, float, float, float]


def find_direction(angle: float) -> int:
    """Return the direction of letters at an angle."""
    quarters = angle / QUARTER
    return round(quarters) % 4 if abs(quarters - round(quarters)) < MAX_SLANT else SLANTED


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
