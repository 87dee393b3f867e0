"""The markup of HTML pages: comments, scripts, styles and frames, and characters of tags in attributes."""

import re
from html import unescape

from . import html_layout

# Comments, and tags with their values, in which a page may have characters of tags; a value may have no end.
MARKUP = re.compile(
    r"""<(?:!--|([A-Za-z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?|(?:[^\s>"'][^\s>]*+)?))*+)(>?))"""
)
RAW_END = re.compile(r"</(script|style|title|textarea|iframe)\b[^<>]{0,200}>", re.IGNORECASE)
RAW = {"script", "style", "title", "textarea", "iframe"}  # elements without tags in them
MAX_FRAMES = 3  # in one another


def without_unread(page: str, depth: int = MAX_FRAMES) -> str:
    """Return a page without comments, scripts and styles, with frames in their places and no tags in attributes.

    It stays as it is from a comment, a script or a style on that has no end.
    """
    parts: list[str] = []
    end = 0
    while found := MARKUP.search(page, end):
        parts.append(page[end : found.start()])
        stop = _find_end(page, found)
        if stop is None or not (found[3] or found[1] is None):
            end = found.start()
            break
        parts.append(_read_markup(page[found.start() : stop], found, depth))
        end = stop
    return "".join([*parts, page[end:]])


def _find_end(page: str, found: re.Match[str]) -> int | None:
    """Return the end of a comment, of an element without tags in it, or of a tag; None where it has none."""
    if found[1] is None:
        dashes = page.find("-->", found.end() - 2)  # those of `<!-->` are its end too
        return None if dashes < 0 else dashes + 3
    name = found[1].lower()
    if name not in RAW or found[2].endswith("/"):
        return found.end()
    end = next((one.end() for one in RAW_END.finditer(page, found.end()) if one[1].lower() == name), None)
    return end or (None if name in {"script", "style"} else found.end())


def _read_markup(markup: str, found: re.Match[str], depth: int) -> str:
    """Return a tag as a browser reads it, a frame as its own page, and nothing of hidden elements."""
    name = (found[1] or "script").lower()
    if name in {"script", "style"} or (name == "title" and depth < MAX_FRAMES):
        return ""
    if name == "iframe":
        page = unescape(html_layout.attributes(found[2]).get("srcdoc", "")) if depth else ""
        return f"<div>{without_unread(page, depth - 1)}</div>" if page else ""
    if "<" not in found[2] and ">" not in found[2]:
        return markup
    attributes = found[2].replace("<", "&lt;").replace(">", "&gt;")
    return f"<{found[1]}{attributes}>{markup[len(found[0]) :]}"
