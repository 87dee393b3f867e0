"""HTML pages: their visible text, in Markdown notation."""

import re
from html import unescape

from chatbot.rag.text.markdown import MAX_TITLE_OFFSET, first_heading
from chatbot.rag.types import Parsed

from . import notation, plain

DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*+(?:["']\s*+)?([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
DECLARED_WITHIN = 1_024  # bytes (HTML, 4.2.5.4)
LATIN = {"iso-8859-1", "latin1", "us-ascii", "ascii"}  # Windows-1252 in the web (WHATWG Encoding, 4.2)
TITLE = re.compile(r"<title(?:\s[^>]{0,200})?>([^<]{1,1000})", re.IGNORECASE)


class HtmlLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the page's text; raises UnreadableDocument when it has none or is nested too deep."""
        with plain.reading("HTML"):
            page = plain.decode(data, _declared(data[:DECLARED_WITHIN]))
            text = notation.from_html(page)
            return plain.parsed(text, _title(page[:MAX_TITLE_OFFSET]) or first_heading(text))


def _declared(head: bytes) -> str | None:
    found = DECLARED.search(head)
    name = found[1].decode("ascii").lower() if found else None
    return "cp1252" if name in LATIN else name


def _title(head: str) -> str | None:
    found = TITLE.search(head)
    return unescape(found[1]).strip() if found else None
