"""The passed-on part of an answer: its end and its last line decide how the next text is read."""

import re

MAX_LEAD_CHARACTERS = 60
MAX_WORD_CHARACTERS = 80
_LEAD = re.compile(r"[ \t>*+\-.)0-9]*")  # what may stand before a fence or a link definition
_LONG_LEAD = "."  # neither blank nor a container
_ADDRESS = re.compile(rf"(?:://|www\.)\S*\Z|\S{{{MAX_WORD_CHARACTERS}}}\Z", re.IGNORECASE)
_JOINING = "!]<`~\\"  # characters that can make something new with what follows them


class Output:
    """Collects text, and keeps text apart that was separated by something taken out."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._end = "\n"
        self.last_visible = "\n"  # the same without blanks
        self.lead: str | None = ""  # the line's beginning, while it may be the beginning of a block
        self.has_gap = False  # whether something was just taken out

    @property
    def last(self) -> str:
        """The last character that was passed on."""
        return self._end[-1]

    @property
    def is_in_address(self) -> bool:
        """Whether the next text may be part of a bare address: for GitHub's Markdown only a space ends one."""
        return _ADDRESS.search(self._end) is not None

    def put(self, text: str) -> None:
        """Append text, with a space in front where it would join the text before to a new construct."""
        if self.has_gap and text and self.last in _JOINING and not text[0].isspace():
            text = f" {text}"
        self.has_gap = self.has_gap and not text
        self._pieces.append(text)
        self.skip(text)
        if self.lead is None:
            return
        lead = self.lead + text
        self.lead = lead if _LEAD.fullmatch(lead) else None
        if self.lead and len(lead) > MAX_LEAD_CHARACTERS:
            self.lead = _LONG_LEAD

    def put_tag(self, tag: str) -> None:
        """Append a tag; behind the end of an HTML block some readers begin another block."""
        self.put(tag)
        self.lead = _LONG_LEAD

    def take_out(self, instead: str = "") -> None:
        """Insert a replacement, which must join to no new construct on either side."""
        self.has_gap = True
        self.put(instead)
        self.has_gap = True

    def skip(self, text: str) -> None:
        """Remember the end of text that is passed on elsewhere."""
        self._end = (self._end + text)[-MAX_WORD_CHARACTERS:]
        self.last_visible = text.rstrip(" \t")[-1:] or self.last_visible

    def take(self) -> str:
        """Return the text collected since the last call."""
        text = "".join(self._pieces)
        self._pieces = []
        return text
