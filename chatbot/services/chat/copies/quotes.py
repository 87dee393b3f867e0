"""Quotes and titles of documents in the citations of turns, of their traces, and of messages in rooms."""

import time
from collections.abc import Callable, Container, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from chatbot.database.transactions import read, write
from chatbot.models import ChatMessage, RoomMessage, TurnTrace

ROWS = 100  # in one reading
COPIED = ("title", "quote")

Citations = Sequence[dict[str, Any]]


def erase_quotes(document_ids: Container[str]) -> None:
    """Blank all titles and quotes of some documents, in the turns and messages of all users.

    No index leads from a document to the turns that cite it: each row is read.
    """
    _replace(ChatMessage.id, ChatMessage.citations, lambda found: _blank(found, document_ids))
    _replace(RoomMessage.id, RoomMessage.citations, lambda found: _blank(found, document_ids), ~RoomMessage.deleted)
    _replace(TurnTrace.turn_id, TurnTrace.facts, lambda facts: _blank_candidates(facts, document_ids))


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


def _blank(citations: Citations, document_ids: Container[str]) -> list[dict[str, Any]] | None:
    if not any(one["document_id"] in document_ids for one in citations):
        return None
    return [
        one | {name: "" for name in COPIED if name in one} if one["document_id"] in document_ids else one
        for one in citations
    ]


def _blank_candidates(facts: dict[str, Any], document_ids: Container[str]) -> dict[str, Any] | None:
    candidates = _blank(facts.get("candidates", ()), document_ids)
    return None if candidates is None else facts | {"candidates": candidates}
