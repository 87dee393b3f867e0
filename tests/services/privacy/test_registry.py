"""Each table, file, cache and key has its exporter and eraser, or a stated reason why not."""

import fnmatch
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from flask import Flask

from chatbot.database.base import db
from chatbot.models import User
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.services.privacy import erasure, places, tables
from chatbot.services.privacy.user_table import Eraser, UserTable
from tests.api.test_account_export import fill, read_export
from tests.api.test_erasures import erase
from tests.conftest import Person
from tests.services.sync.test_tables import find_tables_of_users

ROOT = Path(__file__).parents[3]
KEY = re.compile(r'"(chatbot:[a-z]+:?)')
NOTHING = ("app", "_app", "_lock", "_find_states", "_is_running", "_name", "_poll_seconds")  # of a state itself
SETTINGS = (
    "_embedders", "embedder_fault", "embedder_settings", "embeddings_missing", "has_store_failed", "is_embedder_probed",
    "queue_changed", "reranker", "_llm", "_llm_slots",
)  # fmt: skip


def list_tables(found: tuple[UserTable, ...] = tables.USER_TABLES) -> Iterator[UserTable]:
    for table in found:
        yield table
        yield from list_tables(table.children)


def test_each_table_has_an_entry() -> None:
    known = {table.table.name for table in list_tables()}
    assert not known & tables.OTHER_TABLES.keys()
    assert known | tables.OTHER_TABLES.keys() == set(db.metadata.tables)


def test_each_table_that_refers_to_users_belongs_to_them() -> None:
    known = {table.table.name for table in list_tables()}
    assert find_tables_of_users() | {User.__tablename__} == known | {"room_invites"}


def test_each_table_is_exported_or_has_its_reason() -> None:
    for table in list_tables():
        assert (table.kind is None) != (table.reason is None), table.table.name
        assert table.omitted <= set(table.table.c.keys()), table.table.name
    kinds = [table.kind for table in list_tables() if table.kind]
    assert len(kinds) == len(set(kinds))


def test_each_table_has_an_eraser() -> None:
    assert {table.eraser for table in list_tables()} == set(erasure.ERASERS) == set(get_args(Eraser))


def test_columns_that_may_not_leave_are_omitted() -> None:
    words = ("hash", "token", "secret", "password", "jti", "lease", "_key")
    for table in list_tables():
        names = {column.name for column in table.columns if any(word in column.name for word in words)}
        expected = {"documents": {"content_hash"}, "chat_messages": {"prompt_tokens", "completion_tokens"}}
        expected["budgets"] = {"is_of_key"}
        expected["ledger"] = {"api_key_id", *expected["chat_messages"]}
        if table.kind is not None:
            assert names == expected.get(table.table.name, set()), table.table.name


def test_pages_are_in_an_order_without_equals() -> None:
    """An order with equal keys would skip rows between two pages."""
    for table in list_tables():
        names = {key.key for key in table.keys}
        primary = {column.name for column in table.table.primary_key.columns}
        of_parent = {("document_pieces", "document_id")}
        missing = primary - names - {name for one, name in of_parent if one == table.table.name}
        assert not missing or table.table.name == "chunks", table.table.name  # unique by their place in a version


def name_states(app: Flask) -> Iterator[tuple[str, Any]]:
    for name, state in app.extensions.items():
        if str(name).startswith("chatbot.") and state is not None:
            yield str(name).removeprefix("chatbot."), state


def test_each_state_of_a_process_has_an_entry(app: Flask) -> None:
    found: set[str] = set()
    for name, state in name_states(app):
        if name not in places.MEMORY_WITHOUT_USERS:
            made = {
                key
                for kind in type(state).__mro__
                for key, one in vars(kind).items()
                if isinstance(one, cached_property)
            }
            found |= {f"{name}.{key}" for key in {*vars(state), *made} - {*NOTHING, *SETTINGS}}
    assert found == places.MEMORY.keys() | ({"cluster"} & found)


@pytest.mark.both_databases
def test_each_file_of_the_data_folder_has_an_entry(app: Flask, ada: Person, tmp_path: Path) -> None:
    fill(app, ada)
    ada.call("POST", "/api/search/", {"query": "library"})
    ada.call("GET", "/api/chat-history/?q=library")
    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert any(name.startswith("lexical-history/") for name in names)
    assert [name for name in names if not any(fnmatch.fnmatch(name, one) for one in places.FILES)] == []


@pytest.mark.both_databases
def test_copies_forget_an_erased_account(app: Flask, ada: Person, eve: Person, tmp_path: Path) -> None:
    for person in (ada, eve):
        fill(app, person)
        person.call("POST", "/api/search/", {"query": "library"})
        person.call("GET", "/api/chat-history/?q=library")
    with app.app_context():
        state = get_knowledge_state()
        assert len(state.vector_index.store.collections()) == 2
    assert erase(app, ada)["status"] == "completed"
    with app.app_context():
        (kept,) = state.vector_index.store.collections()
        (known,) = state.lexical_index.known
    assert kept == known
    assert eve.call("GET", f"/api/collections/{kept}/").status_code == 200
    positions = {path.name for path in tmp_path.glob("lexical-history/*/positions/*")}
    assert positions == {UUID(eve.id).hex}


def test_each_key_of_redis_has_an_entry() -> None:
    """By the source: most keys are there for moments only."""
    source = "".join(path.read_text() for path in (ROOT / "chatbot").rglob("*.py") if path.name != "places.py")
    found = set(KEY.findall(source))
    assert {one.rstrip("*") for one in places.REDIS if one.startswith("chatbot:")} == found


def test_export_has_each_kind_that_can_be_filled(app: Flask, ada: Person) -> None:
    fill(app, ada)
    found = read_export(ada)
    kinds = {table.kind for table in list_tables() if table.kind}
    assert kinds - found.keys() <= {
        "mail",
        "mail_token",
        "audit_entry",
        "budget",
        "external_identity",
        "conversation_summary",
        "parser_usage",
        "collection_membership",
    }
