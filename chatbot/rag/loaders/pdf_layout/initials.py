"""Initials several lines high at the beginning of a paragraph: drop caps."""

from statistics import median

from chatbot.rag.loaders.pdf_words import Word
from chatbot.rag.text.stop_words import FUNCTION_WORDS

from .segments import Segment, build_segment

MAX_INITIALS = 50  # of a page
MIN_HEIGHT = 1.8  # lines
MIN_LINES = 2  # beside an initial
MAX_GAP = 1.2  # heights of a line
MAX_OVERLAP = 0.6
WORDS = {"A", "I"}  # initials that may be words


def join_initials(segments: list[Segment]) -> list[Segment]:
    """Return segments with the initials of paragraphs in the words that they begin."""
    if not segments:
        return segments
    height = median(segment.bottom - segment.top for segment in segments)
    initials = [segment for segment in segments if _is_initial(segment.words[0], height)]
    known = {word.text.lower() for segment in segments for word in segment.words} if initials else set()
    for segment in initials[:MAX_INITIALS]:
        initial, *rest = segment.words
        others = [one for one in segments if one is not segment]
        own = build_segment(rest, segment.position) if rest else None
        lines = [one for one in [*others, *([own] if own else [])] if _is_beside(initial, one)]
        first = min(lines, key=lambda one: one.top, default=None)
        if first is None or len(lines) < MIN_LINES or first.top + first.bottom > initial.top + initial.bottom:
            continue
        first.words[:1] = _begin(initial, first.words[0], known)
        place = next(at for at, one in enumerate(segments) if one is segment)
        segments = [*segments[:place], *([own] if own else []), *segments[place + 1 :]]
    return segments


def _is_initial(word: Word, height: float) -> bool:
    return word.text.isupper() and len(word.text) == 1 and word.bottom - word.top >= MIN_HEIGHT * height


def _is_beside(initial: Word, line: Segment) -> bool:
    """Return whether a line begins on the right of an initial."""
    height = line.bottom - line.top
    is_near = -MAX_OVERLAP * height < line.left - initial.right < MAX_GAP * height
    return is_near and initial.top < (line.top + line.bottom) / 2 < initial.bottom


def _begin(initial: Word, word: Word, known: set[str]) -> list[Word]:
    """Return the first word of a paragraph with its initial, or both where the initial is a word."""
    whole = initial.text + word.text
    if initial.text in WORDS and whole.lower() not in known | FUNCTION_WORDS:
        return [Word(initial.text, initial.left, word.top, right=initial.right, bottom=word.bottom), word]
    return [Word(whole, initial.left, word.top, right=word.right, bottom=word.bottom)]
