"""The filter between the model and the log: bad markers, remote images and link definitions leave the answer here.

What was appended never changes, so it works on the stream. All it needs to know is within one line and 200 characters
from where something suspicious begins; what is not closed by then is broken with a space and passed on.

Two questions are kept apart. Whether text looks like code decides about markers: inside code nothing is one. Whether
it is code for every reader of Markdown decides about images and tags: in doubt they are broken there too.
"""

import re
from collections.abc import Callable

from . import markers, markup
from .fences import CLOSING, CONTAINER, FENCE, MAYBE_CLOSING, Fence, run_of

LONGEST_HOLD = 200  # characters
LONGEST_SWALLOWED = 4_096  # characters of one image's address
LONGEST_LEAD = 60  # characters in front of a line's text

_SPECIAL = {
    "text": re.compile(r"[\[\]!<【`~\n]"),
    "span": re.compile(r"[\[!<【`|\n]"),
    "fence": re.compile(r"\n"),
    "doubtful fence": re.compile(r"[!<\n]"),
}
_LEAD = re.compile(r"[ \t>*+\-.)0-9]*")  # what may stand before a fence or a link definition
_MAYBE_TAG = re.compile(r"<(?:[A-Za-z/!?][^<>\n]*)?")
_ADDRESS_END = re.compile(r"[\s)]")
_JOINING = "!]<`~\\"  # characters that can make something new with what follows them


