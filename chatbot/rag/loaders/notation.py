"""Markdown notation: made from HTML, for the formats that are HTML or become it on the way."""

import itertools
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

RAISED = re.compile(
    r"(?<=[^\s<>])((?:</(?:b|i|em|strong|span|var)>){0,3})<sup(?:\s[^<>]{0,200})?>([+\u2212-]?\d{1,4})</sup>",
    re.IGNORECASE,
)
# Emphasis around or within a raised or lowered word, whose marks would part it from the word before it.
MARKED_SCRIPT = re.compile(
    r"<(b|i|em|strong)(?:\s[^<>]{0,200})?>(<(su[bp])(?:\s[^<>]{0,200})?>[^<>]{1,40}</\3>)</\1>|"
    r"(<(su[bp])(?:\s[^<>]{0,200})?>)<(b|i|em|strong)(?:\s[^<>]{0,200})?>([^<>]{1,40})</\6>(?=</\5>)",
    re.IGNORECASE,
)
MAX_MARKS = 3  # around one another
DIGITS = "0123456789"
SUPERSCRIPTS = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
# Units, variables, their products and functions: behind another word ("to", "TV") a number is that of a note.
SYMBOL = re.compile(
    r"[A-Za-z\u0370-\u03ff]|[b-df-hj-np-tv-xz][B-DF-HJ-NP-TV-XZb-df-hj-np-tv-xz]{1,2}|mi|yd|sin|cos|tan"
)


def raise_numbers(page: str) -> str:
    """Return a page of HTML with its raised numbers as characters, or as numbers of notes in brackets."""
    for _ in range(MAX_MARKS):
        page, count = MARKED_SCRIPT.subn(lambda found: found[2] or found[4] + found[7], page)
        if not count:
            break
    return RAISED.sub(_raise, page)


def _raise(found: "re.Match[str]") -> str:
    return found[1] + format_raised(found.string[max(0, found.start() - 5) : found.start()], found[2])


def format_raised(before: str, number: str) -> str:
    """Return a raised number as an exponent of a number, a bracket or a short symbol, or as the number of a note.

    `before` ends with the text that it stands behind.
    """
    word = "".join(itertools.takewhile(str.isalnum, reversed(before[-5:])))
    is_year = len(word) == 4 and word.isdecimal()
    is_symbol = SYMBOL.fullmatch(word[::-1].lstrip(DIGITS)) is not None
    is_power = before[-1] in ")]" or is_symbol or (word.isdecimal() and not is_year)
    return number.translate(SUPERSCRIPTS) if is_power or not number.isdecimal() else f"[{number}]"


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
