"""The values that go in and out of ports. Offsets in texts are in Unicode code points."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]  # of length 1
    Vectors: TypeAlias = NDArray[np.float32]  # one row a text, each of length 1
    Ids: TypeAlias = NDArray[np.int64]

Hit = tuple[int, float]  # a chunk's id and its score, the higher the better
Role = Literal["system", "user", "assistant", "tool", "function"]
FinishReason = Literal["stop", "length", "content_filter"]
CacheKey = Literal["prefix", "cache_salt", "prompt_cache_key"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt.

    `fields` are its further members in the chat-completions protocol, such as `tool_calls`; a `content` among them, a
    list of parts, is sent in place of the text.
    """

    role: Role
    content: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer: its reason, its model and its tokens (None where not told).

    `extras` are its parts beside the text, as the protocol has them: `tool_calls` and `logprobs`.
    """

    reason: FinishReason
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptInfo:
    """The prompt of a model, and the function that counts its tokens.

    `query` is what was searched for, None where nothing was; `passages` are those in the prompt, in the order of their
    markers; `tokens` are those of each part; `repeated` counts the messages of the history in it.
    """

    messages: Sequence[Message] = ()
    model: str | None = None
    count: Callable[[str], int] = len
    query: str | None = None
    passages: Sequence["Passage"] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a model's server may take, in seconds."""

    connect: float = 5.0
    first_byte: float = 30.0
    idle: float = 20.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """The options of a language model's adapter.

    `cache_key` is how the server's prompt cache is divided by caller: by the prompt's own beginning, or by a parameter.
    """

    model: str
    api_key: str | None = None
    base_url: str | None = None
    max_tokens: int = 150
    temperature: float = 0.7
    deadlines: Deadlines = Deadlines()
    cache_key: CacheKey | None = None


def discard(_: str) -> None:
    """Discard a text."""


class CancelToken:
    """Ends an answer from outside, also while its stream waits."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._then: Callable[[], None] | None = None

    @property
    def requested(self) -> bool:
        """Whether the end was requested."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask for the end; the connection to the model's server is closed at once."""
        self._requested.set()
        if self._then is not None:
            self._then()

    def on_request(self, then: Callable[[], None] | None) -> None:
        """Set the function that ends the wait that begins now; called at once when the end was requested before."""
        self._then = then
        if then is not None and self.requested:
            then()

    def sleep(self, seconds: float) -> None:
        """Wait for so long, or until the end is asked for."""
        self._requested.wait(seconds)


@dataclass(frozen=True, slots=True)
class Question:
    """A question to answer, its history (oldest first), and the messages that follow it, such as a tool's results.

    `verbatim` is a whole prompt that a caller brings along; then nothing is added and nothing left out. `model` is
    the one to ask first, where several may be asked; `pause` tells how long a reader of the answer may wait before it
    reads on (seconds), so that many streams cost less. `retrieve` finds passages for a query and a second wording of
    it, best first; `strict` wants no answer without them. `attempts` takes in how each model that was asked began.
    `cache_salt` is the caller's secret share of a server's prompt cache. `on_reasoning` takes in what the model thinks
    before it answers, filtered as the answer is. `instructions` are the user's own, for the whole conversation.
    Unless the history is whole and fits, `recall` returns texts from the turns before its last so many messages.
    """

    text: str
    history: Sequence[Message] = ()
    following: Sequence[Message] = ()
    verbatim: Sequence[Message] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cancel_token: CancelToken = field(default_factory=CancelToken)
    model: str = ""
    pause: Callable[[], float] = float
    retrieve: "Callable[[str, str], Sequence[Passage]] | None" = None
    strict: bool = False
    attempts: list["Attempt"] = field(default_factory=list)
    cache_salt: str = ""
    on_reasoning: Callable[[str], None] = discard
    instructions: str = ""
    recall: Callable[[int, int], Sequence[str]] | None = None  # given the messages that are repeated, and tokens
    is_history_whole: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a model that was asked began: with text, or with an error (the name of its class), after so many seconds."""

    model: str
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request to a model: the messages, the caller's parameters, and a token to cancel it.

    `parameters` are names and values of the chat-completions protocol; `max_tokens` is in tokens. Of several models
    the one of the name `model` is asked first; `pause`, `attempts`, `cache_salt` and `on_reasoning` are as in Question.
    """

    messages: Sequence[Message]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cancel_token: CancelToken = field(default_factory=CancelToken)
    model: str = ""
    pause: Callable[[], float] = float
    attempts: list[Attempt] = field(default_factory=list)
    cache_salt: str = ""
    on_reasoning: Callable[[str], None] = discard


@dataclass(frozen=True, slots=True)
class Parsed:
    """The text of a file, as a loader read it.

    `text` has line feeds for newlines, and headings, lists, tables and code in Markdown's notation where the format has
    them; `pages` are the offsets at which page 1, 2, 3 ... begins, none where the format has no pages. `warnings` name
    the parts that could not be read, a sentence each.
    """

    text: str
    title: str | None = None
    pages: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document's text, with the path of headings that it stands under and the page it begins on.

    `columns` is the row of names of the table in whose middle it begins.
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()
    columns: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """A chunk for an index of words."""

    chunk_id: int
    collection_id: str
    document_id: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that was found for a question; `start` is the offset of its text in the document's.

    `columns` is the row of names of the table in whose middle the text begins.
    """

    document_id: str
    document_version: int
    title: str
    text: str
    start: int
    page: int | None = None
    score: float = 0.0
    columns: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage's part that an answer rests on.

    `quote` is the document's text from `start` to `end`; `answer_spans` are the parts of the answer that it supports;
    `marker` is the number that the model wrote, or None where we found the passage ourselves.
    """

    marker: int | None
    passage: Passage
    start: int
    end: int
    quote: str
    score: float
    supported: bool
    answer_spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """The options of an embedder's adapter; deadlines in seconds."""

    model: str = ""
    api_key: str | None = None
    base_url: str | None = None
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class VectorBatch:
    """Vectors of length 1, row by row, and the ids of their chunks and documents."""

    ids: "Ids"
    documents: Sequence[str]
    vectors: "Vectors"


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The options of a vector store's adapter.

    Bytes searched exactly, and bytes kept in memory in all; the address of the server that keeps them, and its key.
    """

    exact_bytes: int = 500 << 20
    max_bytes: int = 1 << 30
    url: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """The limits of reading one document: bytes of address space, seconds of processor, seconds by the clock.

    After `documents` of them the process that reads is replaced.
    """

    memory: int = 512 * 2**20
    cpu: int = 60
    wall: float = 120.0
    documents: int = 50
