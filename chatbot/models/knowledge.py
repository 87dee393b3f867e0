"""The knowledge base: collections, their members, documents, chunks and vectors."""

from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import BIG, Id, Time, now

from .auth import User

IS_DEFAULT = sa.text("is_default")
IS_SHARED = sa.text("visibility = 'shared'")
IS_WAITING = sa.text("status IN ('queued', 'processing')")
IS_IN_USE = sa.text("active")


class Collection(Model):
    """Documents that are read and searched together; without an owner it is the operator's.

    `bytes` are those of its documents' contents, `described_bytes` those of their titles and metadata.
    `last_change` is the newest of its rows in `knowledge_changes`: processes that search copies follow it.
    """

    __tablename__ = "collections"
    __table_args__ = (
        sa.Index(
            "uq_collections_default", "owner_id", unique=True, sqlite_where=IS_DEFAULT, postgresql_where=IS_DEFAULT
        ),
        sa.Index(None, "owner_id", "created_at", "id"),
        sa.Index(None, "visibility", sqlite_where=IS_SHARED, postgresql_where=IS_SHARED),
    )

    id: Mapped[Id]
    owner_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str] = mapped_column(sa.Text, default="")
    visibility: Mapped[str] = mapped_column(sa.String(8), default="private")
    language: Mapped[str | None] = mapped_column(sa.String(8))
    is_default: Mapped[bool] = mapped_column(default=False)
    size: Mapped[int] = mapped_column("bytes", BIG, default=0)
    described_bytes: Mapped[int] = mapped_column(BIG, default=0, server_default="0")
    chunks: Mapped[int] = mapped_column(default=0)
    last_change: Mapped[int] = mapped_column(BIG, default=0)
    created_at: Mapped[Time] = mapped_column(default=now)
    updated_at: Mapped[Time] = mapped_column(default=now)


class CollectionMember(Model):
    """A membership of a collection: invited, accepted or left.

    Until they accept nothing of it reaches them; who left cannot be invited again.
    """

    __tablename__ = "collection_members"

    collection_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Collection.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(sa.String(8))
    state: Mapped[str] = mapped_column(sa.String(8), default="invited")
    invited_at: Mapped[Time] = mapped_column(default=now)


class Document(Model):
    """A document, its place in the queue, and which version of it is searched (0: none yet).

    `wanted_version` is the newest one; until it is whole, `version` answers, under the title and with the metadata that
    it has. The holder of `lease_token` works on it until `lease_expires_at`. `queued_at` is its place in the queue
    (services/queues.py). One that `is_slow` took a parser too long in a first try.
    """

    __tablename__ = "documents"
    __table_args__ = (
        sa.UniqueConstraint("collection_id", "external_id"),
        sa.Index(None, "collection_id", "created_at", "id"),
        sa.Index(None, "collection_id", "content_hash"),
        sa.Index(None, "queued_at", sqlite_where=IS_WAITING, postgresql_where=IS_WAITING),
        sa.Index("ix_documents_waiting", "collection_id", sqlite_where=IS_WAITING, postgresql_where=IS_WAITING),
    )

    id: Mapped[Id]
    collection_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Collection.id, ondelete="CASCADE"))
    external_id: Mapped[str | None] = mapped_column(sa.String(255))
    title: Mapped[str] = mapped_column(sa.String(255))
    media_type: Mapped[str] = mapped_column(sa.String(100))
    url: Mapped[str | None] = mapped_column(sa.Text)
    size: Mapped[int] = mapped_column("bytes", BIG)
    content_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", sa.JSON)
    version: Mapped[int] = mapped_column(default=0)
    wanted_version: Mapped[int] = mapped_column(default=1)
    wanted_title: Mapped[str | None] = mapped_column(sa.String(255))
    wanted_details: Mapped[dict[str, Any] | None] = mapped_column("wanted_metadata", sa.JSON(none_as_null=True))
    status: Mapped[str] = mapped_column(sa.String(12), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)
    chunks: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(sa.String(40))
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    warnings: Mapped[list[str]] = mapped_column(sa.JSON, default=list, server_default="[]")
    attempts: Mapped[int] = mapped_column(default=0)
    described_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    is_slow: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    queued_at: Mapped[Time] = mapped_column(default=now)
    lease_token: Mapped[UUID | None]
    lease_expires_at: Mapped[Time | None]
    created_at: Mapped[Time] = mapped_column(default=now)
    updated_at: Mapped[Time] = mapped_column(default=now)


