"""Erasure of accounts: asked for by their users, done by a job in batches, and recorded in a receipt.

The request closes the account in one transaction. The job then counts and deletes its rows, those of long histories in
many transactions; at last the user's own row, by which it finds what is left to do. A receipt has nothing of the user.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog

from chatbot.database import leases
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import NotFound
from chatbot.models import Erasure, LedgerEntry, SyncChange, User
from chatbot.observability import security_log
from chatbot.services.accounts import accounts, closure
from chatbot.services.accounts.callers import Caller
from chatbot.services.accounts.state import get_accounts_state
from chatbot.services.administration import users
from chatbot.services.chat import deletion
from chatbot.services.chat.copies import quotes
from chatbot.services.chat.search import results
from chatbot.services.knowledge import erasure as knowledge_erasure
from chatbot.services.rooms import erasure as rooms_erasure

from .tables import list_rows
from .user_table import Eraser

LEASE_NAME = "erasure"
LEASE_PERIOD = timedelta(minutes=10)
BATCH = 200  # rows in one transaction: it holds SQLite's lock for some milliseconds

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """How far an erasure is: its rows are gone since `erased_at`, all copies of them since `completed_at`.

    `removed` has the number of rows by their kinds in an export, None before they were counted.
    """

    id: UUID
    requested_at: datetime
    removed: dict[str, int] | None
    erased_at: datetime | None
    completed_at: datetime | None

    @property
    def status(self) -> Literal["pending", "completed"]:
        """Whether anything is left to do."""
        return "pending" if self.completed_at is None else "completed"

    @property
    def pending(self) -> list[str]:
        """The steps that are left to do."""
        steps = {"rows": self.erased_at, "copies": self.completed_at}
        return [name for name, done_at in steps.items() if done_at is None]


def request(caller: Caller, password: str) -> UUID:
    """Close the caller's account and have its data erased; return the id of the receipt.

    Raises InvalidCredentials (the password is wrong), LastAdmin, Busy, Unauthenticated.
    """
    password_hash = accounts.require_password(caller, password, event="erasure").password_hash
    erasure_id = uuid4()
    with write("request_erasure") as connection:
        users.require_other_admin(connection, caller.user_id)
        is_current = accounts.is_unchanged(connection, caller.user_id, password_hash)
        if is_current:
            connection.execute(sa.insert(Erasure).values(id=erasure_id, requested_at=now()))
            closure.close(connection, caller.user_id, erasure_id)
    if not is_current:  # the password changed, or its hash was keyed anew, since it was read
        return request(caller, password)
    get_accounts_state().credential_cache.clear()
    security_log.record("erasure", "requested", **caller.to_log_fields())
    return erasure_id


def get_receipt(erasure_id: UUID) -> Receipt:
    """Return the receipt of an erasure; raises NotFound."""
    columns = (
        Erasure.id,
        Erasure.requested_at,
        Erasure.counts.label("removed"),
        Erasure.erased_at,
        Erasure.completed_at,
    )
    with read() as connection:
        row = connection.execute(sa.select(*columns).where(Erasure.id == erasure_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such receipt.")
    return Receipt(**row._mapping)


def erase_waiting() -> None:
    """Erase all closed accounts, and then the copies of their rows, unless another process does.

    An account that cannot be erased holds up no other; what went wrong is raised in the end.
    """
    if not _has_running():
        return
    held = leases.acquire(LEASE_NAME, LEASE_PERIOD)
    if held is None:
        return
    failed: dict[UUID, Exception] = {}
    completed = False
    try:
        while (found := _find_closed(failed)) is not None:
            try:
                _erase(*found)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next account is another's
                failed[found[1]] = error
        _erase_copies()
        if failed:
            raise next(iter(failed.values()))
        completed = True
    finally:
        leases.release(held, completed=completed)


def _has_running() -> bool:
    with read() as connection:
        return connection.scalar(sa.select(Erasure.id).where(Erasure.completed_at.is_(None)).limit(1)) is not None


def _find_closed(but: Collection[UUID]) -> tuple[UUID, UUID] | None:
    """Return the ids of an erasure and its user, but for some users."""
    is_closed = (User.erasure_id.is_not(None), User.id.not_in(but))
    with read() as connection:
        row = connection.execute(sa.select(User.erasure_id, User.id).where(*is_closed).limit(1)).one_or_none()
    return None if row is None else (row.erasure_id, row.id)


def _erase(erasure_id: UUID, user_id: UUID) -> None:
    """Erase a closed account; an erasure that broke off goes on where it was."""
    caller = Caller(user_id, UUID(int=0), "user")
    _count(erasure_id, user_id)
    for erase in ERASERS.values():
        erase(caller)
    log.info("account erased")


def _count(erasure_id: UUID, user_id: UUID) -> None:
    """Count a user's rows, once: of an erasure that broke off some are gone."""
    counts: dict[str, int] = {}
    for rows in list_rows(user_id):
        if rows.table.kind is not None:
            with read() as connection:
                statement = sa.select(sa.func.count()).select_from(rows.table.table).where(rows.condition)
                counts[rows.table.kind] = connection.scalar(statement) or 0
    uncounted = (Erasure.id == erasure_id, Erasure.counts.is_(None))
    with write("count_erasure") as connection:
        connection.execute(sa.update(Erasure).where(*uncounted).values(counts=counts))


