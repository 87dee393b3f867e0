"""The markup of HTML pages: comments, scripts, frames, characters of tags in attributes, and styles.

Of a page's own style sheets the rules for a name, a class or an id alone count, and of these the display: elements that
are not shown, and those that are parted from the words beside them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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
_ROWS = {"tr", "tbody", "tfoot"}
ENDED_BY = {  # elements whose ends may be left out, by those that begin behind them (HTML, 13.1.2.4)
    "li": {"li"},
    "option": {"option", "optgroup"},
    "dt": {"dt", "dd"},
    "dd": {"dt", "dd"},
    "td": {"td", "th", *_ROWS},
    "th": {"td", "th", *_ROWS},
    "tr": _ROWS,
    "p": {"p", "div", "ul", "ol", "dl", "table", "pre", "section", "blockquote", "h1", "h2", "h3", "h4", "hr"},
}
MAX_UNCLOSED = 8  # elements without an end in one that ends
CSS_COMMENT = re.compile(r"/\*(?:[^*]++|\*(?!/))*+(?:\*/)?")
CSS_BRACE = re.compile("([{}])")
MAX_NESTING = 20  # of rules in one another, in a sheet that is read to its end
MAX_RULES = 20  # of a selector that count, the last ones
MAX_SHOWING = 50  # selectors of several parts that show elements, for one of their parts
DISPLAY = re.compile(r"(?<![\w-])display\s{0,9}:\s{0,9}([a-z-]{1,40})(\s{0,9}!\s{0,9}important)?", re.IGNORECASE)
SIMPLE_SELECTOR = re.compile(r"[.#]?[\w-]{1,200}")
COMBINATOR = re.compile(r"[\s>+~]")
SELECTOR_PART = re.compile(r"[.#]?[\w-]{1,200}")
PSEUDO = re.compile(r"::?[\w-]{1,50}|\[[^\]]{0,200}\]")
DYNAMIC = re.compile(r":(?:hover|focus|active|target|checked)\b")  # that a page has when it is used
OTHER_MEDIA = re.compile(r"print|speech|aural", re.IGNORECASE)
ROOTS = {"html", "body"}  # which a script shows when all is there
MAX_NOSCRIPT = 5_000  # characters in which the beginning of a page without scripts is looked for


def without_unread(page: str, depth: int = MAX_FRAMES, sheets: list[str] | None = None) -> str:
    """Return a page without comments, scripts and styles, with frames in their places and no tags in attributes.

    It stays as it is from a comment, a script or a style on that has no end. Style sheets are added to `sheets`.
    """
    parts: list[str] = []
    end = 0
    while found := MARKUP.search(page, end):
        parts.append(page[end : found.start()])
        stop = _find_end(page, found)
        if stop is None or not (found[3] or found[1] is None):
            end = found.start()
            break
        if sheets is not None and found[1] and found[1].lower() == "style" and _is_for_screens(page, found):
            sheets.append(page[found.end() : page.rfind("<", found.end(), stop)])
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


def _is_for_screens(page: str, style: re.Match[str]) -> bool:
    """Return whether a style sheet is for screens and for pages with running scripts."""
    before = page[max(0, style.start() - MAX_NOSCRIPT) : style.start()].lower()
    is_without_scripts = before.rfind("<noscript") > before.rfind("</noscript")
    media = html_layout.attributes(style[2]).get("media", "")
    return not is_without_scripts and OTHER_MEDIA.search(media) is None


@dataclass(slots=True)
class Styles:
    """The displays that style sheets give to names, `.classes` and `#ids`, with the number of each rule."""

    rules: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    shown: dict[str, set[frozenset[str]]] = field(default_factory=dict)  # parts of others that show, by the last part
    count: int = 0

    def add(self, selectors: str, declarations: str, is_conditional: bool) -> None:
        """Add a rule, unless it says nothing about the display."""
        display = DISPLAY.search(declarations)
        if display is None:
            return
        self.count += 1
        for selector in map(str.strip, selectors.split(",")):
            if SIMPLE_SELECTOR.fullmatch(selector) and not is_conditional:
                rules = self.rules.setdefault(selector, [])
                rules[:] = [*rules[1 - MAX_RULES :], (self.count, declarations)]
            elif display[1].lower() != "none" and not DYNAMIC.search(selector):
                self._add_shown(SELECTOR_PART.findall(PSEUDO.sub("", COMBINATOR.split(selector)[-1])))

    def _add_shown(self, parts: list[str]) -> None:
        if parts:
            shown = self.shown.setdefault(parts[-1], set())
            shown.add(frozenset(parts if len(shown) < MAX_SHOWING else parts[-1:]))

    def read(self, name: str, values: dict[str, str]) -> tuple[str, bool]:
        """Return the declarations for an element, its own last, and True where the sheets hide it."""
        classes = values.get("class", "").split()
        selectors = [name, *(f".{one}" for one in classes), f"#{values.get('id', '')}"]
        rules = [
            (selector[0] == "#", selector[0] == ".", *rule)
            for selector in selectors
            for rule in self.rules.get(selector, ())
        ]
        style = ";".join([*(declarations for *_, declarations in sorted(rules)), values.get("style", "")])
        displays = DISPLAY.findall(style)
        important = [display for display, mark in displays if mark]
        is_hidden = bool(displays) and "none" in map(str.lower, [displays[-1][0], *important])
        if name in ROOTS or not is_hidden:
            return style, False
        shown = (parts for selector in selectors for parts in self.shown.get(selector, ()))
        return style, not any(parts.issubset(selectors) for parts in shown)


def read_styles(sheets: Iterable[str]) -> Styles:
    """Return the displays that style sheets give to elements."""
    styles = Styles()
    for sheet in sheets:
        opened: list[str] = []
        text = ""
        for part in CSS_BRACE.split(CSS_COMMENT.sub("", sheet)):
            if part == "{" and len(opened) < MAX_NESTING:
                opened.append(text.rpartition(";")[2].strip())
            elif part == "{":
                break
            elif part == "}" and opened:
                _add_rule(styles, opened, text)
            text = part
    return styles


def _add_rule(styles: Styles, opened: list[str], declarations: str) -> None:
    selectors = opened.pop()
    if not selectors.startswith("@") and not any(map(OTHER_MEDIA.search, opened)):
        styles.add(selectors, declarations, is_conditional=bool(opened))


def part_styled(page: str, styles: Styles) -> str:
    """Return a page with blanks around inline elements that their style, or that of the one around them, sets apart.

    Elements that its style sheets hide are marked as hidden. In text whose lines are shown as they are, elements that
    are set apart are lines.
    """
    if not styles.rules and "display" not in page.lower():
        return page
    return _StyledPage(styles).read(page)


class _StyledPage:
    def __init__(self, styles: Styles) -> None:
        self._styles = styles
        self._parts: list[str] = []
        self._opened: list[_Opened] = []
        self._is_line_start = False  # of text whose lines are shown as they are

    def read(self, page: str) -> str:
        """Return a page with the marks and blanks of its styles."""
        end = 0
        for tag in ELEMENT.finditer(page):
            text = page[end : tag.start()]
            end = tag.end()
            self._parts.append(text)
            self._is_line_start = text.endswith("\n") if text else self._is_line_start
            if tag[1]:
                self._close(tag)
            else:
                self._open(tag)
        return "".join([*self._parts, page[end:]])

    def _open(self, tag: re.Match[str]) -> None:
        name = tag[2].lower()
        self._end_hidden(lambda last: name in ENDED_BY.get(last, ()))
        element = _open(name, tag[3], self._opened[-1] if self._opened else None, self._styles)
        is_open = name not in VOID and not tag[3].endswith("/")
        blank = ""
        if is_open:
            self._opened.append(element)
            blank = element.find_blank(self._is_line_start)
        self._is_line_start = self._is_line_start or name in {"pre", "br"} or blank == "\n"
        self._parts += [blank, f"<{tag[2]} hidden{tag[3]}>" if element.is_hidden else tag[0]]

    def _end_hidden(self, is_ended: Callable[[str], bool]) -> None:
        """Write the end of a hidden element that the page leaves out, which the converter would not find."""
        if self._opened and self._opened[-1].is_hidden and is_ended(self._opened[-1].name):
            self._parts.append(f"</{self._opened.pop().name}>")

    def _close(self, tag: re.Match[str]) -> None:
        self._end_hidden(lambda last: last in ENDED_BY and last != tag[2].lower())
        closed = _close(self._opened, tag[2].lower())
        is_apart = closed is not None and closed.is_apart and not closed.is_verbatim
        self._parts += [tag[0], " " if is_apart else ""]


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open element: whether it is set apart, whether its children are, and whether it is hidden."""

    name: str
    is_apart: bool
    has_gaps: bool
    is_hidden: bool
    is_verbatim: bool  # lines in it are shown as they are

    def find_blank(self, is_line_start: bool) -> str:
        """Return the blank or the end of a line before it."""
        if not self.is_apart:
            return ""
        if self.is_verbatim:
            return "" if is_line_start else "\n"
        return " "


def _open(name: str, attributes: str, parent: _Opened | None, styles: Styles) -> _Opened:
    is_styled = bool(styles.rules) or "style" in attributes.lower()
    values = html_layout.attributes(attributes) if is_styled else {}
    style, is_hidden = styles.read(name, values)
    is_block = BLOCK.search(style) is not None or (parent is not None and parent.has_gaps)
    has_gaps = ROW.search(style) is not None and GAP.search(style) is not None
    return _Opened(
        name,
        is_apart=is_block and name in INLINE,
        has_gaps=has_gaps,
        is_hidden=is_hidden,
        is_verbatim=name == "pre" or (parent is not None and parent.is_verbatim),
    )


def _close(opened: list[_Opened], name: str) -> _Opened | None:
    """Close an element with those in it that have no end, and return it; None for one that was not open."""
    for back in range(1, min(MAX_UNCLOSED, len(opened)) + 1):
        if opened[-back].name == name:
            found = opened[-back]
            del opened[-back:]
            return found
    return None
