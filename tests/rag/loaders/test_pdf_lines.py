"""Words and lines of PDF pages: hyphens, gaps between letters, scripts from right to left, wrapped cells."""

from chatbot.rag.loaders.pdf import PdfLoader
from tests.rag.loaders.samples import typeset

LINE_HEIGHT = 12


def read(*lines: tuple[float, float, str]) -> str:
    return PdfLoader().load(typeset(*lines)).text


def below(*texts: str, x: float = 60, y: float = 700) -> list[tuple[float, float, str]]:
    """Return texts as lines, one below the other."""
    return [(x, y - LINE_HEIGHT * number, text) for number, text in enumerate(texts)]


def test_unicode_hyphens_at_the_ends_of_lines_are_joined_but_not_those_of_compounds() -> None:
    found = read(
        *below(
            "Jak zbudo\u2010",
            "wa\u0107 dom, well\u2010known to the well\u2010",
            "known, in Rhein\u2010",
            "Main \u2010",
            "too.",
        )
    )
    assert "Jak zbudowa\u0107\ndom, well\u2010known" in found
    assert "the well\u2010known,\nin Rhein\u2010Main" in found
    assert "\u2010\ntoo." in found
