"""How well passages support an answer's claims: the share of words they hold, and contradictions."""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from chatbot.rag.text.sentences import sentences
from chatbot.rag.text.stop_words import FUNCTION_WORDS
from chatbot.rag.text.words import PRONOUNS, Words, antonyms, words
from chatbot.rag.types import Passage

if TYPE_CHECKING:
    import numpy as np

Embed = Callable[[Sequence[str]], "np.ndarray"]

SUPPORTED = 0.55  # from here on a sentence counts as supported
MAX_PLACES = 32  # sentences of a passage that are compared for one word: a claim must not cost a thousand
FINALISTS = 4  # sentences of the passages that are looked at closely
MAX_RUN_SENTENCES = 3  # sentences in a quote
WORTH = 0.12  # what another sentence must add to the score to be quoted too
STOP_WEIGHT = 0.1  # of a word that says nothing, beside that of a word that is in every second sentence
# weights of neighbouring words, and of the embedding; the rest is the words
BY_ORDER = 0.2
BY_MEANING = 0.2
MIN_COSINE = 0.2  # of two sentences that have nothing to do with each other
# What is left of the score when something is not in the sentence, but meant by a pronoun, elsewhere, or nowhere.
NAME_MEANT = 0.9
NAME_ELSEWHERE = 0.5
NAME_NOWHERE = 0.35
NUMBER_ELSEWHERE = 0.45
NUMBER_NOWHERE = 0.3
BEGINNING = ""  # of a sentence, where a word would be
SURELY_VERBS = ("be", "have")
NEGATED = 0.35
OPPOSITE = 0.4
EXCHANGED = 0.45


@dataclass(frozen=True, slots=True)
class Match:
    """A run of sentences of one passage, with how well it supports a claim (0 to 1)."""

    score: float
    passage: int
    first: int
    last: int


NOTHING = Match(0.0, 0, 0, -1)


def support(sentence: str, passage: Passage, embed: Embed | None = None) -> float:
    """Return how well a passage supports a sentence, from 0 to 1; from SUPPORTED on it counts as supported."""
    return Evidence([passage], [sentence], embed).best(0).score


class Evidence:
    """The sentences of passages, and claims that may rest on them.

    `embed` returns one row for each text; the cosine of rows is taken, rows that are not finite count as nothing.
    """

    def __init__(self, passages: Sequence[Passage], claims: Sequence[str], embed: Embed | None = None) -> None:
        self.spans = [(number, *span) for number, passage in enumerate(passages) for span in sentences(passage.text)]
        texts = [passages[number].text[start:end] for number, start, end in self.spans]
        self._claims = [words(claim) for claim in claims]
        self._words = [words(text) for text in texts]
        self._named = [_find_named(found) for found in self._claims]
        self._stems = [frozenset(found.stems) for found in self._words]
        self._pairs = [frozenset(pairwise(_bounded(found))) for found in self._words]
        self._titles = [frozenset(words(passage.title).stems) for passage in passages]
        self._whole = [set(stems) for stems in self._titles]
        # Of each passage an inverted index: the sentences that hold a stem.
        self._places: list[dict[str, list[int]]] = [{} for _ in passages]
        for at, stems in enumerate(self._stems):
            number = self.spans[at][0]
            self._whole[number] |= stems
            for stem in stems:
                self._places[number].setdefault(stem, []).append(at)
        self._passage_names = set[str]().union(*(found.names for found in self._words))
        self._weights = _weights(self._stems)
        self._unseen = math.log(2 * len(texts) + 2)
        self._cosines = _cosines(list(claims), texts, embed) if embed and texts and claims else None

    def best(self, claim: int, passage: int | None = None) -> Match:
        """Return the run that supports a claim best, of all passages or of one (counted from 0)."""
        weights = self._weights_of(self._claims[claim])
        rough = self._covered(weights, passage)
        if self._cosines is not None:
            rough = {at: covered + BY_MEANING * self._cosine(claim, at, at) for at, covered in rough.items()}
        finalists = heapq.nsmallest(FINALISTS, ((-score, at) for at, score in rough.items()))
        matches = [self._match(claim, at, at, weights) for _, at in finalists]
        return self._grown(claim, max(matches, key=_score_of), weights) if matches else NOTHING

    def _covered(self, weights: dict[str, float], passage: int | None) -> dict[int, float]:
        """Return the share of a claim that each sentence covers, without those that cover nothing."""
        covered: defaultdict[int, float] = defaultdict(float)
        for places in self._places if passage is None else [self._places[passage]]:
            for stem, weight in weights.items():
                for at in places.get(stem, ())[:MAX_PLACES]:
                    covered[at] += weight
        return covered

    def _weights_of(self, claim: Words) -> dict[str, float]:
        """Return the weight of each of a claim's words, as a share of them all."""
        weights = {
            stem: self._weights.get(stem, self._unseen) * (STOP_WEIGHT if stem in FUNCTION_WORDS else 1)
            for stem in claim.stems
        }
        total = sum(weights.values())
        return {stem: weight / total for stem, weight in weights.items()}

    def _cosine(self, claim: int, first: int, last: int) -> float:
        if self._cosines is None:
            return 0.0
        highest = max(float(self._cosines[claim, at]) for at in range(first, last + 1))
        return max(0.0, (highest - MIN_COSINE) / (1 - MIN_COSINE))

    def _grown(self, claim: int, match: Match, weights: dict[str, float]) -> Match:
        """Return the run around a sentence, as long as each further sentence is worth it."""
        while match.last - match.first + 1 < MAX_RUN_SENTENCES:
            longer = [
                self._match(claim, first, last, weights)
                for first, last in ((match.first - 1, match.last), (match.first, match.last + 1))
                if first >= 0 and last < len(self.spans) and self.spans[first][0] == self.spans[last][0]
            ]
            found = max(longer, key=_score_of, default=match)
            if found.score < match.score + WORTH:
                break
            match = found
        return match

    def _match(self, claim: int, first: int, last: int, weights: dict[str, float]) -> Match:
        claim_words = self._claims[claim]
        run = self._words[first : last + 1]
        stems = frozenset[str]().union(*self._stems[first : last + 1])
        score = sum([weights[stem] for stem in weights.keys() & stems])
        score = (1 - BY_ORDER) * score + BY_ORDER * _neighbours(claim_words, run, score)
        if self._cosines is not None:
            score = max(score, (1 - BY_MEANING) * score + BY_MEANING * self._cosine(claim, first, last))
        longer = sum(len(found.stems) for found in run) - len(claim_words.stems)
        score -= 0.0002 * max(0, longer)  # of two that hold the same words the shorter one
        score *= self._missing(claim_words, first, last, stems) * _contradiction(claim_words, run, stems)
        if self._exchanged(claim, first, last):
            score *= EXCHANGED
        return Match(max(0.0, score), self.spans[first][0], first, last)

    def _missing(self, claim_words: Words, first: int, last: int, stems: frozenset[str]) -> float:
        """Return a factor below 1 when numbers or names are not where the rest is."""
        whole = self._whole[self.spans[first][0]]
        left = 1.0
        if claim_words.numbers - stems:
            left *= NUMBER_ELSEWHERE if claim_words.numbers <= whole else NUMBER_NOWHERE
        names = self._names(claim_words)
        if names <= stems:
            return left
        if not names <= whole:
            return left * NAME_NOWHERE
        meant = names <= stems | self._before(first) and not PRONOUNS.isdisjoint(stems)
        return left * (NAME_MEANT if meant else NAME_ELSEWHERE)

    def _exchanged(self, claim: int, first: int, last: int) -> bool:
        """Return whether a name or number stands where the run has another one between the same words."""
        pairs = self._pairs[first : last + 1]
        alone = {
            (before, after)
            for before, middle, after in self._named[claim]
            if not any((before, middle) in each or (middle, after) in each for each in pairs)
        }
        run = self._words[first : last + 1]
        return bool(alone) and any((before, after) in alone for found in run for before, _, after in _triples(found))

    def _before(self, first: int) -> frozenset[str]:
        """Return the words that a pronoun may mean: those of the title and of two sentences in front."""
        number = self.spans[first][0]
        before = range(max(0, first - 2), first)
        return self._titles[number].union(*(self._stems[at] for at in before if self.spans[at][0] == number))

    def _names(self, claim_words: Words) -> set[str]:
        first = claim_words.first
        return claim_words.names | {first} if first in self._passage_names else claim_words.names


