"""From a question to an answer."""

from collections.abc import Iterator, Sequence

from . import prompt
from .ports import LLM
from .types import Finish, Passage


def answer(question: str, llm: LLM, passages: Sequence[Passage] = ()) -> Iterator[str | Finish]:
    """Yield the answer's text piece by piece, then one Finish.

    Raises an `errors.LLMError`, before or between pieces.
    """
    yield from llm.stream(prompt.build(question, passages))
