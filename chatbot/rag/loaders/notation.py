"""Markdown notation: made from HTML, for the formats that are HTML or become it on the way."""

import re

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.text.markdown import replace_outside_code

from . import plain

MAX_DEPTH = 250  # elements in one another
# A number or a dash at the beginning of a paragraph is escaped by the converter, so that it makes no list.
ESCAPED_MARKER = re.compile(r"^(\d{1,9}|(?=\\[-+] ))\\([.)+-])", re.MULTILINE)

# The mark of a link to a heading itself, as manuals have it beside each, or from a note back to its place.
_TARGET = r"\(#[^()\[\s]{0,200}+(?: \"[^\"\n]{0,200}\")?\)"
_MARK = rf"\[[¶#§↑↩⤴^]\ufe0e?\]{_TARGET}"
PERMALINK = re.compile(rf" ?{_MARK}$|(?<= ){_MARK} |{_MARK}", re.MULTILINE)
NOTE_NUMBER = re.compile(rf"`[^`\n]*+`?|\[(\[?)(\d{{1,4}})\]?\]{_TARGET}")  # or code, which has none


def from_html(html: str) -> str:
    """Return the visible text of a page with its headings, lists, tables and code marked.

    Raises UnreadableDocument when elements are nested too deep to be read.
    """
    from html_to_markdown import ConversionOptions, PreprocessingOptions, WarningKind, convert

    options = ConversionOptions(
        autolinks=False,
        bullets="-",
        compact_tables=True,
        extract_metadata=False,  # it would write the page's head before the text
        highlight_style="none",
        include_blockquote_citations=False,  # the address of a quote's source, which no page shows
        preprocessing=PreprocessingOptions(remove_forms=False),
        max_depth=MAX_DEPTH,
        newline_style="spaces",
        skip_images=True,
    )
    result = convert(html, options)
    if any(warning.kind == WarningKind.DEPTH_LIMIT_EXCEEDED for warning in result.warnings):
        raise UnreadableDocument("The document's elements are nested too deep to be read.")
    return replace_outside_code(plain.clean(result.content or ""), _clean_prose)


def _clean_prose(text: str) -> str:
    return NOTE_NUMBER.sub(_format_note_number, PERMALINK.sub("", ESCAPED_MARKER.sub(r"\1\2", text)))


def _format_note_number(found: re.Match[str]) -> str:
    """Return the number of a note in brackets, where its link had them or stands at a word; else the link's text."""
    if not found[2]:
        return found[0]
    before = found.string[max(0, found.start() - 1) : found.start()]
    return f"[{found[2]}]" if found[1] or before.strip(" \n(|") else found[2]
