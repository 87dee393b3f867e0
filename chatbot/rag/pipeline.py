"""From a question to an answer: query, passages, prompt, model, filter."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from chatbot.rag.output_filter.answer_filter import AnswerFilter

from . import follow_ups, prompt, special_tokens
from .errors import Aborted, AdapterError
from .ports import LLM
from .token_counts import Counter
from .types import CancelToken, CompletionRequest, Finish, Passage, PromptInfo, Question

# Of the best passage's score: what it takes to show any, to a model that must answer from them and to one that may
# answer anyway. Beside a good one, the others are worth showing from a lower score on.
STRICTLY_RELEVANT = 0.5
RELEVANT = 0.05
BESIDE = 0.03
MAX_PASSAGES = 12
MAX_QUERY_CHARACTERS = 32_000  # of a message that is as long as the model's context
IN_TEMPLATES = {"tools", "response_format"}
REFUSAL = "I found nothing in the documents that answers this question."


def answer(question: Question, llm: LLM, budget: int, count: Counter) -> Generator[PromptInfo | str | Finish]:
    """Yield the prompt, then the answer's text piece by piece, then one Finish.

    The prompt takes at most `budget` tokens, as `count` counts them. A strict question to which nothing was found is
    refused without a model. Raises an `errors.AdapterError`, before or between pieces.
    """
    query, passages = _retrieved(question)
    if question.strict and not passages:
        yield PromptInfo((), llm.name, count, query, ())
        yield REFUSAL
        yield Finish("stop", llm.name, 0, 0)
        return
    built = _build_prompt(question, passages, budget, count)
    messages = special_tokens.defuse_messages(built.messages)
    yield PromptInfo(messages, llm.name, count, query, built.passages, built.tokens, built.repeated)
    reasoning = ReasoningFilter(question.on_reasoning)
    request = CompletionRequest(
        messages,
        _defused(question.parameters),
        cancel_token=question.cancel_token,
        model=question.model,
        pause=question.pause,
        attempts=question.attempts,
        cache_salt=question.cache_salt,
        on_reasoning=reasoning.feed,
    )
    pieces = reasoning.until_end(until_abort(llm.stream(request), question.cancel_token))
    yield from pieces if question.verbatim else filtered(pieces, len(built.passages))


def _build_prompt(question: Question, passages: Sequence[Passage], budget: int, count: Counter) -> prompt.Built:
    if question.verbatim:
        return prompt.Built(question.verbatim)
    build = partial(
        prompt.build,
        question.text,
        question.history,
        passages,
        following=question.following,
        instructions=question.instructions,
        count=count,
    )
    built = build(budget=budget)
    if question.recall is None or (question.is_history_whole and built.repeated == len(question.history)):
        return built
    room = int(budget * prompt.FOR_EARLIER)
    shorter = build(budget=budget - room)
    earlier = question.recall(shorter.repeated, room)
    return prompt.add_earlier(shorter, earlier, count) if earlier else built


def _defused(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the special tokens broken in those that templates write into the prompt."""
    return {
        name: special_tokens.defuse_all(value) if name in IN_TEMPLATES else value for name, value in parameters.items()
    }


def until_abort(pieces: Iterator[str | Finish], cancel_token: CancelToken) -> Generator[str | Finish]:
    """Pass an answer on until its end is asked for; then raise Aborted, so that the filter can end its text."""
    for piece in pieces:
        yield piece
        if cancel_token.requested:
            raise Aborted("The answer was ended.")


class ReasoningFilter:
    """Filters the reasoning that comes before an answer, and passes it on."""

    def __init__(self, pass_on: Callable[[str], None]) -> None:
        self._pass_on = pass_on
        self._filter = AnswerFilter(0)
        self._is_open = False

    def feed(self, text: str) -> None:
        """Add reasoning."""
        self._is_open = True
        if safe := self._filter.feed(text):
            self._pass_on(safe)

    def until_end(self, pieces: Iterator[str | Finish]) -> Generator[str | Finish]:
        """Pass an answer on; before its next piece the held reasoning comes out."""
        for piece in pieces:
            if self._is_open and (rest := self._filter.end()):
                self._pass_on(rest)
            if self._is_open:
                self._is_open = False
                self._filter = AnswerFilter(0)
            yield piece


def filtered(pieces: Iterator[str | Finish], passages: int) -> Generator[str | Finish]:
    """Filter an answer; the held text comes out at the end."""
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
    except AdapterError:
        rest = answer_filter.end()
        if rest:
            yield rest
        raise


def close_fence(text: str) -> str:
    """Return the beginning of an answer with its open fence closed, as the filter's end would have left it."""
    if "```" not in text and "~~~" not in text:
        return text
    answer_filter = AnswerFilter(0)
    answer_filter.feed(text)
    answer_filter.end()
    return text + answer_filter.closing


def _retrieved(question: Question) -> tuple[str | None, list[Passage]]:
    if question.retrieve is None:
        return None, []
    text = question.text[:MAX_QUERY_CHARACTERS]
    query = follow_ups.query(text, question.history)
    return query, chosen(question.retrieve(query, text), strict=question.strict)[:MAX_PASSAGES]


def chosen(found: Sequence[Passage], *, strict: bool) -> list[Passage]:
    """Return the passages that are worth showing, in their order: none unless the best one is relevant."""
    if max((passage.score for passage in found), default=0.0) < (STRICTLY_RELEVANT if strict else RELEVANT):
        return []
    return [passage for passage in found if passage.score >= BESIDE]
