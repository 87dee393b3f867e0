"""Link destinations: http, https, mailto and relative ones are allowed; every other scheme is made a fragment.

A scheme ends at a colon before the first slash, question mark or hash (WHATWG URL, 4.4). Browsers drop tabs and
newlines in it, Markdown readers resolve entities and backslashes, and this filter takes markers and tags out: a
destination that has any of these in front of the first slash is refused too.
"""

import re
from typing import Literal

MAX_SCHEME_CHARACTERS = 200
LEAD = re.compile(r"[^\S\n]*(?:>[^\S\n]*)*")  # what may stand in front of it, quote marks of the next line included

Verdict = Literal["allowed", "refused", "unknown"]

_PLAIN = r"(?:[^:\\&%\[\]<>`!【\s/?#)]|%(?!3a))*+"
_UNFINISHED = re.compile(rf"<?{_PLAIN}", re.IGNORECASE)
# In angle brackets a relative one may be a tag, which is taken out.
_ALLOWED = re.compile(rf"<?(?:https?|mailto):|<#|\d|{_PLAIN}[/?#)> ]", re.IGNORECASE)
_PROSE = re.compile(r"[^\s<)]+[ \t]+[^\s\"'()]")  # two words: no reader that allows a space before `(` sees a link
_MAYBE_PROSE = re.compile(r"[^\s<)]+[ \t]*")
_INLINE = re.compile(r"\]([ \t]*)\([\s>]*<?")


def judge(window: str, *, final: bool, is_spaced: bool = False) -> Verdict:
    """Return whether the destination that a window begins with is allowed.

    `final` says that no more of it will come, `is_spaced` that there was a space between label and parenthesis. A
    window that ends before a scheme could is allowed.
    """
    if _ALLOWED.match(window) or (is_spaced and _PROSE.match(window)):
        return "allowed"
    is_short = len(window) < MAX_SCHEME_CHARACTERS
    if is_short and (_UNFINISHED.fullmatch(window) or (is_spaced and not final and _MAYBE_PROSE.fullmatch(window))):
        return "allowed" if final else "unknown"
    return "refused"


def is_allowed(destination: str) -> bool:
    """Return whether a whole destination is allowed, such as an attribute's value."""
    return judge(f"{destination})", final=True) == "allowed"


def defuse(code: str) -> str:
    """Return text with every refused destination of an inline link made a fragment."""
    return _INLINE.sub(_defuse, code)


def _defuse(found: re.Match[str]) -> str:
    opening = found[0].removesuffix("<")
    start = found.start() + len(opening)
    window = found.string[start : start + MAX_SCHEME_CHARACTERS]
    is_refused = judge(window, final=True, is_spaced=bool(found[1])) == "refused"
    return f"{found[0]}#" if is_refused else found[0]
