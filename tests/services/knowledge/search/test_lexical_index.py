"""The lexical index is a cache: after any damage to its folder the next search finds all that the tables have."""

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.jobs import knowledge as job
from chatbot.models import KnowledgeChange
from chatbot.rag.errors import IndexBroken
from chatbot.rag.lexical import analysis
from chatbot.rag.lexical.tantivy import TantivyIndex
from chatbot.services import periodic
from chatbot.services.knowledge.search import lexical_index
from chatbot.services.knowledge.state import get_knowledge_state
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.conftest import MakeApp, Person, join

pytestmark = pytest.mark.both_databases


def again(app: Flask, who: Person) -> Person:
    """Return a person as another process knows her."""
    return Person(app.test_client(), who.name, who.id, who.access_token, who.refresh_token)


def closed(app: Flask) -> None:
    with app.app_context():
        get_knowledge_state().lexical_index.index.close()


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(f"lexical/*/index/{pattern}"))


def replaced(path: Path, data: bytes) -> None:
    """Put another file in a file's place: a process that maps the old one dies if it becomes shorter (SIGBUS)."""
    path.unlink()
    path.write_bytes(data)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x55
    replaced(path, data)


def broken(*_: object) -> None:
    raise IndexBroken("a flipped byte")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "meta.json cut": lambda folder: files(folder, "meta.json")[0].write_text("{"),
    "meta.json gone": lambda folder: files(folder, "meta.json")[0].unlink(),
    "byte flipped": lambda folder: flip(files(folder, "*.idx")[0]),
    "segment cut": lambda folder: replaced(files(folder, "*.term")[0], b""),
    "segment gone": lambda folder: files(folder, "*.pos")[0].unlink(),
    "folder gone": lambda folder: shutil.rmtree(next(folder.rglob("lexical/*/index"))),
    "state cut": lambda folder: next(folder.rglob("lexical/*/followed.json")).write_text("{"),
    "state of another kind": lambda folder: next(folder.rglob("lexical/*/followed.json")).write_text("[]"),
}


def test_index_with_terms_of_another_version_is_filled_anew(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(analysis, "CUT_WORD", re.compile("(?!x)x()()"))  # as before it was there
        patch.setattr(TantivyIndex, "version", 1)
        app = make_app()
        ada = join(app.test_client(), "ada")
        send(ada, "Lift", "The tenant answers for the main-\ntenance of the lift.")
        work(app)
        assert find(ada, "maintenance")[0]["lexical_rank"] is None
        closed(app)
    assert find(again(make_app(), ada), "maintenance")[0]["lexical_rank"] == 1


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_broken_index_is_rebuilt_at_the_next_start(
    make_app: MakeApp, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")[0]["lexical_rank"] == 1
    closed(app)
    damage(tmp_path)
    assert find(again(make_app(), ada), "library")[0]["lexical_rank"] == 1


def test_index_that_breaks_while_it_is_read_is_rebuilt_at_once(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")[0]["lexical_rank"] == 1
    with app.app_context():
        index = get_knowledge_state().lexical_index.index

    monkeypatch.setattr(index, "search", broken)
    monkeypatch.setattr(index, "remove", broken)
    assert find(ada, "library")[0]["lexical_rank"] == 1
    with app.app_context():
        assert get_knowledge_state().lexical_index.index is not index


def test_broken_index_that_another_process_writes_leaves_the_vectors(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    other = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")[0]["lexical_rank"] == 1  # this one writes
    there = again(other, ada)
    assert find(there, "library")[0]["lexical_rank"] == 1
    with other.app_context():
        index = get_knowledge_state().lexical_index.index

    monkeypatch.setattr(index, "search", broken)
    answer = there.call("POST", "/api/search/", {"query": "library"}).get_json()
    assert (answer["items"][0]["title"], answer["items"][0]["lexical_rank"]) == ("Hours", None)
    assert answer["notes"] == ["The index of words failed: searched by vectors alone."]
    periodic.run(other, job.follow_replicas)  # the job goes on as well
    assert find(ada, "library")[0]["lexical_rank"] == 1


def test_index_of_another_database_is_thrown_away(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")[0]["lexical_rank"] == 1
    state = next(tmp_path.rglob("lexical/*/followed.json"))
    ahead = state.read_bytes()
    with app.app_context():
        get_knowledge_state().lexical_index.index.remove("collection", list(get_knowledge_state().lexical_index.known))
        get_knowledge_state().lexical_index.index.commit()  # as if a backup had brought the passages of an older time back
    closed(app)
    assert b":1}" in ahead
    state.write_bytes(ahead.replace(b":1}", b":99}"))
    assert find(again(make_app(), ada), "library")[0]["lexical_rank"] == 1


def test_index_follows_what_comes_after_it_was_rebuilt(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")
    closed(app)
    flip(files(tmp_path, "*.idx")[0])
    app = make_app()
    there = again(app, ada)
    assert find(there, "library")[0]["lexical_rank"] == 1
    send(there, "Bees", BEES)
    work(app)
    assert find(there, "waggle")[0]["lexical_rank"] == 1


def test_index_of_a_restored_database_is_thrown_away(make_app: MakeApp) -> None:
    """Changes after a restored backup reuse numbers of lost ones; the index must not mix them up."""
    app = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")
    with app.app_context():
        with read() as connection:
            newest = connection.scalar(sa.select(KnowledgeChange.id)) or 0
        with write("test") as connection:  # as if this one were another, made after the backup
            earlier = sa.update(KnowledgeChange).where(KnowledgeChange.id == newest)
            connection.execute(earlier.values(created_at=now() - timedelta(hours=1)))
        get_knowledge_state().lexical_index.index.remove("collection", list(get_knowledge_state().lexical_index.known))
        get_knowledge_state().lexical_index.index.commit()
    closed(app)
    assert find(again(make_app(), ada), "library")[0]["lexical_rank"] == 1


def test_databases_that_share_a_folder_have_an_index_each(
    make_app: MakeApp, ada: Person, tmp_path: Path, sqlite_template: Path
) -> None:
    send(ada, "Hours", HOURS)
    work(ada.client.application)
    assert find(ada, "library")[0]["lexical_rank"] == 1  # and its process goes on to write the index
    shutil.copy(sqlite_template, tmp_path / "second.db")
    second = make_app(DATABASE_URL="sqlite:///second.db", VECTOR_STORE="faiss")
    eve = join(second.test_client(), "eve")
    send(eve, "Bees", BEES)
    work(second)
    assert find(eve, "waggle")[0]["lexical_rank"] == 1
    assert find(ada, "library")[0]["lexical_rank"] == 1


def test_search_waits_until_the_process_that_writes_has_looked_once() -> None:
    assert lexical_index.CATCH_UP_SECONDS > job.LOOK_INTERVAL_SECONDS
