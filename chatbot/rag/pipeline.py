"""From a question to an answer: what to search for, passages, prompt, model, filter."""

from collections.abc import Generator, Iterator

from . import condense, prompt
from .errors import LLMError
from .filtering import AnswerFilter
from .ports import LLM
from .tokens import Counter
from .types import Ask, Finish, Passage, Prompted, Question

# Of a passage's score: what it takes to answer at all, and what is worth showing a model that may answer anyway.
STRICTLY_RELEVANT, RELEVANT = 0.5, 0.1
MOST_PASSAGES = 8
REFUSAL = "I found nothing in the documents that answers this question."


def answer(question: Question, llm: LLM, budget: int, count: Counter) -> Generator[Prompted | str | Finish]:
    """Yield what is asked, then the answer's text piece by piece, then one Finish.

    The prompt takes at most `budget` tokens, as `count` counts them. A strict question to which nothing was found is
    refused without a model. Raises an `errors.LLMError`, before or between pieces.
    """
    query, passages = _retrieved(question)
    if question.strict and not passages:
        yield Prompted((), llm.name, count, query, ())
        yield REFUSAL
        yield Finish("stop", llm.name, 0, 0)
        return
    if question.verbatim:
        built = prompt.Built(question.verbatim)
    else:
        built = prompt.build(question.text, question.history, passages, budget=budget, count=count)
    yield Prompted(built.messages, llm.name, count, query, built.passages, built.tokens)
    ask = Ask(built.messages, question.parameters, question.abort, question.model, question.pause, question.tries)
    pieces = llm.stream(ask)
    yield from pieces if question.verbatim else filtered(pieces, len(built.passages))


def filtered(pieces: Iterator[str | Finish], passages: int) -> Generator[str | Finish]:
    """Pass an answer on without what a reader must not follow; what was held back comes out at the end."""
    answer_filter = AnswerFilter(passages)
    try:
        for piece in pieces:
            if isinstance(piece, Finish):
                rest = answer_filter.end()
                if rest:
                    yield rest
                yield piece
            elif text := answer_filter.feed(piece):
                yield text
    except LLMError:
        rest = answer_filter.end()
        if rest:
            yield rest
        raise


def _retrieved(question: Question) -> tuple[str | None, list[Passage]]:
    if question.retrieve is None:
        return None, []
    query = condense.query(question.text, question.history)
    found, least = question.retrieve(query, question.text), threshold(strict=question.strict)
    return query, [passage for passage in found if passage.score >= least][:MOST_PASSAGES]


def threshold(*, strict: bool) -> float:
    """Return the least score of a passage that goes into a prompt."""
    return STRICTLY_RELEVANT if strict else RELEVANT
