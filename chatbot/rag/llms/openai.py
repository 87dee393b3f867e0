"""Any server that speaks the OpenAI chat-completions protocol, through the `openai` package.

The package is the face: client, options, authentication, headers and error classes. Deadlines, byte caps
and the reading of the answer are ours (`watchdog`, `event_stream`): the package waits up to 600 s, restarts
its timeout at each byte, and raises nothing when a stream ends without a finish_reason.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.request import getproxies

import httpx2
import openai
import orjson

from ..errors import LLMError, UpstreamGarbled, UpstreamIncomplete, UpstreamTimeout
from ..types import Finish, FinishReason, LLMOptions, Message
from .event_stream import payloads
from .openai_errors import refused_parameter, status_error, translate
from .transport import Pool
from .watchdog import Guard, Watchdog

MAX_TEXT = 1_000_000  # characters; a server that never stops is cut here and says `length`
MAX_BYTES = 64 << 20  # of an answer with all its wrapping
BREATH = 2_048  # bytes after which others may run
LONGEST_NAME = 200  # characters of a model's name that are kept
# What servers say when an answer is whole, cut by its limit, or cut by a filter; anything else is none of these.
REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call"), "stop"),
    **dict.fromkeys(("length", "max_tokens"), "length"),
    "content_filter": "content_filter",
}
AFTER_FINISH = 2.0  # seconds in which the token counts may still follow the finish_reason
NO_KEY = "none"  # local servers want none, the package insists on one


class OpenAILLM:
    """A model behind the chat-completions protocol."""

    def __init__(self, options: LLMOptions) -> None:
        self.name = options.model
        self._deadlines = options.deadlines
        timeout = httpx2.Timeout(options.deadlines.first_byte, connect=options.deadlines.connect)
        # Where the environment names proxies, httpx2's own transports know the way.
        transport = None if getproxies() else Pool()
        self._http = openai.DefaultHttpxClient(timeout=timeout, transport=transport)
        self._client = openai.OpenAI(
            api_key=options.api_key or NO_KEY, base_url=options.base_url, max_retries=0, http_client=self._http
        )
        # Built once: the package's own way from arguments to a request took a seventh of a chat.
        self._url = httpx2.URL(f"{str(self._client.base_url).rstrip('/')}/chat/completions")
        own = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
        self._headers = {**own, **self._client.auth_headers, "Accept": "text/event-stream"}
        self._extensions = {"timeout": timeout.as_dict()}
        # What this model accepts; a refused parameter is replaced or dropped once and for all.
        self._parameters: dict[str, Any] = {
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "stream_options": {"include_usage": True},
        }
        self._watchdog = Watchdog()

    def stream(self, messages: Sequence[Message]) -> Iterator[str | Finish]:
        """Yield the answer's text piece by piece, then one Finish; raises `errors.LLMError` subclasses."""
        started = time.monotonic()
        prompt = [{"role": message.role, "content": message.content} for message in messages]
        total = started + self._deadlines.total
        with self._watchdog.guard(min(started + self._deadlines.first_byte, total)) as guard:
            try:
                with contextlib.closing(self._request(prompt, guard)) as response:
                    yield from self._pieces(response, guard, total)
            except (openai.OpenAIError, httpx2.HTTPError, LLMError) as error:
                raise self._in_our_words(error, guard) from error

    def _in_our_words(self, error: Exception, guard: Guard) -> LLMError:
        if guard.expired or isinstance(error, httpx2.TimeoutException):
            return UpstreamTimeout("The model's server took too long.")
        if isinstance(error, openai.OpenAIError):
            return translate(error, self.name)
        if isinstance(error, LLMError):
            return error
        return UpstreamIncomplete("The connection to the model's server broke.")

    def _request(self, prompt: list[dict[str, str]], guard: Guard) -> httpx2.Response:
        """Open the answer's stream, without the parameters that this model turns out to refuse."""
        sent = self._parameters
        while True:
            try:
                response = self._send({"model": self.name, "messages": prompt, "stream": True, **sent}, guard)
            except openai.BadRequestError as error:
                name = refused_parameter(error, sent)
                if name is None:
                    raise
                sent = without(name, sent)
            else:
                self._parameters = sent  # remembered when it was of use
                return response

    def _send(self, body: dict[str, Any], guard: Guard) -> httpx2.Response:
        """Send one request and return its answer, unread; raises the package's errors."""
        content, extensions = orjson.dumps(body), {**self._extensions, "guard": guard}
        request = httpx2.Request("POST", self._url, headers=self._headers, content=content, extensions=extensions)
        try:
            response = self._http.send(request, stream=True)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=request) from error
        except httpx2.HTTPError as error:
            raise openai.APIConnectionError(request=request) from error
        if response.is_success:
            return response
        with contextlib.closing(response):
            raise status_error(response)

    def _pieces(self, response: httpx2.Response, guard: Guard, total: float) -> Iterator[str | Finish]:
        stream = response.extensions.get("network_stream")  # of httpx2's own transports, which know no guard
        if stream is not None:
            guard.watch(stream.get_extra_info("socket").fileno())
        answer = _Answer(self.name)
        for chunk in answer.until_cut(payloads(paced(response.iter_bytes(), guard))):
            text = answer.take(chunk)
            if text:
                guard.deadline = min(time.monotonic() + self._deadlines.idle, total)
                yield text
            if answer.reason and not guard.expired:
                guard.deadline = min(guard.deadline, time.monotonic() + AFTER_FINISH)
            if answer.length > MAX_TEXT:
                answer.reason = "length"
                break
        yield answer.finish()


