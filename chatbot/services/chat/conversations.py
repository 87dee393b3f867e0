"""Conversations: pages of them, and their settings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database import keyset
from chatbot.database.query_plans import without_index
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import ExternalIdTaken, NotFound, RevisionMismatch
from chatbot.models import ChatMessage, Conversation, ConversationTag
from chatbot.models.chat import IS_RUNNING, RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.search import readable
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import conversation_rows
from .search import results

ORDER = (Conversation.activity_at, Conversation.id)


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A conversation as its user sees it; `revision` counts the changes of its settings."""

    id: UUID
    external_id: str | None
    title: str | None
    title_source: str | None
    pinned: bool
    archived: bool
    collection_ids: list[str]
    instructions: str | None
    turns: int
    last_turn_at: datetime | None
    running_turn_id: UUID | None
    read_turn_id: UUID | None
    unread: bool
    forked_from: UUID | None
    revision: int
    created_at: datetime
    updated_at: datetime
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateResult:
    """A conversation, and whether the request made it."""

    conversation: ConversationRecord
    is_new: bool


_of_this = ChatMessage.conversation_id == Conversation.id
RUNNING_TURN = sa.select(ChatMessage.id).where(_of_this, IS_RUNNING).scalar_subquery()
IS_UNREAD = sa.exists().where(
    _of_this,
    ChatMessage.sequence > Conversation.read_sequence,
    ChatMessage.active,
    ChatMessage.listed,
    ChatMessage.status.not_in(RUNNING),
)
FIELDS = (
    Conversation.id,
    Conversation.external_id,
    Conversation.title,
    Conversation.title_source,
    Conversation.pinned,
    Conversation.archived,
    Conversation.collection_ids,
    Conversation.instructions,
    Conversation.turns,
    Conversation.activity_at,
    Conversation.read_turn_id,
    Conversation.forked_from,
    Conversation.revision,
    Conversation.created_at,
    Conversation.updated_at,
    RUNNING_TURN.label("running_turn_id"),
    IS_UNREAD.label("unread"),
)


def list_conversations(
    caller: Caller,
    *,
    limit: int,
    after: keyset.Key | None = None,
    archived: bool = False,
    pinned: bool | None = None,
    tag: str | None = None,
    q: str | None = None,
) -> keyset.Page[ConversationRecord]:
    """Return up to `limit` of the caller's conversations, the one with the newest activity first.

    They are the archived ones or the others, and of these the pinned ones, or the others, those with a tag, and those
    with the words of a query. Raises Busy while the history is indexed for the first time.
    """
    statement = sa.select(*FIELDS).where(Conversation.user_id == caller.user_id, Conversation.listed)
    statement = statement.where(Conversation.archived == archived)
    if pinned is not None:
        statement = statement.where(Conversation.pinned == pinned)
    if tag is not None:
        statement = statement.where(
            sa.exists().where(ConversationTag.conversation_id == Conversation.id, ConversationTag.tag == tag)
        )
    if q is not None:
        statement = statement.where(Conversation.id.in_(results.find_conversations(caller, q)))
    with read() as connection:
        page = keyset.fetch_page(connection, statement, _build, order=ORDER, limit=limit, after=after, descending=True)
        return replace(page, items=_add_tags(connection, page.items))


def get(caller: Caller, conversation_id: UUID) -> ConversationRecord:
    """Return one of the caller's conversations; raises NotFound."""
    with read() as connection:
        return load(connection, caller, conversation_id)


def load_all(connection: sa.Connection, caller: Caller, ids: Sequence[UUID]) -> list[ConversationRecord]:
    """Return those of some conversations that are the caller's and are listed, in no order."""
    own = (without_index(Conversation.user_id) == caller.user_id, Conversation.listed, Conversation.id.in_(ids))
    rows = connection.execute(sa.select(*FIELDS).where(*own)).all()
    return _add_tags(connection, [_build(**row._mapping) for row in rows])


def create(caller: Caller, values: Mapping[str, Any], key: idempotency.Key | None = None) -> CreateResult:
    """Make a conversation without turns, or return the caller's of the same external id.

    `values` are those of `change`, without `read_turn_id`. Raises NotFound for a collection that the caller may not
    read, IdempotencyKeyReused.
    """
    _require_collections(caller, values)
    conversation_id = uuid7()
    try:
        with write("create_conversation") as connection:
            known = idempotency.find(connection, caller.user_id, key) if key else None
            if known is None and values.get("external_id") is not None:
                known = conversation_rows.find_id(connection, caller, values["external_id"])
            if known is not None:
                return CreateResult(load(connection, caller, known), is_new=False)
            row = conversation_rows.build_row(caller, conversation_id, now()) | _columns(values)
            connection.execute(sa.insert(Conversation).values(row))
            write_tags(connection, conversation_id, values.get("tags", ()))
            if key:
                idempotency.store(connection, caller.user_id, key, thing_id=conversation_id)
            changes.record(connection, caller.user_id, [Change("conversation", conversation_id)])
            return CreateResult(load(connection, caller, conversation_id), is_new=True)
    except IntegrityError:
        # A request with the same external id or key came in the same moment.
        made = conversation_rows.find_by_external_id(caller, values.get("external_id"))
        if made is None and idempotency.find_committed(caller.user_id, key) is None:
            raise
        return create(caller, values, key)