def _erase_account(caller: Caller) -> None:
    """Delete the rows of the account itself, and take its id from the ledger; the sums stay."""
    of_user = SyncChange.user_id == caller.user_id
    positions = sa.select(SyncChange.position).where(of_user).limit(BATCH)
    _repeat("erase_changes", sa.delete(SyncChange).where(of_user, SyncChange.position.in_(positions)))
    turns = sa.select(LedgerEntry.turn_id).where(LedgerEntry.user_id == caller.user_id).limit(BATCH)
    anonymous = {"user_id": None, "api_key_id": None, "conversation_id": None, "collection_id": None, "room_id": None}
    _repeat("erase_usage", sa.update(LedgerEntry).where(LedgerEntry.turn_id.in_(turns)).values(anonymous))
    with write("erase_user") as connection:  # with the entries of turns that were opened meanwhile
        connection.execute(sa.update(LedgerEntry).where(LedgerEntry.user_id == caller.user_id).values(anonymous))
        its_erasure = sa.select(User.erasure_id).where(User.id == caller.user_id).scalar_subquery()
        connection.execute(sa.update(Erasure).where(Erasure.id == its_erasure).values(erased_at=now()))
        connection.execute(sa.delete(User).where(User.id == caller.user_id))


def _repeat(step: str, statement: sa.Update | sa.Delete) -> None:
    """Execute a statement on some rows until none is left."""
    while True:
        with write(step) as connection:
            changed = connection.execute(statement).rowcount
        if changed == 0:
            return


def _erase_copies() -> None:
    """Let go of copies of erased rows in indexes and files; an error of one is raised, to be tried again."""
    with read() as connection:
        erased = (Erasure.erased_at.is_not(None), Erasure.completed_at.is_(None))
        found = connection.scalars(sa.select(Erasure.id).where(*erased)).all()
    if not found:
        return
    steps = (knowledge_erasure.forget_copies, results.follow, get_database_state().checkpointer.truncate_log)
    if not all(step() for step in steps):  # it is tried again
        return
    with write("complete_erasure") as connection:
        connection.execute(sa.update(Erasure).where(Erasure.id.in_(found)).values(completed_at=now()))


def _erase_knowledge(caller: Caller) -> None:
    """Delete the caller's collections, and the quotes of their documents in the turns of others.

    Once before, as an erasure that breaks off forgets the documents, and again: others could quote them until then.
    """
    document_ids = {str(document_id) for document_id in knowledge_erasure.list_documents(caller)}
    if document_ids:
        quotes.erase_quotes(document_ids)
    knowledge_erasure.erase(caller)
    if document_ids:
        quotes.erase_quotes(document_ids)


ERASERS: dict[Eraser, Callable[[Caller], None]] = {
    "rooms": rooms_erasure.erase,
    "history": deletion.delete_history,
    "knowledge": _erase_knowledge,
    "account": _erase_account,
}
"""The erasers by their names in the registry of tables, in this order: the user's own row is the last."""
