"""Fenced code blocks of Markdown (CommonMark 0.31, 4.5), as far as a line at a time tells of them."""

import re
from dataclasses import dataclass
from typing import Literal

CONTAINER = re.compile(r" *(?:(?:[-*+]|\d{1,9}[.)]) +)*")  # indentation and list markers in front of a fence
FENCE = re.compile(r"(?:`{3,}[^`]*|~{3,}+.*)\n")
# Showdown knows no indentation beyond three spaces, no info string with blanks, and no block without lines.
_CERTAIN_INFO = re.compile(r"(?:`+|~+) *[^\s`~\"'<>&\[\]]*\n")
MAX_INDENT = 3
_CLOSING = re.compile(r" *(`+|~+)[ \t]*\n?")
_MAYBE_CLOSING = re.compile(r" *+(?:`*+|~*+)[ \t]*+")
OPENING = re.compile(r"[ \t>*+\-.)0-9]*(?:`{3,}|~{3,})")
_MAYBE_OPENING = re.compile(r"[ \t>*+\-.)0-9]*(?:`*|~*)")

Line = Literal["code", "closing", "doubtful", "unknown"]


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence that opened a block: its character, how many there are, and how far from the line's beginning."""

    character: str
    length: int
    column: int = 0

    @property
    def closing(self) -> str:
        """The line that closes the block."""
        return " " * self.column + self.character * self.length

    def closed_by(self, run: str, indent: int) -> bool:
        """Return whether a line of nothing but `run` ends the block; in a list any indentation may."""
        return run[0] == self.character and len(run) >= self.length and (indent <= MAX_INDENT or self.column > 0)

    def judge(self, line: str, *, final: bool, is_whole: bool) -> Line:
        """Classify a line inside the block; `is_whole` says that `line` has its end, `final` that no more comes.

        Doubtful is a line that closes the block for some readers.
        """
        closing = _CLOSING.fullmatch(line)
        text = line.lstrip(" ")
        if closing and is_whole and self.closed_by(closing[1], len(line) - len(text)):
            return "closing"
        if not final and (_MAYBE_CLOSING.fullmatch(line) or _MAYBE_OPENING.fullmatch(line) or OPENING.match(line)):
            return "unknown"
        is_prefix = run_of(self.character, text.lstrip("\t")) >= self.length
        return "doubtful" if is_prefix or (len(line) - len(text) < self.column and text.strip()) else "code"


def has_certain_info(line: str) -> bool:
    """Return whether every reader takes a line that opens a fence for one, as far as its info string tells."""
    return _CERTAIN_INFO.fullmatch(line) is not None


def run_of(character: str, text: str) -> int:
    """Return how many of a character a text begins with."""
    return len(text) - len(text.lstrip(character))
