"""Which places in the documents an answer rests on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chatbot.rag.text.sentences import sentences
from chatbot.rag.text.words import words
from chatbot.rag.types import Citation, Passage

from . import markers
from .support import SUPPORTED, Embed, Evidence, Match

BY_MARKER = 0.45  # from here on a sentence counts as supported by the passage that its marker names
VERBATIM = 0.9  # from here on neighbouring sentences are taken for a copy, and quoted as one
MIN_WORDS = 2  # that say something, in a sentence that counts beside others
# Code, a heading, or a line of a list of sources.
_NO_CLAIM = re.compile(r" *(?:(?:[-*+] +|\d{1,9}[.)] +)?(?:```|~~~)|#{1,6}\s|\[\^?\d+\] ?:)")
_NO_STATEMENT = ("?", "\uff1f", ":", "\uff1a")
_OF_ITSELF = frozenset({"i", "me", "my"})  # "I hope this helps": the model speaks of itself
_MARKUP = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)]|#{1,6}|>)\s+|[*_`#]+")


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the answer, with the passages (counted from 0) that its markers name."""

    start: int
    end: int
    text: str
    marked: tuple[int, ...]
    sentence: int


@dataclass(frozen=True, slots=True)
class Found:
    """A match of a claim; with those of other claims on the same place it becomes one citation."""

    match: Match
    spans: tuple[tuple[int, int], ...]
    marked: bool
    supported: bool


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """The citations of an answer, in its order, and the share of its sentences that they support."""

    citations: list[Citation]
    grounded: float | None  # None without passages


def cite(answer: str, passages: Sequence[Passage], embed: Embed | None = None) -> CitedAnswer:
    """Find the citations of an answer.

    A marker `[n]` stands for the words in front of it, to the beginning of the sentence or to the marker before.
    Sentences without one, or whose markers name passages that do not support them, are aligned with all passages; a
    single word only where it is the whole answer.
    Questions, headings, code and sentences that say nothing ("Sure! I hope it helps.") do not count, unless there is
    nothing else; without passages the share is None, and 0 when nothing is stated. All offsets are code points.
    `embed` is given the texts as they are.
    """
    if not passages:
        return CitedAnswer([], None)
    claims = _claims(answer, len(passages))
    evidence = Evidence(passages, [claim.text for claim in claims], embed)
    found: list[Found] = []
    supported: dict[int, bool] = {}
    for number, claim in enumerate(claims):
        tells = len(claims) == 1 or len(words(claim.text).content) >= MIN_WORDS
        of_claim = _matches(evidence, number, claim, align=tells)
        found.extend(of_claim)
        holds = any(match.supported for match in of_claim)
        supported[claim.sentence] = supported.get(claim.sentence, True) and holds
    counted = _counted(claims, supported)
    grounded = sum(supported[sentence] for sentence in counted) / len(counted) if counted else 0.0
    citations = [_citation(each, evidence, passages) for each in _merged(_join_neighbours(found))]
    return CitedAnswer(citations, grounded)


def _claims(answer: str, passages: int) -> list[Claim]:
    claims: list[Claim] = []
    for number, (start, end) in enumerate(sentences(answer)):
        if _NO_CLAIM.match(answer, start):
            continue
        of_sentence, carried = _claims_of(answer, start, end, passages, number)
        if not of_sentence and claims:  # a line of markers alone stands for the sentence in front
            claims[-1] = replace(claims[-1], marked=_united(claims[-1].marked, carried))
        claims.extend(of_sentence)
    return claims


def _claims_of(answer: str, start: int, end: int, passages: int, number: int) -> tuple[list[Claim], tuple[int, ...]]:
    """Return the claims of a sentence, and the passages named where nothing is claimed."""
    claims: list[Claim] = []
    at = start
    carried: tuple[int, ...] = ()
    for group in _markers(answer, start, end):
        carried = _united(carried, _named(group, passages))
        if carried and _says(answer[at : group[0].start()]):
            claims.append(_claim(answer, at, group[-1].end(), carried, number))
            at = group[-1].end()
            carried = ()
    fewest = MIN_WORDS + 1 if claims else 1
    if len(words(markers.MARKER.sub(" ", answer[at:end])).stems) >= fewest:
        claims.append(_claim(answer, at, end, carried, number))
    return claims, carried


