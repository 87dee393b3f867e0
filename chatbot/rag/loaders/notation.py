"""Markdown notation: made from HTML, for the formats that are HTML or become it on the way, and its first heading."""

import re

from chatbot.rag.errors import UnreadableDocument

from . import plain

MAX_DEPTH = 250  # elements in one another
MAX_TITLE_OFFSET = 20_000  # characters in which a title is looked for
HEADING = re.compile(r" {0,3}#[ \t]+(.*)")
FENCES = ("```", "~~~")


def from_html(html: str) -> str:
    """Return the visible text of a page with its headings, lists, tables and code marked.

    Raises UnreadableDocument when elements are nested too deep to be read.
    """
    from html_to_markdown import ConversionOptions, WarningKind, convert

    options = ConversionOptions(
        autolinks=False,
        bullets="-",
        compact_tables=True,
        extract_metadata=False,  # it would write the page's head before the text
        highlight_style="none",
        max_depth=MAX_DEPTH,
        newline_style="backslash",
        skip_images=True,
    )
    result = convert(html, options)
    if any(warning.kind == WarningKind.DEPTH_LIMIT_EXCEEDED for warning in result.warnings):
        raise UnreadableDocument("The document's elements are nested too deep to be read.")
    return plain.clean(result.content or "")


def first_heading(text: str) -> str | None:
    """Return the first heading of level 1 near the text's beginning, code left out."""
    in_code = False
    for line in text[:MAX_TITLE_OFFSET].split("\n"):
        if line.lstrip(" ").startswith(FENCES):
            in_code = not in_code
        heading = None if in_code else HEADING.match(line)
        if heading:
            return heading[1].rstrip(" \t#") or None
    return None
