"""Terms: a word is found by the form in which a person types it."""

import pytest

from chatbot.rag.lexical import analysis
from chatbot.rag.lexical.analysis import BEGINNING_MARK, analyzer_of, prepare_query, query_terms, terms
from chatbot.rag.lexical.highlights import Highlighter


@pytest.mark.parametrize(
    ("language", "text", "query"),
    [
        ("ko", "회의는 수요일 오후 세 시에 시작합니다.", "회의"),
        ("ko", "참석자는 신분증을 가져와야 합니다.", "신분증"),
        ("pl", "Klucze należy zwrócić portierowi.", "portier"),
        ("pl", "Zebranie rozpocznie się w środę.", "środa"),
        ("cs", "Schůzka začíná ve středu v zasedací místnosti.", "zasedacích"),
        ("uk", "Нарада починається у великій залі.", "нараду"),
        ("en", "The tenant answers for the main-\ntenance of the lift.", "maintenance"),
        ("en", "A well-\n  known rule.", "known"),
        ("tr", "İstanbul büyük bir şehirdir.", "istanbul"),
        ("en", "İzmir and İstanbul are cities.", "istanbul"),
        ("tr", "istanbul", "İSTANBUL"),
        ("ja", "村の人々はニマヤ\nラを運んだ。", "ヤラ"),
        ("ja", "- 村の人々はニマヤ\n  ラを運んだ。", "ヤラ"),
        ("zh", "这是人工智\n能的时代。", "智能"),
        ("th", "โรงเรีย\nนของเรา", "ยน"),
    ],
)
def test_word_is_found_as_it_is_typed(language: str, text: str, query: str) -> None:
    analyzer = analyzer_of(language)
    assert set(query_terms(prepare_query(query), analyzer, analyzer)) & set(terms(text, analyzer))


def test_query_of_ligatures_costs_no_more_in_normal_form_and_in_many_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A character may be 18 in normal form; texts of each language of a collection are searched."""
    assert len(prepare_query("\ufdfa" * 32_000)) == analysis.MAX_QUERY_LENGTH
    normalized: list[str] = []

    def normalize(text: str) -> str:
        normalized.append(text)
        return text

    monkeypatch.setattr(analysis, "nfkc", normalize)
    Highlighter("Where is the harbour?", ["plain", "en", "de", "fr"])
    assert normalized == ["Where is the harbour?"]


def test_beginnings_of_words_are_terms_where_there_is_no_stemmer() -> None:
    assert terms("Portierowi 123456", "plain") == ["portierowi", f"port{BEGINNING_MARK}", "123456"]
    assert terms("the porters", "en") == ["the", "porter"]


def test_line_end_is_a_space_in_korean_and_between_lines_of_a_character() -> None:
    assert terms("한국\n어", "plain") == ["한국", "어"]
    assert {"春", "夏"} <= set(terms("春\n夏", "plain"))
