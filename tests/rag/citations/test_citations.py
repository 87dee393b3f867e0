"""Citations: the passages that support an answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.citations.alignment import CitedAnswer, cite
from chatbot.rag.citations.support import SUPPORTED, support
from chatbot.rag.text.words import words
from chatbot.rag.types import Citation, Passage
from tests.support.work import calls

PARIS = "The river Seine flows through the city. Paris is the capital of France. It has about 2,100,000 inhabitants."
ROME = "Rome was founded in 753 BC. Romulus killed his brother Remus there. Dr. Berti does not doubt the legend."
PASSAGES = [
    Passage("d1", 1, "Paris", PARIS, 100, score=0.9),
    Passage("d2", 3, "Rome", ROME, 0, page=2, score=0.5),
]


def cited(answer: str) -> list[Citation]:
    return cite(answer, PASSAGES).citations


def test_copied_sentence_is_quoted_with_its_offsets_in_the_document() -> None:
    answer = "Paris is the capital of France."
    assert cite(answer, PASSAGES) == CitedAnswer(
        [Citation(None, PASSAGES[0], 140, 171, answer, 0.9, True, ((0, len(answer)),))],
        1.0,
    )


@pytest.mark.parametrize("answer", ["The capital of France is Paris [1].", "The capital of France is Paris. [1]", "[1] The capital of France is Paris.",
                                    "The capital of France is Paris.\n\n[1]", "The capital of France is Paris【1】.", "The capital of France is Paris [^1]"])  # fmt: skip
def test_marker_names_the_passage(answer: str) -> None:
    answered = cite(answer, PASSAGES)
    citations = answered.citations
    grounded = answered.grounded
    assert [(each.marker, each.supported, each.quote) for each in citations] == [
        (1, True, "Paris is the capital of France.")
    ]
    assert grounded == 1.0


def test_marker_of_a_passage_that_does_not_support_is_shown_so_and_the_right_one_is_found() -> None:
    answered = cite("Rome was founded in 753 BC [1].", PASSAGES)
    citations = answered.citations
    grounded = answered.grounded
    assert [(each.marker, each.supported) for each in citations] == [(1, False), (None, True)]
    assert grounded == 1.0


def test_each_marker_stands_for_the_words_in_front_of_it() -> None:
    answer = "Paris is the capital of France [1], and Rome was founded in 753 BC [2]."
    parts = [(each.marker, [answer[start:end] for start, end in each.answer_spans]) for each in cited(answer)]
    assert parts == [(1, ["Paris is the capital of France [1]"]), (2, ["and Rome was founded in 753 BC [2]"])]


def test_one_place_that_supports_two_sentences_is_one_citation() -> None:
    answer = "Paris is the capital of France. So it is: the capital of France is Paris [1]."
    (citation,) = cited(answer)
    assert citation.marker == 1
    assert len(citation.answer_spans) == 2


def test_copy_of_neighbouring_sentences_is_quoted_as_one() -> None:
    (citation,) = cited(ROME)
    assert citation.quote == ROME
    assert len(citation.answer_spans) == 3


@pytest.mark.parametrize(
    "answer",
    [
        "Rome was founded in 754 BC.", "Paris is the capital of Spain.", "Paris is not the capital of France.", "Remus killed his brother Romulus there.",
        "Dr. Berti doubts the legend.", "It has about 2,400,000 inhabitants.", "London is the capital of France.", "Bread is baked from flour and water.",
    ],
)  # fmt: skip
def test_what_contradicts_the_passages_is_not_supported(answer: str) -> None:
    assert cite(answer, PASSAGES) == CitedAnswer([], 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        "Rome has been founded in 753 BC.", "France's capital is Paris.", "Through the city flows the river Seine.", "The city has about 2100000 inhabitants.",
        "PARIS IS THE CAPITAL OF FRANCE.", "Paris", "753 BC", "Dr. Berti doesn't doubt the legend.",
    ],
)  # fmt: skip
def test_light_paraphrase_is_supported(answer: str) -> None:
    assert cite(answer, PASSAGES).grounded == 1.0


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("Rome was founded in 753 BC. Bread is baked from flour.", 0.5), ("Sure! Rome was founded in 753 BC. Do you want to know more about bread?", 1.0),
        ("# The founding of cities\nHere is what they say about it:\n- Rome was founded in 753 BC.\n\nI hope that this helps.", 1.0),
        ("Rome was founded in 753 BC:\n```\nprint(bread)\n```\n", 0.0), ("I do not know.", 0.0), ("", 0.0), ("How are you?", 0.0),
        ("Rome was founded in 753 BC [2].\n\n[2] : Bread and flour", 1.0),
    ],
)  # fmt: skip
def test_grounded_is_the_share_of_statements_that_are_supported(answer: str, share: float) -> None:
    assert cite(answer, PASSAGES).grounded == share


def test_without_passages_there_is_nothing_to_say() -> None:
    assert cite("Rome was founded in 753 BC [1].", []) == CitedAnswer([], None)


def test_sentences_of_other_scripts_are_aligned() -> None:
    passage = Passage("d", 1, "", "今天下雨。巴黎是法国的首都。", 7)
    (citation,) = cite("法国的首都是巴黎。", [passage]).citations
    assert (citation.start, citation.quote) == (12, "巴黎是法国的首都。")
    assert cite("巴黎不是法国的首都。", [passage]) == CitedAnswer([], 0.0)


def test_embedding_lifts_a_sentence_that_means_the_same() -> None:
    def alike(texts: object) -> np.ndarray:
        return np.array([[1.0, 0.0] if "Seine" in text else [0.0, 1.0] for text in texts])

    said = "The Seine crosses this city with its water."
    assert support(said, PASSAGES[0], alike) > support(said, PASSAGES[0])


def test_embedding_that_is_not_finite_counts_as_nothing() -> None:
    answer = "Rome was founded in 753 BC."
    assert cite(answer, PASSAGES, lambda texts: np.full((len(texts), 4), np.nan)) == cite(answer, PASSAGES)


@pytest.mark.parametrize(
    ("said", "passage"),
    [
        ("The treaty was signed by the US in 1990.", "The treaty was signed by the UK in 1990."),
        ("The treaty was signed by the UK in 1990.", "The treaty was signed by the US in 1990."),
    ],
)
def test_another_country_is_not_supported(said: str, passage: str) -> None:
    assert support(said, Passage("d", 1, "", passage, 0)) < SUPPORTED


def test_stem_that_is_a_function_word_stays_a_word() -> None:
    assert words("Human beings dream.").content == ["human", "beings", "dream"]
    assert words("The willing heard of theses.").content == ["willing", "heard", "theses"]


def test_words_without_spaces_go_on_in_the_next_line() -> None:
    assert words("村民们喜\n欢苹果").stems == words("村民们喜欢苹果").stems
    assert words("他不\n喜欢").negations == words("他不喜欢").negations


def test_importance_is_not_the_opposite_of_export() -> None:
    passage = Passage("d", 1, "", "Coal is an export product of the region.", 0)
    assert support("Coal is an important product of the region.", passage) > 0.5
    assert support("Coal is an import product of the region.", passage) < 0.5


def test_support_tells_what_is_said_from_what_is_not() -> None:
    assert support("Rome was founded in 753 BC.", PASSAGES[1]) > 0.95
    assert support("Rome was founded in 1753 BC.", PASSAGES[1]) < SUPPORTED
    assert support("", PASSAGES[1]) == 0.0


PIECES = "Rome Paris was not 753 the. is! a? [1] [2] [3] [1][2] \n - ``` 【1】 # 法国 。 killed"
TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(PIECES.split(" ")), max_size=40).map(" ".join),
)  # fmt: skip


@given(TEXT, st.lists(st.tuples(TEXT, st.integers(0, 10_000)), max_size=4))
def test_quotes_are_at_their_offsets_and_spans_inside_the_answer(
    answer: str, given_texts: list[tuple[str, int]]
) -> None:
    passages = [Passage(f"d{number}", 1, "", text, start) for number, (text, start) in enumerate(given_texts)]
    answered = cite(answer, passages)
    citations = answered.citations
    grounded = answered.grounded
    assert grounded is None if not passages else 0.0 <= grounded <= 1.0
    for each in citations:
        assert each.quote == each.passage.text[each.start - each.passage.start : each.end - each.passage.start] != ""
        assert each.marker is None or passages[each.marker - 1] is each.passage
        assert each.answer_spans
        assert all(0 <= start < end <= len(answer) for start, end in each.answer_spans)
    assert len({(each.passage.document_id, each.start, each.end) for each in citations}) == len(citations)


def test_ten_sentences_against_eight_passages_take_little_time() -> None:
    names = [chr(65 + number % 26) + "abcde"[number % 5] * 3 + str(number) for number in range(400)]
    lines = [
        f"The town {name} was built by {other} near the old river in {1000 + n}."
        for n, (name, other) in enumerate(zip(names, names[7:], strict=False))
    ]
    passages = [Passage(str(n), 1, "", " ".join(lines[n * 15 : n * 15 + 15]), 0) for n in range(8)]
    answer = " ".join(lines[5:105:10])
    assert calls(lambda: cite(answer, passages)) < 40_000  # 6 to 10 ms on two cores


@pytest.mark.parametrize("scrap", ["A:", "Rome", "Paris is:"])
def test_scrap_beside_a_sentence_is_not_aligned(scrap: str) -> None:
    found = cite(f"{scrap}\n\nFrance's capital is Paris.", PASSAGES).citations
    assert [one.quote for one in found] == [one.quote for one in cite("France's capital is Paris.", PASSAGES).citations]
