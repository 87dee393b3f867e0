"""Quotes and titles of documents in the citations of turns, of their traces, and of messages in rooms."""

import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from chatbot.database.transactions import read, write
from chatbot.models import ChatMessage, Document, RoomMessage, TurnTrace
from chatbot.services.chat.records import StoredCitation, Trace

ROWS = 100  # in one reading
COPIED = ("title", "quote")

Cited = TypeVar("Cited", bound=StoredCitation)


def erase_quotes(document_ids: Container[str]) -> None:
    """Blank all titles and quotes of some documents, in the turns and messages of all users.

    No index leads from a document to the turns that cite it: each row is read.
    """
    _replace(ChatMessage.id, ChatMessage.citations, lambda found: _blank_known(found, document_ids))
    _replace(
        RoomMessage.id, RoomMessage.citations, lambda found: _blank_known(found, document_ids), ~RoomMessage.deleted
    )
    _replace(TurnTrace.turn_id, TurnTrace.facts, lambda facts: _blank_candidates(facts, document_ids))


def lock_cited_documents(connection: sa.Connection, lists: Iterable[Sequence[StoredCitation] | None]) -> set[str]:
    """Return the ids of cited documents that are gone; the others are there until the end of the transaction.

    Call it before citations are stored, for `blank`: an erasure waits for the transaction, and finds what it stored.
    """
    cited = {one["document_id"] for citations in lists for one in citations or ()}
    if not cited:
        return cited
    statement = sa.select(Document.id).where(Document.id.in_({UUID(one) for one in cited})).order_by(Document.id)
    return cited - {str(one) for one in connection.scalars(statement.with_for_update(read=True, key_share=True))}


def blank_deleted_documents(
    connection: sa.Connection, citations: list[StoredCitation] | None, trace: Trace | None
) -> tuple[list[StoredCitation] | None, Trace | None]:
    """Return the citations and the trace of a turn that ends as they are to be stored."""
    candidates = trace["candidates"] if trace else []
    gone = lock_cited_documents(connection, [citations, candidates])
    if trace:
        trace = {**trace, "candidates": blank(candidates, gone)}
    return citations and blank(citations, gone), trace


def blank(citations: Sequence[Cited], document_ids: Container[str]) -> list[Cited]:
    """Return citations, those of some documents without their titles and quotes."""
    return [_blank_one(one) if one["document_id"] in document_ids else one for one in citations]


def _replace(
    key: InstrumentedAttribute[Any],
    column: InstrumentedAttribute[Any],
    change: Callable[[Any], Any | None],
    *conditions: sa.ColumnElement[bool],
) -> None:
    """Change the values of a column, a page of rows at a time; `change` returns None for a value that stays.

    Rows without a value are read too: where few have one, a query for the next of them would read the whole table.
    """
    page = sa.select(key, column).order_by(key).limit(ROWS)
    last = None
    while True:
        with read() as connection:
            rows = connection.execute(page if last is None else page.where(key > last)).all()
        changed = {row[0]: new for row in rows if row[1] is not None and (new := change(row[1])) is not None}
        if changed:
            with write("erase_quotes") as connection:
                for identity, value in changed.items():
                    connection.execute(
                        sa.update(key.class_).where(key == identity, *conditions).values({column.key: value})
                    )
        if len(rows) < ROWS:
            return
        last = rows[-1][0]
        time.sleep(0)


def _blank_one(citation: Cited) -> Cited:
    return cast("Cited", {**citation, **{name: "" for name in COPIED if name in citation}})


def _blank_known(citations: Sequence[Any], document_ids: Container[str]) -> list[Any] | None:
    """Return citations without the titles and quotes of some documents, None where none is of these."""
    is_cited = any(one["document_id"] in document_ids for one in citations)
    return blank(citations, document_ids) if is_cited else None


def _blank_candidates(facts: dict[str, Any], document_ids: Container[str]) -> dict[str, Any] | None:
    candidates = _blank_known(facts.get("candidates", ()), document_ids)
    return None if candidates is None else facts | {"candidates": candidates}
