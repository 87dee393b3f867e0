"""Pages as a browser shows them, where a converter loses something: fields, tables of layout, marked parts of words."""

import re
from html import unescape

from chatbot.rag.text.unspaced import WITHOUT_SPACES

from . import notation
from .docx_numbering import format_number

TAG = re.compile(
    r"<(/?)(table|tr|td|th|tbody|thead|tfoot|h[1-6]|pre|listing|input|select|datalist|dialog|header|abbr|ol|ul|menu|li|template)\b([^<>]*+)>",
    re.IGNORECASE,
)
ATTRIBUTE = re.compile(r"""([^\s"'<>/=]{1,200}+)(?:\s{0,9}+=\s{0,9}+(?:"([^"]*+)"?|'([^']*+)'?|([^\s"'>]{1,200}+)))?""")
# Emphasis, and tags beside it that no reader sees.
EMPHASIS = re.compile(r"<(/?)(b|i|em|strong|span|font|u)(?:\s[^<>]*+)?>", re.IGNORECASE)
MARKED = {"b", "i", "em", "strong"}
# A link around a picture or an icon, whose text would be its address.
PICTURE_LINK = re.compile(
    r"<a\b[^<>]*+>((?:\s{1,99}+|<(?!/?(?:a|input|select|textarea)\b)[^<>]*+>){0,20}+)</a>", re.IGNORECASE
)
# Lines are shown as they are in these elements, and where a page asks for it.
VERBATIM = re.compile(r"<(/?)(?:pre|textarea|listing|xmp)\b[^<>]*+>", re.IGNORECASE)
PRESERVED = re.compile(
    r"""style\s{0,9}=\s{0,9}["'][^"'<>]{0,500}?white-space\s{0,9}:\s{0,9}(?:pre|break)""", re.IGNORECASE
)
_WIDE = rf"{WITHOUT_SPACES}\u3001-\u303f\uff01-\uff60"
WRAPPED_WIDE = re.compile(rf"(?<=[{_WIDE}])\n[ \t]{{0,200}}(?=[{_WIDE}])")
WRAPPED = re.compile(r"(?<=[^\s<>])[ \t]?\n[ \t]{0,200}(?=\S)|(?<=>)\n[ \t]{0,200}(?=[^\s<])")
QUOTE = re.compile(r"</?blockquote\b[^<>]*+>", re.IGNORECASE)
MAX_QUOTES = 50  # on a page; more are mails that quote one another, and their marks are left out
CELLS = {"td", "th"}
TABLE_PARTS = {*CELLS, "table", "tr", "thead", "tbody", "tfoot"}
LISTS = {"ol", "ul", "menu"}
LIST_STYLE = re.compile(r"list-style(?:-type)?\s{0,9}:\s{0,9}([a-z-]{1,30})", re.IGNORECASE)
LIST_TYPES = {"a": "lower-alpha", "A": "upper-alpha", "i": "lower-roman", "I": "upper-roman"}
FORMATS = {  # of numbers in lists, as Word calls them; other styles are decimal
    "lower-alpha": "lowerLetter", "lower-latin": "lowerLetter", "upper-alpha": "upperLetter",
    "upper-latin": "upperLetter", "lower-roman": "lowerRoman", "upper-roman": "upperRoman",
}  # fmt: skip
UNNUMBERED = {"none", "disc", "circle", "square"}
INTEGER = re.compile(r"-?\d{1,9}")
FIRST_PARAGRAPH = re.compile(r"\s{0,200}+<(?:p|div)\b[^<>]*+>", re.IGNORECASE)
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
BLOCKS = {*HEADINGS, "table"}  # in a cell they make its table one of layout
# Names that the converter has another reading for; a reader sees the title of an `abbr` when pointing at it.
RENAMED = {"abbr": "span", "listing": "pre"}
HIDDEN = re.compile(r"\b(?:hidden|none)\b", re.IGNORECASE)
HIDDEN_STYLE = re.compile(r"(?:^|[;\s])display\s{0,9}:\s{0,9}none", re.IGNORECASE)
UNSHOWN = {"hidden", "password", "submit", "button", "reset", "image", "file"}
TICKS = {"checkbox", "radio"}