class DocumentFact(Model):
    """One value of a document's metadata, by its type, as filters look for it; a list has several."""

    __tablename__ = "document_facts"
    __table_args__ = (sa.Index(None, "name", "text"), sa.Index(None, "name", "number"))

    document_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Document.id, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str | None] = mapped_column(sa.String(500))
    number: Mapped[float | None]
    flag: Mapped[bool | None]


class ParserUsage(Model):
    """How long the parsers read one user's documents on the last day (UTC) on which they did, in seconds."""

    __tablename__ = "parser_usage"

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(sa.Date)
    seconds: Mapped[float]


class DocumentPiece(Model):
    """A piece of an upload, at most 1 MB: the database is the truth on many hosts too."""

    __tablename__ = "document_pieces"

    document_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Document.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)


class Chunk(Model):
    """A passage as it is searched; `start` and `end` are code points of the document's text. No id is given twice."""

    __tablename__ = "chunks"
    __table_args__ = (
        sa.Index(None, "document_id", "version", "position"),
        sa.Index(None, "collection_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    collection_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Collection.id, ondelete="CASCADE"))
    document_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Document.id, ondelete="CASCADE"))
    version: Mapped[int]
    position: Mapped[int]
    start: Mapped[int]
    end: Mapped[int]
    page: Mapped[int | None]
    headings: Mapped[str] = mapped_column(sa.Text)
    columns: Mapped[str] = mapped_column(sa.Text, server_default="")
    language: Mapped[str] = mapped_column(sa.String(8))
    text: Mapped[str] = mapped_column(sa.Text)


class ChunkVector(Model):
    """A chunk's vector in one space: 32-bit floats, little-endian, of length 1."""

    __tablename__ = "chunk_vectors"

    chunk_id: Mapped[int] = mapped_column(BIG, sa.ForeignKey(Chunk.id, ondelete="CASCADE"), primary_key=True)
    space: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    vector: Mapped[bytes] = mapped_column(sa.LargeBinary)


def has_dimension(dimension: "int | sa.ScalarSelect[int]") -> sa.ColumnElement[bool]:
    """Return the condition that a chunk's vector has a dimension; a server may have changed its own."""
    return sa.func.length(ChunkVector.vector) == 4 * dimension


class KnowledgeChange(Model):
    """A change of a document's searchable chunks, kept for a while for the indexes that follow."""

    __tablename__ = "knowledge_changes"
    __table_args__ = (
        sa.Index(None, "collection_id", "id"),
        sa.Index(None, "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    collection_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Collection.id, ondelete="CASCADE"))
    document_id: Mapped[UUID]
    created_at: Mapped[Time] = mapped_column(default=now)


class VectorCopy(Model):
    """The position of a collection's replica in a store that all processes share, and its lease.

    `token` rises with each holder of the lease and fences off old ones.
    """

    __tablename__ = "vector_copies"

    collection_id: Mapped[UUID] = mapped_column(sa.ForeignKey(Collection.id, ondelete="CASCADE"), primary_key=True)
    store: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    space: Mapped[str | None] = mapped_column(sa.String(120))
    change: Mapped[int] = mapped_column(BIG, default=0)
    followed_at: Mapped[float]
    token: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    expires_at: Mapped[Time | None]


class EmbeddingSpace(Model):
    """A model and dimension of vectors, and the adapter that makes them; the active one is searched."""

    __tablename__ = "embedding_spaces"
    __table_args__ = (
        sa.Index(
            "uq_embedding_spaces_active", "active", unique=True, sqlite_where=IS_IN_USE, postgresql_where=IS_IN_USE
        ),
    )

    name: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    adapter: Mapped[str] = mapped_column(sa.String(60))
    model: Mapped[str] = mapped_column(sa.String(120))
    dimension: Mapped[int]
    active: Mapped[bool] = mapped_column(default=False)


class TurnTrace(Model):
    """The trace of a turn: its query, its candidates and the reasons for leaving some out."""

    __tablename__ = "turn_traces"

    turn_id: Mapped[UUID] = mapped_column(sa.ForeignKey("chat_messages.id", ondelete="CASCADE"), primary_key=True)
    facts: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
