"""The lexical index: hits, filters, languages, processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.rag.errors import IndexBroken, IndexLocked
from chatbot.rag.lexical.tantivy import TantivyIndex
from chatbot.rag.types import Hit, Indexed

pytestmark = pytest.mark.slow

ROWS = [
    Indexed(*row)
    for row in [
        (1, "mine", "panthers", "en", "The Panthers defense gave up just 308 points. The foxes were running."),
        (2, "mine", "valkyria", "en", "Valkyria Chronicles is a tactical role-playing game."),
        (3, "theirs", "secret", "en", "The Panthers have a secret."),
        (4, "mine", "equipo", "es", "La defensa de los Panthers cedió solo 308 puntos; los teléfonos sonaban."),
        (5, "mine", "zh", "zh", "黑豹队的防守只丢了308分，在联赛中排名第六。"),
        (6, "mine", "th", "th", "ทีมเสียไปกี่แต้มในเกมนี้"),
        (7, "mine", "hi", "hi", "हिन्दी भाषा भारत में बोली जाती है"),
        (2**62, "mine", "panthers", "en", "The name of the file is snake_case.py, and of the other café."),
    ]
]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[TantivyIndex]:
    index = TantivyIndex(tmp_path / "index")
    index.add(ROWS)
    index.commit()
    yield index
    index.close()


def ids(hits: list[tuple[int, float]]) -> list[int]:
    return [id for id, _ in hits]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("Did a fox run?", 1), ("DID A FOX RUN?", 1), ("tactics of valkyria", 2), ("¿Sonó el telefono?", 4), ("防守丢了多少分？", 5), ("排名", 5), ("กี่แต้ม", 6),
     ("हिन्दी", 7), ("Ｖalkyria", 2), ("snake case", 2**62), ("cafe", 2**62)],
    ids=["stem", "upper case", "stem 2", "accents", "chinese", "bigram", "thai", "vowel signs", "full width", "underscore", "folded"],
)  # fmt: skip
def test_best_hit_is_the_chunk_with_the_words(index: TantivyIndex, query: str, expected: int) -> None:
    assert ids(index.search(query, ["mine"], 10))[0] == expected


def test_only_the_asked_collections_and_documents_are_searched(index: TantivyIndex) -> None:
    assert set(ids(index.search("panthers", ["mine"], 10))) == {1, 4}
    assert ids(index.search("panthers", ["theirs"], 10)) == [3]
    assert set(ids(index.search("panthers", ["mine", "theirs"], 10))) == {1, 3, 4}
    assert ids(index.search("panthers", ["mine", "theirs"], 10, ["equipo", "zh"])) == [4]
    assert (
        index.search("panthers", [], 10)
        == index.search("panthers", ["mine"], 10, [])
        == index.search("panthers", ["mine"], 0)
        == []
    )


def test_narrow_filter_gives_all_k_hits_in_the_order_of_the_wide_one(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.add(Indexed(n, f"c{n % 100}", f"d{n}", "en", "fox " * (n % 7 + 1) + "dog " * (n % 11)) for n in range(2_000))
    index.commit()
    wide = [id for id in ids(index.search("fox", [f"c{n}" for n in range(100)], 2_000)) if id % 100 == 7]
    assert ids(index.search("fox", ["c7"], 20)) == wide
    assert len(wide) == 20
    some = [f"d{n}" for n in range(7, 2_000, 200)]
    assert ids(index.search("fox", ["c7"], 20, some)) == [id for id in wide if f"d{id}" in some]


def test_scores_fall_and_ties_are_in_order_of_ids(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.add(Indexed(n, "c", "d", "en", "same words") for n in (5, 3, 9))
    index.add([Indexed(7, "c", "d", "en", "same words and many others that nobody asked for")])
    index.commit()
    hits = index.search("same words", ["c"], 10)
    assert ids(hits) == [3, 5, 9, 7]
    assert hits[0][1] == hits[2][1] > hits[3][1]


def test_removed_and_uncommitted_chunks_are_not_found(index: TantivyIndex) -> None:
    index.remove("document", ["panthers"])
    index.add([Indexed(10, "mine", "panthers", "en", "The new panthers")])
    assert 1 in ids(index.search("panthers", ["mine"], 10))
    index.commit()
    assert set(ids(index.search("panthers", ["mine"], 10))) == {4, 10}


@settings(max_examples=300)
@given(query=st.text(max_size=60) | st.text("\"'()[]{}:^~*?+-!\\/&|<>= aAND OR NOT\n\t\0", max_size=60))
def test_no_question_is_syntax(query: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    index = open_once(tmp_path_factory)
    assert all(score > 0 for _, score in index.search(query, ["mine"], 5))
    assert index.ceiling(query, ["mine"]) >= 0


_opened: list[TantivyIndex] = []


def open_once(factory: pytest.TempPathFactory) -> TantivyIndex:
    if not _opened:
        _opened.append(TantivyIndex(factory.mktemp("index")))
        _opened[0].add(ROWS)
        _opened[0].commit()
        _opened[0].close()
    return _opened[0]


def test_question_of_stop_words_alone_is_still_one(index: TantivyIndex) -> None:
    assert index.search("Who is the?", ["mine"], 5)
    assert index.search("?!", ["mine"], 5) == []


def test_pasted_page_is_a_query(index: TantivyIndex) -> None:
    assert ids(index.search("foxes " + " ".join(f"word{n}" for n in range(20_000)), ["mine"], 1)) == [1]


def test_ceiling_is_what_a_chunk_with_each_term_has(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.add(Indexed(n, "c", "d", "en", f"alpha beta{n}") for n in range(10))
    index.commit()
    (_, score), *_ = index.search("what is alpha beta3", ["c"], 1)
    assert index.ceiling("what is alpha beta3", ["c"]) == pytest.approx(score, rel=0.01)
    assert index.ceiling("alpha missing", ["c"]) > index.ceiling("alpha beta3", ["c"])
    assert index.ceiling("", ["c"]) == index.ceiling("alpha", []) == 0


def test_scores_do_not_tell_what_words_and_languages_others_have(tmp_path: Path) -> None:
    mine = [Indexed(n, "mine", f"d{n}", "en", f"fox horse cow dog bird{n}") for n in range(5)]
    ours = [Indexed(n, "ours", f"d{n}", "en", "a fox has four legs") for n in range(10, 20)]

    def answer(language: str, theirs: str) -> list[tuple[list[Hit], float]]:
        index = TantivyIndex(tmp_path / theirs)
        index.add([*mine, *ours, *(Indexed(n, "theirs", f"d{n}", language, theirs) for n in range(30, 130))])
        index.commit()
        queries = ("fox zebra", "horse zèbre bird3", "zebra")
        return [
            (index.search(query, ["mine", "ours"], 20), index.ceiling(query, ["mine", "ours"])) for query in queries
        ]

    held = answer("en", "the fox met a zebra")
    assert [len(hits) for hits, _ in held] == [15, 5, 0]
    assert held == answer("en", "the ox met a horse") == answer("fr", "le zèbre dort encore là")


def test_words_are_as_rare_as_in_all_searched_collections_together(tmp_path: Path) -> None:
    several = TantivyIndex(tmp_path / "several")
    one = TantivyIndex(tmp_path / "one")
    for index, collections in ((several, 7), (one, 1)):
        index.add(
            Indexed(n, f"c{n % collections}", f"d{n}", "en", "fox " * (n % 3) + "dog " * (n % 5 + 1) + f"bird{n % 9}")
            for n in range(700)
        )
        index.commit()
    among = [f"c{n}" for n in range(7)]
    found = dict(several.search("fox bird3 cow", among, 700))
    expected = dict(one.search("fox bird3 cow", ["c0"], 700))
    assert found == pytest.approx(expected, rel=1e-5)
    assert several.ceiling("fox bird3 cow", among) == pytest.approx(one.ceiling("fox bird3 cow", ["c0"]))


def test_rare_language_is_scored_as_if_alone(tmp_path: Path) -> None:
    """A field for each language would give it the average length of chunks that do not have the field."""
    index = TantivyIndex(tmp_path / "both")
    alone = TantivyIndex(tmp_path / "alone")
    spanish = Indexed(1, "es", "d", "es", "La defensa cedió puntos en la liga")
    index.add([spanish, *(Indexed(n, "en", "d", "en", "The quick brown fox jumps over dogs") for n in range(10, 400))])
    alone.add([spanish])
    index.commit()
    alone.commit()
    shares = [
        each.search("defensa puntos", ["es"], 1)[0][1] / each.ceiling("defensa puntos", ["es"])
        for each in (index, alone)
    ]
    assert shares == pytest.approx([1, 1], rel=0.2)


def test_one_process_writes_and_others_read_what_it_commits(tmp_path: Path) -> None:
    writer = TantivyIndex(tmp_path)
    reader = TantivyIndex(tmp_path)
    writer.add(ROWS[:1])
    writer.commit()
    assert ids(reader.search("panthers", ["mine"], 5)) == [1]
    code = (
        "import sys; from pathlib import Path; from chatbot.rag.lexical.tantivy import TantivyIndex\n"
        "index = TantivyIndex(Path(sys.argv[1])); print(index.search('panthers', ['mine'], 5))\n"
        "try: index.remove('document', ['x'])\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[0].startswith("[(1, ")
    assert run.stdout.split("\n")[1] == "IndexLocked"
    with pytest.raises(IndexLocked):
        reader.commit()
    writer.close()
    reader.remove("document", ["panthers"])
    reader.commit()
    assert writer.search("panthers", ["mine"], 5) == []


def test_lock_of_a_killed_writer_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from chatbot.rag.lexical.tantivy import TantivyIndex\n"
        "from chatbot.rag.types import Hit, Indexed\n"
        "index = TantivyIndex(Path(sys.argv[1])); index.add([Indexed(1, 'c', 'd', 'en', 'fox')]); index.commit()\n"
        "index.add([Indexed(2, 'c', 'd', 'en', 'fox')]); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    index = TantivyIndex(tmp_path)
    index.add([Indexed(3, "c", "d", "en", "fox")])
    index.commit()
    assert sorted(ids(index.search("fox", ["c"], 5))) == [1, 3]


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}'])
def test_broken_folder_is_told(tmp_path: Path, content: str) -> None:
    TantivyIndex(tmp_path)
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(IndexBroken):
        TantivyIndex(tmp_path)


def spoiled(path: Path, how: str) -> None:
    """Damage a file as a disk or an operator would.

    Another one takes its place: what a thread of tantivy still has mapped must not become shorter under it (SIGBUS).
    """
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        if data:
            data[len(data) // 3] ^= 0x55
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
@pytest.mark.parametrize("kind", ["del", "fast", "fieldnorm", "idx", "pos", "store", "term"])
def test_damaged_file_of_a_segment_is_told_and_what_is_made_anew_is_empty(tmp_path: Path, kind: str, how: str) -> None:
    index = TantivyIndex(tmp_path)
    index.add(ROWS)
    index.commit()
    index.remove("document", ["valkyria"])
    index.commit()
    index.close()
    assert not TantivyIndex(tmp_path).fresh
    (path,) = tmp_path.glob(f"*.{kind}")
    spoiled(path, how)
    with pytest.raises(IndexBroken):
        TantivyIndex(tmp_path).search("panthers", ["mine"], 5)
    again = TantivyIndex(tmp_path, anew=True)
    assert again.fresh
    assert again.search("panthers", ["mine"], 5) == []
    again.add(ROWS)
    again.commit()
    assert set(ids(again.search("panthers", ["mine"], 10))) == {1, 4}


def test_file_without_a_footer_of_its_own_is_damaged(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.add(ROWS)
    index.commit()
    index.close()
    (path,) = tmp_path.glob("*.idx")
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:-1] + b"!",
        b"not JSON" + (8).to_bytes(4, "little") + whole[-4:],
        b"{}" + (2).to_bytes(4, "little") + whole[-4:],
    ):
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(IndexBroken):
            TantivyIndex(tmp_path)


def test_what_another_process_writes_is_not_thrown_away(index: TantivyIndex, tmp_path: Path) -> None:
    with pytest.raises(IndexLocked):
        TantivyIndex(tmp_path / "index", anew=True)
    assert set(ids(index.search("panthers", ["mine"], 10))) == {1, 4}
