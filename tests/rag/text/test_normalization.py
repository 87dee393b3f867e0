"""Unicode normalization of ordinary and of hostile texts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.text.normalization import GRAPHEME_JOINER, MAX_NONSTARTERS, casefold_nfkc, nfkc, stream_safe

MARKS = "\u0301\u0316\u0323\u0344\u0345\u0f73\u0f77\uff9e\U0001d165"


def longest_run(text: str) -> int:
    """Return the most non-starters in a row."""
    kinds = "".join("m" if unicodedata.combining(part) else " " for part in unicodedata.normalize("NFKD", text))
    return max(map(len, kinds.split()), default=0)


@given(st.text(alphabet=MARKS + "ấ\u0130\u1fb4 a。", max_size=120))
def test_runs_are_bounded_and_other_texts_stay_as_they_are(text: str) -> None:
    safe = stream_safe(text)
    assert longest_run(safe) <= MAX_NONSTARTERS
    assert safe.replace(GRAPHEME_JOINER, "") == text
    assert safe == text or longest_run(text) > MAX_NONSTARTERS
    folded = casefold_nfkc(text)
    assert longest_run(folded) <= MAX_NONSTARTERS
    assert casefold_nfkc(folded) == folded


@given(st.text(max_size=40))
def test_text_without_long_runs_is_normalized_as_the_standard_library_does(text: str) -> None:
    if longest_run(text) <= MAX_NONSTARTERS:
        assert nfkc(text) == unicodedata.normalize("NFKC", text)


def test_each_character_that_is_all_non_starters_is_bounded() -> None:
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    nonstarters = [one for one in characters if unicodedata.combining(unicodedata.normalize("NFKD", one)[0])]
    assert len(nonstarters) > 900
    assert all(longest_run(stream_safe(one * 40)) <= MAX_NONSTARTERS for one in nonstarters)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "ada"), ("ＡＤＡ", "ada"), ("Straße", "STRASSE"), ("e\u0301", "É"), ("ﬁ", "FI"), ("\u0130", "i\u0307")],
)
def test_names_that_look_the_same_have_one_form(one: str, other: str) -> None:
    assert casefold_nfkc(one) == casefold_nfkc(other)
