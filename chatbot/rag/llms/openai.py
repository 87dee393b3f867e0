"""Any server that speaks the OpenAI chat-completions protocol, through the `openai` package.

The package is the face: client, options, authentication, headers and error classes. Deadlines, byte caps
and the reading of the answer are ours (`watchdog`, `event_stream`): the package waits up to 600 s, restarts
its timeout at each byte, and raises nothing when a stream ends without a finish_reason.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast, get_args
from urllib.request import getproxies

import httpx2
import openai
import orjson

from ..errors import UpstreamGarbled, UpstreamIncomplete, UpstreamTimeout
from ..types import Finish, FinishReason, LLMOptions, Message
from .event_stream import payloads
from .openai_errors import refused_parameter, status_error, translate
from .transport import Pool
from .watchdog import Guard, Watchdog

MAX_TEXT = 1_000_000  # characters; a server that never stops is cut here and says `length`
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
        try:
            with contextlib.closing(self._request(prompt)) as response:
                yield from self._read(response, started)
        except openai.OpenAIError as error:
            raise translate(error, self.name) from error
        except httpx2.TimeoutException as error:
            raise UpstreamTimeout("The model's server stopped sending.") from error
        except httpx2.HTTPError as error:
            raise UpstreamIncomplete("The connection to the model's server broke.") from error

    def _request(self, prompt: list[dict[str, str]]) -> httpx2.Response:
        """Open the answer's stream, without the parameters that this model turned out to refuse."""
        while True:
            sent = self._parameters
            try:
                return self._send({"model": self.name, "messages": prompt, "stream": True, **sent})
            except openai.BadRequestError as error:
                name = refused_parameter(error, sent)
                if name is None:
                    raise
                self._give_up(name, sent)

    def _send(self, body: dict[str, Any]) -> httpx2.Response:
        """Send one request and return its answer, unread; raises the package's errors."""
        content = orjson.dumps(body)
        request = httpx2.Request("POST", self._url, headers=self._headers, content=content, extensions=self._extensions)
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

    def _give_up(self, name: str, sent: dict[str, Any]) -> None:
        """Replace or drop a parameter; each time there is one fewer to refuse, so that the asking ends."""
        kept = {key: value for key, value in sent.items() if key != name}
        if name == "max_tokens":
            kept["max_completion_tokens"] = sent[name]
            kept.pop("temperature", None)  # the models that renamed the one fixed the other
        self._parameters = kept

    def _read(self, response: httpx2.Response, started: float) -> Iterator[str | Finish]:
        total = started + self._deadlines.total
        stream = response.extensions.get("network_stream")  # of httpx2's own transports
        socket = stream.get_extra_info("socket") if stream else response.extensions["socket"]
        first = min(started + self._deadlines.first_byte, total)
        with self._watchdog.guard(socket.fileno(), first) as guard:
            try:
                yield from self._pieces(response, guard, total)
            except (httpx2.HTTPError, UpstreamIncomplete, UpstreamGarbled) as error:
                if guard.expired:
                    raise UpstreamTimeout("The model's server took too long.") from error
                raise

    def _pieces(self, response: httpx2.Response, guard: Guard, total: float) -> Iterator[str | Finish]:
        answer = _Answer(self.name)
        for chunk in answer.until_cut(payloads(response.iter_bytes())):
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
        try:
            self.model = chunk.get("model") or self.model
            self.usage = chunk.get("usage") or self.usage
            if not chunk["choices"]:
                return ""
            choice = chunk["choices"][0]
            self.reason = choice.get("finish_reason") or self.reason
            text = (choice.get("delta") or choice.get("message") or {}).get("content") or ""
            self.length += len(text)
        except (KeyError, TypeError, AttributeError) as error:
            raise UpstreamGarbled("The model's server sent a chunk that is not of the protocol.") from error
        return cast(str, text)

    def finish(self) -> Finish:
        """Say how it ended; raises UpstreamIncomplete for an end without a reason or an answer without text."""
        if self.reason is None:
            raise UpstreamIncomplete("The answer ended without a finish_reason.")
        if not self.length and self.reason != "content_filter":
            raise UpstreamIncomplete("The answer has no text.")
        reason = cast(FinishReason, self.reason if self.reason in get_args(FinishReason) else "stop")
        return Finish(reason, self.model, self.usage.get("prompt_tokens"), self.usage.get("completion_tokens"))
