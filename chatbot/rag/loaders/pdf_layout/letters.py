"""Letters that are set apart, as in headings: pdfium has a word for each."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from chatbot.rag.loaders.pdf_words import Word

from .segments import Segment, build_segment, is_beside

MIN_LETTERS = 5
MAX_LETTERS_PER_WORD = 1.5  # pdfium has some letters together
MIN_SHARE = 0.85  # of letters, not digits and signs
MAX_GAP = 0.8  # heights of a line, between two letters of a word
MAX_BLANK = 3.0  # heights of a line, between two such words
MAX_GAP_RATIO = 1.6  # of a gap between two letters to the usual one; a blank has room on both of its sides
MAX_VARIATION = 2.0  # of the widest gap between two letters to the narrowest


def join_spaced_letters(segments: list[Segment]) -> list[Segment]:
    """Return segments with the words that letters form where each was set apart from the next."""
    found: list[Segment] = []
    for run in _group_letters(segments):
        words = [word for segment in run for word in segment.words]
        joined = _join(words) if _are_letters(words) else words
        found += [build_segment(joined, run[0].position)] if len(joined) < len(words) else run
    return found


def _group_letters(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Yield runs of segments of letters on a line, and each other segment."""
    run: list[Segment] = []
    for segment in segments:
        if run and not (_is_spaced(segment.words) and _is_spaced(run[-1].words) and _follows(run[-1], segment)):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


def _follows(last: Segment, segment: Segment) -> bool:
    gap = segment.left - last.right
    return is_beside(last, segment) and 0 < gap < MAX_BLANK * (last.bottom - last.top)


def _is_spaced(words: list[Word]) -> bool:
    letters = sum(len(word.text) for word in words)
    return letters <= MAX_LETTERS_PER_WORD * len(words) and not words[0].is_from_right and not words[0].is_value


def _are_letters(words: list[Word]) -> bool:
    texts = [word.text for word in words]
    is_text = sum(map(str.isalpha, "".join(texts))) >= MIN_SHARE * sum(map(len, texts))
    return len(words) >= MIN_LETTERS and _is_spaced(words) and is_text and texts != sorted(texts)  # as labels are


def _join(words: list[Word]) -> list[Word]:
    gaps = [right.left - left.right for left, right in pairwise(words)]
    most = min(MAX_GAP_RATIO * median(gaps), MAX_GAP * (words[0].bottom - words[0].top))
    between = [gap for gap in gaps if gap <= most]
    if not between or min(between) <= 0 or max(between) > MAX_VARIATION * min(between):
        return words
    joined = [words[0]]
    for gap, word in zip(gaps, words[1:], strict=True):
        if gap <= most:
            joined[-1] = _unite(joined[-1], word)
        else:
            joined.append(word)
    return joined


def _unite(word: Word, letter: Word) -> Word:
    return Word(
        word.text + letter.text,
        left=word.left,
        top=min(word.top, letter.top),
        right=letter.right,
        bottom=max(word.bottom, letter.bottom),
    )
