"""The sum of a completion's chunks, in the dialects of the servers that speak the protocol.

Reasoning (`reasoning_content`, `reasoning`, parts of the kind `thinking`, a leading `<think>` element) is no part of
the answer; it says that the server is at work, and can be shown beside it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from chatbot.rag.errors import MALFORMED_ANSWER, AdapterError, UpstreamGarbled, UpstreamIncomplete
from chatbot.rag.types import Finish, FinishReason, discard

from .tool_calls import ToolCalls, storable

MAX_NAME_LENGTH = 200  # characters of a model's name that are kept
# What servers say when an answer is whole, cut by its limit, or cut by a filter; anything else is none of these.
REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "complete"), "stop"),
    **dict.fromkeys(("tool_calls", "function_call"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens", "token_limit"), "length"),
    **dict.fromkeys(("content_filter", "safety", "recitation", "blocklist", "prohibited_content"), "content_filter"),
    **dict.fromkeys(("error_toxic", "refusal"), "content_filter"),
}
REASONING = ("reasoning_content", "reasoning", "thinking")
MAX_LOGPROBS = 10_000  # tokens
MAX_ALTERNATIVES = 20  # of a token; OpenAI's bound
MAX_TOKEN_LENGTH = 200
MAX_LOGPROB = 9_999.0  # as which the protocol tells what is least likely
MAX_BLANKS = 1_000  # in front of an answer, after which it has begun
THINK_START = "<think>"
THINK_END = "</think>"
SURROGATE = re.compile("[\ud800-\udfff]")


class Answer:
    """An answer that grows chunk by chunk. `is_reasoning`: whether the last chunks held reasoning or calls."""

    def __init__(
        self, model: str, on_reasoning: Callable[[str], None] = discard, *, may_be_empty: bool = False
    ) -> None:
        self.model = model
        self.reason: str | None = None
        self.usage: dict[str, Any] = {}
        self.length = 0
        self.is_reasoning = False
        self._on_reasoning = on_reasoning
        self._reasoning = ""  # of the last chunks
        self._may_be_empty = may_be_empty
        self._half = ""  # of a character whose other half comes with the next chunk
        self._thoughts = _Thoughts()
        self._calls = ToolCalls()
        self._logprobs: list[Any] = []

    def until_cut(self, chunks: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """Pass chunks on; errors after the finish_reason are ignored."""
        try:
            yield from chunks
        except (httpx2.HTTPError, AdapterError):
            if self.reason is None:
                raise

    def take_all(self, chunks: list[dict[str, Any]]) -> tuple[str, UpstreamGarbled | None]:
        """Add chunks; returns their text, and the error of the first garbled one."""
        texts = []
        failure = None
        self.is_reasoning = False
        self._reasoning = ""
        try:
            for chunk in chunks:
                texts.append(self._take(chunk))
        except UpstreamGarbled as error:
            failure = error
        text = self._thoughts.take(self._whole("".join(texts)))
        if self.reason is not None:
            text += self._thoughts.end()
        self.is_reasoning = self.is_reasoning or self._thoughts.is_open
        if reasoning := self._reasoning + self._thoughts.removed_text:
            self._on_reasoning(storable(reasoning))
        self.length += len(text)
        return text, failure

    def finish(self) -> Finish:
        """Say how it ended; raises UpstreamIncomplete for an end without a known reason or an answer without text."""
        reason = REASONS.get(str(self.reason).lower())
        if reason is None:
            raise UpstreamIncomplete("The answer ended without a finish_reason that says it is whole.")
        calls = self._calls.whole()
        if not self.length and reason == "stop" and not calls and not self._may_be_empty:
            raise UpstreamIncomplete("The answer has no text.")
        extras: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if self._logprobs:
            extras["logprobs"] = {"content": self._logprobs, "refusal": None}
        return Finish(reason, self.model, self._tokens("prompt_tokens"), self._tokens("completion_tokens"), extras)

    def _take(self, chunk: dict[str, Any]) -> str:
        """Take one chunk in and return its text; raises UpstreamGarbled when it is none."""
        model = chunk.get("model")
        usage = chunk.get("usage")
        if isinstance(model, str) and model:
            self.model = storable(model)[:MAX_NAME_LENGTH]
        if isinstance(usage, dict):
            self.usage = usage
        choices = chunk.get("choices")
        if not choices:  # token counts, a filter's results, a heartbeat
            return ""
        try:
            choice = choices[0]
            reason = choice.get("finish_reason")
            delta = choice.get("delta")
            if delta is None:
                delta = choice.get("message") or {}
            text = self._text(delta.get("content")) + self._text(delta.get("refusal"))
            calls = delta.get("tool_calls")
            if calls:
                self._calls.take(calls)
            reasoning = next(filter(None, map(delta.get, REASONING)), None)  # some servers send it by two names
            self.is_reasoning = self.is_reasoning or bool(calls or reasoning)
            self._reasoning += _reasoning(reasoning)
            self._take_logprobs(choice.get("logprobs"))
        except MALFORMED_ANSWER as error:
            raise UpstreamGarbled("The model's server sent a chunk that is not of the protocol.") from error
        self.reason = reason or self.reason
        return text

    def _take_logprobs(self, logprobs: Any) -> None:
        """Keep the log probabilities of a chunk's tokens, with the members that the protocol has."""
        for one in (logprobs or {}).get("content") or ():
            if len(self._logprobs) < MAX_LOGPROBS:
                alternatives = [_logprob(other) for other in (one.get("top_logprobs") or ())[:MAX_ALTERNATIVES]]
                self._logprobs.append({**_logprob(one), "top_logprobs": alternatives})

    def _text(self, content: Any) -> str:
        """Return a delta's text, which some servers send as a list of parts."""
        if isinstance(content, list):
            return "".join(map(self._part, content))
        if content is not None and not isinstance(content, str):
            raise UpstreamGarbled("The model's server sent a text that is none.")
        return (content or "").replace("\0", "")  # PostgreSQL cannot store it

    def _part(self, part: Any) -> str:
        if not isinstance(part, dict):
            raise UpstreamGarbled("The model's server sent a text that is none.")
        if part.get("type") in REASONING:
            self.is_reasoning = True
            self._reasoning += _reasoning(part.get("thinking"))
        return self._text(part.get("text")) if part.get("type", "text") in {"text", "output_text"} else ""

    def _whole(self, text: str) -> str:
        """Join the halves of characters that came apart."""
        if not self._half and not SURROGATE.search(text):
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return text.removesuffix(self._half).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _tokens(self, name: str) -> int | None:
        count = self.usage.get(name)
        return count if type(count) is int and 0 <= count < 2**31 else None


