"""The words of a sentence, as support is measured on them: stems, numbers, names, negations."""

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise

from . import stems, unspaced
from .stop_words import FUNCTION_WORDS

_UNSPACED = unspaced.CHARACTERS
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|{unspaced.RUN.pattern}|[^\W\d_{_UNSPACED}]+(?:['\u2019][^\W\d_]+)?")
_PAIRED = re.compile(rf"[{_UNSPACED}]")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COUNTED = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    " nineteen twenty"
)
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_COUNTED.split(), 2)}
_NUMBERS = frozenset(_NUMBER_WORDS.values())
_ROOTS = {
    form: forms.split()[0]
    for forms in (
        "be is are was were been being am", "have has had having", "do does did done doing", "go goes went gone",
        "make made", "take took taken", "begin began begun", "become became", "give gave given", "write wrote written",
        "find found", "hold held", "lead led", "build built", "leave left", "lose lost", "know knew known", "say said",
        "see saw seen", "come came", "get got gotten", "grow grew grown", "keep kept", "win won", "send sent",
        "think thought", "bring brought", "buy bought", "sell sold", "speak spoke spoken", "rise rose risen",
        "fall fell fallen", "choose chose chosen", "drive drove driven", "mean meant", "meet met", "teach taught",
        "run ran", "show shown", "man men", "woman women", "child children", "person people", "foot feet",
    )
    for form in forms.split()
}  # fmt: skip
_DENYING = (
    "not no never none neither nor without cannot nothing nobody hardly barely nicht kein keine nie pas jamais nunca"
    " sin non"
)
NEGATIONS = frozenset(_DENYING.split())
_OPPOSITES = (
    "increase decrease", "increase reduce", "rise fall", "more less", "more few", "most least", "high low",
    "highest lowest", "large small", "largest smallest", "first last", "early late", "earlier later", "before after",
    "north south", "east west", "northern southern", "eastern western", "win lose", "accept reject", "allow forbid",
    "always never", "true false", "above below", "old young", "male female", "oldest newest", "begin end",
    "strong weak", "success failure", "support oppose", "same different", "major minor", "rich poor", "import export",
)  # fmt: skip
_OVERSTEMMED = "importan"  # Snowball makes "import" of it, which is the opposite of "export"
_NOT = "不没沒未"
_MEANT = "he she it they his her him its their them this these who which such"
PRONOUNS = frozenset(_MEANT.split())
# what a negation denies: so many words that say something, among so many behind it
SCOPE = 2
NEAR = 8


@dataclass(slots=True)
class Words:
    """A sentence's words in their order.

    `names` are stems that begin with a capital inside of it; `first` the one at its beginning, which may be a name
    or not; `negations` tell where negations stand in `stems`.
    """

    stems: list[str] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    first: str | None = None
    negations: list[int] = field(default_factory=list)
    content: list[str] = field(default_factory=list)  # the stems that say something
    pairs: set[tuple[str, str]] = field(default_factory=set)  # of these, neighbours

    def denied(self) -> list[set[str]]:
        """Return for each negation the words that it stands in front of."""
        following = (self.stems[at + 1 : at + 1 + NEAR] for at in self.negations)
        return [set([stem for stem in near if stem not in FUNCTION_WORDS][:SCOPE]) for near in following]


def words(text: str) -> Words:
    """Return the words of a sentence; scripts without spaces, and Korean, as pairs of characters."""
    found = Words()
    for token in _TOKEN.findall(text):
        if token[0] >= "\u0e00" and _PAIRED.match(token):
            _add_pairs(found, token)
        else:
            _add(found, *_read(token))
    found.content = [stem for stem in found.stems if stem not in FUNCTION_WORDS]
    found.pairs = set(pairwise(found.content))
    if len(found.names) > 4 and len(found.names) * 10 > 7 * len(found.content):
        found.names.clear()  # a title, or all in capitals: case says nothing
    return found


def _add(found: Words, stem: str, kind: str) -> None:
    if kind == "number":
        found.numbers.add(stem)
    elif kind == "negation":
        found.negations.append(len(found.stems))
    elif kind == "name" and found.stems:
        found.names.add(stem)
    elif kind == "name":
        found.first = stem
    found.stems.append(stem)


@lru_cache(65_536)
def _read(token: str) -> tuple[str, str]:
    """Return a token's stem and kind."""
    if token[0].isdigit():
        return token.replace(",", "") if _GROUPED.fullmatch(token) else token, "number"
    stem = _stem(token)
    if stem in _NUMBERS:
        return stem, "number"
    if stem in NEGATIONS or token[-3:].lower() in ("n't", "n\u2019t"):
        return stem, "negation"
    return stem, "name" if token[0].isupper() and stem not in FUNCTION_WORDS else "word"


def _add_pairs(found: Words, token: str) -> None:
    text = ""
    for character in "".join(token.split()):
        if character in _NOT:
            found.negations.append(len(found.stems) + len(text) - 1)
        else:
            text += character
    found.stems.extend(unspaced.bigrams(text))


def _stem(token: str) -> str:
    """Return the English stem of a word: of another language it is rough, but the same on both sides."""
    word = token.lower().replace("\u2019", "'").removesuffix("'s")
    word = _NUMBER_WORDS.get(word) or _ROOTS.get(word, word)
    if word in FUNCTION_WORDS or word in NEGATIONS or word in _NUMBERS:
        return word
    if word.startswith(_OVERSTEMMED):
        return word
    stem = stems.stem(word, "en")
    return word if stem in FUNCTION_WORDS or stem in NEGATIONS else stem  # such as a being, or the willing


@cache
def antonyms() -> dict[str, set[str]]:
    """Return stems and the stems of their opposites."""
    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES:
        one, other = map(_stem, pair.split())
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found
