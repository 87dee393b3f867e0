"""Erasure of a user's collections, and of their copies in indexes and stores."""

from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.errors import NotFound
from chatbot.models import Collection, Document
from chatbot.services.accounts.callers import Caller

from . import collections
from .state import get_knowledge_state


def erase(caller: Caller) -> None:
    """Delete the caller's collections with all their documents, the default one too."""
    own = Collection.owner_id == caller.user_id
    with write("release_default_collection") as connection:
        connection.execute(sa.update(Collection).where(own, Collection.is_default).values(is_default=False))
    with read() as connection:
        found = connection.scalars(sa.select(Collection.id).where(own)).all()
    for collection_id in found:
        try:
            collections.delete(caller, collection_id)
        except NotFound:  # another process has erased it
            continue


def list_documents(caller: Caller) -> set[UUID]:
    """Return the documents in the caller's collections."""
    statement = sa.select(Document.id).join(Collection, Collection.id == Document.collection_id)
    with read() as connection:
        return set(connection.scalars(statement.where(Collection.owner_id == caller.user_id)))


def forget_copies() -> bool:
    """Bring this host's index of words up to date, and let stores of vectors forget deleted collections.

    Returns whether they are: where another process writes the index, it may be in a moment. Raises StoreFailed.
    """
    state = get_knowledge_state()
    if state.has_lexical_files:
        state.lexical_index.follow_all()
    if state.has_copies_of_vectors:
        with read() as connection:
            known = set(connection.scalars(sa.select(Collection.id)))
        state.vector_index.forget_others(known, at_once=True)
    return not (state.has_lexical_files and state.lexical_index.is_behind())