def _reasoning(value: Any) -> str:
    """Return the text of reasoning, which some servers send as a list of parts; of anything else nothing."""
    if isinstance(value, list):
        texts = [part.get("text") for part in value if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return value if isinstance(value, str) else ""


def _logprob(one: dict[str, Any]) -> dict[str, Any]:
    value = one.get("logprob")
    is_number = isinstance(value, int | float) and abs(value) < MAX_LOGPROB  # not of NaN and Infinity
    data = one.get("bytes")
    is_bytes = isinstance(data, list) and len(data) <= MAX_TOKEN_LENGTH and all(isinstance(one, int) for one in data)
    return {
        "token": storable(str(one.get("token", ""))[:MAX_TOKEN_LENGTH]),
        "logprob": value if is_number else -MAX_LOGPROB,
        "bytes": [byte & 0xFF for byte in data] if isinstance(data, list) and is_bytes else None,
    }


class _Thoughts:
    """The `<think>` element at an answer's beginning, taken out of it while it comes.

    `removed_text` is the part of it in the last text.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.removed_text = ""
        self._held: str | None = ""  # what may be the beginning of a tag; None where the answer itself has begun

    def take(self, text: str) -> str:
        """Return the part of a text that is the answer's."""
        self.removed_text = ""
        if self._held is None or not text:
            return text
        held = self._held + text
        if self.is_open:
            before, found, after = held.partition(THINK_END)
            self._held = None if found else held[-len(THINK_END) :]
            self.removed_text = before if found else held[: -len(THINK_END)]
            self.is_open = not found
            return after.lstrip() if found else ""
        begins = held.lstrip()
        if begins.startswith(THINK_START):
            self.is_open = True
            self._held = ""
            return self.take(begins.removeprefix(THINK_START))
        if THINK_START.startswith(begins) and len(held) <= MAX_BLANKS:
            self._held = held
            return ""
        self._held = None
        return held

    def end(self) -> str:
        """Return the text held back until the answer's end."""
        held = "" if self.is_open else self._held or ""
        self._held = None
        return held
