"""Vectors of texts that come as tokens, as LangChain sends them unless it is told otherwise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatbot.services.chat.protocols import openai
from tests.conftest import Person
from tests.support import token_tables


def embed(person: Person, given: Any) -> tuple[int, Any]:
    response = person.call("POST", "/v1/embeddings", {"model": "memory-64", "input": given})
    body = response.get_json()
    return response.status_code, (body.get("data") and [item["embedding"] for item in body["data"]]) or body["error"]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[None]:
    with token_tables.tables(tmp_path):
        yield


@pytest.mark.usefixtures("tables")
def test_tokens_have_the_vectors_of_their_texts(ada: Person) -> None:
    status, vectors = embed(ada, ["Hello bees", "bees"])
    assert status == 200
    hello = [token_tables.HELLO, *b"llo bees"]
    assert embed(ada, [hello, list(b"bees")]) == (200, vectors)
    assert embed(ada, hello) == (200, vectors[:1])
    assert embed(ada, ["Hello bees", list(b"bees")]) == (200, vectors)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    "given", [[], [[]], [[1], []], [-1], [300], [2**40], [1.5], [True], [None], [[1], [[2]]], [1, "a"]], ids=str
)
def test_what_is_no_token_is_400(ada: Person, given: Any) -> None:
    status, error = embed(ada, given)
    assert (status, error["param"]) == (400, "input")


@pytest.mark.usefixtures("tables")
def test_tokens_of_many_texts_are_embedded(ada: Person) -> None:
    status, vectors = embed(ada, [list(b"bees " * 12)] * 300)
    assert (status, len(vectors)) == (200, 300)


@pytest.mark.usefixtures("tables")
def test_half_a_character_is_embedded_as_a_reader_sees_it(ada: Person) -> None:
    assert embed(ada, [*b"bees ", token_tables.LONE])[1] == embed(ada, "bees \N{REPLACEMENT CHARACTER}")[1]


@pytest.mark.usefixtures("tables")
def test_texts_that_grow_out_of_few_tokens_are_bounded(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert embed(ada, [*b"bees", *[token_tables.BLANKS] * 249])[0] == 200
    assert embed(ada, [*b"bees", *[token_tables.BLANKS] * 250])[1]["message"] == "input: Too long."
    monkeypatch.setattr(openai, "MAX_DECODED_LENGTH", 300)
    assert embed(ada, [[token_tables.BLANKS, *b"bees"]] * 2)[0] == 200
    assert embed(ada, [[token_tables.BLANKS, *b"bees"]] * 3)[1]["message"] == "input: Too long."


def test_server_without_tables_says_how_to_send_texts(ada: Person, tmp_path: Path) -> None:
    with token_tables.tables(tmp_path, present=False):
        status, error = embed(ada, list(b"bees"))
    assert (status, error["param"]) == (400, "input")
    assert "check_embedding_ctx_length=False" in error["message"]


def test_encoding_may_be_null(ada: Person) -> None:
    body = {"model": "memory-64", "input": "bees", "encoding_format": None}
    assert ada.call("POST", "/v1/embeddings", body).get_json()["data"][0]["embedding"] == embed(ada, "bees")[1][0]
