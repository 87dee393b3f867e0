"""Unicode normalization in linear time.

`unicodedata.normalize` sorts runs of combining characters by insertion in CPython 3.11: quadratic in a run's length
(https://github.com/python/cpython/issues/149079). The Stream-Safe Text Format (UAX #15, section 13) bounds the runs.
"""

import re
import unicodedata
from functools import lru_cache

MAX_NONSTARTERS = 30  # in a row (UAX #15, D3); more are in no text of any language
GRAPHEME_JOINER = "\u034f"  # COMBINING GRAPHEME JOINER: invisible, and a starter

# All characters that decompose to nothing but non-starters are here; Katakana's halfwidth sound marks are letters.
# Each decomposes to at most two, and the letter in front to a starter and at most three: 13 more are 29.
_LONG_RUN = re.compile(r"(?:[^\w\s\x00-\u02ff]|[\uff9e\uff9f]){14,}")


def nfkc(text: str) -> str:
    """Return a text in the Unicode normalization form NFKC, with runs of combining characters bounded."""
    return unicodedata.normalize("NFKC", stream_safe(text))


def nfc(text: str) -> str:
    """Return a text in the Unicode normalization form NFC, with runs of combining characters bounded."""
    return unicodedata.normalize("NFC", stream_safe(text))


def casefold_nfkc(text: str) -> str:
    """Return the form in which two texts are a compatibility caseless match (Unicode 3.13, D146)."""
    # Case folding appends combining characters, such as a dot to U+0130: bounded again.
    return nfkc(nfkc(text).casefold())


def stream_safe(text: str) -> str:
    """Return a text in the Stream-Safe Text Format: a joiner after each 30 non-starters in a row (UAX #15, D4)."""
    return text if text.isascii() else _LONG_RUN.sub(_bound_run, text)


def _bound_run(run: re.Match[str]) -> str:
    bounded = []
    before = run.string[max(0, run.start() - 1) : run.start()]
    nonstarters = _count_nonstarters(before)[1] if before else 0
    for character in run[0]:
        leading, trailing, is_nonstarter = _count_nonstarters(character)
        if nonstarters + leading > MAX_NONSTARTERS:
            bounded.append(GRAPHEME_JOINER)
            nonstarters = 0
        bounded.append(character)
        nonstarters = nonstarters + leading if is_nonstarter else trailing
    return "".join(bounded)


@lru_cache(4_096)
def _count_nonstarters(character: str) -> tuple[int, int, bool]:
    """Return how many non-starters a character's decomposition begins and ends with, and whether it has no other."""
    decomposed = unicodedata.normalize("NFKD", character)
    starters = [at for at, part in enumerate(decomposed) if not unicodedata.combining(part)]
    if not starters:
        return len(decomposed), len(decomposed), True
    return starters[0], len(decomposed) - 1 - starters[-1], False
