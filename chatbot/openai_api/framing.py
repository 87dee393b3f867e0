"""OpenAI's framing of a turn: completions and chunks (OpenAI API reference, "Chat")."""

from collections.abc import Iterator
from typing import Any

from chatbot.errors import Cancelled, ChatbotError, TurnFailed
from chatbot.schemas import problem
from chatbot.schemas.completions import FINISH
from chatbot.services.chat.records import Turn
from chatbot.web import openai_errors, sse

DONE = b"data: [DONE]\n\n"


def completion(turn: Turn) -> dict[str, Any]:
    """Return a whole answer; raises TurnFailed, Cancelled."""
    reason = finish_reason(turn)
    extras = turn.extras or {}
    message: dict[str, Any] = {"role": "assistant", "content": turn.bot_response, "refusal": None}
    if "tool_calls" in extras:
        message |= {"content": turn.bot_response or None, "tool_calls": extras["tool_calls"]}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": extras.get("logprobs")}
    return {
        "id": identity(turn),
        "object": "chat.completion",
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


def identity(turn: Turn) -> str:
    """Return the completion's id; the turn's id is the part behind the hyphen."""
    return f"chatcmpl-{turn.id}"


class Chunks:
    """A turn's text as chunks of a stream, then its end; heartbeats are comments."""

    def __init__(self, opened: Turn, model: str, *, include_usage: bool) -> None:
        created = int(opened.created_at.timestamp())
        self._head = {"id": identity(opened), "object": "chat.completion.chunk", "model": model, "created": created}
        self._silent: dict[str, Any] = {"usage": None} if include_usage else {}

    def frames(self, reader: sse.Reader) -> Iterator[bytes]:
        """Yield the frames of a reader from the beginning on."""
        yield self._chunk({"role": "assistant", "content": ""})
        for news in reader.news(0):
            if isinstance(news, str):
                yield self._chunk({"content": news})
            elif news is None:
                yield sse.HEARTBEAT
            else:
                yield from self._last(news)

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, logprobs: dict[str, Any] | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        return _data({**self._head, "choices": [choice], **self._silent})

    def _last(self, news: Turn | ChatbotError) -> Iterator[bytes]:
        try:
            if isinstance(news, ChatbotError):
                raise news
            reason = finish_reason(news)
            extras = news.extras or {}
            calls = [{"index": at, **call} for at, call in enumerate(extras.get("tool_calls", ()))]
            if extras:
                yield self._chunk({"tool_calls": calls} if calls else {}, None, extras.get("logprobs"))
            yield self._chunk({}, reason)
        except ChatbotError as failure:
            yield _data(openai_errors.body(problem.of(failure), failure.detail))
            return
        if self._silent:
            yield _data({**self._head, "choices": [], "usage": usage(news)})
        yield DONE


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % sse.to_line(value)
