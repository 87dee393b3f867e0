"""Formulas of HTML pages in their places, each once: MathML, or the TeX that a picture has in its place.

Pages have a formula twice: as MathML that is hidden beside a picture (Wikipedia), or beside elements that draw it and
are hidden from screen readers (KaTeX, MathJax).
"""

import re
from html import escape, unescape

from chatbot.rag.loaders.html_layout import attributes

from . import mathml

# A formula, a picture, or an element that may draw a formula.
START = re.compile(
    r"<(?:(?P<math>(?:[a-z][\w.-]{0,20}:)?math)|(?P<image>img)|(?P<drawing>span|nobr|svg|mjx-math)"
    r"(?=[^<>]{0,500}\saria-hidden\s?=\s?[\"']?true))\b(?P<attributes>[^<>]*+)>",
    re.IGNORECASE,
)
MATH_END = re.compile(r"</(?:[a-z][\w.-]{0,20}:)?math\s{0,9}>", re.IGNORECASE)
ELEMENT = re.compile(r"<(/?)(span|nobr|svg|mjx-math)\b[^<>]*+>", re.IGNORECASE)
BETWEEN = re.compile(r"(?:\s{1,200}+|<(?!img\b)[^<>]*+>){0,9}+", re.IGNORECASE)  # two forms of one formula
MATH = re.compile(r"(?:\s{1,200}+|<(?!/|(?:\w{1,20}:)?math\b)[^<>]*+>){0,9}+<(?:\w{1,20}:)?math\b", re.IGNORECASE)
PICTURE = re.compile(r"(?:\s{1,200}+|</[^<>]*+>){0,9}+<img\b([^<>]*+)>", re.IGNORECASE)
HIDDEN = re.compile(r"<(span|div)\b[^<>]{0,500}?\bdisplay\s{0,9}:\s{0,9}none[^<>]*+>\s{0,200}", re.IGNORECASE)
FORMULA_CLASS = re.compile(r"(?:^|[\s_-])(?:math|mathtex|tex|latex|katex|formula|equation)(?:$|[\s_-])", re.IGNORECASE)
TEX = re.compile(r"\\[A-Za-z]{2}")
STYLES = ("{\\displaystyle ", "{\\textstyle ")


def replace_formulas(page: str) -> str:
    """Return a page with its formulas as text; the page may have no comments and no tags in attributes."""
    return _Formulas(page).replace() if START.search(page) else page


class _Formulas:
    def __init__(self, page: str) -> None:
        self._page = page
        self._parts: list[str] = []
        self._end = 0  # of the parts
        self._formula_end: int | None = None  # of the last formula, until its other form is found
        self._looked_until = 0  # for the end of an element that draws

    def replace(self) -> str:
        for tag in START.finditer(self._page):
            if tag.start() < self._end:
                continue
            if tag["image"]:
                self._read_picture(tag)
            elif tag["drawing"]:
                self._drop_drawing(tag)
            elif not self._read_formula(tag):
                break
        return "".join([*self._parts, self._page[self._end :]])

    def _add(self, text: str, start: int, end: int) -> None:
        self._parts += [self._page[self._end : start], text]
        self._end = end

    def _read_formula(self, tag: re.Match[str]) -> bool:
        """Replace a formula, and show it where it is hidden beside a picture; return whether it has an end."""
        close = MATH_END.search(self._page, tag.end())
        if close is None:
            return False
        picture = PICTURE.match(self._page, close.end())
        text = mathml.read(self._page[tag.start() : close.end()])
        if picture is not None:
            text = text or _read_alternative(picture[1])
        start = max(self._end, self._page.rfind("<", self._end, tag.start()))
        hidden = HIDDEN.fullmatch(self._page, start, tag.start())
        shown = escape(text, quote=False)
        if attributes(tag["attributes"]).get("display") == "block":
            shown = f" {shown} "
        if hidden is not None and picture is not None:
            self._add(f"<{hidden[1]}>{shown}", start, close.end())
        else:
            self._add(shown, tag.start(), close.end())
        self._formula_end = close.end()
        return True

    def _is_beside_formula(self, start: int) -> bool:
        """Return whether nothing but tags stands between the last formula and a place, and forget the formula."""
        end = self._formula_end
        self._formula_end = None
        return end is not None and BETWEEN.fullmatch(self._page, end, start) is not None

    def _read_picture(self, tag: re.Match[str]) -> None:
        if not self._is_beside_formula(tag.start()) and _is_formula(attributes(tag["attributes"])):
            self._add(escape(_read_alternative(tag["attributes"]), quote=False), tag.start(), tag.end())

    def _drop_drawing(self, tag: re.Match[str]) -> None:
        """Leave out an element that draws a formula, where its MathML stands before or behind it."""
        if tag.start() < self._looked_until:
            return
        is_behind = self._is_beside_formula(tag.start())
        end = self._find_end(tag["drawing"].lower(), tag.end())
        self._looked_until = end or len(self._page)
        if end and (is_behind or MATH.match(self._page, end)):
            self._add("", tag.start(), end)

    def _find_end(self, name: str, start: int) -> int | None:
        depth = 1
        for tag in ELEMENT.finditer(self._page, start):
            if tag[2].lower() == name and not tag[0].endswith("/>"):
                depth += -1 if tag[1] else 1
            if depth == 0:
                return tag.end()
        return None


def _is_formula(values: dict[str, str]) -> bool:
    alternative = values.get("alt", "")
    return bool(alternative) and (
        FORMULA_CLASS.search(values.get("class", "")) is not None or TEX.search(alternative) is not None
    )


def _read_alternative(tag: str) -> str:
    """Return the TeX that a picture has in its place, without its style."""
    text = " ".join(unescape(attributes(tag).get("alt", "")).split())
    style = next((style for style in STYLES if text.startswith(style) and text.endswith("}")), "")
    return text[len(style) : -1].strip() if style else text
