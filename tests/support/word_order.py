"""How many words two texts have in common, in order."""

import re
import unicodedata
from collections.abc import Sequence

WORD = re.compile(r"\w+")


def split_words(text: str) -> list[str]:
    """Return the words of a text, without punctuation; ligatures and wide forms are as their letters."""
    return WORD.findall(unicodedata.normalize("NFKC", text))


def count_common(words: Sequence[str], others: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004): each of the words is a few operations
    on integers of as many bits as there are others.
    """
    places: dict[str, int] = {}
    for number, other in enumerate(others):
        places[other] = places.get(other, 0) | 1 << number
    every = (1 << len(others)) - 1
    unmatched = every
    for word in words:
        matches = unmatched & places.get(word, 0)
        unmatched = ((unmatched + matches) | (unmatched - matches)) & every
    return len(others) - unmatched.bit_count()
