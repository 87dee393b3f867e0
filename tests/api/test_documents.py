"""Routes of documents: created, replaced, listed, followed, retried, deleted, and found."""

import io
import json
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.models import Collection
from chatbot.services.knowledge import content
from chatbot.services.knowledge.ingestion import queue as queues
from chatbot.services.knowledge.ingestion import worker
from tests.conftest import MakeApp, Person
from tests.rag.loaders.samples import pdf, shown
from tests.support.processes import events

pytestmark = pytest.mark.both_databases

HOURS = "The library is open from nine to five on weekdays. On Sundays it is closed."
BEES = "Honey bees dance to tell each other where the flowers are. The dance is called the waggle dance."


def work(app: Flask) -> None:
    """Let the queue be worked on to its end."""
    with app.app_context():
        while any(worker.process_batch(queue) for queue in queues.QUEUES):
            pass


def send(who: Person, title: str, text: str, **said: Any) -> dict[str, Any]:
    response = who.call("POST", "/api/documents/", {"title": title, "text": text, **said})
    assert response.status_code == 202, response.get_json()
    document: dict[str, Any] = response.get_json()
    assert response.headers["Location"] == f"/api/documents/{document['id']}/"
    return document


def find(who: Person, query: str, **said: Any) -> list[dict[str, Any]]:
    response = who.call("POST", "/api/search/", {"query": query, **said})
    assert response.status_code == 200, response.get_json()
    items: list[dict[str, Any]] = response.get_json()["items"]
    return items


def test_document_is_queued_then_ready_then_found_with_exact_offsets(app: Flask, ada: Person) -> None:
    document = send(ada, "Opening hours", HOURS, metadata={"year": 2024})
    assert (document["status"], document["version"], document["chunks"]) == ("queued", 0, 0)
    assert find(ada, "When is the library open?") == []
    work(app)
    ready = ada.call("GET", f"/api/documents/{document['id']}/").get_json()
    assert (ready["status"], ready["version"], ready["progress"], ready["chunks"]) == ("ready", 1, 1.0, 1)
    assert (ready["bytes"], ready["metadata"]) == (len(HOURS), {"year": 2024})
    (found,) = find(ada, "When is the library open?")
    assert (found["document_id"], found["document_version"], found["title"]) == (document["id"], 1, "Opening hours")
    assert HOURS[found["start"] : found["end"]] == found["quote"]
    assert (found["marker"], found["lexical_rank"], found["dense_rank"]) == (None, 1, 1)


def test_same_content_is_the_same_document(app: Flask, ada: Person, eve: Person) -> None:
    first = send(ada, "Hours", HOURS)
    again = ada.call("POST", "/api/documents/", {"title": "Other title", "text": HOURS})
    assert (again.status_code, again.get_json()["id"]) == (200, first["id"])
    assert send(eve, "Hours", HOURS)["id"] != first["id"]


def test_put_answers_from_the_old_version_until_the_new_one_is_whole(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS)
    work(app)
    response = ada.call(
        "PUT", f"/api/documents/{document['id']}/", {"title": "Hours", "text": "The library is open at night."}
    )
    assert (response.status_code, response.get_json()["version"], response.get_json()["status"]) == (202, 1, "queued")
    assert find(ada, "When is the library open?")[0]["quote"] == HOURS
    work(app)
    (found,) = find(ada, "When is the library open?")
    assert (found["quote"], found["document_version"]) == ("The library is open at night.", 2)


def test_deleted_text_is_gone_at_once(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS)
    send(ada, "Bees", BEES)
    work(app)
    assert find(ada, "library")[0]["document_id"] == document["id"]
    assert ada.call("DELETE", f"/api/documents/{document['id']}/").status_code == 204
    assert document["id"] not in {one["document_id"] for one in find(ada, "library")}
    assert ada.call("GET", f"/api/documents/{document['id']}/").status_code == 404


def test_chunks_are_listed_page_by_page(app: Flask, ada: Person) -> None:
    text = "\n\n".join(f"# Part {n}\n\n" + f"Sentence {n} about bees. " * 60 for n in range(6))
    document = send(ada, "Long", text)
    work(app)
    path = f"/api/documents/{document['id']}/chunks/?limit=4"
    found = []
    while path:
        page = ada.call("GET", path).get_json()
        found += page["items"]
        cursor = page["next_cursor"]
        path = cursor and f"/api/documents/{document['id']}/chunks/?limit=4&cursor={cursor}"
    assert [chunk["position"] for chunk in found] == list(range(len(found)))
    assert len(found) > 6
    assert all(text[chunk["start"] : chunk["end"]] == chunk["text"] for chunk in found)
    assert found[-1]["headings"] == ["Part 5"]
    assert ada.call("GET", f"/api/documents/{document['id']}/chunks/?cursor=x").status_code == 400