class AnswerFilter:
    """Filters one answer as it streams; the output is the same however the text is cut into pieces.

    With no passages there are no markers, and numbers in brackets stay. A marker is normalised to `[n]`.
    """

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._held = ""
        self._out: list[str] = []
        self._last = "\n"  # the last character that was passed on
        self._mode = "text"
        self._handlers: dict[str, Callable[[str, bool], int]] = {
            "[": self._bracket, "【": self._bracket, "]": self._closed, "!": self._image, "<": self._tag,
            "`": self._ticks, "~": self._ticks, "\n": self._newline,
        }  # fmt: skip
        self._lead: str | None = ""  # the line's beginning, while it may be the beginning of a block
        self._after_blank = True  # whether a blank line, or nothing, is before this one
        self._gap = False  # whether something was just taken out
        self._label = False  # whether the label of a link definition may be open
        self._shaky = False  # whether readers may differ about code spans until the next blank line
        self._html = False  # whether they may take the lines up to it for HTML
        self._doubt = False  # whether they may differ about all that comes
        self._swallowing = 0
        self._span = 0  # backticks that opened the code span
        self._fence = Fence("`", 3)
        self._fresh = False  # whether a line of the fence begins

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held)

    def feed(self, text: str) -> str:
        """Return what can be passed on now that `text` has come."""
        if self._lead is None and not self._held and not _SPECIAL[self._mode].search(text) and self._at_ease():
            self._last = text[-1:] or self._last
            return text
        return self._run(self._held + text, ended=False)

    def end(self) -> str:
        """Return the rest; nothing more will come."""
        return self._run(self._held, ended=True)

    def _at_ease(self) -> bool:
        return not (self._gap or self._swallowing or self._fresh)

    def _run(self, text: str, *, ended: bool) -> str:
        at = 0
        while at < len(text):
            step = self._step(text, at, ended=ended)
            if not step:
                break
            at += step
        self._held = text[at:]
        passed, self._out = "".join(self._out), []
        return passed

    def _step(self, text: str, at: int, *, ended: bool) -> int:
        """Treat what begins at `at`; returns how many characters were taken, 0 to wait for more."""
        if self._swallowing:
            taken = self._swallow(text, at)
            return taken or self._step(text, at, ended=ended)
        found = _SPECIAL[self._mode].search(text, at)
        if not self._fresh and (not found or found.start() > at):
            stop = found.start() if found else len(text)
            self._put(text[at:stop])
            return stop - at
        stop = text.find("\n", at, at + LONGEST_HOLD)
        window = text[at : at + LONGEST_HOLD if stop < 0 else stop + 1]
        final = ended or stop >= 0 or len(window) == LONGEST_HOLD
        if self._fresh:
            taken = self._line(window, final)
            return taken if taken or self._fresh else self._step(text, at, ended=ended)
        return self._in_span(window, final) if self._mode == "span" else self._handlers[window[0]](window, final)

    def _put(self, text: str) -> None:
        if self._gap and text and self._last in _JOINING and not text[0].isspace():
            text = f" {text}"
        self._gap = self._gap and not text
        self._out.append(text)
        self._last = text[-1:] or self._last
        if self._lead is not None:
            lead = self._lead + text
            self._lead = lead if len(lead) <= LONGEST_LEAD and _LEAD.fullmatch(lead) else None

    def _take_out(self, instead: str = "") -> None:
        """Put in something else: what was apart must join to nothing new on either side."""
        self._gap = True
        self._put(instead)
        self._gap = True

    def _newline(self, _window: str, _final: bool) -> int:
        self._after_blank = self._lead is not None and not self._lead.strip()
        self._put("\n")
        if self._mode.endswith("fence"):
            self._fresh = True
            return 1
        if self._after_blank:
            self._shaky = self._html = self._label = False
        self._lead = ""
        return 1

    # Markers, labels and links.

    def _bracket(self, window: str, final: bool) -> int:
        self._label = self._label or self._lead is not None
        if self._passages:
            found = markers.MARKER.match(window)
            if found and (found.end() < len(window) or final):
                return self._marker(found, window[found.end() : found.end() + 1])
            if not final and markers.BEGINNING.fullmatch(window):
                return 0
        self._put(window[0])
        return 1

    def _marker(self, found: re.Match[str], after: str) -> int:
        numbers = markers.numbers(found, self._passages)
        index = numbers == [0] and (self._last.isalnum() or self._last in "_)]")
        if index or (found[1] and after == "("):
            self._put(found[0][:-1])
            return found.end() - 1
        good = "".join(f"[{number}]" for number in numbers if 1 <= number <= self._passages)
        if not good:
            self._take_out()
            return found.end() + (after == " " and self._last.isspace())
        self._gap = self._gap or self._last == "!"
        self._put(good)
        self._gap, self._label = self._label and after == ":", False
        return found.end()

    def _closed(self, window: str, final: bool) -> int:
        if len(window) < 2 and not final:
            return 0
        escaped = self._last == "\\"
        self._put("]")
        self._shaky = self._shaky or window[1:2] == "("
        self._gap = self._label and window[1:2] == ":"
        self._label = self._label and escaped
        return 1

    # What fetches.

    def _image(self, window: str, final: bool) -> int:
        if len(window) < 2 and not final:
            return 0
        if window[1:2] != "[" or self._mode != "text":
            self._put("! " if window[1:2] == "[" else "!")
            return 1
        image = markup.IMAGE.match(window)
        if self._marked(window):
            self._put("! ")
            return 1
        if image:
            self._take_out(markup.plain(image["alt"]))
            return image.end()
        return self._unfinished(window) if final or markup.NO_IMAGE.match(window) else 0

    def _marked(self, window: str) -> bool:
        """Tell whether an exclamation mark is followed by a marker, not by an image's text."""
        marker = markers.MARKER.match(window, 1) if self._passages else None
        return marker is not None and window[marker.end() : marker.end() + 1] not in ("", "(")

    def _unfinished(self, window: str) -> int:
        image = markup.OPEN_IMAGE.match(window)
        if not image:
            self._put("! ")
            return 1
        self._take_out(markup.plain(image["alt"]))
        self._swallowing = LONGEST_SWALLOWED if image.end() == len(window) else 0
        return image.end()

    def _swallow(self, text: str, at: int) -> int:
        found = _ADDRESS_END.search(text, at, at + self._swallowing)
        if found:
            self._swallowing = 0
            return found.start() - at + (found[0] == ")")
        taken = min(self._swallowing, len(text) - at)
        self._swallowing -= taken
        return taken

    def _tag(self, window: str, final: bool) -> int:
        tag = markup.TAG.match(window)
        if not tag:
            if not final and _MAYBE_TAG.fullmatch(window):
                return 0
            self._put("< " if markup.BEGINNING.match(window) else "<")
            return 1
        self._shaky = self._shaky or "`" in tag[0]
        if markup.harmless(tag[0]):
            self._html = True
            self._put(tag[0])
        elif self._mode == "text":
            self._take_out(markup.without_tag(tag[0]))
        else:
            self._put(markup.broken(tag[0]))
        return tag.end()

    # Code.

    def _ticks(self, window: str, final: bool) -> int:
        run = run_of(window[0], window)
        leads = self._lead is not None and run >= 3 and CONTAINER.fullmatch(self._lead) is not None
        if not final and (leads or run == len(window)):
            return 0
        if leads and FENCE.fullmatch(window):
            return self._open_fence(window, run)
        self._doubt = self._doubt or leads  # what is taken out of the line can make it one
        if window[0] == "`" and not self._label:
            self._mode, self._span = "span", run
        self._shaky = self._shaky or self._label or self._last in "\\`"
        self._put(window[:run])
        return run

    def _in_span(self, window: str, final: bool) -> int:
        """Treat what begins with something special inside of what may be a code span."""
        if window[0] in "`|":
            return self._in_span_at(window, final)
        close = re.search(rf"(?<!`)`{{{self._span}}}(?!`)", window)
        if close and (close.end() < len(window) or (final and len(window) < LONGEST_HOLD)):
            code = window[: close.start()]
            doubtful = self._shaky or self._html or self._doubt or "|" in code  # a table's cells come before spans
            self._put(markup.defused(code) if doubtful else code)
            return close.start()
        if not final:
            return 0
        self._shaky, self._mode = True, "text"
        return self._handlers[window[0]](window, final)

    def _in_span_at(self, window: str, final: bool) -> int:
        run = run_of(window[0], window)
        if run == len(window) and not final:
            return 0
        self._shaky = self._shaky or window[0] == "|"
        if window[0] == "`" and run == self._span:
            self._mode = "text"
        self._put(window[:run])
        return run

    def _open_fence(self, window: str, run: int) -> int:
        lead = self._lead or ""
        interrupts = len(lead) <= 3 and not lead.strip()
        sure = not (self._doubt or self._html) and (self._after_blank or interrupts)
        self._mode = "fence" if sure else "doubtful fence"
        self._fence = Fence(window[0], run, len(lead))
        self._doubt = self._doubt or self._html  # HTML ends at a blank line, and then the fence may be none
        self._put(window if sure else markup.defused(window))
        self._lead, self._fresh = None, True
        return len(window)

    def _line(self, window: str, final: bool) -> int:
        """Treat the beginning of a line inside a fence; returns 0 for a line of code without indentation too."""
        closing = CLOSING.fullmatch(window)
        maybe = not closing and MAYBE_CLOSING.fullmatch(window)
        if maybe and not final:
            return 0
        self._fresh = False
        indent = run_of(" ", window)
        if closing and self._fence.closed_by(closing[1], indent):
            self._doubt = self._doubt or self._fence.column not in (0, indent)
            self._mode, self._lead, self._after_blank = "text", "", False
            self._put(window[:-1])
            return len(window) - 1
        if maybe or (indent < self._fence.column and window.strip()):
            self._doubt, self._mode = True, "doubtful fence"
        self._put(window[:indent])
        return indent
