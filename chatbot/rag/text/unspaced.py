"""Texts of scripts without spaces between words, and Korean, cut into overlapping pairs of characters."""

import re
from itertools import pairwise

# Han, Hiragana, Katakana, and what Thai, Lao, Khmer and Burmese are written in, with the vowel signs.
WITHOUT_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff々〆ー"
)
CHARACTERS = WITHOUT_SPACES + "\uac00-\ud7af"  # and Hangul, since particles are parts of Korean words
# A line ends anywhere in a word where there are no spaces: its end is none between two such characters.
LINE_END = rf"(?<=[{WITHOUT_SPACES}])\n[ \t]{{0,9}}(?=[{WITHOUT_SPACES}])"
RUN = re.compile(f"[{CHARACTERS}]+(?:{LINE_END}[{CHARACTERS}]+)*")


def bigrams(run: str) -> list[str]:
    """Return the overlapping pairs of a run's characters, its lines joined; a single character of a line as it is."""
    lines = run.split()
    pairs = ["".join(pair) for pair in pairwise("".join(lines))]
    return pairs + [line for line in lines if len(line) == 1]
