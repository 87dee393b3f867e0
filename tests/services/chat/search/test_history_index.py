"""The index of the history is a cache: it follows the changes, and is rebuilt from the tables after any damage."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.errors import Busy
from chatbot.models import SyncChange, SyncCounter, SyncState, User
from chatbot.rag.errors import IndexBroken
from chatbot.rag.lexical.history import HistoryIndex
from chatbot.services.chat.search import feed, history_index, results
from chatbot.services.chat.search.progress import Progress
from chatbot.services.chat.state import get_chat_state
from tests.api.test_history_search import messages
from tests.conftest import MakeApp, Person, join
from tests.support.plans import explain

pytestmark = pytest.mark.both_databases


@pytest.fixture
def folder(context: Flask, tmp_path: Path) -> Path:
    """Return the pattern of the index's folder."""
    return tmp_path / "lexical-history"


def indexed(folder: Path, person: Person, words: str, kind: Literal["turn", "title"] = "turn") -> list[UUID]:
    """Return the turns or the titled conversations that the index itself has, without the tables."""
    (path,) = folder.glob("*/index")
    return HistoryIndex(path).search(kind, UUID(person.id), words, 9)


def test_job_begins_with_the_first_search_and_forgets_what_was_deleted(folder: Path, ada: Person, eve: Person) -> None:
    turn = ada.says("canary").get_json()
    eve.says("canary")
    results.follow()
    assert not folder.exists()
    assert messages(ada, "canary") == ["canary"]
    ada.call("DELETE", f"/api/chat-history/{turn['id']}/")
    ada.says("robin")
    assert len(indexed(folder, ada, "canary")) == 1
    results.follow()
    assert indexed(folder, ada, "canary") == []
    assert len(indexed(folder, ada, "robin")) == 1
    assert indexed(folder, eve, "canary") == []


def test_title_that_a_message_gives_is_indexed(folder: Path, ada: Person) -> None:
    home = ada.call("POST", "/api/conversations/", {}).get_json()["id"]
    assert messages(ada, "canary") == []
    ada.says("canary", conversation_id=home)
    assert messages(ada, "canary") == ["canary"]
    assert indexed(folder, ada, "canary", "title") == [UUID(home)]


def test_user_that_is_deleted_leaves_the_index(folder: Path, ada: Person) -> None:
    ada.says("canary")
    messages(ada, "canary")
    with write("test") as connection:
        connection.execute(sa.text("DELETE FROM chat_messages"))
        connection.execute(sa.delete(User))
    results.follow()
    assert indexed(folder, ada, "canary") == []
    assert list(folder.glob("*/positions/*")) == []


def test_other_database_begins_anew(folder: Path, ada: Person, eve: Person) -> None:
    for person in (ada, eve):
        person.says("bees")
        assert messages(person, "bees") == ["bees"]
    with write("test") as connection:
        connection.execute(sa.update(SyncState).values(epoch=uuid4()))
    assert messages(ada, "bees") == ["bees"]
    assert indexed(folder, eve, "bees") == []
    assert messages(eve, "bees") == ["bees"]


def test_older_database_in_its_place_is_followed_from_the_beginning(folder: Path, ada: Person) -> None:
    ada.says("bees")
    ada.says("wasps")
    assert messages(ada, "wasps") == ["wasps"]
    with write("test") as connection:
        connection.execute(sa.delete(SyncChange).where(SyncChange.position > 2))
        connection.execute(sa.update(SyncCounter).values(position=2))
    assert messages(ada, "wasps") == []
    assert messages(ada, "bees") == ["bees"]
    assert indexed(folder, ada, "wasps") == []


DAMAGE: dict[str, Callable[[Path], object]] = {
    "meta.json cut": lambda path: (path / "index" / "meta.json").write_text("{"),
    "meta.json gone": lambda path: (path / "index" / "meta.json").unlink(),
    "state cut": lambda path: (path / "state.json").write_text("{"),
    "state gone": lambda path: (path / "state.json").unlink(),
    "position cut": lambda path: next(path.glob("positions/*")).write_text(""),
    "all gone": lambda path: [one.unlink() for one in sorted(path.rglob("*")) if one.is_file()],
}