def prepare(page: str) -> str:
    """Return a page with the texts of its fields, labels of its lists, and tables of layout as blocks in order."""
    page = PICTURE_LINK.sub(lambda link: " " if link[1] else "", page)
    page = notation.raise_numbers(page)
    page = _remove_marks_in_words(_join_source_lines(page))
    if page.lower().count("<blockquote") > MAX_QUOTES:
        page = QUOTE.sub("\n", page)
    tags = list(TAG.finditer(page))
    as_blocks = _find_layout_tags(tags) | _find_titled_headers(tags) | _find_shadow_roots(tags)
    changed = {**{number: _rename(tags[number], "div") for number in as_blocks}, **_label_lists(tags)}
    parts = []
    end = 0
    for number, tag in enumerate(tags):
        parts.append(page[end : tag.start()])
        end = tag.end()
        block, mark, label = changed[number].rpartition(">") if number in changed else ("", "", _format_tag(tag))
        paragraph = FIRST_PARAGRAPH.match(page, end) if mark and label else None
        if paragraph:
            end = paragraph.end()
        parts += [block, mark, paragraph[0] if paragraph else "", label]
    parts.append(page[end:])
    return "".join(parts)


def _join_source_lines(page: str) -> str:
    """Return a page without the ends of lines of its source, which a browser shows as a space or not at all."""
    if PRESERVED.search(page):
        return page
    parts = []
    end = 0
    open_elements = 0
    for tag in VERBATIM.finditer(page):
        part = page[end : tag.start()]
        parts += [part if open_elements else _join_lines(part), tag[0]]
        open_elements = max(0, open_elements + (-1 if tag[1] else 1))
        end = tag.end()
    return "".join([*parts, page[end:] if open_elements else _join_lines(page[end:])])


def _join_lines(text: str) -> str:
    return WRAPPED.sub(" ", WRAPPED_WIDE.sub("", text))


def _remove_marks_in_words(page: str) -> str:
    """Return a page without emphasis that begins or ends inside a word, which would keep the word from being found."""
    tags = list(EMPHASIS.finditer(page))
    inside = _list_inside_words(page, tags)
    opened: dict[str, list[int]] = {}
    dropped: set[int] = set()
    for number, tag in enumerate(tags):
        name = tag[2].lower()
        if name not in MARKED:
            continue
        if not tag[1]:
            opened.setdefault(name, []).append(number)
        elif opened.get(name):
            pair = {opened[name].pop(), number}
            dropped |= pair if pair & inside else set()
    parts = []
    end = 0
    for number in sorted(dropped):
        parts.append(page[end : tags[number].start()])
        end = tags[number].end()
    return "".join([*parts, page[end:]])


def _list_inside_words(page: str, tags: "list[re.Match[str]]") -> set[int]:
    """Return the numbers of the tags that stand between two letters, with others of them or alone."""
    found: set[int] = set()
    first = 0
    for number, tag in enumerate(tags):
        if number and tags[number - 1].end() != tag.start():
            first = number
        after = page[tag.end() : tag.end() + 1]
        before = page[max(0, tags[first].start() - 1) : tags[first].start()]
        if before.isalnum() and after.isalnum():
            found.update(range(first, number + 1))
    return found


def _format_tag(tag: "re.Match[str]") -> str:
    """Return a tag as it is, a field as its value, suggestions for a field and a closed dialog as hidden.

    Chromium has the options of a `datalist` neither in `innerText` nor in find-in-page: they appear while a reader
    types. The text of a closed `details` is found in the page, and the search opens it: it is kept.
    """
    name = tag[2].lower()
    if name == "input":
        return _format_value(tag[3])
    if name == "select":
        return f"{tag[0]} " if tag[1] else f" {tag[0]}"
    if name in RENAMED:
        return _rename(tag, RENAMED[name])
    if name == "datalist":
        return "</span>" if tag[1] else "<span hidden>"
    if name == "dialog":
        return _rename(tag, "div") if tag[1] or "open" in attributes(tag[3]) else "<div hidden>"
    return tag[0]


def _rename(tag: "re.Match[str]", name: str) -> str:
    """Return a tag of another element, which is hidden where its own was."""
    values = attributes(tag[3]) if not tag[1] and HIDDEN.search(tag[3]) else {}
    is_hidden = "hidden" in values or HIDDEN_STYLE.search(values.get("style", "")) is not None
    return f"<{name} hidden>" if is_hidden else f"<{tag[1]}{name}>"


def _find_layout_tags(tags: "list[re.Match[str]]") -> set[int]:
    """Return the numbers of the tags of tables with headings or tables in their cells."""
    found: set[int] = set()
    open_tables: list[_Table] = []
    for number, tag in enumerate(tags):
        name = tag[2].lower()
        if open_tables and not tag[1] and (name in BLOCKS or (name == "pre" and _has_lines(tag))):
            open_tables[-1].is_layout = True
        if name == "table" and not tag[1]:
            open_tables.append(_Table())
        if open_tables and name in TABLE_PARTS:
            open_tables[-1].tags.append(number)
        if name == "table" and tag[1] and open_tables:
            table = open_tables.pop()
            found.update(table.tags if table.is_layout else ())
    return found


