"""Fenced code blocks of Markdown (CommonMark 0.31, 4.5), as far as a line at a time tells of them."""

import re
from dataclasses import dataclass

CONTAINER = re.compile(r" *(?:(?:[-*+]|\d{1,9}[.)]) +)*")  # indentation and list markers in front of a fence
FENCE = re.compile(r"(?:`{3,}[^`]*|~{3,}+.*)\n")
CLOSING = re.compile(r" *(`+|~+)[ \t]*\n")
MAYBE_CLOSING = re.compile(r" *+(?:`*+|~*+)[ \t]*+")


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence that opened a block: its character, how many there are, and how far from the line's beginning."""

    character: str
    length: int
    column: int = 0

    def closed_by(self, run: str, indent: int) -> bool:
        """Tell whether a line of nothing but `run` ends the block; in a list any indentation may."""
        return run[0] == self.character and len(run) >= self.length and (indent <= 3 or self.column > 0)


def run_of(character: str, text: str) -> int:
    """Return how many of a character a text begins with."""
    return len(text) - len(text.lstrip(character))
