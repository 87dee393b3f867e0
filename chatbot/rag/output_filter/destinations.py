"""Destinations in an answer that streams: a link's that is refused is made a fragment, a long image's is dropped."""

import re

from . import links
from .output import Output

_MAX_LINES = 2  # a destination may begin on the line after its parenthesis
_MAX_DROPPED_CHARACTERS = 4_096
_ADDRESS_END = re.compile(r"[\s)]")


class Destination:
    """Follows the text between a link's parenthesis and the end of its scheme."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines = 0  # on which a destination may still begin
        self._is_spaced = False  # whether a blank is between label and parenthesis
        self.is_waiting = False

    @property
    def is_expected(self) -> bool:
        """Whether a destination may begin with the next character."""
        return self._lines > 0

    def open(self) -> None:
        """Expect a destination if the parenthesis that is passed on next follows a label."""
        if self._output.last_visible == "]":
            self._is_spaced = self._output.has_gap or self._output.last != "]"
            self._lines = _MAX_LINES

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Pass on the treated text and return its length; 0 with `is_waiting` set needs more text."""
        self.is_waiting = False
        lead = links.LEAD.match(text, at, at + links.MAX_SCHEME_CHARACTERS)
        if lead and lead.end() > at:
            self._output.put(lead[0])
            return lead.end() - at
        if text[at] == "\n":
            self._lines -= 1
            return 0
        stop = text.find("\n", at, at + links.MAX_SCHEME_CHARACTERS)
        window = text[at : at + links.MAX_SCHEME_CHARACTERS if stop < 0 else stop + 1]
        final = ended or stop >= 0 or len(window) == links.MAX_SCHEME_CHARACTERS
        return self._judge(window, final=final)

    def _judge(self, window: str, *, final: bool) -> int:
        verdict = links.judge(window, final=final, is_spaced=self._is_spaced)
        self.is_waiting = verdict == "unknown"
        if self.is_waiting:
            return 0
        self._lines = 0
        if verdict == "allowed":
            return 0
        self._output.put("<#" if window[0] == "<" else "#")
        return int(window[0] == "<")


class DroppedAddress:
    """Drops the address of an image that is longer than the held text."""

    def __init__(self) -> None:
        self._remaining = 0

    @property
    def is_open(self) -> bool:
        """Whether the address goes on."""
        return self._remaining > 0

    def open(self) -> None:
        """Drop the text that comes, up to the end of the address."""
        self._remaining = _MAX_DROPPED_CHARACTERS

    def drop(self, text: str, at: int) -> int:
        """Return how many characters at an offset belong to the address and its parenthesis."""
        found = _ADDRESS_END.search(text, at, at + self._remaining)
        if found:
            self._remaining = 0
            return found.start() - at + (found[0] == ")")
        taken = min(self._remaining, len(text) - at)
        self._remaining -= taken
        return taken
