"""The queues of documents: owners take turns, text waits behind no parser, and parsers' time is bounded."""

import io
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.models import Collection, Document, ParserUsage
from chatbot.rag.loaders.sandbox.parser import Parser
from chatbot.rag.types import ParserLimits
from chatbot.services.knowledge.ingestion import queue as queues
from chatbot.services.knowledge.ingestion import worker
from chatbot.services.knowledge.state import get_knowledge_state
from tests.api.test_documents import HOURS, send, work
from tests.conftest import MakeApp, Person, join

pytestmark = pytest.mark.both_databases

NAUGHTY = Path(__file__).parents[3] / "rag" / "loaders"
CSV = "text/csv"


def send_csv(who: Person, name: str, expected: int = 202) -> dict[str, Any]:
    """Send a file that a parser reads."""
    data = {"file": (io.BytesIO(b"a,b\n1,2\n" + name.encode()), f"{name}.csv")}
    sent = who.call("POST", "/api/documents/", data=data, content_type="multipart/form-data")
    assert sent.status_code == expected, sent.get_json()
    found: dict[str, Any] = sent.get_json()
    return found


def status(who: Person, document: dict[str, Any]) -> str:
    found: str = who.call("GET", f"/api/documents/{document['id']}/").get_json()["status"]
    return found


def claimed(app: Flask, queue: queues.Queue) -> list[str]:
    with app.app_context():
        return [job.title for job in worker.claim(queue)]


def test_owners_of_many_and_of_few_documents_take_turns(app: Flask, ada: Person, eve: Person) -> None:
    for number in range(40):
        send(ada, f"Ada {number}", f"{HOURS} {number}")
    send(eve, "Eve 0", HOURS)
    send(eve, "Eve 1", HOURS + " Always.")
    first = claimed(app, "plain")
    assert len(first) == 32
    assert {"Eve 0", "Eve 1"} <= set(first)
    assert {f"Ada {number}" for number in range(20)} <= set(first)


def test_text_waits_behind_no_parser(app: Flask, ada: Person, eve: Person) -> None:
    """A5: two PDFs of 55 KB held all documents for four minutes."""
    for number in range(8):
        send_csv(ada, f"table {number}")
    text = send(eve, "Hours", HOURS)
    with app.app_context():
        assert worker.process_batch("plain") == 1
    assert status(eve, text) == "ready"
    assert len(claimed(app, "small")) == worker.BATCHES["small"]


def test_document_that_times_out_goes_behind_all_others_and_has_more_time_there(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(NAUGHTY))
    monkeypatch.setenv("PYTHONPATH", str(NAUGHTY))
    loops = {CSV: "naughty:Loops"}
    with Parser(ParserLimits(cpu=1, wall=2.0), loops) as quick, Parser(ParserLimits(cpu=1, wall=2.0), loops) as slow:
        document = send_csv(ada, "loops")
        with app.app_context():
            get_knowledge_state().parsers.update(small=quick, slow=slow)
            assert worker.process_batch("small") == 1
            assert status(ada, document) == "queued"
            assert worker.process_batch("small") == 0
            assert worker.process_batch("slow") == 1
    failed = ada.call("GET", f"/api/documents/{document['id']}/").get_json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "parser_timeout")
    with app.app_context(), read() as connection:
        used = connection.execute(sa.select(ParserUsage.user_id, ParserUsage.seconds)).one()
    assert used.user_id == UUID(ada.id)
    assert 2.0 <= used.seconds < 12.0
    assert queues.LIMITS["slow"].wall > queues.FIRST_TRY.wall


def test_parser_seconds_of_a_user_and_day_are_bounded(make_app: MakeApp) -> None:
    app = make_app(RATELIMIT_ENABLED="true", PARSER_SECONDS_PER_USER="100")
    ada = join(app.test_client(), "ada")
    eve = join(app.test_client(), "eve")
    early = send_csv(ada, "early")
    with app.app_context():
        (home,) = ada.call("GET", "/api/collections/").get_json()["items"]
        queues.spend_parser_seconds(UUID(home["id"]), 60.0)
        queues.spend_parser_seconds(UUID(home["id"]), 60.0)
    refused = send_csv(ada, "late", 429)
    assert (refused["code"], refused["retryable"]) == ("too_many_documents", True)
    send(ada, "Text", HOURS)  # needs no parser
    send_csv(eve, "hers")
    work(app)
    failed = ada.call("GET", f"/api/documents/{early['id']}/").get_json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "too_many_documents")
    retried = ada.call("POST", f"/api/documents/{early['id']}/retry/")
    assert retried.status_code == 429
    assert 0 < int(retried.headers["Retry-After"]) <= 86_400
    with app.app_context(), write("test") as connection:
        yesterday = ParserUsage.day - 1 if connection.dialect.name == "postgresql" else sa.text("date(day, '-1 day')")
        connection.execute(sa.update(ParserUsage).values(day=yesterday))
    assert ada.call("POST", f"/api/documents/{early['id']}/retry/").status_code == 202
    work(app)
    assert status(ada, early) == "ready"


def test_documents_that_wait_are_bounded_for_each_user(make_app: MakeApp) -> None:
    app = make_app(RATELIMIT_ENABLED="true", DOCUMENTS_WAITING_PER_USER="3")
    ada = join(app.test_client(), "ada")
    eve = join(app.test_client(), "eve")
    sent = [ada.call("POST", "/api/documents/", {"title": "T", "text": f"{HOURS} {n}"}) for n in range(5)]
    assert [one.status_code for one in sent] == [202, 202, 202, 429, 429]
    assert sent[-1].get_json()["code"] == "too_many_documents"
    assert int(sent[-1].headers["Retry-After"]) > 0
    send(eve, "Hours", HOURS)
    work(app)
    send(ada, "Again", HOURS + " again")


def test_metadata_counts_for_the_quota_and_comes_back(make_app: MakeApp) -> None:
    """A9: 60 documents took 91 MB and counted 170 bytes."""
    app = make_app(KNOWLEDGE_BYTES="200000")
    ada = join(app.test_client(), "ada")
    heavy = {f"field {n}": "x" * 500 for n in range(90)}
    one = ada.call("POST", "/api/documents/", {"title": "A", "text": "a", "metadata": heavy})
    assert one.status_code == 202
    assert ada.call("POST", "/api/documents/", {"title": "B", "text": "b", "metadata": heavy}).status_code == 202
    refused = ada.call("POST", "/api/documents/", {"title": "C", "text": "c", "metadata": heavy})
    assert (refused.status_code, refused.get_json()["code"]) == (413, "quota_exceeded")
    path = f"/api/documents/{one.get_json()['id']}/"
    assert ada.call("PUT", path, {"title": "A", "text": "a", "metadata": {}}).status_code == 202
    again = ada.call("POST", "/api/documents/", {"title": "C", "text": "c", "metadata": heavy})
    assert again.status_code == 202
    assert ada.call("DELETE", f"/api/documents/{again.get_json()['id']}/").status_code == 204
    send(ada, "D", HOURS)
    with app.app_context(), read() as connection:
        counted = connection.scalar(sa.select(sa.func.sum(Document.described_bytes)))
    (home,) = ada.call("GET", "/api/collections/").get_json()["items"]
    with app.app_context(), read() as connection:
        described = connection.scalar(sa.select(Collection.described_bytes).where(Collection.id == UUID(home["id"])))
    assert described == counted
