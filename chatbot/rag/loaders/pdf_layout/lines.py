"""Lines as segments: those of justified text in one, and those of cells close to one another in two."""

import re
from collections.abc import Iterator
from itertools import pairwise

from chatbot.rag.loaders.pdf_words import Word

from .segments import Segment, build_segment, is_beside

MAX_SPACE = 3.0  # heights of a line, between words of a justified line
MAX_WIDE_SPACE = 6.0  # the same where the line has both edges in common with the next or the last one
MAX_SPACE_RATIO = 1.6  # of the widest space of a line to its narrowest
MAX_STOP_RATIO = 3.5  # the same of a space behind a stop, which TeX stretches more
STOPS = tuple(".,:;?!")
EDGE_TOLERANCE = 0.5  # heights of a line: a hyphen at the line's end may have no box
MIN_CELL_GAP = 0.3  # heights of a line
MIN_CELL_RATIO = 1.3  # of a gap between two cells to the other spaces of the line
LABEL = re.compile(r"\W|\(?\w{1,4}[.)]{1,2}")  # of an item in a list, which belongs to its line
INDENT_TOLERANCE = 0.5  # points
MAX_LEADING = 1.0  # heights of a line


def regroup(segments: list[Segment]) -> list[Segment]:
    """Return the segments in the page's own order, each with a line of one cell or column."""
    joined = _join_justified_lines(segments)
    parted = []
    for number, segment in enumerate(joined):
        parted.extend(_part_at_indent(segment, joined[number + 1]) if number + 1 < len(joined) else [segment])
    position = 0
    for segment in parted:
        if segment.position is not None:
            segment.position = position
            position += 1
    return parted


def _join_justified_lines(segments: list[Segment]) -> list[Segment]:
    lines = list(_group_by_line(segments))
    joined = []
    for number, line in enumerate(lines):
        neighbours = lines[max(0, number - 1) : number] + lines[number + 1 : number + 2]
        starts = range(len(line) - 1)  # of what may be a line of one cell: short cells may be before it
        start = next((start for start in starts if _is_justified(line[start:], neighbours)), len(line))
        joined.extend(line[:start])
        if start < len(line):
            joined.append(build_segment(_words(line[start:]), line[start].position))
    return joined


def _group_by_line(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Yield the runs of segments beside one another that the page has from left to right."""
    line: list[Segment] = []
    for segment in segments:
        if line and not _follows(line[-1], segment):
            yield line
            line = []
        line.append(segment)
    if line:
        yield line


def _follows(last: Segment, segment: Segment) -> bool:
    if last.position is None or segment.position is None or not is_beside(last, segment):
        return False
    return 0 < segment.left - last.right < MAX_WIDE_SPACE * (last.bottom - last.top)


def _is_justified(line: list[Segment], neighbours: list[list[Segment]]) -> bool:
    if not any(map(str.isalpha, line[0].text)):
        return False
    words = _words(line)
    spaces = [right.left - left.right for left, right in pairwise(words)]
    ratios = (MAX_STOP_RATIO if word.text.endswith(STOPS) else MAX_SPACE_RATIO for word in words)
    least = min(spaces)
    if least <= 0 or any(space > ratio * least for space, ratio in zip(spaces, ratios, strict=False)):
        return False
    height = line[0].bottom - line[0].top
    if len(spaces) > 1 and max(spaces) < MAX_SPACE * height:
        return True
    tolerance = EDGE_TOLERANCE * height
    return any(
        abs(line[-1].right - other[-1].right) < tolerance
        and any(abs(line[0].left - one.left) < tolerance for one in other)
        for other in neighbours
    )


def _words(line: list[Segment]) -> list[Word]:
    return [word for segment in line for word in segment.words]


def _part_at_indent(segment: Segment, following: Segment) -> list[Segment]:
    """Return a line in two where its widest space is above the beginning of the next one: that of a cell."""
    height = segment.bottom - segment.top
    if len(segment.words) == 1 or segment.position is None or following.left - segment.left < MIN_CELL_GAP * height:
        return [segment]
    if not 0 <= following.top - segment.top - height / 2 < (MAX_LEADING + 0.5) * height:
        return [segment]
    spaces = [right.left - left.right for left, right in pairwise(segment.words)]
    widest = max(range(len(spaces)), key=spaces.__getitem__)
    others = [space for number, space in enumerate(spaces) if number != widest]
    least = max([MIN_CELL_GAP * height, *(MIN_CELL_RATIO * space for space in others)])
    is_from_right = min(spaces) < 0  # as is no cell that is parted so
    if is_from_right or (widest == 0 and LABEL.fullmatch(segment.words[0].text)):
        return [segment]
    if spaces[widest] < least or abs(segment.words[widest + 1].left - following.left) > INDENT_TOLERANCE:
        return [segment]
    words = segment.words
    return [build_segment(words[: widest + 1], segment.position), build_segment(words[widest + 1 :], segment.position)]
