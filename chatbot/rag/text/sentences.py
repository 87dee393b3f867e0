"""Where sentences begin and end: in answers, and in the passages that they are compared with."""

import re

from . import unspaced

MAX_WORD_LENGTH = 40  # characters in front of a full stop that are looked at
WRAPPED = 60  # a line of so many characters may go on in the next one
WRAPPED_UNSPACED = 15  # a line of a column, where words have no spaces between them

# Each takes time linear in the text: possessive where a shorter match could not succeed either.
_FENCE = re.compile(r"^ *(?:[-*+] +|\d{1,9}[.)] +)?(?P<run>`{3,}|~{3,})[^\n]*$", re.MULTILINE)
# The end of a sentence, with closing quotes and brackets, and markers that follow it.
_END = re.compile(
    r"""(?P<cjk>[。\uff01\uff1f｡]+[”\u2019」』\uff09】)"'*_]*|\uff1b)
    |(?<![.!?…])(?P<stop>[.!?…]++)["'”\u2019»)\]*_]*+(?:[ ]?\[\^?\d{1,3}(?:,[ ]?\d{1,3})*\])*(?=\s|$)""",
    re.VERBOSE,
)
_MARKERS = re.compile(r"(?:[ ]?(?:\[\^?\d{1,3}\]|【\d{1,3}[^】\n]{0,40}】))+")
_WORD = re.compile(r"[^\s(\[\"'“\u2018]*$")
_BLOCK = re.compile(r"\s*(?:[-*+•]\s|\d{1,3}[.)]\s|#{1,6}\s|>|\||\[\^?\d+\] ?:|[-*_=]{3,}\s*$)")
_LINE_START = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])[.)]$")
_INSIDE_UNSPACED = re.compile(rf"(?:{unspaced.LINE_END}|(?<=[、\uff0c])\n)")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_ABBREVIATED = (
    "mr mrs ms dr prof rev hon gov gen col sgt capt lt maj adm sen rep pres st mt ft jr sr vs cf al e.g i.e viz"
    " fig figs eq eqs sec ch vol vols no nos pp p ed eds trans approx ca c est dept univ assn bros inc ltd co corp"
    " jan feb mar apr jun jul aug sep sept oct nov dec b d r ave blvd rd z.b d.h bzw usw sra dra ud uds"
)
_NUMBERED = "no nos p pp vol vols fig figs eq eqs sec ch c d r b ca ed est co mar"
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_ONLY_BEFORE_NUMBERS = frozenset(_NUMBERED.split())


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where each sentence begins and ends, in code points, without the white space around it.

    A heading, a list item, a row of a table and a block of code are one each, unless an item holds several sentences;
    markers such as `[1]` behind a full stop belong to the sentence in front. Takes time linear in the length.
    """
    spans: list[tuple[int, int]] = []
    for start, end, is_code in _blocks(text):
        spans.extend([(start, end)] if is_code else _split(text, start, end))
    return [span for span in (_trimmed(text, *span) for span in spans) if span[0] < span[1]]


def _blocks(text: str) -> list[tuple[int, int, bool]]:
    """Return the text split into code and prose, each with whether it is code."""
    blocks = []
    at = 0
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            blocks.append((at, fence.start(), False))
            opened = fence
            at = fence.start()
        elif fence["run"].startswith(opened["run"]):
            blocks.append((at, fence.end(), True))
            opened = None
            at = fence.end()
    blocks.append((at, len(text), opened is not None))
    return blocks


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    at = start
    for paragraph_end in _paragraph_ends(text, start, end):
        for found in _END.finditer(text, at, paragraph_end):
            if found.start() >= at and _ends(text, at, found):
                stop = _past_markers(text, found.end(), paragraph_end)
                spans.append((at, stop))
                at = stop
        spans.append((at, paragraph_end))
        at = paragraph_end
    return spans


def _past_markers(text: str, at: int, end: int) -> int:
    markers = _MARKERS.match(text, at, end)
    return markers.end() if markers else at


def _paragraph_ends(text: str, start: int, end: int) -> list[int]:
    """Return the ends of lines that always end a sentence; a wrapped line goes on."""
    ends = []
    line = start
    while (stop := text.find("\n", line, end)) >= 0:
        if not _goes_on(text, line, stop, end):
            ends.append(stop)
        line = stop + 1
    return [*ends, end]


def _goes_on(text: str, line: int, stop: int, end: int) -> bool:
    following = text[stop + 1 : min(stop + 20, end)]
    if not following.strip() or following.lstrip(" \t")[0] == "\n" or _BLOCK.match(following):
        return False
    if text[line : line + 8].lstrip()[:1] in ("#", "|"):
        return False
    if stop - line >= WRAPPED_UNSPACED and _INSIDE_UNSPACED.match(text, stop, end):
        return True
    return stop - line >= WRAPPED or following.lstrip()[0].islower()


def _ends(text: str, sentence: int, found: re.Match[str]) -> bool:
    if found["cjk"]:
        return True
    after = text[found.end() : found.end() + 3].lstrip()
    if after and after[0].islower():
        return False
    if found["stop"] != "." or found.end() > found.end("stop"):
        return True
    word = _WORD.search(text, max(sentence, found.start() - MAX_WORD_LENGTH), found.start())
    return word is None or not _abbreviates(text[sentence : min(found.end(), sentence + 7)], word[0], after)


def _abbreviates(sentence: str, word: str, after: str) -> bool:
    if len(sentence) <= 6 and _LINE_START.fullmatch(sentence):
        return True
    lowered = word.lower()
    if lowered in _ONLY_BEFORE_NUMBERS and not (len(word) == 1 and word.isupper()):
        return after[:1].isdigit()
    return lowered in _ABBREVIATIONS or (_INITIALS.fullmatch(word) is not None and word != "I")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
