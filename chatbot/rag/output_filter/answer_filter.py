"""The filter between the model and the log: removes links, images and tags that are dangerous to readers.

What was appended never changes, so it works on the stream. All it needs to know is within one line and 200 characters
from where something suspicious begins; what is not closed by then is broken with a space and passed on.

Text that looks like code has no markers. Images, tags and links are broken where any reader of Markdown sees no code.
"""

import re
from collections.abc import Callable

from chatbot.rag.citations import markers
from chatbot.rag.text.fences import CONTAINER, FENCE, MAX_INDENT, OPENING, Fence, has_certain_info, run_of

from . import markup
from .destinations import Destination, DroppedAddress
from .output import Output

MAX_HELD_CHARACTERS = 200


class AnswerFilter:
    """Filters one answer as it streams; the output is the same however the text is cut into pieces.

    With no passages there are no markers, and numbers in brackets stay. A marker is normalised to `[n]`.
    """

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._held = ""
        self._output = Output()
        self._destination = Destination(self._output)
        self._mode = "text"
        self._handlers: dict[str, Callable[[str, bool], int]] = {
            "[": self._bracket, "【": self._bracket, "]": self._closed, "(": self._parenthesis, "!": self._image,
            "<": self._tag, "`": self._ticks, "~": self._ticks, "\n": self._newline,
        }  # fmt: skip
        self._label = False  # whether the label of a link definition may be open
        self._shaky = False  # whether readers may differ about code spans until the next blank line
        self._html = False  # whether they may take the lines up to it for HTML
        self._doubt = False  # whether they may differ about all that comes
        self._address = DroppedAddress()
        self._span = 0  # backticks that opened the code span
        self._fence = Fence("`", 3)
        self._fresh = False  # whether a line of the fence begins
        self._is_empty = False  # whether the fence has no line yet
        self._closing = ""  # the line that ends it, if its code was passed on as it is

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held)

    def feed(self, text: str) -> str:
        """Add text; return the part that can be passed on now."""
        if self._is_plain(text):
            self._output.skip(text)
            return text
        return self._run(self._held + text, ended=False)

    def end(self) -> str:
        """Return the rest, with the end of an open fence: without it some readers take its code for text."""
        return self._run(self._held, ended=True) + self.closing

    @property
    def closing(self) -> str:
        """The line that closes the open fence."""
        line_end = "" if self._output.last == "\n" else "\n"
        return f"{line_end}{self._closing}" if self._closing else ""

    def _is_plain(self, text: str) -> bool:
        waits = self._output.has_gap or self._address.is_open or self._fresh or self._destination.is_expected
        return not (waits or self._held or self._output.lead is not None or markup.SPECIAL[self._mode].search(text))

    def _run(self, text: str, *, ended: bool) -> str:
        at = 0
        while at < len(text):
            step = self._step(text, at, ended=ended)
            if not step:
                break
            at += step
        self._held = text[at:]
        return self._output.take()

    def _step(self, text: str, at: int, *, ended: bool) -> int:
        """Treat the construct that begins at `at`; returns the characters taken, 0 to wait for more."""
        if self._address.is_open:
            taken = self._address.drop(text, at)
            return taken or self._step(text, at, ended=ended)
        if self._destination.is_expected:
            taken = self._destination.read(text, at, ended=ended)
            if taken or self._destination.is_waiting:
                return taken
        found = markup.SPECIAL[self._mode].search(text, at)
        if not self._fresh and (not found or found.start() > at):
            stop = found.start() if found else len(text)
            self._output.put(text[at:stop])
            return stop - at
        stop = text.find("\n", at, at + MAX_HELD_CHARACTERS)
        window = text[at : at + MAX_HELD_CHARACTERS if stop < 0 else stop + 1]
        final = ended or stop >= 0 or len(window) == MAX_HELD_CHARACTERS
        if self._fresh:
            taken = self._line(window, final)
            return taken if taken or self._fresh else self._step(text, at, ended=ended)
        return self._in_span(window, final) if self._mode == "span" else self._handlers[window[0]](window, final)

    def _newline(self, _window: str, _final: bool) -> int:
        is_blank = self._output.lead is not None and not self._output.lead.strip()
        self._output.put("\n")
        if self._mode.endswith("fence"):
            self._fresh = True
            return 1
        if is_blank:
            self._shaky = self._html = self._label = False
        self._output.lead = ""
        return 1

    # Markers, labels and links.

    def _bracket(self, window: str, final: bool) -> int:
        self._label = self._label or self._output.lead is not None
        if self._passages and self._mode == "text":
            found = markers.MARKER.match(window)
            if found and (found.end() < len(window) or final):
                return self._marker(found, window[found.end() : found.end() + 1])
            if not final and markers.BEGINNING.fullmatch(window):
                return 0
        self._output.put(window[0])
        return 1

    def _marker(self, found: re.Match[str], after: str) -> int:
        numbers = markers.numbers(found, self._passages)
        index = numbers == [0] and (self._output.last.isalnum() or self._output.last in "_)]")
        if index or (found[1] and after == "("):
            self._output.put(found[0][:-1])
            return found.end() - 1
        good = "".join(f"[{number}]" for number in numbers if 1 <= number <= self._passages)
        if not good:
            self._output.take_out()
            return found.end() + (after == " " and self._output.last.isspace())
        self._output.has_gap = self._output.has_gap or self._output.last == "!"
        self._output.put(good)
        self._output.has_gap = self._label and after == ":"
        self._label = False
        return found.end()

    def _closed(self, window: str, final: bool) -> int:
        if len(window) < 2 and not final:
            return 0
        escaped = self._output.last == "\\"
        self._output.put("]")
        self._shaky = self._shaky or window[1:2] == "("
        self._output.has_gap = self._label and window[1:2] == ":"
        self._label = self._label and escaped
        return 1

    def _parenthesis(self, _window: str, _final: bool) -> int:
        self._destination.open()
        self._output.put("(")
        return 1

    # What fetches.

    def _image(self, window: str, final: bool) -> int:
        if len(window) < 2 and not final:
            return 0
        is_marked = self._passages and markers.is_at(window, 1)
        if window[1:2] != "[" or self._mode != "text" or is_marked:
            self._output.put("! " if window[1:2] == "[" else "!")
            return 1
        image = markup.IMAGE.match(window)
        if image:
            self._output.take_out(markup.plain(image["alt"]))
            return image.end()
        return self._unfinished(window) if final or markup.NO_IMAGE.match(window) else 0

    def _unfinished(self, window: str) -> int:
        image = markup.OPEN_IMAGE.match(window)
        if not image:
            self._output.put("! ")
            return 1
        self._output.take_out(markup.plain(image["alt"]))
        if image.end() == len(window):
            self._address.open()
        return image.end()

    def _tag(self, window: str, final: bool) -> int:
        tag = markup.TAG.match(window)
        if not tag:
            if not final and markup.MAYBE_TAG.fullmatch(window):
                return 0
            self._output.put("< " if markup.BEGINNING.match(window) else "<")
            return 1
        self._shaky = self._shaky or "`" in tag[0]
        if markup.harmless(tag[0]):
            self._html = True
            self._output.put_tag(tag[0])
            return tag.end()
        shown = markup.without_tag(tag[0]) if self._mode == "text" else None
        if shown is None:
            self._output.put("< ")
            return 1
        self._output.take_out(shown)
        return tag.end()

    # Code.

    def _ticks(self, window: str, final: bool) -> int:
        run = run_of(window[0], window)
        leads = self._output.lead is not None and run >= 3 and CONTAINER.fullmatch(self._output.lead) is not None
        if not final and (leads or run == len(window)):
            return 0
        if leads and FENCE.fullmatch(window):
            return self._open_fence(window, run)
        self._doubt = self._doubt or leads  # what is taken out of the line can make it one
        if leads and len(window) == MAX_HELD_CHARACTERS:
            return self._doubtful_opening(window)
        if window[0] == "`" and not self._label:
            self._mode = "span"
            self._span = run
        self._shaky = self._shaky or self._label or self._output.last in "\\`" or self._output.is_in_address
        self._output.put(window[:run])
        return run

    def _in_span(self, window: str, final: bool) -> int:
        """Treat a special character inside a possible code span."""
        if window[0] in "`|":
            return self._in_span_at(window, final)
        close = re.search(rf"(?<!`)`{{{self._span}}}(?!`)", window)
        if close and (close.end() < len(window) or (final and len(window) < MAX_HELD_CHARACTERS)):
            code = window[: close.start()]
            doubtful = self._shaky or self._html or self._doubt or markup.CELL_OR_CODE_TAG.search(code)
            self._output.put(markup.defused(code) if doubtful else code)
            return close.start()
        if not final:
            return 0
        self._shaky = True
        self._mode = "text"
        return self._handlers[window[0]](window, final)

    def _in_span_at(self, window: str, final: bool) -> int:
        run = run_of(window[0], window)
        if run == len(window) and not final:
            return 0
        self._shaky = self._shaky or window[0] == "|" or run != self._span
        if window[0] == "`" and run == self._span:
            self._mode = "text"
        self._output.put(window[:run])
        return run

    def _open_fence(self, window: str, run: int) -> int:
        lead = self._output.lead or ""
        # An info string or list marker that hides a fence from some readers makes an opening of its end.
        is_hidden = bool(lead.strip()) or not has_certain_info(window)
        certain = not (is_hidden or self._doubt or self._html or self._label) and len(lead) <= MAX_INDENT
        self._mode = "fence" if certain else "doubtful fence"
        self._fence = Fence(window[0], run, len(lead))
        self._closing = self._fence.closing if certain else self._closing
        self._is_empty = True
        # HTML ends at a blank line, and then the fence may be none.
        self._doubt = self._doubt or self._html or is_hidden
        self._output.put(window if certain else markup.defused_fence(window))
        self._output.lead = None
        self._fresh = True
        return len(window)

    def _line(self, window: str, final: bool) -> int:
        """Treat the beginning of a line inside a fence; returns 0 for a line of code without indentation too."""
        is_whole = window.endswith("\n") or (final and len(window) < MAX_HELD_CHARACTERS)
        kind = self._fence.judge(window, final=final, is_whole=is_whole)
        if kind == "unknown":
            return 0
        self._fresh = False
        indent = run_of(" ", window)
        if kind == "closing":
            self._doubt = self._doubt or self._is_empty or self._fence.column not in (0, indent)
            self._mode = "text"
            self._output.lead = ""
            self._closing = "" if indent <= MAX_INDENT else self._closing
            self._output.put(window.removesuffix("\n"))
            return len(window.removesuffix("\n"))
        self._is_empty = False
        if kind == "doubtful":
            self._doubt = True
            self._mode = "doubtful fence"
        if self._mode == "doubtful fence":
            self._output.lead = ""
            if OPENING.match(window):
                return self._doubtful_opening(window)
        self._output.put(window[:indent])
        return indent

    def _doubtful_opening(self, window: str) -> int:
        """Pass on a line, or its beginning, that opens a fence for some readers."""
        line = window.removesuffix("\n")
        self._output.put(markup.defused_fence(line))
        self._label = self._label or "[" in line
        if line == window:
            self._output.put("# ")  # no reader takes a line with a blank in it for a fence with a class
        return len(line)
