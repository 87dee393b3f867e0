"""A scripted model: for tests, and for trying out an application without a real one."""

from collections import deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from chatbot.rag.errors import AdapterError
from chatbot.rag.types import CompletionRequest, Finish, FinishReason, LLMOptions, Message


class MemoryLLM:
    """Answers from a script, `llm.says("Hello", " there")`, and repeats the question when the script is empty."""

    def __init__(self, options: LLMOptions | None = None) -> None:
        self.name = options.model if options else "memory"
        self.prompts: list[list[Message]] = []
        self.requests: list[CompletionRequest] = []
        self._script: deque[tuple[tuple[str, ...], FinishReason | AdapterError, Mapping[str, Any]]] = deque()

    def says(
        self, *pieces: str, finish: FinishReason = "stop", extras: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Script one answer, piece by piece, with its parts beside the text."""
        self._script.append((pieces, finish, extras))

    def fails(self, error: AdapterError, *pieces: str) -> None:
        """Script one failure, after some pieces or none."""
        self._script.append((pieces, error, {}))

    def probe(self) -> None:
        """Raise nothing: there is no server."""

    def stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        """Yield the next scripted answer, or the last message's own text; raise a scripted error."""
        messages = request.messages
        self.prompts.append(list(messages))
        self.requests.append(request)
        pieces, end, extras = self._script.popleft() if self._script else ((messages[-1].content,), "stop", {})
        yield from pieces
        if isinstance(end, AdapterError):
            raise end
        yield Finish(end, self.name, sum(len(m.content.split()) for m in messages), len(pieces), extras)