def _has_lines(tag: "re.Match[str]") -> bool:
    """Return whether an element without lines of a table's own, such as `pre`, has several."""
    end = VERBATIM.search(tag.string, tag.end())
    text = tag.string[tag.end() : end.start() if end else len(tag.string)].strip()
    return "\n" in text or "<br" in text.lower()


def _find_titled_headers(tags: "list[re.Match[str]]") -> set[int]:
    """Return the numbers of the tags of headers with headings, which the converter may take for navigation."""
    found: set[int] = set()
    open_headers: list[int] = []
    known = 0  # of these, that are found
    for number, tag in enumerate(tags):
        name = tag[2].lower()
        if name in HEADINGS:
            found.update(open_headers[known:])
            known = len(open_headers)
        elif name == "header" and not tag[1]:
            open_headers.append(number)
        elif name == "header" and open_headers:
            if open_headers.pop() in found:
                found.add(number)
            known = min(known, len(open_headers))
    return found


def _find_shadow_roots(tags: "list[re.Match[str]]") -> set[int]:
    """Return the numbers of the tags of templates that are shown in their place (HTML, 4.12.3)."""
    found: set[int] = set()
    opened: list[int] = []
    for number, tag in enumerate(tags):
        if tag[2].lower() == "template" and not tag[1]:
            opened.append(number)
        elif tag[2].lower() == "template" and opened:
            first = opened.pop()
            found.update({first, number} if "shadowrootmode" in attributes(tags[first][3]) else ())
    return found


def _label_lists(tags: "list[re.Match[str]]") -> dict[int, str]:
    """Return the tags of lists with letters, Roman numbers or numbers out of turn as blocks, by their places.

    A converter has numbers from the first on alone, and Markdown no letters.
    """
    found: dict[int, str] = {}
    opened: list[list[int]] = []
    for number, tag in enumerate(tags):
        name = tag[2].lower()
        if name in LISTS and not tag[1]:
            opened.append([number])
        elif name == "li" and opened:
            opened[-1].append(number)
        elif name in LISTS and opened:
            first, *items = opened.pop()
            blocks = _label_items(attributes(tags[first][3]), [tags[item] for item in items])
            if blocks and tags[first][2].lower() == "ol":
                found.update(zip([first, *items, number], blocks, strict=True))
    return found


def _label_items(values: dict[str, str], items: "list[re.Match[str]]") -> list[str]:
    """Return a list's tags as blocks with labels; none for a list that counts in decimal numbers from its start."""
    own = [attributes(item[3]) if not item[1] else {} for item in items]
    style = LIST_STYLE.search(values.get("style", ""))
    kind = style[1].lower() if style else LIST_TYPES.get(values.get("type", ""), "decimal")
    is_counted = kind not in UNNUMBERED and kind not in FORMATS
    if is_counted and "reversed" not in values and not any("value" in one for one in own):
        return []
    step = -1 if "reversed" in values else 1
    count = sum(not item[1] for item in items)
    number = _integer(values.get("start", ""), count if step < 0 else 1) - step
    blocks = ["<div>"]
    end = ""  # of the item before
    for item, of_item in zip(items, own, strict=True):
        if item[1]:
            blocks.append(end)
            end = ""
            continue
        if "hidden" in of_item:
            blocks.append(f"{end}<div hidden>")
            end = "</div>"
            continue
        number = _integer(of_item.get("value", ""), number + step)
        label = "" if kind in UNNUMBERED else f"{format_number(number, FORMATS.get(kind, 'decimal'))}. "
        blocks.append(f"{end}<div>{label}")
        end = "</div>"
    return [*blocks, f"{end}</div>"]


def _integer(digits: str, default: int) -> int:
    return int(digits) if INTEGER.fullmatch(digits.strip()) else default


class _Table:
    """An open table and the tags that are its own."""

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.is_layout = False


def attributes(text: str) -> dict[str, str]:
    """Return the attributes in the text of a tag; the first of each name counts."""
    found = ATTRIBUTE.findall(text)
    return {name.lower(): double or single or bare for name, double, single, bare in reversed(found)}


def _format_value(tag: str) -> str:
    """Return an input as a browser shows it: its value, or whether it is ticked."""
    values = attributes(tag)
    kind = values.get("type", "text").lower()
    if kind in UNSHOWN or "hidden" in values:
        return ""
    if kind in TICKS:
        return " [x] " if "checked" in values else " [ ] "
    value = unescape(values.get("value", "")).replace("<", "&lt;")
    return f" {value} " if value else ""
