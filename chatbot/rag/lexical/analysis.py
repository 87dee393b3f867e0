"""From text to terms: words, stems, character bigrams where words have no spaces between them, and stop words.

Chinese, Japanese and Thai are cut into overlapping pairs of characters before the engine sees them, in texts of any
language: tantivy's own n-grams know no difference between a Chinese and a Latin word.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from chatbot.rag.text.normalization import nfkc

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

PLAIN = "plain"  # the analyzer of all languages without a stemmer
STEMMERS = {
    "ar": "Arabic", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fi": "Finnish",
    "fr": "French", "hu": "Hungarian", "it": "Italian", "nl": "Dutch", "no": "Norwegian", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "ta": "Tamil", "tr": "Turkish",
}  # fmt: skip
ANALYZERS = (PLAIN, *STEMMERS)
WITHOUT_STOP_WORDS = {PLAIN, "ar", "el", "ro", "ta", "tr"}  # tantivy brings none for these
WITH_MARKS = {PLAIN, "ta"}  # vowel signs belong to the word; the faster simple tokenizer cuts there

# Han, Hiragana, Katakana, and what Thai, Lao, Khmer and Burmese are written in, with the vowel signs.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
                      "\uf900-\ufaff\U00020000-\U0003ffff々〆ー]+")  # fmt: skip

# What a question is made of and an answer is not; tantivy's English list has but the 33 words of Lucene's.
QUESTION_WORDS = {
    "en": "what which who whom whose when where why how do does did has have had can could would should may might i "
    "you he she we me my your his her its our us them from been were am than so about many much",
    PLAIN: "什么 多少 哪些 哪个 哪里 哪年 哪一 为什 怎么 怎样 如何 是什 是谁 谁是 几个 何时 是多 么时 的是 是哪",
}


def analyzer_of(language: str) -> str:
    """Return the name of the analyzer for an ISO 639-1 code, which may be empty or unknown."""
    code = "no" if language in ("nb", "nn") else language
    return code if code in STEMMERS else PLAIN


def terms(text: str, name: str) -> list[str]:
    """Return the terms of a text by this analyzer, in their order."""
    return _analyzer(name).analyze(_prepared(text))


def query_terms(query: str, name: str, asked_in: str) -> list[str]:
    """Return the terms of a question for texts of one analyzer, each once; it is asked in words of another.

    Stop words of both are left out, unless there is nothing else: "the" is a rare word in Spanish texts.
    """
    prepared = _prepared(query)
    found = _analyzer(name, frozenset((asked_in, name))).analyze(prepared) or _analyzer(name).analyze(prepared)
    return list(dict.fromkeys(found))


def _prepared(text: str) -> str:
    return UNSPACED.sub(_bigrams, nfkc(text))


def _bigrams(run: re.Match[str]) -> str:
    chars = run[0]
    return f" {' '.join(map(''.join, pairwise(chars))) or chars} "


@cache
def _analyzer(name: str, stop_words_of: frozenset[str] = frozenset()) -> TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    tokenizer = Tokenizer.regex(r"[\w&&[^_]]+") if name in WITH_MARKS else Tokenizer.simple()
    builder = TextAnalyzerBuilder(tokenizer).filter(Filter.lowercase())
    for stops in stop_words_of:
        builder = builder.filter(Filter.custom_stopword(QUESTION_WORDS.get(stops, "").split()))
        if stops not in WITHOUT_STOP_WORDS:
            builder = builder.filter(Filter.stopword(STEMMERS[stops]))
    if name in STEMMERS:
        builder = builder.filter(Filter.stemmer(STEMMERS[name]))
    return builder.filter(Filter.ascii_fold()).build()
