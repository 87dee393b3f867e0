"""Texts of scripts without spaces between words, and Korean, cut into overlapping pairs of characters."""

import re
from itertools import pairwise

# Han, Hiragana, Katakana, and what Thai, Lao, Khmer and Burmese are written in, with the vowel signs; and Hangul, since
# particles are parts of Korean words.
CHARACTERS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uac00-\ud7af\U00020000-\U0003ffff々〆ー"
)
RUN = re.compile(f"[{CHARACTERS}]+")


def bigrams(run: str) -> list[str]:
    """Return the overlapping pairs of a run's characters; a single character is returned as it is."""
    return ["".join(pair) for pair in pairwise(run)] or [run]