def _weights(sentences_stems: Sequence[frozenset[str]]) -> dict[str, float]:
    """Return inverse document frequencies, a sentence being a document (Robertson and Spärck Jones, smoothed)."""
    count = len(sentences_stems)
    frequencies = Counter(stem for stems in sentences_stems for stem in stems)
    return {stem: math.log(1 + (count + 1) / (often + 0.5)) for stem, often in frequencies.items()}


def _cosines(claims: list[str], texts: list[str], embed: Embed) -> "np.ndarray":
    import numpy as np

    rows = np.nan_to_num(np.asarray(embed([*claims, *texts]), dtype=np.float32), posinf=0.0, neginf=0.0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return rows[: len(claims)] @ rows[len(claims) :].T


def _score_of(match: Match) -> float:
    return match.score


def _neighbours(claim_words: Words, run: Sequence[Words], otherwise: float) -> float:
    """Return which share of the claim's pairs of neighbouring content words is in the run too."""
    if not claim_words.pairs:
        return otherwise
    known = [found.pairs for found in run]
    return sum(1 for pair in claim_words.pairs if any(pair in pairs for pairs in known)) / len(claim_words.pairs)


def _contradiction(claim_words: Words, run: Sequence[Words], stems: frozenset[str]) -> float:
    """Return a factor below 1 for a negation on one side alone, or an opposite."""
    left = NEGATED if _negated(claim_words, run, stems) else 1.0
    known = antonyms()
    opposites = (known[stem] for stem in claim_words.stems if stem in known and stem not in stems)
    if any(not stems.isdisjoint(each) for each in opposites):
        left *= OPPOSITE
    return left


def _negated(claim_words: Words, run: Sequence[Words], stems: frozenset[str]) -> bool:
    """Return whether one side denies a statement of the other."""
    here = claim_words.denied()
    there = [denied for found in run if found.negations for denied in found.denied()]
    if not here and not there:
        return False
    all_here = frozenset[str]().union(*here)
    all_there = frozenset[str]().union(*there)
    content = set(claim_words.content)
    return any(denied and denied <= stems and not denied & all_there for denied in here) or any(
        denied and denied <= content and not denied & all_here for denied in there
    )


def _find_named(claim_words: Words) -> list[tuple[str, str, str]]:
    """Return the names and numbers that may be exchanged for others, each with its neighbours."""
    return [triple for triple in _triples(claim_words) if _replaceable(claim_words, *triple)]


def _replaceable(claim_words: Words, before: str, middle: str, after: str) -> bool:
    if before == BEGINNING:
        return middle == claim_words.first and after in SURELY_VERBS  # else it may be "Many" for "Several"
    return middle in claim_words.names or middle in claim_words.numbers


def _bounded(found: Words) -> list[str]:
    return [BEGINNING, *found.stems]


def _triples(found: Words) -> Iterable[tuple[str, str, str]]:
    stems = _bounded(found)
    return zip(stems, stems[1:], stems[2:], strict=False)
