"""The markup of HTML pages: comments, scripts, frames, characters of tags in attributes, and styles that part words."""

import re
from dataclasses import dataclass
from html import unescape

from . import html_layout

# Comments, and tags with their values, in which a page may have characters of tags; a value may have no end.
MARKUP = re.compile(
    r"""<(?:!--|([A-Za-z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?|(?:[^\s>"'][^\s>]*+)?))*+)(>?))"""
)
RAW_END = re.compile(r"</(script|style|title|textarea|iframe)\b[^<>]{0,200}>", re.IGNORECASE)
RAW = {"script", "style", "title", "textarea", "iframe"}  # elements without tags in them
MAX_FRAMES = 3  # in one another
ELEMENT = re.compile(r"<(/?)([a-z][a-z0-9]{0,20})\b([^<>]*+)>", re.IGNORECASE)
INLINE = {
    "a",
    "abbr",
    "b",
    "cite",
    "code",
    "em",
    "font",
    "i",
    "label",
    "q",
    "s",
    "small",
    "span",
    "strong",
    "time",
    "u",
}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
BLOCK = re.compile(r"display\s{0,9}:\s{0,9}(?:block|flex|grid|table|list-item|flow-root)", re.IGNORECASE)
ROW = re.compile(r"display\s{0,9}:\s{0,9}(?:inline-)?(?:flex|grid)", re.IGNORECASE)
GAP = re.compile(r"\bgap\s{0,9}:\s{0,9}[.\d]*[1-9]|:\s{0,9}space-(?:between|around|evenly)", re.IGNORECASE)
MAX_UNCLOSED = 8  # elements without an end in one that ends


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


def part_styled(page: str) -> str:
    """Return a page with blanks around inline elements that their style, or that of the one around them, sets apart."""
    if "display" not in page.lower():
        return page
    parts: list[str] = []
    opened: list[_Opened] = []
    end = 0
    for tag in ELEMENT.finditer(page):
        name = tag[2].lower()
        parts.append(page[end : tag.start()])
        end = tag.end()
        is_apart = False
        if tag[1]:
            is_apart = _close(opened, name)
        elif name not in VOID and not tag[3].endswith("/"):
            opened.append(_open(name, tag[3], opened[-1] if opened else None))
            is_apart = opened[-1].is_apart
        blank = " " if is_apart else ""
        parts.append(f"{tag[0]}{blank}" if tag[1] else f"{blank}{tag[0]}")
    return "".join([*parts, page[end:]])


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open element: whether it is set apart, and whether its children are."""

    name: str
    is_apart: bool
    has_gaps: bool


def _open(name: str, attributes: str, parent: _Opened | None) -> _Opened:
    style = html_layout.attributes(attributes).get("style", "") if "style" in attributes.lower() else ""
    is_block = BLOCK.search(style) is not None or (parent is not None and parent.has_gaps)
    has_gaps = ROW.search(style) is not None and GAP.search(style) is not None
    return _Opened(name, is_apart=is_block and name in INLINE, has_gaps=has_gaps)


def _close(opened: list[_Opened], name: str) -> bool:
    """Close an element with those in it that have no end, and return whether it is set apart."""
    for back in range(1, min(MAX_UNCLOSED, len(opened)) + 1):
        if opened[-back].name == name:
            found = opened[-back]
            del opened[-back:]
            return found.is_apart
    return False
