"""Markdown and HTML that make a client fetch, and their replacements.

Markdown as in CommonMark 0.31: inline images, reference images, raw HTML; tags as in the HTML standard.
"""

import re

from . import links

# Elements that fetch, or whose content is not read as text; any other can fetch by an attribute's value alone.
_FETCHING = (
    "applet audio base bgsound embed frame frameset iframe image img input link math meta noembed noframes noscript"
    " object picture plaintext pre script source style svg template textarea title track use video xmp"
)
FETCHING = frozenset(_FETCHING.split())

_ALT = r"(?P<alt>(?:[^\[\]\\]|\\.|\[[^\[\]]*\])*+)"
_SPACE = r"[ \t]"
_DESTINATION = r"(?:<[^<>]*>|(?!<)[^\s()]*+(?:\([^\s()]*\)[^\s()]*+)*+)"
_TITLE = r"(?:\"[^\"]*\"|'[^']*'|\([^()]*\))"
# Possessive, and with a title alone as an alternative of its own: no white space is read twice.
_TARGET = rf"{_SPACE}*+(?:{_DESTINATION}(?:{_SPACE}++{_TITLE})?|(?<={_SPACE}){_TITLE}){_SPACE}*+"
IMAGE = re.compile(rf"!\[{_ALT}\](?:\({_TARGET}\)|\[[^\[\]]*\])")
NO_IMAGE = re.compile(rf"!\[{_ALT}\][^(\[]")
OPEN_IMAGE = re.compile(rf"!\[{_ALT}\]\({_SPACE}*\S*")

# The characters at which a construct may begin or end, by the kind of text.
SPECIAL = {
    "text": re.compile(r"[\[\](!<【`~\n]"),
    "span": re.compile(r"[\[\]!<【`|\n]"),
    "fence": re.compile(r"\n"),
    "doubtful fence": re.compile(r"[\[\](!<\n]"),
}
CELL_OR_CODE_TAG = re.compile(r"[|`]|</?(?:code|pre)\b", re.IGNORECASE)  # what some readers find before code spans
BEGINNING = re.compile(r"<[A-Za-z/!?]")
MAYBE_TAG = re.compile(r"<(?:[A-Za-z/!?][^<>\n]*)?")
TAG = re.compile(r"<(?=[A-Za-z/!?])[^<>]*>")
_UNCLOSED = re.compile(r"<(?=[A-Za-z/!?])(?![^<>]*>)")
_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_BARE = re.compile(r"</?[A-Za-z][\w-]*(?:\s+[\w-]+)*\s*/?>")
_ATTRIBUTE = r"""\s+[\w:@.-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?"""
_WELL_FORMED = re.compile(rf"<(?:[!?/]|[A-Za-z][\w-]*(?:{_ATTRIBUTE})*\s*/?>)")
_ANCHOR = re.compile(r"""<a(?:\s+(?:href|title)=(?:"[^"`\[\]]*"|'[^'`\[\]]*'))*\s*>""", re.IGNORECASE)
_ANCHOR_VALUE = re.compile(r"""(?<!\s)\s++(href|title)=(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_ADDRESS = re.compile(r"<(?:(?:https?|mailto):[^\s<>`\[\]]*|[^\s<>@`\[\]/!?:]+@[^\s<>`\[\]]+)>", re.IGNORECASE)
_ALT_ATTRIBUTE = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_ACTIVE = re.compile(r"[\[\]<>`~\\]")


def plain(text: str) -> str:
    """Return visible text without any character that Markdown or HTML would act on."""
    return _ACTIVE.sub("", text)


def harmless(tag: str) -> bool:
    """Return whether a whole tag, from `<` to `>`, makes no client fetch anything.

    That is one outside the list that fetch, with no attribute that has a value; a link with nothing but an allowed
    destination and a title; an address in angle brackets.
    """
    if _ANCHOR.fullmatch(tag):
        values = _ANCHOR_VALUE.findall(tag)
        return all(links.is_allowed(double or single) for name, double, single in values if name.lower() == "href")
    if "=" not in tag and _ADDRESS.fullmatch(tag):
        return True
    return _BARE.fullmatch(tag) is not None and not _fetches(tag)


def without_tag(tag: str) -> str | None:
    """Return the replacement of a dangerous tag: its alternative text, or nothing.

    None for what only looks like a tag: a space behind the bracket, and it is text.
    """
    if _ADDRESS.fullmatch(tag):
        return tag[1:-1]  # inside of HTML what follows a slash would be an attribute
    if not _fetches(tag) and not _WELL_FORMED.match(tag):
        return None
    alt = _ALT_ATTRIBUTE.search(tag)
    return plain(alt[1] or alt[2] or "") if alt else ""


def defused(code: str) -> str:
    """Break images, tags that fetch and refused links in probable code, and keep the rest."""
    code = _UNCLOSED.sub("< ", links.defuse(code.replace("![", "! [")))
    return TAG.sub(lambda found: found[0] if harmless(found[0]) else f"< {found[0][1:]}", code)


def defused_fence(line: str) -> str:
    """Return the line of a doubtful fence; Showdown writes its info string unescaped into an attribute."""
    return defused(line).replace('"', "'").replace("]:", "] :")


def _fetches(tag: str) -> bool:
    name = _NAME.match(tag)
    return name is not None and name[1].lower() in FETCHING
