"""OpenAI's framing of a turn: complete answers and chunks (OpenAI API reference, "Chat" and "Completions")."""

from collections.abc import Iterator
from typing import Any

from chatbot.errors import Cancelled, ChatbotError, TurnFailed
from chatbot.schemas import problem
from chatbot.schemas.completions import FINISH
from chatbot.services.chat.following import Reasoning
from chatbot.services.chat.records import Turn
from chatbot.web import openai_errors, sse

DONE = b"data: [DONE]\n\n"


class ChatFormat:
    """The format of chat completions."""

    prefix = "chatcmpl-"
    object_name = "chat.completion"
    chunk_object_name = "chat.completion.chunk"
    first_chunk: dict[str, Any] | None = {"delta": {"role": "assistant", "content": ""}}
    last_chunk: dict[str, Any] = {"delta": {}}

    def build_choice(self, turn: Turn) -> dict[str, Any]:
        """Return the members of the choice of a complete answer."""
        extras = turn.extras or {}
        message: dict[str, Any] = {"role": "assistant", "content": turn.bot_response, "refusal": None}
        if "tool_calls" in extras:
            message |= {"content": turn.bot_response or None, "tool_calls": extras["tool_calls"]}
        return {"message": message}

    def build_piece(self, text: str) -> dict[str, Any]:
        """Return the members of a chunk's choice for a piece of text."""
        return {"delta": {"content": text}}

    def build_extras(self, extras: dict[str, Any]) -> dict[str, Any]:
        """Return the members of the choice that carries the calls of tools, or the log probabilities alone."""
        calls = [{"index": at, **call} for at, call in enumerate(extras.get("tool_calls", ()))]
        return {"delta": {"tool_calls": calls} if calls else {}}


class TextFormat(ChatFormat):
    """The format of completions of a text; the prompt comes first if it is to be echoed."""

    prefix = "cmpl-"
    object_name = "text_completion"
    chunk_object_name = "text_completion"
    first_chunk = None
    last_chunk = {"text": ""}

    def __init__(self, echo: str) -> None:
        self._echo = echo
        if echo:
            self.first_chunk = {"text": echo}

    def build_choice(self, turn: Turn) -> dict[str, Any]:
        """Return the members of the choice of a complete answer."""
        return {"text": self._echo + turn.bot_response}

    def build_piece(self, text: str) -> dict[str, Any]:
        """Return the members of a chunk's choice for a piece of text."""
        return {"text": text}

    def build_extras(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return an empty piece: this format has no extras."""
        return self.last_chunk


def build_answer(turn: Turn, answer_format: ChatFormat) -> dict[str, Any]:
    """Return a complete answer; raises TurnFailed, Cancelled."""
    reason = finish_reason(turn)
    logprobs = (turn.extras or {}).get("logprobs")
    choice = {"index": 0, **answer_format.build_choice(turn), "finish_reason": reason, "logprobs": logprobs}
    return {
        "id": f"{answer_format.prefix}{turn.id}",  # behind the hyphen is the turn's own id
        "object": answer_format.object_name,
        "created": int(turn.created_at.timestamp()),
        "model": turn.model,
        "choices": [choice],
        "usage": usage(turn),
    }


def finish_reason(turn: Turn) -> str:
    """Return why the answer ended; raises TurnFailed, Cancelled for one that is not whole."""
    if turn.status in sse.FAILED:
        raise TurnFailed(turn.error or "LeaseLost", retry_after=turn.retry_after)
    if turn.status not in FINISH:
        raise Cancelled("The turn was cancelled.")
    is_call = turn.status == "completed" and "tool_calls" in (turn.extras or {})  # one that was cut must not be made
    return "tool_calls" if is_call else FINISH[turn.status]


def usage(turn: Turn) -> dict[str, int] | None:
    """Return the tokens of a turn, or None where the model's server did not tell them."""
    prompt = turn.prompt_tokens
    answer = turn.completion_tokens
    if prompt is None or answer is None:
        return None
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


class Chunks:
    """A turn's text as chunks of a stream, then its end; heartbeats are comments."""

    def __init__(self, opened: Turn, model: str, answer_format: ChatFormat, *, include_usage: bool) -> None:
        created = int(opened.created_at.timestamp())
        identity = f"{answer_format.prefix}{opened.id}"
        self._head = {"id": identity, "object": answer_format.chunk_object_name, "model": model, "created": created}
        self._format = answer_format
        self._silent: dict[str, Any] = {"usage": None} if include_usage else {}

    def frames(self, reader: sse.Reader) -> Iterator[bytes]:
        """Yield the frames of a reader from the beginning on."""
        if self._format.first_chunk is not None:
            yield self._chunk(self._format.first_chunk)
        for news in reader.news(0):
            if isinstance(news, str):
                yield self._chunk(self._format.build_piece(news))
            elif news is None or isinstance(news, Reasoning):
                yield sse.HEARTBEAT
            else:
                yield from self._last(news)

    def _chunk(
        self, members: dict[str, Any], reason: str | None = None, logprobs: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, **members, "finish_reason": reason, "logprobs": logprobs}
        return _data({**self._head, "choices": [choice], **self._silent})

    def _last(self, news: Turn | ChatbotError) -> Iterator[bytes]:
        try:
            if isinstance(news, ChatbotError):
                raise news
            reason = finish_reason(news)
            if news.extras:
                yield self._chunk(self._format.build_extras(news.extras), None, news.extras.get("logprobs"))
            yield self._chunk(self._format.last_chunk, reason)
        except ChatbotError as failure:
            yield _data(openai_errors.body(problem.of(failure), failure.detail))
            return
        if self._silent:
            yield _data({**self._head, "choices": [], "usage": usage(news)})
        yield DONE


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % sse.to_line(value)
