"""The values that go in and out of ports."""

from dataclasses import dataclass
from typing import Literal

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
