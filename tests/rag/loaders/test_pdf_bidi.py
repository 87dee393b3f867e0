"""Lines of PDF pages from right to left: vowel marks, brackets and quotes, words and numbers from left to right.

As in Unicode's UAX 9, capitals stand for letters from right to left. Lines are given as they are seen.
"""

import re
from collections.abc import Callable

import pytest

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import typeset, typeset_clusters, typeset_glyphs

CAPITALS = "ABCDEFGHIJKL"
HEBREW = str.maketrans(CAPITALS, "אבגדהוזחטיכל")
ARABIC = str.maketrans(CAPITALS, "ابتثجحخدذرزس")
Draw = Callable[[str], list[str]]
WIDTH = 5  # points, of a letter


def draw_line(shown: str) -> list[str]:
    return [shown]


def draw_words(shown: str) -> list[str]:
    return re.findall(r"[^ ]+| +", shown)


def draw_letters(shown: str) -> list[str]:
    return list(shown)


def draw_brackets(shown: str) -> list[str]:
    """As Chromium: a bracket and the blank that is beside it on the page are one object."""
    return re.findall(r" ?[()«»] ?|[^()«» ]+(?: [^()«» ]+)*| +", shown)


def read(parts: list[str], script: dict[int, int], blanks: bool = True) -> str:
    """Return the text of a line that is drawn in parts, with or without its blanks."""
    lines = []
    x = 60
    for part in parts:
        if blanks or not part.isspace():
            lines.append((x, 700, part.translate(script)))
        x += WIDTH * len(part) + (WIDTH if part.isspace() else 0)
    found = PdfLoader().load(typeset(*lines)).text
    return found.translate({hebrew: capital for capital, hebrew in script.items()})


@pytest.mark.parametrize("blanks", [True, False])
@pytest.mark.parametrize("draw", [draw_line, draw_words, draw_letters])
@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("FED www.example.org/a CBA", "ABC www.example.org/a DEF"),
        (".www.example.org/a JH FED CBA", "ABC DEF HJ www.example.org/a."),
        ("FED m 3.5 J kg 25 CBA", "ABC 25 kg J 3.5 m DEF"),
        ("FED python 3.12 CBA", "ABC python 3.12 DEF"),
        ("FED 10:30 31/12/2024 CBA", "ABC 31/12/2024 10:30 DEF"),
        ("FED 972-3-44+ J 03-123-4567 CBA", "ABC 03-123-4567 J +972-3-44 DEF"),
        ("FED $99.99 J 50% CBA", "ABC 50% J $99.99 DEF"),
        ("FED #c J ++c CBA", "ABC c++ J c# DEF"),
        ("FED f(x) CBA", "ABC f(x) DEF"),
    ],
)
def test_words_and_numbers_from_left_to_right_are_read_so(draw: Draw, blanks: bool, shown: str, text: str) -> None:
    assert read(draw(shown), HEBREW, blanks) == text


def test_signs_of_numbers_behind_arabic_are_from_right_to_left() -> None:
    assert read(["FED %50 J 4567-123-03 CBA"], ARABIC) == "ABC 03-123-4567 J 50% DEF"


def test_object_of_a_word_and_a_number_is_read_from_left_to_right() -> None:
    """As Chromium draws "kg 5" and "5 kg" in text from right to left, which look the same."""
    assert read(["FED ", "kg 5", " CBA"], HEBREW) == "ABC kg 5 DEF"
    assert read(["FED ", "kg", " ", "5", " CBA"], HEBREW) == "ABC 5 kg DEF"


@pytest.mark.parametrize("draw", [draw_line, draw_words, draw_letters, draw_brackets])
@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("FED (JH) CBA", "ABC (HJ) DEF"),
        ("FED )JH( CBA", "ABC (HJ) DEF"),
        (".(FED) JH (2019) CBA", "ABC (2019) HJ (DEF)."),
        ("FED «JH G» CBA", "ABC «G HJ» DEF"),
        ("FED »JH G« CBA", "ABC «G HJ» DEF"),
        ("(FED python 3) CBA", "ABC (python 3 DEF)"),
    ],
)
def test_brackets_and_quotes_open_before_words_and_close_behind_them(draw: Draw, shown: str, text: str) -> None:
    assert read(draw(shown), ARABIC) == text


def test_words_from_right_to_left_are_read_so_in_a_line_from_left_to_right() -> None:
    shown = "the words FED CBA (as they are seen) and BA are read"
    assert read([shown], HEBREW) == "the words ABC DEF (as they are seen) and AB are read"