def _markers(answer: str, start: int, end: int) -> list[list[re.Match[str]]]:
    """Return the markers of a sentence, those that stand together as one group."""
    groups: list[list[re.Match[str]]] = []
    for marker in markers.MARKER.finditer(answer, start, end):
        if groups and not answer[groups[-1][-1].end() : marker.start()].strip(" ,;"):
            groups[-1].append(marker)
        else:
            groups.append([marker])
    return groups


def _named(group: Sequence[re.Match[str]], passages: int) -> tuple[int, ...]:
    """Return the passages (counted from 0) that markers name, each once."""
    numbers = {number: None for marker in group for number in markers.numbers(marker, passages)}
    return tuple(number - 1 for number in numbers if 1 <= number <= passages)


def _united(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return the passages of both, each once: a thousand markers must not compare a thousand times."""
    return tuple(dict.fromkeys(one + other))


def _says(text: str) -> bool:
    return bool(words(text).stems)


def _claim(answer: str, start: int, end: int, marked: tuple[int, ...], sentence: int) -> Claim:
    while start < end and (answer[start].isspace() or answer[start] in ",;.:"):
        start += 1
    text = _MARKUP.sub(" ", markers.MARKER.sub(" ", answer[start:end])).strip()
    return Claim(start, end, text, marked, sentence)


def _matches(evidence: Evidence, number: int, claim: Claim, *, align: bool) -> list[Found]:
    spans = ((claim.start, claim.end),)
    found = []
    for passage in claim.marked:
        match = evidence.best(number, passage)
        if match.last >= 0:
            found.append(Found(match, spans, True, match.score >= BY_MARKER))
    if align and not any(each.supported for each in found):
        match = evidence.best(number)
        if match.score >= SUPPORTED:
            found.append(Found(match, spans, False, True))
    return found


def _counted(claims: Sequence[Claim], supported: Mapping[int, bool]) -> set[int]:
    """Return the sentences that the share is made of."""
    statements = [claim for claim in claims if not claim.text.endswith(_NO_STATEMENT)]
    telling = {claim.sentence for claim in statements if supported[claim.sentence] or _tells(claim)}
    return telling or {claim.sentence for claim in statements}


def _tells(claim: Claim) -> bool:
    found = words(claim.text)
    return bool(claim.marked) or (len(found.content) >= MIN_WORDS and _OF_ITSELF.isdisjoint(found.stems))


def _join_neighbours(found: Sequence[Found]) -> list[Found]:
    """Return the same with copies of neighbouring sentences, one behind the other, as one."""
    joined: list[Found] = []
    for each in found:
        before = joined[-1] if joined else None
        if before and _follows(before.match, each.match):
            match = Match(
                min(before.match.score, each.match.score), each.match.passage, before.match.first, each.match.last
            )
            joined[-1] = Found(match, before.spans + each.spans, before.marked or each.marked, True)
        else:
            joined.append(each)
    return joined


def _follows(before: Match, after: Match) -> bool:
    copied = min(before.score, after.score) >= VERBATIM
    return copied and before.passage == after.passage and before.last + 1 == after.first


def _merged(found: Sequence[Found]) -> list[Found]:
    """Return one for each place; where some claims are supported by it, those alone are."""
    places: dict[tuple[int, int, int], Found] = {}
    for each in found:
        place = (each.match.passage, each.match.first, each.match.last)
        other = places.get(place)
        places[place] = _both(other, each) if other else each
    return list(places.values())


def _both(one: Found, other: Found) -> Found:
    best = max(one, other, key=lambda found: found.supported)
    spans = one.spans + other.spans if one.supported == other.supported else best.spans
    return Found(best.match, spans, one.marked or other.marked, best.supported)


def _citation(found: Found, evidence: Evidence, passages: Sequence[Passage]) -> Citation:
    number = found.match.passage
    passage = passages[number]
    start = evidence.spans[found.match.first][1]
    end = evidence.spans[found.match.last][2]
    return Citation(
        marker=number + 1 if found.marked else None,
        passage=passage,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
        score=passage.score,
        supported=found.supported,
        answer_spans=found.spans,
    )