def test_file_is_taken_in_by_its_name_and_content(app: Flask, ada: Person) -> None:
    file = (io.BytesIO(f"# Hours\n\n{HOURS}".encode()), "../../hours.md")
    form = {"file": file, "metadata": json.dumps({"tag": "policy"}), "external_id": "h-1"}
    response = ada.client.post("/api/documents/", data=form, headers={"Authorization": f"Bearer {ada.access_token}"})
    assert (response.status_code, response.get_json()["media_type"]) == (202, "text/markdown")
    assert response.get_json()["title"] == "hours"
    work(app)
    assert find(ada, "library", filter={"tag": "policy"})[0]["quote"].endswith(HOURS)
    listed = ada.call("GET", "/api/documents/?external_id=h-1").get_json()["items"]
    assert [one["id"] for one in listed] == [response.get_json()["id"]]


@pytest.mark.parametrize(
    ("name", "data", "status", "code"),
    [
        ("a.txt", b"\0\0\0binary", 415, "type_mismatch"),
        ("a.exe", b"MZ", 415, "unsupported_document"),
        ("a.pdf", b"not a pdf", 415, "type_mismatch"),
        ("a.txt", b"", 400, "validation_failed"),
    ],
)
def test_file_that_is_not_what_its_name_says_is_refused(
    ada: Person, name: str, data: bytes, status: int, code: str
) -> None:
    response = ada.client.post(
        "/api/documents/",
        data={"file": (io.BytesIO(data), name)},
        headers={"Authorization": f"Bearer {ada.access_token}"},
    )
    assert (response.status_code, response.get_json()["code"]) == (status, code)


def test_metadata_of_a_form_that_is_no_json_is_named(ada: Person) -> None:
    form = {"file": (io.BytesIO(b"text"), "a.txt"), "metadata": "{tag: policy}"}
    response = ada.client.post("/api/documents/", data=form, headers={"Authorization": f"Bearer {ada.access_token}"})
    assert (response.status_code, response.get_json()["code"]) == (400, "validation_failed")
    assert list(response.get_json()["errors"]) == ["metadata"]


def test_document_says_which_part_could_not_be_read(app: Flask, ada: Person) -> None:
    whole = pdf(shown("The library opens at nine."), shown("Second"))
    second = whole.index(b"<< /Type /Page ", whole.index(b"6 0 obj"))
    broken = whole[:second] + b"<< /Type /Nope" + whole[second + len(b"<< /Type /Nope") :]
    form = {"file": (io.BytesIO(broken), "hours.pdf")}
    sent = ada.client.post("/api/documents/", data=form, headers={"Authorization": f"Bearer {ada.access_token}"})
    assert (sent.status_code, sent.get_json()["warnings"]) == (202, [])
    work(app)
    document = ada.call("GET", sent.headers["Location"]).get_json()
    assert (document["status"], document["warnings"]) == ("ready", ["Page 2 is broken."])
    replaced = ada.call("PUT", sent.headers["Location"], {"title": "Hours", "text": HOURS})
    assert replaced.status_code == 202
    work(app)
    assert ada.call("GET", sent.headers["Location"]).get_json()["warnings"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"title": "x"},
        {"text": "x"},
        {"title": "x", "text": "x", "url": "http://example.org"},
        {"title": "", "text": "x"},
        {"title": "x", "text": "x", "metadata": {"deep": {"a": 1}}},
        {"title": "x", "text": "x", "metadata": {"list": [[1]]}},
        {"title": "x", "text": "x", "metadata": {"n": 2**53}},
        {"title": "x", "text": "x", "owner_id": str(UUID(int=7))},
        {"title": "x", "text": "x", "collection_id": "no"},
    ],
)
def test_bad_document_is_a_400_and_nothing_is_stored(ada: Person, body: dict[str, Any]) -> None:
    response = ada.call("POST", "/api/documents/", body)
    assert (response.status_code, response.get_json()["code"]) == (400, "validation_failed")
    assert ada.call("GET", "/api/documents/").get_json()["items"] == []