def without(name: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Replace or drop a refused parameter; each time there is one fewer to refuse, so that the asking ends."""
    kept = {key: value for key, value in sent.items() if key != name}
    if name == "max_tokens":
        kept["max_completion_tokens"] = sent[name]
        kept.pop("temperature", None)  # the models that renamed the one fixed the other
    return kept


def paced(chunks: Iterable[bytes], guard: Guard) -> Iterator[bytes]:
    """Pass bytes on, within bounds: a server that floods lets neither the watchdog nor any other greenlet run."""
    size = breath = 0
    for chunk in chunks:
        size += len(chunk)
        if time.monotonic() > guard.deadline:
            guard.expire()
            raise UpstreamTimeout("The model's server took too long.")
        if size > MAX_BYTES:
            raise UpstreamGarbled("The model's server sent too much.")
        if size - breath > BREATH:
            breath = size
            time.sleep(0)
        yield chunk


class _Answer:
    """What the chunks of one answer add up to."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.reason: str | None = None
        self.usage: dict[str, Any] = {}
        self.length = 0

    def until_cut(self, chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Pass chunks on; a connection that breaks after the finish_reason broke nothing."""
        try:
            yield from chunks
        except httpx2.HTTPError:
            if self.reason is None:
                raise

    def take(self, chunk: dict[str, Any]) -> str:
        """Take one chunk in and return its text; raises UpstreamGarbled when it is none."""
        model, usage = chunk.get("model"), chunk.get("usage")
        if isinstance(model, str) and model:
            self.model = model[:LONGEST_NAME]
        if isinstance(usage, dict):
            self.usage = usage
        try:
            if not chunk["choices"]:
                return ""
            choice = chunk["choices"][0]
            self.reason = choice.get("finish_reason") or self.reason
            text = (choice.get("delta") or choice.get("message") or {}).get("content") or ""
        except (KeyError, TypeError, AttributeError) as error:
            raise UpstreamGarbled("The model's server sent a chunk that is not of the protocol.") from error
        if not isinstance(text, str):
            raise UpstreamGarbled("The model's server sent a text that is none.")
        text = text.replace("\0", "")  # which PostgreSQL cannot store
        self.length += len(text)
        return text

    def finish(self) -> Finish:
        """Say how it ended; raises UpstreamIncomplete for an end without a known reason or an answer without text."""
        reason = REASONS.get(str(self.reason).lower())
        if reason is None:
            raise UpstreamIncomplete("The answer ended without a finish_reason that says it is whole.")
        if not self.length and reason != "content_filter":
            raise UpstreamIncomplete("The answer has no text.")
        return Finish(reason, self.model, self._tokens("prompt_tokens"), self._tokens("completion_tokens"))

    def _tokens(self, name: str) -> int | None:
        count = self.usage.get(name)
        return count if type(count) is int and 0 <= count < 2**31 else None
