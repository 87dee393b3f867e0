"""The index over turns and titles: users and kinds, all words or any, and the order of hits."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatbot.rag.lexical.highlights import Highlighter
from chatbot.rag.lexical.history import HistoryIndex, IndexedText, Kind

ADA = uuid4()
EVE = uuid4()
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def index(tmp_path: Path) -> HistoryIndex:
    return HistoryIndex(tmp_path)


def add(
    index: HistoryIndex, text: str, kind: Kind = "turn", user_id: UUID = ADA, conversation_id: UUID = ADA, age: int = 0
) -> UUID:
    item = IndexedText(kind, uuid4(), user_id, conversation_id, NOON - timedelta(minutes=age), text)
    index.add([item])
    index.commit()
    return item.object_id


def test_users_and_kinds_are_searched_apart(index: HistoryIndex) -> None:
    turn = add(index, "the bees")
    title = add(index, "bees", "title")
    other = add(index, "bees", user_id=EVE)
    assert index.search("turn", ADA, "bee", 9) == [turn]
    assert index.search("title", ADA, "bee", 9) == [title]
    assert index.search("turn", EVE, "bee", 9) == [other]
    assert index.search("turn", uuid4(), "bee", 9) == []


def test_all_words_or_any_of_them(index: HistoryIndex) -> None:
    both = add(index, "red apples")
    one = add(index, "the red pears are here")
    assert index.search("turn", ADA, "red apple", 9) == [both]
    assert index.search("turn", ADA, "red plum", 9) == []
    assert set(index.search("turn", ADA, "red plum", 9, any_word=True)) == {both, one}
    assert index.search("turn", ADA, "red apple", 9, any_word=True) == [both, one]
    assert index.search("turn", ADA, "?!", 9, any_word=True) == []


def test_the_best_are_first_or_the_newest(index: HistoryIndex) -> None:
    old = add(index, "bees", age=5)
    new = add(index, "bees and much else that makes it long, such as flowers and trees", age=1)
    newest = add(index, "bees", age=0)
    assert index.search("turn", ADA, "bees", 9) == [newest, old, new]
    assert index.search("turn", ADA, "bees", 9, newest_first=True) == [newest, new, old]
    assert index.search("turn", ADA, "bees", 1, newest_first=True) == [newest]


def test_segments_are_merged_though_each_writer_ends_after_one(index: HistoryIndex, tmp_path: Path) -> None:
    """Merges that were begun and given up took the processor, and each search looked into hundreds of segments."""
    texts = [" ".join(f"word{number % divisor}" for divisor in range(2, 400)) for number in range(50)]
    for _ in range(64):
        index.add([IndexedText("turn", uuid4(), ADA, ADA, NOON, text) for text in texts])
        index.commit()
        index.add([IndexedText("turn", uuid4(), ADA, ADA, NOON, "uncommitted")])
        index.close()
    segments = json.loads((tmp_path / "meta.json").read_text())["segments"]
    assert len(segments) < 24
    assert sum(segment["max_doc"] for segment in segments) == 64 * 50
    assert index.search("turn", ADA, "uncommitted", 1) == []


def test_what_is_removed_is_not_found(index: HistoryIndex) -> None:
    home = uuid4()
    first = add(index, "bees", conversation_id=home)
    second = add(index, "bees", conversation_id=home, age=10)
    title = add(index, "bees", "title", conversation_id=home, age=10)
    third = add(index, "bees")
    assert set(index.search("turn", ADA, "bees", 9, conversation_id=home)) == {first, second}
    index.remove_turns_before(NOON - timedelta(minutes=5))
    index.commit()
    assert index.search("turn", ADA, "bees", 9, conversation_id=home) == [first]
    assert index.search("title", ADA, "bees", 9) == [title]
    index.remove("conversation", [home])
    index.commit()
    assert index.search("turn", ADA, "bees", 9) == [third]
    assert index.search("title", ADA, "bees", 9) == []
    index.remove("user", [ADA])
    index.commit()
    assert index.search("turn", ADA, "bees", 9) == []


@pytest.mark.parametrize(
    ("text", "words", "highlights"),
    [
        ("図書館の開館時間は何時ですか", "開館時間", ["開館時間"]),
        ("도서관은 언제 열어요", "도서관", ["도서관"]),
        ("Otel İstanbul'da", "istanbul", ["İstanbul"]),
        ("otel istanbul", "İSTANBUL", ["istanbul"]),
        ("the cafe\u0301 and the café", "cafe", ["cafe\u0301", "café"]),
        ("Die Öffnungszeiten", "offnungszeit", ["Öffnungszeiten"]),
        ("a **bold**, _thin_ word", "bold thin", ["bold", "thin"]),
        ("\N{HONEYBEE}\N{HONEYBEE} bees", "bee", ["bees"]),
        ("to be or not to be", "to be", ["to", "be", "to", "be"]),
        ("a" * 190 + " needle " + "b" * 300, "needle", ["needle"]),
        ("x AND y:(z", 'y:(z "AND', ["y", "z"]),
    ],
)
def test_words_of_all_languages_are_found(index: HistoryIndex, text: str, words: str, highlights: list[str]) -> None:
    turn = add(index, text)
    add(index, "nothing of it")
    assert index.search("turn", ADA, words, 9) == [turn]
    snippet = Highlighter(words, index.list_analyzers(ADA)).cut([text])
    assert [snippet.text[start:end] for start, end in snippet.highlights] == highlights
