"""Stop words: those that questions consist of and answers do not, and those that say nothing in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from .stems import STEMMERS

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

# tantivy's own English list has but the 33 words of Lucene's; of the other languages it is enough.
QUESTION_WORDS = {
    "en": "what which who whom whose when where why how do does did has have had can could would should may might i "
    "you he she we me my your his her its our us them from been were am than so about many much",
    "zh": "什么 多少 哪些 哪个 哪里 哪年 哪一 为什 怎么 怎样 如何 是什 是谁 谁是 几个 何时 是多 么时 的是 是哪",
}
_OTHERS = (
    "a an the and or but if of at by for with into through to in on off over under again then once here there all any"
    " both each other some such only own same too very s t will just now be him it they their this these that those as"
    " until while because during also must shall upon between out up down is are was"
    " el la los las un una de del y en que por con se su al lo es der die das und ein eine im von zu mit den dem ist le"
    " les des et du une est dans"
)
_SAYING = {"many", "much", "us"}  # question words that say something in a sentence; the last is also a country
FUNCTION_WORDS = frozenset(f"{QUESTION_WORDS['en']} {_OTHERS}".split()) - _SAYING


def stop_word_share(words: Sequence[str], language: str) -> float:
    """Return the share of words, in lower case, that are on tantivy's list of an ISO 639-1 code."""
    return 1 - len(_stop_filter(language).analyze(" ".join(words))) / len(words) if words else 0.0


@cache
def _stop_filter(language: str) -> TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.stopword(STEMMERS[language])).build()
