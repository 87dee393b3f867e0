"""Markers: the numbers in brackets by which an answer names the passages that it rests on, counted from 1."""

import re

_SEPARATED = r"\^?\d{1,3}(?: ?[,;\u2013-] ?\^?\d{1,3})*"
# `[1]`, `[2, 3]`, `[1-3]`, `[^1]`, `【1】` and `【1†source】`. Four digits are a year or a quantity.
MARKER = re.compile(rf"\[({_SEPARATED})\]|【(\d{{1,3}}(?:[:,] ?\d{{1,3}})*)(?:†[^【】\n]*)?】")
BEGINNING = re.compile(r"\[[\^\d ,;\u2013-]*\]?|【[\d:, ]*(?:†[^【】\n]*)?】?")  # of what may become one
_RANGE = re.compile(r"(\d{1,3}) ?[\u2013-] ?(\d{1,3})")


def numbers(marker: re.Match[str], passages: int) -> list[int]:
    """Return the numbers of a marker, each once, with ranges written out as far as there are passages."""
    inside = marker[1] or marker[2].partition(":")[0]
    spread = _RANGE.sub(lambda found: ",".join(map(str, _range(found, passages))), inside)
    return list(dict.fromkeys(int(number) for number in re.findall(r"\d+", spread)))


def _range(found: re.Match[str], passages: int) -> range:
    first = int(found[1])
    last = int(found[2])
    return range(first, min(last, max(first, passages)) + 1)


def is_at(text: str, at: int) -> bool:
    """Return whether a marker is at an offset, not a link's label."""
    marker = MARKER.match(text, at)
    return marker is not None and text[marker.end() : marker.end() + 1] not in ("", "(")
