"""Any server that speaks the OpenAI chat-completions protocol, through the `openai` package.

The package is the face: client, options, authentication, headers and error classes. Deadlines, byte caps
and the reading of the answer are ours (`watchdog`, `event_stream`): the package waits up to 600 s, restarts
its timeout at each byte, and raises nothing when a stream ends without a finish_reason.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from urllib.request import getproxies

import httpx2
import openai
import orjson

from chatbot.rag.errors import (
    Aborted,
    AdapterError,
    ParameterRefused,
    UpstreamFailed,
    UpstreamGarbled,
    UpstreamIncomplete,
    UpstreamRefused,
    UpstreamTimeout,
)
from chatbot.rag.http.deadlines import Guard, Watchdog
from chatbot.rag.http.event_stream import payloads
from chatbot.rag.http.pool import Pool
from chatbot.rag.types import CancelToken, CompletionRequest, Finish, LLMOptions

from . import openai_probe
from .openai_answer import Answer
from .openai_errors import Refusal, find_refusal, refuses_system_role, status_error, translate

MAX_TEXT = 1_000_000  # characters; a server that never stops is cut here and says `length`
MAX_ANSWER_BYTES = 64 << 20  # of an answer with all its wrapping
BREATH = 2_048  # bytes after which others may run
AFTER_FINISH = 2.0  # seconds in which the token counts may still follow the finish_reason
CACHE_PREFIX_CHARACTERS = 16  # 64 bits, and 16 of the embedded model's tokens
SYSTEM_ROLE = "system"  # among refused parameters: messages of this role
# An answer without these is still an answer to what was asked; without tools or a schema it is none.
DISPENSABLE = {
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"),
    *("stop", "stream_options", "cache_salt", "prompt_cache_key", "parallel_tool_calls", "service_tier", "user"),
}
NO_KEY = "none"  # local servers want none, the package insists on one


class OpenAILLM:
    """A model behind the chat-completions protocol."""

    def __init__(self, options: LLMOptions) -> None:
        self.name = options.model
        self._deadlines = options.deadlines
        # Of single bytes; when an answer as such takes too long, the watchdog knows.
        read_timeout = max(options.deadlines.first_byte, options.deadlines.idle)
        timeout = httpx2.Timeout(read_timeout, connect=options.deadlines.connect)
        # Where the environment names proxies, httpx2's own transports know the way.
        transport = None if getproxies() else Pool()
        self._http = openai.DefaultHttpxClient(timeout=timeout, transport=transport)
        self._client = openai.OpenAI(
            api_key=options.api_key or NO_KEY, base_url=options.base_url, max_retries=0, http_client=self._http
        )
        # Built once: the package's own way from arguments to a request took a seventh of a chat.
        self._base_url = str(self._client.base_url).rstrip("/")
        self._url = httpx2.URL(f"{self._base_url}/chat/completions")
        own = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
        self._headers = {**own, **self._client.auth_headers, "Accept": "text/event-stream"}
        self._extensions = {"timeout": timeout.as_dict()}
        self._most_tokens = options.max_tokens
        self._parameters: dict[str, Any] = {
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "stream_options": {"include_usage": True},
        }
        self._cache_key = options.cache_key
        self._refused: frozenset[str] = frozenset()  # of the settings' parameters, what this model does not take
        self._watchdog = Watchdog()

    def close(self) -> None:
        """Close the connections that are at rest."""
        self._client.close()

    def probe(self) -> None:
        """Raise the `errors.AdapterError` of a server that does not answer as it should; costs no tokens."""
        openai_probe.probe(self._http, self._base_url, self._headers, self.name)

    def stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        """Yield the answer's text piece by piece, then one Finish; raises `errors.AdapterError` subclasses."""
        started = time.monotonic()
        settings = {**self._parameters, **self._cache_parameters(request)}
        wanted = {**self._parameters, **request.parameters, **self._cache_parameters(request)}
        wanted["max_tokens"] = min(wanted["max_tokens"], self._most_tokens)
        total = started + self._deadlines.total
        with self._watchdog.guard(min(started + self._deadlines.first_byte, total)) as guard:
            request.cancel_token.on_request(guard.expire)
            try:
                with contextlib.closing(
                    self._request(self._prompt(request), wanted, is_of_settings=wanted == settings, guard=guard)
                ) as response:
                    may_be_empty = bool(request.parameters.get("stop"))  # it may be the answer's first token
                    yield from self._pieces(response, guard, total, request, may_be_empty=may_be_empty)
            except (openai.OpenAIError, httpx2.HTTPError, AdapterError) as error:
                known = self._translate_error(error, guard, request.cancel_token)
                if isinstance(known, UpstreamFailed) and _is_unusual(request):
                    # llama.cpp answers 500 to tools and parts that it does not take: that is no illness of the server.
                    raise UpstreamRefused(known.detail) from error
                raise known from error
            finally:
                request.cancel_token.on_request(None)

    def _translate_error(self, error: Exception, guard: Guard, cancel_token: CancelToken) -> AdapterError:
        if cancel_token.requested:
            return Aborted("The answer was ended.")
        if guard.expired or isinstance(error, httpx2.TimeoutException):
            return UpstreamTimeout("The model's server took too long.")
        if isinstance(error, openai.OpenAIError):
            return translate(error, self.name)
        if isinstance(error, AdapterError):
            return error
        return UpstreamIncomplete("The connection to the model's server broke.")

    def _cache_parameters(self, request: CompletionRequest) -> dict[str, str]:
        """Return the parameter that keeps a caller's prompts apart in the server's cache, where the server has one."""
        if self._cache_key in (None, "prefix") or not request.cache_salt:
            return {}
        return {str(self._cache_key): request.cache_salt}

    def _prompt(self, request: CompletionRequest) -> list[dict[str, Any]]:
        """Return the messages; the prefix is the caller's own, so that a cache by prefixes has no other caller's."""
        prompt = [{"role": message.role, "content": message.content, **message.fields} for message in request.messages]
        if self._cache_key == "prefix" and request.cache_salt and prompt:
            prompt[0]["content"] = prepended(f"{request.cache_salt[:CACHE_PREFIX_CHARACTERS]}\n", prompt[0]["content"])
        return prompt

    def _request(
        self, prompt: list[dict[str, Any]], wanted: dict[str, Any], *, is_of_settings: bool, guard: Guard
    ) -> httpx2.Response:
        """Open the answer's stream, without the parameters that this model turns out to refuse.

        A refusal is remembered only where all parameters are the settings': a caller's may be refused for themselves,
        or be why another one is. Nor where the name may be an echo of the prompt in the error's text.
        """
        refused = remembered = self._refused
        messages = without_system(prompt) if SYSTEM_ROLE in refused else prompt
        while True:
            sent = without(refused, wanted)
            try:
                response = self._send({"model": self.name, "messages": messages, "stream": True, **sent}, guard)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refusal = self._refusal(error, sent, messages)
                if refusal.parameter == SYSTEM_ROLE:
                    messages = without_system(messages)
                refused |= {refusal.parameter}
                if is_of_settings and not _may_be_echo(refusal, prompt):
                    remembered |= {refusal.parameter}
            else:
                self._refused = remembered  # when it was of use
                return response

    def _refusal(self, error: openai.APIStatusError, sent: dict[str, Any], messages: list[dict[str, Any]]) -> Refusal:
        """Return the refused part of a request; raises the error where it is refused as such."""
        if messages and messages[0]["role"] == "system" and refuses_system_role(error):
            return Refusal(SYSTEM_ROLE, is_certain=False)
        refusal = find_refusal(error, sent)
        if refusal is None:
            raise error
        if refusal.parameter not in DISPENSABLE:
            raise ParameterRefused(f"The model does not take {refusal.parameter!r}.")
        return refusal

    def _send(self, body: dict[str, Any], guard: Guard) -> httpx2.Response:
        """Send one request and return its answer, unread; raises the package's errors."""
        content = orjson.dumps(body)
        extensions = {**self._extensions, "guard": guard}
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

    def _pieces(
        self, response: httpx2.Response, guard: Guard, total: float, request: CompletionRequest, *, may_be_empty: bool
    ) -> Iterator[str | Finish]:
        answer = Answer(self.name, request.on_reasoning, may_be_empty=may_be_empty)
        for batch in answer.until_cut(payloads(paced(_arriving(response, guard), guard, request.pause))):
            text, failure = answer.take_all(batch)
            if text or answer.is_reasoning:
                guard.deadline = min(time.monotonic() + self._deadlines.idle, total)
            if text:
                yield text
            if failure is not None and answer.reason is None:
                raise failure
            if answer.reason and not guard.expired:
                guard.deadline = min(guard.deadline, time.monotonic() + AFTER_FINISH)
            if answer.length > MAX_TEXT:
                answer.reason = "length"
                break
        yield answer.finish()


