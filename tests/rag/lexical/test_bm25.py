"""BM25 over a few texts in memory."""

import pytest

from chatbot.rag.lexical.bm25 import TextScores
from tests.support.work import calls


def rank(question: str, *texts: str) -> list[int]:
    scores = TextScores([question])
    for text in texts:
        scores.add([text])
    return scores.rank()


def test_rare_words_count_more_and_texts_without_any_are_left_out() -> None:
    texts = ("the train was late", "the train to Oslo", "nothing here", "a train, a train", "Oslo")
    assert rank("When does the train to Oslo leave?", *texts) == [1, 4, 3, 0]


def test_of_equal_texts_the_last_comes_first() -> None:
    assert rank("dog", "my dog", "my dog", "cat") == [1, 0]


@pytest.mark.parametrize(
    ("question", "text"),
    [("Which dogs did I have?", "I had a dog."), ("我的狗叫什么名字？", "我的狗叫小白。"), ("Як звати мого собаку?", "Мого собаку звати Рекс.")],
)  # fmt: skip
def test_words_are_found_in_other_forms_and_languages(question: str, text: str) -> None:
    assert rank(question, "12345", text, "xyz") == [1]


def test_first_wording_goes_before_the_others() -> None:
    scores = TextScores(["my name?", "The train to Oslo was late.\nmy name?"])
    scores.add(["the train to Oslo was late", "my name is Ada", "late", "nothing"])
    assert scores.rank() == [1, 0, 2]


def test_nothing_is_found_in_nothing() -> None:
    assert rank("dog") == []
    assert rank("dog", "", "") == []
    assert rank("", "text") == []


def test_work_grows_with_the_texts_alone() -> None:
    def work(number: int) -> int:
        return calls(lambda: rank("my dog", *["a dog of mine"] * number))

    rank("dog", "warm")
    assert work(800) < 5 * work(200)
