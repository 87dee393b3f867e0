"""Markdown: the text as it is, with the title of its front matter or its first heading."""

import re

from chatbot.rag.text import front_matter
from chatbot.rag.text.markdown import first_heading, replace_outside_code
from chatbot.rag.types import Parsed

from . import plain

# Code, an escaped character, or emphasis: of a formula such as 2*3*4, which its writer did not mean as one, no mark is
# taken. Brackets keep their backslashes, which are those of formulas, as of \( x \).
MARK = re.compile(
    r"^(?: {4}|\t)[^\n]*"
    r"|(?<!`)(?P<ticks>`{2,9}+)[^\n]{0,500}?(?<!`)(?P=ticks)(?!`)|`[^`\n]*+`?"
    r"|(?<=[^\s\\])[ \t]?\\(?P<escaped>[#*_~<>@'\"^$])"
    r"|(?<![*\\])(?P<mark>\*{1,3})(?![\s*])(?P<words>[^*`\n]{1,200}+)(?<!\s)(?P=mark)(?!\*)",
    re.MULTILINE,
)
HARD_BREAK = re.compile(r"(?<=[^\s\\])\\\n(?=\S)")


class MarkdownLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the text; raises UnreadableDocument when there is none."""
        found = front_matter.split(plain.decode(data))
        heading = first_heading(found.body) or ""
        shown = f"# {found.title}" if found.title and found.title.lower() != heading.lower() else ""
        text = "\n\n".join(filter(None, (shown, found.description, found.body)))
        return plain.parsed(_remove_marks(text), found.title or heading)


def _remove_marks(text: str) -> str:
    """Return a text without emphasis inside words, which keeps them from being found, and without backslashes.

    These are line breaks and escapes; at the start of a line one may keep text from being a heading. Code stays.
    """
    return replace_outside_code(text, _clean_prose) if "*" in text or "\\" in text else text


def _clean_prose(text: str) -> str:
    return HARD_BREAK.sub("  \n", MARK.sub(_unmark, text))


def _unmark(found: re.Match[str]) -> str:
    if found["escaped"]:
        return found[0].replace("\\", "", 1)
    words = found["words"]
    if not words:
        return found[0]
    before = found.string[max(0, found.start() - 1) : found.start()].isalpha() and words[0].isalpha()
    after = found.string[found.end() : found.end() + 1].isalpha() and words[-1].isalpha()
    is_formula = len(found["mark"]) == 1 and before and after
    return words if (before or after) and not is_formula else found[0]
