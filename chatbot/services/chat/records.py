"""Values of the chat: turns as they are opened, closed and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from chatbot.services.usage.demand import Demand
from chatbot.services.usage.ledger import API, Origin


class StoredCitation(TypedDict):
    """A citation as JSON in a turn's row and in answers; offsets are code points of the document's text."""

    marker: int | None
    document_id: str
    document_version: int
    title: str
    page: int | None
    start: int
    end: int
    quote: str
    score: float
    supported: bool
    stale: bool
    answer_spans: list[list[int]]


class RankedCitation(StoredCitation):
    """A passage that a search found, with its rank on both sides."""

    lexical_rank: int | None
    dense_rank: int | None


class Candidate(RankedCitation):
    """A passage that was looked at for a prompt; `dropped` says why it was left out, None where it was not."""

    lexical_score: float | None
    dense_score: float | None
    dropped: str | None


class AttemptRecord(TypedDict):
    """How a model that was asked began; `error` is the name of an error's class."""

    model: str
    error: str | None
    milliseconds: float


class SummaryRecord(TypedDict):
    """A summary that a prompt showed, by the last turn that it covers, and how many it covers."""

    last_sequence: int
    turns: int


class ContextRecord(TypedDict):
    """The earlier turns that a prompt showed: word by word, summed up and quoted."""

    repeated_turns: int
    first_repeated_turn_id: str | None
    summary: SummaryRecord | None
    quoted_turn_ids: list[str]


class Trace(TypedDict):
    """Why a turn was answered as it was, as JSON beside its row; candidates have no quotes there."""

    retrieval_query: str | None
    candidates: list[Candidate]
    dropped: dict[str, int]
    notes: list[str]
    prompt_tokens: dict[str, int]
    tries: list[AttemptRecord]
    milliseconds: dict[str, float]
    context: ContextRecord | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A message and its answer so far; `error` is the name of an error's class.

    `extras` are parts of an answer on `/v1` beside its text: `tool_calls` and `logprobs`. Turns that answer the same
    message share `root_id`. `retry_after` is in seconds, where a failed model named it. A turn that a search found has
    a `snippet` of its texts, and in it the places of the query's words in code points.
    """

    id: UUID
    conversation_id: UUID
    user_message: str
    created_at: datetime
    status: str = "pending"
    bot_response: str = ""
    error: str | None = None
    completed_at: datetime | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    retrieval_query: str | None = None
    citations: list[StoredCitation] | None = None
    grounded: float | None = None
    extras: dict[str, Any] | None = None
    root_id: UUID | None = None
    siblings: tuple[UUID, ...] = ()
    retry_after: float | None = None
    snippet: str | None = None
    highlights: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """The options of a message, kept with its turn: other answers to it are made with them too.

    Passages are looked for in the collections, in those of the conversation, or in all that the caller may read.
    `model`, `temperature` and `max_tokens` are the settings' where they are None; `instructions` the conversation's.
    """

    collection_ids: tuple[UUID, ...] | None = None
    grounding: str = "auto"
    instructions: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None

    @classmethod
    def take(cls, values: dict[str, Any]) -> "TurnOptions":
        """Return the options among the values of a request, and remove them there."""
        return cls(**{one.name: values.pop(one.name) for one in fields(cls) if one.name in values})

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "TurnOptions":
        """Return options as they were stored."""
        if not stored:
            return DEFAULT_OPTIONS
        collection_ids = stored.get("collection_ids")
        return cls(**{**stored, "collection_ids": collection_ids and tuple(UUID(one) for one in collection_ids)})

    def to_json(self) -> dict[str, Any] | None:
        """Return the options that differ from the defaults, for the turn's row, or None."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        if self.collection_ids:
            values["collection_ids"] = [str(one) for one in self.collection_ids]
        return values or None

    def get_parameters(self) -> dict[str, Any]:
        """Return the parameters for the model."""
        parameters = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {name: value for name, value in parameters.items() if value is not None}


DEFAULT_OPTIONS = TurnOptions()


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """A running turn with its lease: only the holder of `lease_token` may close it."""

    id: UUID
    conversation_id: UUID
    user_message: str
    created_at: datetime
    lease_token: UUID
    sequence: int = 1
    siblings: tuple[UUID, ...] = ()
    options: TurnOptions = DEFAULT_OPTIONS
    has_searchable_collections: bool = True  # among those that are searched by default
    instructions: str | None = None  # of the user, beside the message
    listed: bool = True  # in the history
    origin: Origin = API
    reserved: Demand | None = None  # of budgets

    def to_turn(self, **changes: Any) -> Turn:
        """Return the turn as its readers see it, with fields that have changed since."""
        return Turn(
            id=self.id,
            conversation_id=self.conversation_id,
            user_message=self.user_message,
            created_at=self.created_at,
            siblings=self.siblings,
            **changes,
        )


@dataclass(frozen=True, slots=True)
class OpenResult:
    """The turn of a request; `opened` is None if the same key opened it before."""

    turn_id: UUID
    opened: OpenedTurn | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a turn. `error` is the name of an error's class."""

    status: str
    bot_response: str = ""
    error: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    retrieval_query: str | None = None
    citations: list[StoredCitation] | None = None
    grounded: float | None = None
    extras: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Measurements:
    """The times of a turn since it was opened, in milliseconds, and the number of passages that were found for it.

    `requested_model` is the name of the model that answered in the settings; its server may report another one.
    """

    first_text_ms: int | None = None
    total_ms: int | None = None
    passages: int | None = None
    requested_model: str | None = None


NO_MEASUREMENTS = Measurements()
