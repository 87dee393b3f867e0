"""HTML pages: their visible text, in Markdown notation."""

import re
from collections.abc import Iterator
from html import unescape

from chatbot.rag.text.markdown import first_heading
from chatbot.rag.types import Parsed

from . import html_layout, html_markup, notation, plain
from .formulas.pages import replace_formulas

DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*+(?:["']\s*+)?([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
DECLARED_WITHIN = 100_000  # bytes; the standard asks for 1,024 (HTML, 4.2.5.4), and browsers read on
XML_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9_:.-]{1,40})""")
DRAWN = re.compile(r"<(/?)(svg|text|foreignobject)\b([^<>]*+)>", re.IGNORECASE)
TITLE = re.compile(r"<title(?:\s[^>]{0,200})?>([^<]{1,1000})", re.IGNORECASE)


class HtmlLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the page's text; raises UnreadableDocument when it has none or is nested too deep."""
        with plain.reading("HTML"):
            text, title = read(data)
            return plain.parsed(text, title)


def read(data: bytes, charset: str | None = None) -> tuple[str, str | None]:
    """Return the text of a page and its title; a charset told with it outranks the one that it declares."""
    page = plain.decode(data, charset or _declared(data[:DECLARED_WITHIN]))
    sheets: list[str] = []
    marked = replace_formulas(html_markup.without_unread(page, sheets=sheets))
    shown = html_markup.part_styled(_with_drawn_text(marked), html_markup.read_styles(sheets))
    text = notation.from_html(html_layout.prepare(shown))
    return text, _title(page) or first_heading(text)


def _declared(head: bytes) -> str | None:
    """Return the charset of the first meta element outside of comments, or of the XML declaration."""
    found = next((found for part in _without_comments(head) if (found := DECLARED.search(part))), None)
    found = found or XML_DECLARED.match(head)
    return found[1].decode("ascii").lower() if found else None


def _without_comments(head: bytes) -> Iterator[bytes]:
    first, *rest = head.split(b"<!--")
    yield first
    for part in rest:
        yield part.partition(b"-->")[2]


def _title(page: str) -> str | None:
    found = TITLE.search(page)
    return unescape(found[1]).strip() if found else None


def _with_drawn_text(page: str) -> str:
    """Return a page with the texts of its SVG drawings in the place of these, unless one of them has no end."""
    parts = []
    end = 0
    drawings = 0  # that are open, and texts in them
    texts = 0
    for tag in DRAWN.finditer(page):
        if not drawings or texts:
            parts.append(page[end : tag.start()])
        end = tag.end()
        step = _depth_step(tag)
        if tag[2].lower() == "svg":
            drawings = max(0, drawings + step)
        elif drawings:
            texts = max(0, texts + step)
            parts.append(" ")
        else:
            parts.append(tag[0])
    return page if drawings else "".join([*parts, page[end:]])


def _depth_step(tag: re.Match[str]) -> int:
    if tag[3].endswith("/"):
        return 0
    return -1 if tag[1] else 1
