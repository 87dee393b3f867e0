"""The values that go in and out of ports."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that the answer may rest on."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """How an answer ended: why, which model gave it, and what it took in tokens (None where not told)."""

    reason: FinishReason
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Prompted:
    """What a model is being asked, and how its tokens are counted."""

    messages: Sequence[Message] = ()
    model: str | None = None
    count: Callable[[str], int] = len


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a model's server may take, in seconds."""

    connect: float = 5.0
    first_byte: float = 30.0
    idle: float = 20.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """What an adapter of a language model is made from."""

    model: str
    api_key: str | None = None
    base_url: str | None = None
    max_tokens: int = 150
    temperature: float = 0.7
    deadlines: Deadlines = Deadlines()


class Abort:
    """Ends an answer from outside, whatever its stream waits for."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._then: Callable[[], None] | None = None

    @property
    def requested(self) -> bool:
        """Whether somebody asked for the end."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask for the end; the connection to the model's server is closed at once."""
        self._requested.set()
        if self._then is not None:
            self._then()

    def on_request(self, then: Callable[[], None] | None) -> None:
        """Say what ends the waiting that begins now; it is done at once when the end was asked for before."""
        self._then = then
        if then is not None and self.requested:
            then()

    def sleep(self, seconds: float) -> None:
        """Wait for so long, or until the end is asked for."""
        self._requested.wait(seconds)


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants answered, and what was said before (oldest first).

    `verbatim` is a whole prompt that a caller brings along; then nothing is added and nothing left out. `model` is
    the one to ask first, where several may be asked; `pause` tells how long a reader of the answer may wait before it
    reads on (seconds), so that many streams cost less.
    """

    text: str
    history: Sequence[Message] = ()
    verbatim: Sequence[Message] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    abort: Abort = field(default_factory=Abort)
    model: str = ""
    pause: Callable[[], float] = float


@dataclass(frozen=True, slots=True)
class Ask:
    """What a model is asked: the messages, what this caller wants of the answer, and how to end it early.

    `parameters` are names and values of the chat-completions protocol; `max_tokens` is in tokens. Of several models
    the one of the name `model` is asked first; `pause` is as in Question.
    """

    messages: Sequence[Message]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    abort: Abort = field(default_factory=Abort)
    model: str = ""
    pause: Callable[[], float] = float