def test_quota_counts_what_is_stored_and_comes_back_with_a_deletion(make_app: MakeApp) -> None:
    from tests.conftest import join

    app = make_app(KNOWLEDGE_BYTES=str(content.ROW_BYTES * 2 + 150))
    ada = join(app.test_client(), "ada")
    first = send(ada, "Hours", HOURS)
    refused = ada.call("POST", "/api/documents/", {"title": "Bees", "text": BEES})
    assert (refused.status_code, refused.get_json()["code"]) == (413, "quota_exceeded")
    assert ada.call("DELETE", f"/api/documents/{first['id']}/").status_code == 204
    send(ada, "Bees", BEES)


def test_external_id_is_one_documents(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS, external_id="h")
    taken = ada.call("POST", "/api/documents/", {"title": "Bees", "text": BEES, "external_id": "h"})
    assert (taken.status_code, taken.get_json()["code"]) == (409, "external_id_taken")
    again = ada.call("POST", "/api/documents/", {"title": "Hours", "text": HOURS, "external_id": "h"})
    assert (again.status_code, again.get_json()["id"]) == (200, document["id"])


def test_key_gives_the_same_document_and_refuses_another_body(app: Flask, ada: Person) -> None:
    def post(text: str) -> Any:
        body = {"title": "x", "text": text}
        return ada.call("POST", "/api/documents/", body, headers={"Idempotency-Key": "k"})

    first = post(HOURS)
    again = post(HOURS)
    other = post(BEES)
    assert first.get_json()["id"] == again.get_json()["id"]
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_retry_is_for_what_failed(app: Flask, ada: Person) -> None:
    document = send(ada, "Blank", "\u200b \n")
    refused = ada.call("POST", f"/api/documents/{document['id']}/retry/")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "not_failed")


def test_progress_is_told_as_events(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS)
    work(app)
    body = ada.call("GET", f"/api/documents/{document['id']}/events/").get_data(as_text=True)
    assert [name for _, name, _ in events(body)] == ["progress", "done"]
    assert events(body)[-1][2]["status"] == "ready"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"year": 2024}, {"new"}),
        ({"year": {"gte": 2020}}, {"new"}),
        ({"year": {"lt": 2020}}, {"old"}),
        ({"year": {"gt": 1999, "lte": 2024}}, {"old", "new"}),
        ({"tag": "policy"}, {"old", "new"}),
        ({"tag": ["policy", "draft"], "year": 2000}, {"old"}),
        ({"tag": {"ne": "draft"}}, {"new"}),
        ({"public": True}, {"new"}),
        ({"year": "2024"}, set()),
        ({"nothing": 1}, set()),
    ],
)
def test_filter_leaves_what_it_says(app: Flask, ada: Person, wanted: dict[str, Any], expected: set[str]) -> None:
    send(ada, "old", "Bees dance in old times.", metadata={"year": 2000, "tag": ["policy", "draft"]})
    send(ada, "new", "Bees dance in new times.", metadata={"year": 2024, "tag": "policy", "public": True})
    work(app)
    assert {one["title"] for one in find(ada, "bees dance", filter=wanted)} == expected


@pytest.mark.parametrize(
    "wanted", [{"year": {"like": 1}}, {"year": {}}, {"year": {"gt": [1]}}, {"year": []}, {"a": None}]
)
def test_bad_filter_is_a_400(ada: Person, wanted: dict[str, Any]) -> None:
    send(ada, "Bees", BEES)
    response = ada.call("POST", "/api/search/", {"query": "bees", "filter": wanted})
    assert response.status_code in {400, 200}
    assert response.status_code == 400 or response.get_json()["items"] == []


def test_filter_of_many_values_is_bounded(app: Flask, ada: Person) -> None:
    send(ada, "Hours", HOURS, metadata={"tag": "a"})
    work(app)
    many = [f"a{n}" for n in range(999)]
    assert find(ada, "library", filter={"tag": [*many, "a"]})
    refused = ada.call("POST", "/api/search/", {"query": "library", "filter": {"tag": [*many, "a", "b"]}})
    assert (refused.status_code, refused.get_json()["errors"]) == (
        400,
        {"filter": ["Has more than 20 conditions or 1,000 values."]},
    )


def test_nul_in_a_query_is_a_400(ada: Person) -> None:
    refused = ada.call("GET", "/api/documents/?external_id=%00")
    assert (refused.status_code, refused.get_json()["errors"]) == (400, {"external_id": ["Has a NUL."]})


def test_refused_key_leaves_nothing_behind(app: Flask, ada: Person) -> None:
    """The default collection was made before the key was read."""
    body = {"title": "T", "text": "Text."}
    assert ada.call("POST", "/api/documents/", body, headers={"Idempotency-Key": "k" * 256}).status_code == 400
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Collection)) == 0
