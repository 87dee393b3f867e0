"""Values of the knowledge base: rows of its tables for other layers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection; `owner_id` is None for the operator's, `bytes` are its stored bytes."""

    id: UUID
    owner_id: UUID | None
    name: str
    description: str
    visibility: str
    language: str | None
    is_default: bool
    bytes: int
    chunks: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a collection, or a user with an open invitation to it."""

    user_id: UUID
    username: str
    role: str
    state: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to a collection, under the collection's id; `invited_by` is the owner's username, or None."""

    id: UUID
    role: str
    invited_at: datetime
    invited_by: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """A document and how far its ingestion is.

    `version` is the one that is searched, 0 for none yet; `progress` goes from 0 to 1; `error` is the name of an
    error's class, and `reason` says more about this document. `warnings` name what was not read, or has no vectors.
    """

    id: UUID
    collection_id: UUID
    external_id: str | None
    title: str
    media_type: str
    bytes: int
    version: int
    status: str
    progress: float
    chunks: int
    error: str | None
    reason: str | None
    warnings: list[str]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Chunk:
    """A searchable passage: code points `start` to `end` of its document's text; `headings` are lines.

    `columns` is the row of names of the table in whose middle it begins.
    """

    position: int
    start: int
    end: int
    page: int | None
    headings: str
    columns: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """A collection with its owner's e-mail address (None for the operator's) and counts, for operators."""

    id: UUID
    name: str
    visibility: str
    chunks: int
    bytes: int
    owner: str | None
    documents: int


@dataclass(frozen=True, slots=True)
class IngestedDocument:
    """A document that is ready or has failed, then for `reason`."""

    id: UUID
    status: str
    reason: str | None


class CollectionValues(TypedDict, total=False):
    """The fields of a collection that its owner may set."""

    name: str
    description: str
    visibility: str
    language: str | None
