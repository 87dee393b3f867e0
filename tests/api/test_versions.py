"""New versions of documents, and the queues in which they wait."""

import io

import pytest
from flask import Flask

from chatbot.services.knowledge.ingestion import queue, worker
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.conftest import Person


def test_put_changes_the_title_alone_and_no_place(app: Flask, ada: Person) -> None:
    document = send(ada, "Old", HOURS, external_id="hours")
    work(app)
    address = f"/api/documents/{document['id']}/"
    other = ada.call("POST", "/api/collections/", {"name": "c"}).get_json()["id"]
    for said in ({"collection_id": other}, {"external_id": "zz"}):
        refused = ada.call("PUT", address, {"title": "New", "text": HOURS, **said})
        assert (refused.status_code, set(refused.get_json()["errors"])) == (400, set(said))
    same = {"collection_id": document["collection_id"], "external_id": "hours"}
    assert ada.call("PUT", address, {"title": "New", "text": HOURS, **same}).status_code == 202
    work(app)
    assert find(ada, "library")[0]["title"] == "New"


def test_address_is_what_an_external_id_of_a_page_stands_for(ada: Person) -> None:
    codes = [
        ada.call("POST", "/api/documents/", {"url": url, "external_id": "page"}).status_code
        for url in ("http://a.example/", "http://b.example/", "http://a.example/")
    ]
    assert codes == [202, 409, 200]


def test_key_of_content_that_was_known_is_kept(ada: Person) -> None:
    send(ada, "Hours", HOURS)
    key = {"Idempotency-Key": "once"}
    first = ada.call("POST", "/api/documents/", {"title": "Hours", "text": HOURS}, headers=key)
    other = ada.call("POST", "/api/documents/", {"title": "Bees", "text": BEES}, headers=key)
    assert (first.status_code, other.status_code) == (200, 422)


def test_version_that_fails_leaves_title_and_metadata_of_the_old_one(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS, metadata={"year": 2020})
    work(app)
    address = f"/api/documents/{document['id']}/"
    ada.call("PUT", address, {"title": "Payroll", "text": " ", "metadata": {"year": 2026}})
    work(app)
    assert ada.call("GET", address).get_json()["status"] == "failed"
    assert [one["title"] for one in find(ada, "library", filter={"year": 2020})] == ["Hours"]
    assert find(ada, "library", filter={"year": 2026}) == []
    ada.call("PUT", address, {"title": "Bees", "text": BEES, "metadata": {"year": 2027}})
    assert find(ada, "library", filter={"year": 2020})
    work(app)
    shown = ada.call("GET", address).get_json()
    assert (shown["title"], shown["metadata"], shown["version"]) == ("Bees", {"year": 2027}, 3)
    assert [one["title"] for one in find(ada, "waggle", filter={"year": 2027})] == ["Bees"]
    assert find(ada, "waggle", filter={"year": 2020}) == []


def test_small_document_does_not_wait_for_a_large_one(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LARGE", 100_000)
    thick = b"A thick book tells of bees. " * 10_000
    sent = {"file": (io.BytesIO(thick), "thick.txt")}
    response = ada.client.post("/api/documents/", data=sent, headers={"Authorization": f"Bearer {ada.access_token}"})
    assert response.status_code == 202
    send(ada, "Hours", HOURS)
    with app.app_context():
        assert worker.process_batch("plain") == 1
    assert find(ada, "library")[0]["title"] == "Hours"
    with app.app_context():
        assert [worker.process_batch("plain"), worker.process_batch("large"), worker.process_batch("large")] == [
            0,
            1,
            0,
        ]
    assert "thick" in {one["title"] for one in find(ada, "bees")}