def _is_unusual(request: CompletionRequest) -> bool:
    """Return whether a request has parts of a caller's own making beside texts and numbers."""
    return any(message.fields for message in request.messages) or not request.parameters.keys() <= DISPENSABLE


def _arriving(response: httpx2.Response, guard: Guard) -> Iterable[bytes]:
    """Return the body's bytes as they come, watched by the guard, and unpacked where a server packs unasked."""
    stream = response.extensions.get("network_stream")  # of httpx2's own transports, which know no guard
    if stream is not None:
        guard.watch(stream.get_extra_info("socket"))
    if "content-encoding" in response.headers:
        return response.iter_bytes()
    return cast(httpx2.SyncByteStream, response.stream)


def _may_be_echo(refusal: Refusal, prompt: list[dict[str, Any]]) -> bool:
    """Return whether the refused parameter's name may have come from a caller's text."""
    texts = ({**message, "role": ""} for message in prompt)
    return not refusal.is_certain and any(refusal.parameter in str(text) for text in texts)


def without_system(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move the system's text to the beginning of the user's first message, or into one of its own."""
    first, *rest = prompt
    if first["role"] != "system":
        return prompt
    if rest and rest[0]["role"] == "user":
        return [{**rest[0], "content": prepended(f"{first['content']}\n\n", rest[0]["content"])}, *rest[1:]]
    return [{**first, "role": "user"}, *rest]


def prepended(text: str, content: str | list[Any] | None) -> str | list[Any]:
    """Return a message's content, a text, a list of parts or nothing, with a text in front of it."""
    if content is None or isinstance(content, str):
        return text + (content or "")
    return [{"type": "text", "text": text}, *content]


def without(refused: frozenset[str], wanted: dict[str, Any]) -> dict[str, Any]:
    """Replace or drop refused parameters; each time there is one fewer to refuse, so that the asking ends."""
    sent = {name: value for name, value in wanted.items() if name not in refused}
    if "max_tokens" in refused:
        sent.pop("temperature", None)  # the models that renamed the one fixed the other
        if "max_completion_tokens" not in refused:
            sent["max_completion_tokens"] = wanted["max_tokens"]
    return sent


def paced(chunks: Iterable[bytes], guard: Guard, pause: Callable[[], float]) -> Iterator[bytes]:
    """Pass bytes on, within bounds: a server that floods lets neither the watchdog nor any other greenlet run.

    After the first ones each reading is put off by `pause()` seconds: what comes meanwhile is read at once.
    """
    size = breath = 0
    for chunk in chunks:
        size += len(chunk)
        if time.monotonic() > guard.deadline:
            guard.expire()
            raise UpstreamTimeout("The model's server took too long.")
        if size > MAX_ANSWER_BYTES:
            raise UpstreamGarbled("The model's server sent too much.")
        yield chunk
        seconds = pause() if len(chunk) < BREATH else 0.0  # after a large one there is more
        if seconds or size - breath > BREATH:
            breath = size
            time.sleep(seconds)