def change(
    caller: Caller, conversation_id: UUID, values: Mapping[str, Any], *, revision: int | None = None
) -> ConversationRecord:
    """Change settings of a conversation, field by field: those that `values` has.

    They are `external_id, title, pinned, archived, tags, collection_ids, instructions, read_turn_id`. Raises NotFound
    for a conversation that is absent or another user's, for a turn of another one, and for a collection that the caller
    may not read; RevisionMismatch unless `revision` is the newest or None; ExternalIdTaken.
    """
    _require_collections(caller, values)
    own = (Conversation.id == conversation_id, Conversation.user_id == caller.user_id, Conversation.listed)
    try:
        with write("change_conversation") as connection:
            found = connection.scalar(sa.select(Conversation.revision).where(*own).with_for_update())
            if found is None:
                raise NotFound("There is no such conversation.")
            if revision not in {None, found}:
                raise RevisionMismatch("The conversation has changed since.")
            columns = _columns(values) | _read_columns(connection, conversation_id, values)
            columns |= {"revision": Conversation.revision + 1, "updated_at": now()}
            connection.execute(sa.update(Conversation).where(*own).values(columns))
            if "tags" in values:
                write_tags(connection, conversation_id, values["tags"])
            changes.record(connection, caller.user_id, [Change("conversation", conversation_id)])
            return load(connection, caller, conversation_id)
    except IntegrityError as error:
        raise ExternalIdTaken("Another conversation of yours has this external id.") from error


def load(connection: sa.Connection, caller: Caller, conversation_id: UUID) -> ConversationRecord:
    """Return one of the caller's conversations; raises NotFound."""
    found = load_all(connection, caller, [conversation_id])
    if not found:
        raise NotFound("There is no such conversation.")
    return found[0]


def write_tags(connection: sa.Connection, conversation_id: UUID, tags: Iterable[str]) -> None:
    """Replace a conversation's tags."""
    of_this = ConversationTag.conversation_id == conversation_id
    connection.execute(sa.delete(ConversationTag).where(of_this))
    rows = [{"conversation_id": conversation_id, "tag": tag, "position": position} for position, tag in enumerate(tags)]
    if rows:
        connection.execute(sa.insert(ConversationTag), rows)


def _build(activity_at: datetime, turns: int, collection_ids: list[str] | None, **fields: Any) -> ConversationRecord:
    last_turn_at = activity_at if turns else None
    return ConversationRecord(turns=turns, last_turn_at=last_turn_at, collection_ids=collection_ids or [], **fields)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of settings that are given."""
    names = ("external_id", "title", "pinned", "archived", "instructions", "collection_ids")
    columns = {name: values[name] for name in names if name in values}
    if "title" in values:
        columns["title_source"] = None if values["title"] is None else "user"
    if columns.get("collection_ids"):
        columns["collection_ids"] = [str(one) for one in columns["collection_ids"]]
    return columns


def _read_columns(connection: sa.Connection, conversation_id: UUID, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that say up to which turn the conversation was read; raises NotFound."""
    if "read_turn_id" not in values:
        return {}
    turn_id = values["read_turn_id"]
    if turn_id is None:
        return {"read_turn_id": None, "read_sequence": 0}
    conditions = (ChatMessage.id == turn_id, ChatMessage.conversation_id == conversation_id)
    sequence = connection.scalar(sa.select(ChatMessage.sequence).where(*conditions))
    if sequence is None:
        raise NotFound("There is no such turn in this conversation.")
    return {"read_turn_id": turn_id, "read_sequence": sequence}


def _require_collections(caller: Caller, values: Mapping[str, Any]) -> None:
    if values.get("collection_ids"):
        readable.find_searched_collections(caller, values["collection_ids"])


def _add_tags(connection: sa.Connection, conversations: Sequence[ConversationRecord]) -> list[ConversationRecord]:
    among = ConversationTag.conversation_id.in_([one.id for one in conversations])
    statement = sa.select(ConversationTag.conversation_id, ConversationTag.tag).where(among)
    tags: defaultdict[UUID, list[str]] = defaultdict(list)
    for row in connection.execute(statement.order_by(ConversationTag.position)):
        tags[row.conversation_id].append(row.tag)
    return [replace(one, tags=tuple(tags[one.id])) if one.id in tags else one for one in conversations]
