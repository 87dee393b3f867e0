"""From text to terms: words, stems, character bigrams where words have no spaces between them, and stop words.

Chinese, Japanese, Korean and Thai are cut into overlapping pairs of characters before the engine sees them, in texts of
any language: tantivy's own n-grams know no difference between a Chinese and a Latin word. In a language without a
stemmer a word's beginning is a term beside the word (truncation as of McNamee and Mayfield, "Character n-gram
tokenization for European language text retrieval", 2004): measured, it is worth what a stemmer is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from chatbot.rag.text import unspaced
from chatbot.rag.text.normalization import nfkc
from chatbot.rag.text.stems import STEMMERS
from chatbot.rag.text.stop_words import QUESTION_WORDS

if TYPE_CHECKING:
    from tantivy import TextAnalyzer, TextAnalyzerBuilder

VERSION = 3  # one more with each change of what terms a text has
PLAIN = "plain"  # the analyzer of all languages without a stemmer
ANALYZERS = (PLAIN, *STEMMERS)
WITHOUT_STOP_WORDS = {PLAIN, "ar", "el", "ro", "ta", "tr"}  # tantivy brings none for these
WITH_MARKS = {PLAIN, "ta"}  # vowel signs belong to the word; the faster simple tokenizer cuts there

MAX_QUERY_LENGTH = 32_000  # in normal form, in which a character may be 18
BEGINNING = 4  # characters of a word that are a term of their own
BEGINNING_MARK = "…"
# A word cut at the end of a line, as typewriters and some PDFs have it.
CUT_WORD = re.compile(r"\b([^\W\d_]{2,60})-[ \t]{0,9}\n[ \t]{0,9}([^\W\d_]{2,60})\b")

_STOP_WORDS = {"en": QUESTION_WORDS["en"].split(), PLAIN: QUESTION_WORDS["zh"].split()}


def analyzer_of(language: str) -> str:
    """Return the name of the analyzer for an ISO 639-1 code, which may be empty or unknown."""
    code = "no" if language in ("nb", "nn") else language
    return code if code in STEMMERS else PLAIN


def terms(text: str, name: str) -> list[str]:
    """Return the terms of a text by this analyzer, in their order."""
    return _with_beginnings(_analyzer(name).analyze(_prepared(text)), name)


def prepare_query(query: str) -> str:
    """Return a question as `query_terms` takes it: once for all analyzers, and as long as a message may be."""
    return _cut_into_words(_normalized(query)[:MAX_QUERY_LENGTH])


def query_terms(prepared: str, name: str, asked_in: str) -> list[str]:
    """Return the terms of a prepared question for texts of one analyzer, each once; it is asked in words of another.

    Stop words of both are left out, unless there is nothing else: "the" is a rare word in Spanish texts.
    """
    found = _analyzer(name, frozenset((asked_in, name))).analyze(prepared) or _analyzer(name).analyze(prepared)
    return list(dict.fromkeys(_with_beginnings(found, name)))


def word_terms(words: Sequence[str], name: str) -> list[str]:
    """Return the term of each word, or of each pair of characters where words have no spaces between them."""
    prepared = " ".join("".join(_normalized(word).split()) or "_" for word in words)
    return _analyzer_of_words(name).analyze(prepared)


def _normalized(text: str) -> str:
    # Turkish and others' capital I with a dot would be two characters in lower case.
    return nfkc(text).replace("İ", "i")


def _prepared(text: str) -> str:
    return _cut_into_words(_normalized(text))


def _cut_into_words(text: str) -> str:
    text = CUT_WORD.sub(r"\1\2 \1 \2", text)
    return unspaced.RUN.sub(lambda run: f" {' '.join(unspaced.bigrams(run[0]))} ", text)


def _with_beginnings(found: list[str], name: str) -> list[str]:
    if name != PLAIN:
        return found
    return [term for word in found for term in (word, beginning(word)) if term]


def beginning(word: str) -> str:
    """Return the term that stands for a word's beginning; empty for a short word or one with digits."""
    if len(word) <= BEGINNING or any(map(str.isdigit, word)):
        return ""
    return word[:BEGINNING] + BEGINNING_MARK


@cache
def _analyzer(name: str, stop_words_of: frozenset[str] = frozenset()) -> TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    tokenizer = Tokenizer.regex(r"[\w&&[^_]]+") if name in WITH_MARKS else Tokenizer.simple()
    builder = TextAnalyzerBuilder(tokenizer).filter(Filter.lowercase())
    for stops in stop_words_of:
        builder = builder.filter(Filter.custom_stopword(_STOP_WORDS.get(stops, [])))
        if stops not in WITHOUT_STOP_WORDS:
            builder = builder.filter(Filter.stopword(STEMMERS[stops]))
    return _stemming(builder, name)


@cache
def _analyzer_of_words(name: str) -> TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return _stemming(TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.lowercase()), name)


def _stemming(builder: TextAnalyzerBuilder, name: str) -> TextAnalyzer:
    from tantivy import Filter

    if name in STEMMERS:
        builder = builder.filter(Filter.stemmer(STEMMERS[name]))
    return builder.filter(Filter.ascii_fold()).build()
