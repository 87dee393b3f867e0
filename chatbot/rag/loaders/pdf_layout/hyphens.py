"""Words that the ends of lines have parted."""

import re
from collections.abc import Iterable
from itertools import accumulate, pairwise

from chatbot.rag.loaders.pdf_bidi.glyphs import SOFT_HYPHEN

from .notes import SENTENCE_END

HYPHEN = "\u2010"  # which producers that hyphenate by themselves put at a line's end
HYPHENS = f"{SOFT_HYPHEN}{HYPHEN}"
# A word whose rest may be parted again; a page's number is no rest.
JOINED = re.compile(
    rf"({SOFT_HYPHEN}|(?<=\w){HYPHEN})(?:\n(?=\d)|[\n ]*\n(?=[^\W\d_]))"
    rf"(\w++)((?:[^\s{HYPHENS}]|[{HYPHENS}](?![\n ]{{0,9}}\n))*+)(?:(?=([{HYPHENS}]))| ?)"
)
WORDS = re.compile(rf"\b\w++(?:[-{HYPHEN}]\w++){{0,9}}+(?![{HYPHENS}])")
REST = re.compile(rf"(?<=[{HYPHENS}])[\n ]{{0,9}}\n\w*+")
SELF_ENDINGS = ("ish", "less", "hood", "same")  # of words with "self" that have no hyphen
# Of numerals in English and French, which have a hyphen between tens and units.
TENS = {
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "dix", "vingt", "trente", "quarante",
    "cinquante", "soixante",
}  # fmt: skip
UNITS = {
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "first", "second", "third", "fourth",
    "fifth", "sixth", "seventh", "eighth", "ninth", "deux", "trois", "quatre", "cinq", "sept", "huit", "neuf", "dix",
    "onze", "douze", "treize", "quatorze", "quinze", "seize",
}  # fmt: skip
MIN_SLACK = 7  # characters that a line has left, of which a program that hyphenates would have used some
LONG_WORD = re.compile(r"[^\W\d_]{8,}")  # which it would have parted


class Vocabulary:
    """The words of a document, without those that a line's end has parted."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._words: set[str] = set()
        self._compounds: set[str] = set()  # and their beginnings
        texts = list(texts)
        self.is_hyphenated = _is_hyphenated(texts)
        for text in texts:
            for word in set(WORDS.findall(REST.sub(" ", text))):
                *parts, last = word.lower().replace(HYPHEN, "-").split("-")
                if parts:
                    self._compounds.update(accumulate([*parts, last], "{}-{}".format))
                else:
                    self._words.add(last)

    def has_hyphen(self, before: str, rest: str, punctuation: str = "") -> bool:
        """Return whether a parted word has a hyphen of its own: "E-mail", or one that the document has elsewhere."""
        if not rest[:1].islower():
            return True
        *others, last = before.lower().replace(HYPHEN, "-").lstrip("([\"'\u201c\u2018\u201e").split("-")
        is_letter = len(last) == 1 and last.isalpha()
        if is_letter or "-".join([*others, last, rest.lower()]) in self._compounds:
            return True
        if last + rest.lower() in self._words:
            return False
        if not self.is_hyphenated:
            return True
        is_between = bool(others) and punctuation.startswith("-")
        is_known = last in self._words and rest.lower() in self._words
        return is_between or (is_known and (bool(others) or punctuation.startswith("-"))) or _is_compound(last, rest)


def _is_hyphenated(texts: Iterable[str]) -> bool:
    """Return whether ends of lines part words: where long words have gone to the next line whole, none does."""
    parted = whole = 0
    for text in texts:
        for paragraph in text.split("\n\n"):
            lines = paragraph.split("\n")
            width = max(map(len, lines))
            for line, following in pairwise(lines):
                if line.endswith(tuple(HYPHENS)):
                    parted += following[:1].islower()
                elif width - len(line) >= MIN_SLACK and len(line) > width / 2 and not SENTENCE_END.search(line):
                    whole += LONG_WORD.match(following) is not None
    return not whole or parted > whole


def _is_compound(before: str, rest: str) -> bool:
    """Return whether a word is one with "self" or a numeral, which has a hyphen."""
    if before == "self":
        return not rest.startswith(SELF_ENDINGS)
    return (before in TENS and rest in UNITS) or (before == "quatre" and rest.startswith("vingt"))


def join_hyphens(text: str, vocabulary: Vocabulary) -> str:
    """Join words that a line's end has parted; a hyphen of their own is kept where the document has them with it."""

    def join(parted: re.Match[str]) -> str:
        before = text[: parted.start()].rpartition("\n")[2].split(" ")[-1]
        hyphen, rest, punctuation, next_hyphen = parted.groups()
        if vocabulary.has_hyphen(before, rest, punctuation):
            rest = ("-" if hyphen == SOFT_HYPHEN else hyphen) + rest
        return rest + punctuation + ("" if next_hyphen else "\n")

    return JOINED.sub(join, text).replace(SOFT_HYPHEN, "-")