def test_broken_index_is_rebuilt(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    for name, damage in DAMAGE.items():
        ada.says(f"bees {name}")
        assert f"bees {name}" in messages(ada, f"bees {name}")
        with app.app_context():
            del get_chat_state().history_index  # as of a process that begins
        damage(next(tmp_path.glob("lexical-history/*")))
        assert f"bees {name}" in messages(ada, f"bees {name}"), name


def test_index_that_breaks_while_it_is_read_is_rebuilt_at_once(
    context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.says("bees")
    assert messages(ada, "bees") == ["bees"]
    search = HistoryIndex.search
    broken: Iterator[bool] = iter([True])

    def search_once_broken(self: HistoryIndex, *args: object, **options: object) -> list[UUID]:
        if next(broken, False):
            raise IndexBroken("a flipped byte")
        return search(self, *args, **options)  # type: ignore[arg-type]  # whatever it takes

    monkeypatch.setattr(HistoryIndex, "search", search_once_broken)
    assert messages(ada, "bees") == ["bees"]


def cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a user be followed for two changes at a time."""
    monkeypatch.setattr(feed, "ROWS", 2)
    monkeypatch.setattr(history_index, "MAX_BEHIND", 1)
    monkeypatch.setattr(history_index, "SLICE_SECONDS", 0)
    monkeypatch.setattr(history_index, "MAX_SLICE_SECONDS", 0)


def test_long_history_is_indexed_in_pieces(context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        ada.says(f"bees {number}")
    cut_short(monkeypatch)
    monkeypatch.setattr(history_index, "CATCH_UP_SECONDS", 0)
    refused = ada.call("GET", "/api/chat-history/?q=bees")
    assert (refused.status_code, refused.get_json()["code"]) == (503, "busy")
    assert refused.headers["Retry-After"] == "5"
    results.follow()
    assert len(messages(ada, "bees")) == 5


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Return the users that were followed, a slice each."""
    followed: list[UUID] = []
    write_position = Progress.write_position

    def note(self: Progress, user_id: UUID, position: int) -> None:
        followed.append(user_id)
        write_position(self, user_id, position)

    monkeypatch.setattr(Progress, "write_position", note)
    return followed


def test_users_are_indexed_in_turns(
    context: Flask, ada: Person, eve: Person, monkeypatch: pytest.MonkeyPatch, slices: list[UUID]
) -> None:
    people = [ada, eve]
    for person in people:
        messages(person, "bees")
        for number in range(5):
            person.says(f"bees {number}")
    cut_short(monkeypatch)
    slices.clear()
    results.follow()
    users = [UUID(person.id) for person in people]
    assert len(slices) > 5
    assert set(zip(slices[::2], slices[1::2], strict=True)) in ({tuple(users)}, {tuple(reversed(users))})


def test_search_comes_between_slices_of_a_long_history(
    app: Flask, ada: Person, eve: Person, monkeypatch: pytest.MonkeyPatch, slices: list[UUID]
) -> None:
    messages(ada, "bees")
    for number in range(20):
        ada.says(f"bees {number}")
    eve.says("bees")
    cut_short(monkeypatch)
    found: list[list[str]] = []
    searching = threading.Event()
    read_heads = feed.read_heads

    def read_heads_and_tell(user_ids: Sequence[UUID]) -> list[feed.Head]:
        if list(user_ids) == [UUID(eve.id)]:
            searching.set()
        return read_heads(user_ids)

    monkeypatch.setattr(feed, "read_heads", read_heads_and_tell)
    eves = threading.Thread(target=lambda: found.append(messages(eve, "bees")))
    list_changes = feed.list_changes

    def list_changes_after_others_came(head: feed.Head, position: int) -> Iterator[feed.Batch]:
        if head.user_id == UUID(ada.id) and not searching.is_set():
            eves.start()
            assert searching.wait(30)
        return list_changes(head, position)

    monkeypatch.setattr(feed, "list_changes", list_changes_after_others_came)
    slices.clear()
    with app.app_context():
        results.follow()
    eves.join(30)
    assert found == [["bees"]]
    assert UUID(eve.id) in slices[:5]
    assert len(slices) > 10


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", ["chat_messages", "conversations"])
def test_changes_are_read_by_their_ids(context: Flask, ada: Person, table: str) -> None:
    """By their user, each batch of a million turns would go through the million."""
    for number in range(20):
        ada.says(f"bees {number}")
    (head,) = feed.read_heads([UUID(ada.id)])
    plans = explain(lambda: list(feed.list_changes(head, 0)), f"FROM {table}")
    assert len(plans) == 1
    assert [plan for _, plan in plans if f"sqlite_autoindex_{table}_1 (id=?)" not in plan] == []


def test_search_beside_a_process_that_writes_is_a_moment_old(
    folder: Path, ada: Person, eve: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.says("bees")
    assert messages(ada, "bees") == ["bees"]
    monkeypatch.setattr(history_index, "CATCH_UP_SECONDS", 0)
    with Progress(next(folder.glob("*"))).lock():
        ada.says("more bees")
        assert messages(ada, "bees") == ["bees"]
        with pytest.raises(Busy):  # nothing of hers is indexed
            get_chat_state().history_index.search(UUID(eve.id), lambda index: index.list_analyzers(UUID(eve.id)))
    assert len(messages(ada, "bees")) == 2
