"""From a question to an answer."""

from collections.abc import Generator

from . import prompt
from .ports import LLM
from .tokens import Counter
from .types import Ask, Finish, Prompted, Question


def answer(question: Question, llm: LLM, budget: int, count: Counter) -> Generator[Prompted | str | Finish]:
    """Yield what is asked, then the answer's text piece by piece, then one Finish.

    The prompt takes at most `budget` tokens, as `count` counts them. Raises an `errors.LLMError`, before or between
    pieces.
    """
    messages = question.verbatim or prompt.build(question.text, question.history, budget=budget, count=count)
    yield Prompted(messages, llm.name, count)
    yield from llm.stream(Ask(messages, question.parameters, question.abort, question.model, question.pause))
