"""What of Markdown and HTML makes a client fetch, and what it is replaced by.

Markdown as in CommonMark 0.31: inline images, reference images, raw HTML; tags as in the HTML standard.
"""

import re

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

BEGINNING = re.compile(r"<[A-Za-z/!?]")
TAG = re.compile(r"<(?=[A-Za-z/!?])[^<>]*>")
_UNCLOSED = re.compile(r"<(?=[A-Za-z/!?])(?![^<>]*>)")
_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_BARE = re.compile(r"</?[A-Za-z][\w-]*(?:\s+[\w-]+)*\s*/?>")
_ATTRIBUTE = r"""\s+[\w:@.-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?"""
_WELL_FORMED = re.compile(rf"<(?:[!?/]|[A-Za-z][\w-]*(?:{_ATTRIBUTE})*\s*/?>)")
_ANCHOR = re.compile(r"""<a(?:\s+(?:href|title)=(?:"[^"`\[]*"|'[^'`\[]*'))*\s*>""", re.IGNORECASE)
_ADDRESS = re.compile(r"<(?:(?:https?|mailto|ftp|tel):[^\s<>`\[]*|[^\s<>@`\[/!?]+@[^\s<>`\[]+)>", re.IGNORECASE)
_ALT_ATTRIBUTE = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_ACTIVE = re.compile(r"[\[\]<>`~\\]")


def plain(text: str) -> str:
    """Return visible text without any character that Markdown or HTML would act on."""
    return _ACTIVE.sub("", text)


def harmless(tag: str) -> bool:
    """Tell whether a whole tag, from `<` to `>`, makes no client fetch anything.

    That is one outside the list that fetch, with no attribute that has a value; a link with nothing but its target
    and title; an address in angle brackets.
    """
    if _ANCHOR.fullmatch(tag) or ("=" not in tag and _ADDRESS.fullmatch(tag)):
        return True
    return _BARE.fullmatch(tag) is not None and not _fetches(tag)


def without_tag(tag: str) -> str:
    """Return what is shown in place of a whole tag that is not harmless: its alternative text, or nothing.

    What only looks like a tag keeps its text, with a space behind the bracket: then it is none.
    """
    if _ADDRESS.fullmatch(tag):
        return tag[1:-1]  # inside of HTML what follows a slash would be an attribute
    if not _fetches(tag) and not _WELL_FORMED.match(tag):
        return broken(tag)
    alt = _ALT_ATTRIBUTE.search(tag)
    return plain(alt[1] or alt[2] or "") if alt else ""


def broken(tag: str) -> str:
    """Return a tag as text: a space behind the bracket makes it none."""
    return f"< {tag[1:]}".replace("![", "! [")


def defused(code: str) -> str:
    """Return what is probably code with each image and each tag that fetches broken, and all else as it is."""
    code = _UNCLOSED.sub("< ", code.replace("![", "! ["))
    return TAG.sub(lambda found: found[0] if harmless(found[0]) else broken(found[0]), code)


def _fetches(tag: str) -> bool:
    name = _NAME.match(tag)
    return name is not None and name[1].lower() in FETCHING