def test_letters_with_vowel_marks_are_whole_words() -> None:
    words = [["\u0643\u0650", "\u062a\u064e", "\u0627", "\u0628\u064c"], ["\u062c\u064e", "\u062f\u064b"]]
    clusters = []
    x = 300.0
    for word in words:
        for cluster in word:
            x -= WIDTH
            clusters.append((x, cluster))
        x -= 2 * WIDTH
    found = PdfLoader().load(typeset_clusters(*clusters[::-1])).text
    assert found == " ".join("".join(word) for word in words)


def test_lam_that_an_alef_crosses_is_before_it() -> None:
    letters = [(300.0, "\u0627"), (294.0, "\u0644\u064e"), (295.0, "\u0627"), (289.0, "\u0645\u064f")]
    assert PdfLoader().load(typeset_clusters(*letters)).text == "\u0627\u0644\u064e\u0627\u0645\u064f"


def test_cells_beside_one_another_are_read_from_the_right() -> None:
    cells = [(300.0, "BA"), (200.0, "DC"), (100.0, "parker 5")]
    found = PdfLoader().load(typeset(*[(x, 700, text.translate(HEBREW)) for x, text in cells])).text
    assert found == "אב גד parker 5"


@pytest.mark.parametrize(
    ("glyphs", "text"),
    [
        ([*"ןאכ o", "ffi", *"ce ואר"], "ראו office כאן"),
        (["م", "لا", "س"], "سلام"),
        (["د", "مح", " ", "ي", "تب"], "تبي محد"),
        (["ם", "לֹ", "שׁ"], "שׁלֹם"),
        (["", *"םול", "", "ש"], "שלום"),
    ],
    ids=["latin", "lam with alef", "arabic", "letter with a mark", "nothing"],
)
def test_letters_of_a_ligature_are_in_their_order(glyphs: list[str], text: str) -> None:
    """As WeasyPrint writes text: points that are letters of another glyph have no letter of their own."""
    assert PdfLoader().load(typeset_glyphs(*glyphs)).text == text


def test_line_of_more_words_from_left_to_right_is_read_so() -> None:
    """Although it has more letters from right to left."""
    shown = "it costs 25 (LKJIHGFED CBA) and LKJIHGFED too."
    assert read([shown], ARABIC) == "it costs 25 (ABC DEFGHIJKL) and DEFGHIJKL too."


@pytest.mark.parametrize("is_beside", [True, False])
def test_joiner_is_behind_its_letter(is_beside: bool) -> None:
    """It is drawn at the left edge of the letter, or behind it."""
    letters = [
        (300.0, "\u06cc"),
        (300.0 if is_beside else 295.0, "\u200c"),
        (295.0 if is_beside else 290.0, "\u062e"),
        (305.0, "\u0645"),
    ]
    drawn = [(x, 700.0, letter) for x, letter in letters]
    for lines in (drawn, drawn[::-1]):
        assert PdfLoader().load(typeset(*lines)).text == "\u0645\u06cc\u200c\u062e"


WORDS = "LKJ IHG FED CBA DCB GFE"


def place_column(number: int, right: float) -> list[tuple[float, float, str]]:
    """Return the lines of a column with its edge on the right, each with the letters of its own number."""
    lines = [f"{WORDS} {CAPITALS[number] * 3}{CAPITALS[line] * 2}" for line in range(6)]
    return [(right - WIDTH * len(line), 700 - 12 * at, line.translate(HEBREW)) for at, line in enumerate(lines)]


@pytest.mark.parametrize("is_right_first", [True, False])
@pytest.mark.parametrize("is_by_turns", [True, False])
def test_right_column_of_a_page_from_right_to_left_is_first(is_right_first: bool, is_by_turns: bool) -> None:
    """In whichever order the page has them."""
    columns = [place_column(0, right=540), place_column(1, right=290)]
    columns = columns if is_right_first else columns[::-1]
    lines = [line for row in zip(*columns, strict=True) for line in row] if is_by_turns else columns[0] + columns[1]
    found = PdfLoader().load(typeset(*lines)).text.split("\n")
    assert [line[2] for line in found if line] == [*"א" * 6, *"ב" * 6]


def test_marks_of_a_list_from_right_to_left_stay_with_their_lines() -> None:
    """As WeasyPrint has them: behind all text."""
    words = [(500 - WIDTH * len(WORDS), 700 - 12 * at, WORDS.translate(HEBREW)) for at in range(3)]
    marks = [(505, 700 - 12 * at, f".{at + 1}") for at in range(3)]
    found = PdfLoader().load(typeset(*words, *marks)).text.split("\n")
    assert [line.split()[0] for line in found] == ["1.", "2.", "3."]
