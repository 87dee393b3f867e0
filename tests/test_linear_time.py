"""Expressions and functions that meet text of users, models and documents take time linear in its length.

`re` holds the interpreter's lock in any thread: a quadratic expression stops the whole process. Each expression of the
application is in the table below with the texts that are worst for it: a new one fails the test until it is there.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import thread_time
from types import SimpleNamespace
from typing import Any

import pytest

from chatbot.rag import follow_ups, prompt, token_counts
from chatbot.rag.citations import alignment
from chatbot.rag.lexical import analysis
from chatbot.rag.lexical.highlights import Highlighter
from chatbot.rag.loaders import csv, sniffing
from chatbot.rag.output_filter import answer_filter
from chatbot.rag.text import chunking, languages, sentences
from chatbot.rag.types import Passage
from chatbot.schemas.accounts.auth import SignupSchema
from chatbot.services.accounts import names
from tests.support.expressions import all_expressions
from tests.support.processes import ROOT
from tests.support.work import calls

pytestmark = pytest.mark.slow

LENGTH = 32_000  # characters of the longest message
MAX_SECONDS = 0.1
NOISE = 0.002  # seconds
Text = tuple[str, str, str]  # the beginning, what is repeated, the end


@dataclass
class Worst:
    """The worst texts for an expression; `max_length` bounds its input, `variables` are those of its function."""

    texts: list[Text]
    max_length: int = LENGTH
    variables: dict[str, Any] = field(default_factory=dict)


def worst(*texts: Text, max_length: int = LENGTH, **variables: Any) -> Worst:
    return Worst(list(texts), max_length, variables)


ANY = worst(("", "a", ""), ("", " ", "x"))  # a class of characters, or an anchored word: nothing is repeated
REPEATED = [*".a1 \n\t[](<`~*-#=|\"'/\\,\u0301。é", "![", "<a ", "【1†"]

WORST = {
    "bounds.RATE": worst(("1 per day", " ", "x"), ("1 per day", ";1 per day", "x"), ("", "1", "x")),
    "config.HTTP_URL": worst(("https://a", "/", " "), ("https://", "a", " ")),
    "config.MODEL": worst(("a@https://a", " ", "\n"), ("a", "@https://", ""), ("", "a", "@")),
    "config.HOST": worst(("", "a.", "!"), ("https://", "a", "!"), ("a.a", ":1", "!")),
    "config.REDIS": ANY, "config.PRINTABLE": worst(("", "a", " ")),
    "config._origin_errors": worst(("https://", "a", "/"), ("http://localhost", ":", "")),
    "config._database_errors": worst(("postgres://", "/", "\n"), ("sqlite:///", ":memory", ""), ("postgres://", "/\n", "")),
    "config._weakness": worst(("", "secre", ""), ("", "dev", "")), "config._resolve": ANY,
    "chatbot.web.json_body.HALF": ANY, "chatbot.web.json_body.STRING": worst(("", '"', ""), ('"', '\\"', ""), ('"', "a", ""), ('"', "\\", ""), ("", '"\\"', ""), ("", '"a" ', "")), "chatbot.web.rate_limits.AMOUNT": worst(("", "1", ""), ("", "1 per", "")),
    "chatbot.web.request_log.SANE": worst(("", "a", "!")), "chatbot.web.idempotency.PRINTABLE": worst(("", "a", "\n")),
    "chatbot.web.networks.WITH_PORT": worst(("", "1", ""), ("[", "1", ""), ("[", "1", "]:"), ("1:", "1", "x")),
    "chatbot.extension_config._origin_pattern": worst(("https://a.example:", "1", "x"), ("", "https://a.example:1", "x"), pattern=r"https://a\.example(:\d+)?"),
    "chatbot.rag.text.normalization._LONG_RUN": worst(("", "\u0301" * 13 + "a", ""), ("", "\uff9e" * 13 + "a", ""), ("", "。", "")),
    "chatbot.rag.text.chunking.PLACES[0]": worst(("", "\n" + " " * 80, "x"), ("", "\n", "x"), ("\n", " ", "x")),
    "chatbot.rag.text.chunking.PLACES[1]": worst(("", "\n" + " " * 20, "x"), ("", "\n- ", ""), ("", "\n111.", "")),
    "chatbot.rag.text.chunking.PLACES[2]": worst(("", "\n", "a"), ("", ". ", ""), ("", "\na", "")),
    "chatbot.rag.text.chunking.PLACES[3]": worst(("", ".'''", "x"), ("", "。", "x"), (".", " ", "x"), ("", ".", "x")),
    "chatbot.rag.text.chunking.PLACES[4]": ANY, "chatbot.rag.text.chunking.PLACES[5]": worst(("", " ", "x")), "chatbot.rag.text.chunking.BLANK": worst(("", " ", "x")),
    "chatbot.rag.citations.alignment._NO_CLAIM": worst(("", " ", "x"), ("- ", " ", "x"), ("[", "1", "x"), ("[1]", " ", "x")),
    "chatbot.rag.citations.alignment._MARKUP": worst(("", " ", "x"), ("- ", " ", "x"), ("", "*", "x"), ("", "* ", "x")),
    "chatbot.rag.follow_ups.POINTS_BACK": worst(("", "it", ""), ("", "thes ", ""), ("", "a ", "")),
    "chatbot.rag.follow_ups.GOES_ON": worst(("", " ", "x"), (" ", "and", "x")),
    "chatbot.rag.follow_ups.CJK": ANY, "chatbot.rag.follow_ups.CJK_POINTS_BACK": worst(("", "こ", ""), ("", "そ", "")), "chatbot.rag.follow_ups.depends_on_history": worst(("", "a ", ""), ("", "a", "")),
    "chatbot.rag.text.fences.CONTAINER": worst(("", " ", "x"), ("", "- ", "x"), ("- ", " ", "x"), ("", "1", "x"), ("", "1. ", "x")),
    "chatbot.rag.text.fences.FENCE": worst(("", "~", ""), ("", "`", ""), ("```", "a", ""), ("~~~", "a", "\nx"), ("", "~", "`")),
    "chatbot.rag.text.fences._CLOSING": worst(("", " ", "x"), ("", "`", "x"), ("`", " ", "x"), ("", "~", " ")),
    "chatbot.rag.text.fences._MAYBE_CLOSING": worst(("", " ", "x"), ("", "`", "x"), ("`", " ", "x")),
    **{f"chatbot.rag.output_filter.markup.SPECIAL[{number}]": ANY for number in range(4)},
    "chatbot.rag.text.fences._CERTAIN_INFO": worst(("", "`", ""), ("```", " ", "`"), ("```", "a", "`\n"), ("", "~", "x")),
    "chatbot.rag.text.fences.OPENING": worst(("", "> ", "x"), ("", "`` ", ""), ("", "~", "")), "chatbot.rag.text.fences._MAYBE_OPENING": worst(("", "> ", "x"), ("", "`", "~")),
    "chatbot.rag.output_filter.destinations._ADDRESS_END": ANY,
    "chatbot.rag.output_filter.links.LEAD": worst(("", " ", "x"), ("", "> ", "x"), ("", ">", "\n")), "chatbot.rag.output_filter.links._ALLOWED": worst(("", "a", ":"), ("<", "a", ":"), ("", "http", "")),
    "chatbot.rag.output_filter.links._UNFINISHED": worst(("", "a", ":"), ("<", "a", ">")), "chatbot.rag.output_filter.links._PROSE": worst(("", "a", "("), ("a", " ", "("), ("", "a ", "(")),
    "chatbot.rag.output_filter.links._MAYBE_PROSE": worst(("", "a", "("), ("a", " ", "x")), "chatbot.rag.output_filter.links._INLINE": worst(("", "]", ""), ("]", " ", "x"), ("", "](", ""), ("](", ">", "x"), ("", "] ", "")),
    "chatbot.rag.output_filter.markup.CELL_OR_CODE_TAG": worst(("", "</", ""), ("", "<cod", "")), "chatbot.rag.output_filter.markup.MAYBE_TAG": worst(("<a", " ", "<"), ("<a", "a", "\n")),
    "chatbot.rag.output_filter.markup._ANCHOR_VALUE": worst(("", " ", "x"), ("", " href", ""), ("", ' href="', ""), (' href="', "a", ""), ("", " title='", "")),
    "chatbot.rag.output_filter.output._LEAD": worst(("", "1. ", "x")), "chatbot.rag.output_filter.output._ADDRESS": worst(("", "://", " "), ("", "www.", " "), ("", "a", " "), max_length=80),
    "chatbot.rag.special_tokens._TOKEN_START": worst(("", "<", ""), ("", "<|", ""), ("", "<a", "|"), ("", "[INS", ""), ("<", "a", "|>"), ("", "</", ""), ("", "\uff1c", "")),
    "chatbot.rag.output_filter.answer_filter._in_span": worst(("", "`", ""), ("", "``a", ""), ("", "`a", ""), self=SimpleNamespace(_span=3)),
    "chatbot.rag.text.languages.KANA": ANY, "chatbot.rag.text.languages.THAI": ANY, "chatbot.rag.text.languages.HAN": ANY,
    "chatbot.rag.lexical.analysis.CUT_WORD": worst(("", "a", "-"), ("", "a-\n", ""), ("ab-", " ", "\n"), ("", "ab-\n ", "")),
    "chatbot.rag.lexical.highlights.WORD": worst(("", "a", ""), ("", "a\u0301", "“"), ("", "\u0301", ""), ("", "a ", "")),
    "chatbot.rag.text.markdown.DELIMITERS": worst(("|", "-", "x"), ("|", " ", "x"), ("|", "-|", "x"), ("|", " - |", "")),
    "chatbot.rag.text.markdown.LINK": worst(("", "[", ""), ("", "[a](", ""), ("[](", "a", ""), ("", '[]( "', ""), ("[", "a", "")), "chatbot.rag.text.markdown.STRONG": worst(("", "**", ""), ("**", "a", ""), ("", "**a", "")),
    "chatbot.rag.text.unspaced.RUN": worst(("", "中", "a"), ("", "中a", ""), ("", "中\n", ""), ("中\n", " ", "中"), ("中", "\n", "中")), "chatbot.rag.lexical.highlights.LINE_END": worst(("中\n", " ", "中"), ("", "中\n", ""), ("", "中\n ", "")),
    "chatbot.rag.http.reader.SIZE": worst(("", "1", "")), "chatbot.rag.llms.openai_errors.retry_after": worst(("", "1", ""), ("", "1", "x"), ("1.", "1", "x")),
    "chatbot.rag.llms.openai_answer.SURROGATE": ANY, "chatbot.web.sse.LINE_ENDS": ANY,
    "chatbot.rag.llms.openai_errors._TOO_LONG_TEXT": worst(("", "context", ""), ("", "prompt ", ""), ("", "too ", "")),
    "chatbot.rag.llms.openai_errors._NO_SYSTEM_ROLE": worst(("", "system", ""), ("", "role ", ""), ("", "system'", "")),
    "chatbot.rag.llms.openai_errors._UNSUPPORTED_TEXT": worst(("", "unno", ""), ("", "not support", "")),
    "chatbot.rag.llms.openai_errors.find_refusal": worst(("", "temperature", ""), ("", "temperatur ", ""), name="temperature"),
    "chatbot.rag.http.addresses.URL": worst(("http://", "a", "!"), ("http://a/", "?", "\\"), ("http://a/", "a", "\\"), ("http://[", ":", ""), ("http://a#", "a", "\\")),
    "chatbot.rag.http.addresses.NAME": worst(("", "a", ""), ("", "a-", ""), ("", "a.", ""), ("", "a" * 62 + ".", "!")),
    "chatbot.rag.loaders.html.DECLARED": worst(("", "<meta ", ""), ("<meta charset=", " ", "!"), ("<meta charset", " ", "!"), ("", "<meta charset", "")),
    "chatbot.rag.loaders.html.XML_DECLARED": worst(("<?xml", " ", ""), ("<?xml", " encoding", ""), ("", "<?xml", "")), "chatbot.rag.loaders.notation.NOTE_NUMBER": worst(("", "[[1]](#", ""), ("[1](#", "a", ""), ("", "[1", "")), "chatbot.rag.loaders.notation.PERMALINK": worst(("", " ", ""), ("", " [#](#", ""), ("", "[#](#", ""), ("[#](#", "a", ""), ('[#](#a "', "a", "")),
    "chatbot.rag.loaders.formulas.pages.START": worst(("", "<math ", ""), ("", "<span", ""), ("<span", " ", ""), ("<a.", "a", ""), ("", "<span aria-hidden=", ""), ("<img", " ", "")), "chatbot.rag.loaders.formulas.pages.MATH_END": worst(("", "</math", ""), ("</math", " ", ""), ("", "</a:", "")), "chatbot.rag.loaders.formulas.pages.ELEMENT": worst(("", "<span ", ""), ("</span", " ", "")), "chatbot.rag.loaders.formulas.pages.BETWEEN": worst(("", " ", ""), ("", "<a>", ""), ("<", "a", ""), ("", " <a>", "x")), "chatbot.rag.loaders.formulas.pages.MATH": worst(("", " ", ""), ("", "<a>", ""), ("<", "a", ""), ("<a:", "a", "")), "chatbot.rag.loaders.formulas.pages.PICTURE": worst(("", " ", ""), ("", "</a>", ""), ("</", "a", ""), ("", "<img ", "")), "chatbot.rag.loaders.formulas.pages.HIDDEN": worst(("<div ", "display:", ""), ("<div ", "display ", ""), ("<div display:none>", " ", "x")), "chatbot.rag.loaders.formulas.pages.FORMULA_CLASS": worst(("", " ", ""), ("", "math", "")), "chatbot.rag.loaders.formulas.pages.TEX": worst(("", "\\", ""), ("", "\\a", "")), "chatbot.rag.loaders.formulas.mathml.TAG": worst(("", "<mi ", ""), ("<", "a", ""), ("", "<a:", ""), ("<mi", " ", "")), "chatbot.rag.loaders.formulas.mathml.NO_LINE": worst(("", "0", ""), ("0.", "0", "x")), "chatbot.rag.loaders.formulas.mathml.ALIGNED": worst(("", " ", ""), ("right", " ", "")),
    "chatbot.rag.loaders.html_layout.TAG": worst(("", "<table ", ""), ("<table", " ", ""), ("", "<", "")), "chatbot.rag.loaders.html_layout.ATTRIBUTE": worst(("", "type", ""), ("", "type =", ""), ("type=", "a", ""), ("", 'type="', ""), max_length=2_000),
    "chatbot.rag.loaders.html_layout.EMPHASIS": worst(("", "<b>", ""), ("<b", " ", ""), ("<b ", "a", ""), ("", "<b ", "")),
    "chatbot.rag.loaders.pdf_layout.hyphens.LONG_WORD": worst(("", "a", "")), "chatbot.rag.loaders.notation.SYMBOL": worst(("", "b", "")), "chatbot.rag.loaders.html_layout.PICTURE_LINK": worst(("", "<a ", ""), ("<a", " ", ""), ("<a>", " ", ""), ("", "<a><b>", ""), ("<a>", "<b>", ""), ("", "<a>", ""), ("<a>", "<b ", "")), "chatbot.rag.loaders.notation.MARKED_SCRIPT": worst(("", "<b ", ""), ("", "<b><sup>", ""), ("", "<sup><b>", ""), ("<b>", "<sup>1</sup>", ""), ("<b><sup>", "1", "")), "chatbot.rag.loaders.notation.RAISED": worst(("", "a<sup ", ""), ("a<sup", " ", ""), ("", "a<sup>1", "")),
    "chatbot.rag.loaders.html_markup.ELEMENT": worst(("", "<a ", ""), ("<", "a", ""), ("<a", " ", "")), "chatbot.rag.loaders.html_markup.BLOCK": worst(("", "display:", ""), ("display", " ", "")), "chatbot.rag.loaders.html_markup.ROW": worst(("", "display:", ""), ("display:", " ", "")), "chatbot.rag.loaders.html_markup.GAP": worst(("", "gap:", ""), ("gap:", ".", ""), ("gap:", "0", ""), ("", ":space-", "")), "chatbot.rag.loaders.html_markup.MARKUP": worst(("", "<a ", ""), ("", "<a x=", ""), ("<a", "=", ""), ("", '<a x="', ""), ("<a x=", " ", ""), ("<a", " x='", ""), ("", "<!--", "")), "chatbot.rag.loaders.html_markup.CSS_COMMENT": worst(("", "/*", ""), ("/*", "*", ""), ("/*", "a", "")), "chatbot.rag.loaders.html_markup.CSS_BRACE": ANY, "chatbot.rag.loaders.html_markup.DISPLAY": worst(("", "display:", ""), ("display:", " ", ""), ("", "display:none !", ""), ("display:", "a", "")), "chatbot.rag.loaders.html_markup.SIMPLE_SELECTOR": worst((".", "a", "!")), "chatbot.rag.loaders.html_markup.COMBINATOR": ANY, "chatbot.rag.loaders.html_markup.SELECTOR_PART": worst(("", "a", ""), ("", ".a", ""), ("", ".", "")), "chatbot.rag.loaders.html_markup.PSEUDO": worst(("", ":", ""), ("", "[", ""), ("[", "a", "")), "chatbot.rag.loaders.html_markup.DYNAMIC": worst(("", ":hover", "x")), "chatbot.rag.loaders.html_markup.OTHER_MEDIA": ANY, "chatbot.rag.loaders.html_layout.HIDDEN": worst(("", "hidden", ""), ("", "a", "")), "chatbot.rag.loaders.html_layout.HIDDEN_STYLE": worst(("", " ", ""), ("", " display:", ""), ("display:", " ", "")), "chatbot.rag.loaders.html_markup.RAW_END": worst(("", "</script ", ""), ("</style", " ", "")),
    "chatbot.rag.loaders.html.DRAWN": worst(("", "<svg ", ""), ("<text", " ", "")), "chatbot.rag.loaders.html_layout.VERBATIM": worst(("", "<pre ", ""), ("<pre", " ", "")),
    "chatbot.rag.loaders.html_layout.PRESERVED": worst(("", 'style="', ""), ('style="', "white-space:", ""), ('style="', "white-space ", ""), ("style", " ", "")),
    "chatbot.rag.loaders.html_layout.WRAPPED": worst(("", "a\n", ""), ("a\n", " ", ""), ("", "a\n ", ""), (">\n", " ", "<"), ("", ">\n ", "")), "chatbot.rag.loaders.html_layout.WRAPPED_WIDE": worst(("", "中\n", ""), ("中\n", " ", ""), ("", "中\n ", "")),
    "chatbot.rag.loaders.html_layout.QUOTE": worst(("", "<blockquote ", ""), ("<blockquote", " ", "")), "chatbot.rag.loaders.html_layout.LIST_STYLE": worst(("", "list-style ", ""), ("", "list-style:", "")), "chatbot.rag.loaders.html_layout.INTEGER": ANY, "chatbot.rag.loaders.html_layout.FIRST_PARAGRAPH": worst(("", " ", ""), ("<p", " ", "")),
    "chatbot.rag.loaders.markdown.MARK": worst(("", "a \\#", ""), ("", "\\", ""), ("", "*a", ""), ("*", "a", "*"), ("", "*", ""), ("", "`", ""), ("`", "a", ""), ("", "``a", ""), ("``", "a`", ""), ("", "    a", ""), ("", "**a ", "")),
    "chatbot.rag.loaders.markdown.HARD_BREAK": worst(("", "a\\\n", ""), ("", "\\", "\n")),
    "chatbot.rag.loaders.notation.ESCAPED_MARKER": worst(("", "1", ""), ("", "1\\", ""), ("", "1\n", "")),
    "chatbot.rag.loaders.plain.TERMINAL_SEQUENCES": worst(("", "\x1b[", ""), ("\x1b[", "1", ""), ("", "\x1b[1;", "")),
    "chatbot.rag.loaders.plain.DATA_IMAGE": worst(("", "![", ""), ("![", "a", ""), ("", "![](data:", ""), ("![](data:;base64,", "A", ""), ("", "![](data:a;base64,", "")), "chatbot.rag.loaders.plain.DATA_ADDRESS": worst(("", "data:", ""), ("data:", "a", ""), ("data:a;base64,", "A", " "), ("", "data:a;base64,", "")),
    "chatbot.rag.loaders.html.TITLE": worst(("", "<title ", ""), ("<title>", "a", ""), ("", "<title><", "")), "chatbot.rag.loaders.csv.VALUE": worst(("", "1", "x"), ("$ ", "1", "x"), ("1", " ", "x"), ("", "-1 ", "")), "chatbot.rag.loaders.csv.YEAR": ANY, "chatbot.rag.loaders.csv.SEPARATOR": ANY,
    "chatbot.rag.loaders.docx_elements.HALF_POINTS": ANY, "chatbot.rag.loaders.docx_numbering.PLACEHOLDER": worst(("", "%", ""), ("", "%1", "")), "chatbot.rag.loaders.encodings.BEYOND_ASCII": ANY,
    "chatbot.rag.loaders.encodings.ESCAPES": worst(("", "\x1b$", ""), ("", "\x1b", "")), "chatbot.rag.loaders.encodings.WESTERN_WORD": worst(("", "a", "x!"), ("", "é", ""), ("", "éa", "1")),
    "chatbot.rag.loaders.encodings.FOREIGN": worst(("", "aþ", ""), ("", "abc", "")), "chatbot.rag.loaders.encodings.SIGN_IN_WORD": worst(("", "a", ""), ("", "a§", "")), "chatbot.rag.loaders.encodings.VALUES": ANY, "chatbot.rag.loaders.encodings.WORDS": worst(("", "a", ""), ("", "a_", "")),
    "chatbot.rag.loaders.pdf_layout.powers.DIGIT": ANY, "chatbot.rag.loaders.pdf_layout.powers.CANDIDATE": worst(("", "1", ""), ("", "a+", ""), ("", ")+", "")), "chatbot.rag.loaders.pdf_layout.pages.PAGE_NUMBER": worst(("", "-", ""), ("", "1", ""), ("", "x", "!")), "chatbot.rag.loaders.pdf_layout.pages.NUMBER": ANY, "chatbot.rag.loaders.pdf_layout.pages.AFTER_LINE": ANY, "chatbot.rag.loaders.pdf_layout.notes.GLUED_MARK": worst(("", "1", "")), "chatbot.rag.loaders.pdf_layout.notes.MARK": worst(("", "1", ""), ("1", ".", "")), "chatbot.rag.loaders.pdf_layout.notes.SENTENCE_END": worst(("", ".", ""), (".", ")", "x")), "chatbot.rag.loaders.pdf_layout.pages.AFTER_SENTENCE": worst(("", "\n", ""), (".", "\n", ""), ("", ".\n", "")), "chatbot.rag.loaders.pdf_layout.lines.LABEL": worst(("", "1", "!"), ("(", "a", "!"), ("1", ".", "!")), "chatbot.rag.loaders.pdf_layout.hyphens.WORDS": worst(("", "a-", ""), ("", "a", "\xad"), ("", "a\u2010", "")), "chatbot.rag.loaders.pdf_layout.hyphens.REST": worst(("", "a", ""), ("", "\xad", ""), ("", "\xad ", ""), ("\xad", "\n", "")), "chatbot.rag.loaders.pdf_layout.hyphens.JOINED": worst(("", "\xad", ""), ("\xad", "\n", ""), ("\xad", " ", ""), ("\xad", "\n ", ""), ("\xad\n", "a", ""), ("", "\xad\n", ""), ("\xad\n", "a.", ""), ("", "a\u2010", ""), ("a\u2010", "\n", ""), ("", "a\u2010\n", "")),
    "chatbot.rag.loaders.pdf_codes.LIGATURE_CODE": worst(("", "\r", ""), ("", "\x0b", "")), "chatbot.rag.loaders.pdf_codes.ACCENTED_LETTER": worst(("", "~", ""), ("", "~a", "")), "chatbot.rag.loaders.pdf_codes.LETTER_WITH_CEDILLA": worst(("", "a", ""), ("", "a\u00b8", ""), ("", "a\u00b8 ", "")), "chatbot.rag.loaders.pdf_codes.WORDS": ANY,
    "chatbot.rag.loaders.pdf_words.LINE": worst(("", "a", ""), ("", "\r", "")), "chatbot.rag.loaders.pdf_words.WORD": worst(("", "a", ""), ("", "\x02", ""), ("", "a ", "")), "chatbot.rag.loaders.pdf_words.IDEOGRAPH": ANY, "chatbot.rag.loaders.pdf_bidi.glyphs.RIGHT_TO_LEFT": ANY, "chatbot.rag.loaders.pdf_bidi.order.RUN": worst(("", "t", ""), ("", "N", ""), ("", "L", "o"), ("L", "o", "R"), ("", "Lo", "R"), ("", "Zc", ""), ("", "tN", "t")), "chatbot.rag.loaders.pdf_bidi.order.NUMBER": worst(("", "t", ""), ("", "Ns", ""), ("N", "s", "")), "chatbot.rag.loaders.pdf_bidi.order.NUMBER_BEHIND_ARABIC": worst(("", "N", ""), ("", "Nc", "")), "chatbot.rag.loaders.pdf_bidi.order.FROM_RIGHT": worst(("", "R", ""), ("R", "o", ""), ("", "Ro", "L"), ("", "RL", "")), "chatbot.rag.loaders.pdf_bidi.order.UNIT": worst(("", "k", ""), ("k", "m", "!")),
    "chatbot.rag.loaders.pdf_clusters.LETTERS": ANY, "chatbot.rag.loaders.pdf_codes.T1_CODE": ANY, "chatbot.rag.loaders.pdf_codes.CONTROL_CODE": ANY, "chatbot.rag.loaders.pdf_maps.EMPTY": worst(("", "<41>", ""), ("<41>", " ", ""), ("<", "4", "")), "chatbot.rag.loaders.pdf_maps.SYSTEM": worst(("", "/CIDSystemInfo", ""), ("/CIDSystemInfo <<", "a", ""), ("", "/CMapName ", ""), ("/CMapName ", "a", ""), ("/CMapName", " ", "")), "chatbot.rag.loaders.pdf_bidi.glyphs.WORD": ANY, "chatbot.rag.loaders.pdf_maps.STREAM": worst(("", "stream", ""), ("", "stream\r", "")), "chatbot.rag.loaders.pdf_maps.COUNT": worst(("", "1", ""), ("1", " ", ""), ("", "1 beginbf", "")), "chatbot.rag.loaders.pdf_maps.CODE": worst(("", "<", ""), ("<", "a", ""), ("", "<a", "")), "chatbot.rag.loaders.pdf_maps.SINGLE": worst(("", "<41>", ""), ("<41><41>", "<41>", "")),
    "chatbot.rag.loaders.plain.NEWLINES": worst(("", "\r", ""), ("", "\r\n", "")),
    "chatbot.rag.text.front_matter.KEY": worst(("", "a", ""), ("a", " ", ""), ("", "a ", ""), ("a:", " ", "\n"), ("a: ", "a", "\n"), ("", "'a'", "")),
    "chatbot.rag.loaders.plain.PRIVATE_MARKS": worst(("", "\ue000", "x"), ("x", "\ue000", "x"), ("", "x\ue000", ""), ("", "\ue000 ", "")), "chatbot.rag.loaders.plain.PRIVATE": ANY, "chatbot.rag.loaders.pdf_codes.PRIVATE": ANY, "chatbot.rag.loaders.pdf_codes.FIGURES": ANY, "chatbot.rag.loaders.pdf_codes.EURO_CODE": worst(("", "a", ""), ("", "a ", ""), ("", "\u00bf", ""), ("", "a \u00bf", "")),
    "chatbot.rag.loaders.plain.SURROGATES": ANY, "chatbot.rag.loaders.plain.CONTROLS": ANY, "chatbot.rag.loaders.sniffing.TAG": worst(("", "<", "")), "chatbot.rag.loaders.sniffing.SEPARATORS": worst(("", "/", "")),
    "chatbot.rag.loaders.sniffing.DEVICES": worst(("COM1.", ".", "\n"), ("", "COM1", "")), "chatbot.rag.loaders.sniffing.title": worst(("", ".", "x"), ("", "A:", "x")),
    "chatbot.rag.http.fetch.UNSAFE": ANY, "chatbot.rag.http.fetch.MEDIA_TYPE": worst(("", "a", ""), ("", "a/", ""), ("a/", "a", " ")),
    "chatbot.rag.text.markdown.LINE": worst(("", "`", "x`"), ("", "```\n", ""), ("", "a\n===", "x"), ("", "=", "x"), ("a\n===", " ", "x"), ("#", " ", "x"), ("", "#", "x"), ("", "```a`\n", ""), ("", "a" * 201 + "\n", "")),
    "chatbot.rag.text.markdown.UNDERLINE": ANY, "chatbot.rag.text.markdown.CLOSING_HASHES": worst(("", "#", "x"), ("", " #", "x"), (" #", " ", "x"), max_length=200),
    "chatbot.rag.citations.markers.MARKER": worst(("", "【1†", ""), ("【1†", "†", ""), ("", "[1,", ""), ("[1", ",1", ""), ("[1", " ", ""), ("", "[1", ""), ("【1", ":1", ""), ("", "[1-999]", "")),
    "chatbot.rag.citations.markers.BEGINNING": worst(("[", "1", "x"), ("【1", "†", "】x"), ("【1†", "a", "\n")),
    "chatbot.rag.citations.markers._RANGE": worst(("", "1", "x"), ("", "1 ", "x"), ("", "1-", "")), "chatbot.rag.citations.markers.numbers": worst(("", "1", ""), ("", "1,", "")),
    "chatbot.rag.output_filter.markup.IMAGE": worst(("![](", " ", "x"), ("![](", " ", '"a'), ('![]( "', "a", '"x'), ("![](a", " ", "x"), ("![", "[", ""), ("![", "[a]", ""), ("![](", "(a)", "("), ("![](", "a", " "), ("![][", "a", ""), ("![", "\\a", "")),
    "chatbot.rag.output_filter.markup.NO_IMAGE": worst(("![", "[a]", "]("), ("![", "a", "")), "chatbot.rag.output_filter.markup.OPEN_IMAGE": worst(("![](", " ", ""), ("![", "[a]", "")),
    "chatbot.rag.output_filter.markup.BEGINNING": ANY, "chatbot.rag.output_filter.markup.TAG": worst(("", "<a", ""), ("<a", " ", ""), ("", "<a>", "")), "chatbot.rag.output_filter.markup._UNCLOSED": worst(("", "<a", ""), ("<a", " ", ""), ("", "<a>", "")),
    "chatbot.rag.output_filter.markup._NAME": worst(("<", "a", "")), "chatbot.rag.output_filter.markup._BARE": worst(("<a", " ", "!"), ("<a", " a", "!"), ("<", "a", "!"), ("<a ", "a", "!"), ("<a a", " ", "!")),
    "chatbot.rag.output_filter.markup._WELL_FORMED": worst(("<a", " ", "!"), ("<a", " a=b", "!"), ("<a", ' a="b"', "'"), ("<a a=", " ", "!"), ("<a a", " ", "!"), ('<a a="', "a", ""), ("<a", ' a="', ""), ("<a a=", "a", '"'), ("<a ", "a", "!")),
    "chatbot.rag.output_filter.markup._ANCHOR": worst(("<a", " ", "!"), ("<a", ' href=""', "!"), ('<a href="', "a", ""), ("<a", ' href="', "")), "chatbot.rag.output_filter.markup._ADDRESS": worst(("<", "a", ">"), ("<", "a@", ">"), ("<", "mailto:", "<")),
    "chatbot.rag.output_filter.markup._ALT_ATTRIBUTE": worst((" alt", " ", "x"), ("", " alt", ""), (" alt=", " ", "x"), ("", ' alt="', ""), ("", " alt='\"", ""), ("", " alt = ", "")), "chatbot.rag.output_filter.markup._ACTIVE": ANY,
    "chatbot.rag.prompt.TAG": worst(("<", " ", "x"), ("<", "/", "x"), ("<", " /", "x"), ("", "< ", "x"), ("<", "\u00ad", "/"), ("<", " ", "/ x"), ("", "<passag", ""), ("", "<earlie", "")),
    "chatbot.rag.text.sentences._FENCE": worst(("", " ", "x"), ("- ", " ", "x"), ("", "`", "x"), ("", "```\n", ""), ("", " \n", ""), ("1. ", " ", "x")),
    "chatbot.rag.text.sentences._END": worst(("", ".", "x"), ("", "…!?", "x"), (".", "]", "x"), ("", ".]", "x"), (".", "[1]", "x"), (".", " [1]", "x"), (".[1", ",1", "x"), ("", "。", "x"), ("。", ")", "x"), ("", ".[1]", "x")),
    "chatbot.rag.text.sentences._MARKERS": worst(("", "[1]", "x"), ("", " [1]", " x"), ("", "【1", ""), ("【1", "a", "")),
    "chatbot.rag.text.sentences._WORD": worst(("", "a", " "), max_length=sentences.MAX_WORD_LENGTH), "chatbot.rag.text.sentences._BLOCK": worst(("", " ", "x"), ("", "-", "x"), ("---", " ", "x"), ("[", "1", "x")),
    "chatbot.rag.text.sentences._INSIDE_UNSPACED": worst(("中\n", " ", "中"), ("", "中\n", ""), ("", "、\n", "")),
    "chatbot.rag.text.sentences._LINE_START": worst(("", " ", "x"), (" ", "1", ")")), "chatbot.rag.text.sentences._INITIALS": worst(("", "a.", ""), ("", "a", ".")),
    "chatbot.rag.token_counts.PLAIN": worst(("", "a ", ""), ("", "a1", "")),
    "chatbot.rag.text.words._TOKEN": worst(("", "1,", ""), ("", "1", ""), ("", "a'", ""), ("", "a", "'"), ("", "中", ""), ("", "中\n", ""), ("", "a1", "")), "chatbot.rag.text.words._PAIRED": ANY, "chatbot.rag.text.words._GROUPED": worst(("1", ",111", "x"), ("1,111.", "1", "x"), ("", "1", "")),
    "chatbot.schemas.accounts.auth.USERNAME": worst(("", "a", "!"), ("", ".", "")), "chatbot.schemas.knowledge.LANGUAGE_CODE": ANY, "chatbot.schemas.knowledge.NewDocumentSchema": worst(("", "http", "")),
    "chatbot.services.rooms.bot.questions.MENTION": worst(("", "@", ""), ("", "@bot-", "")), "chatbot.services.rooms.bot.questions.PRIVATE_MENTION": worst(("", "@", ""), ("@", " ", ""), ("@bot", " ", ""), ("", "@bot ", "")),
    "chatbot.services.rooms.messages.MENTION": worst(("", "@a", ""), ("@", "a", ""), ("", "@a.", ""), ("", "@aa-", "")), "chatbot.sockets.handshakes.KEY": worst(("", "a", ""), ("", "=", "")), "chatbot.sockets.transport.PACKET": worst(("", "4", "")), "chatbot.services.chat.protocols.openai.ID": worst(("", "a", ""), ("", "aaaaaaaa-aaaa", "")), "chatbot.services.accounts.tokens.read_refresh": worst(("", "a", ""), ("", "_", "!")), "chatbot.services.accounts.mails.mail_tokens.TOKEN": worst(("", "a", ""), ("cp_", "a", "!")), "chatbot.schemas.accounts.mail_tokens.CODE": worst(("", "1", "")),
}  # fmt: skip

EXPRESSIONS = all_expressions()


def test_each_expression_has_its_worst_case() -> None:
    assert EXPRESSIONS.keys() == WORST.keys()


@pytest.mark.parametrize("name", sorted(EXPRESSIONS.keys() & WORST.keys()))
def test_expression_is_linear(name: str) -> None:
    expression = EXPRESSIONS[name]
    known = WORST[name]
    pattern = expression.compile(known.variables)
    for text in [*known.texts, *(("", part, end) for part in REPEATED for end in ("", "\0"))]:
        for read in expression.readers(pattern):
            require_linear(read, text, max_length=known.max_length, in_bytes=isinstance(pattern.pattern, bytes))


def require_linear(
    read: Callable[[Any], object],
    text: Text,
    *,
    max_length: int = LENGTH,
    max_seconds: float = MAX_SECONDS,
    in_bytes: bool = False,
) -> None:
    """Compare the time for a text with that for one of a quarter of its length, which is measured first."""
    short, long = (repeated(text, length) for length in (max_length // 4, max_length))
    if in_bytes:
        short = short.encode()
        long = long.encode()
    quarter = seconds(read, short, enough=max_seconds / 40)
    assert quarter < max_seconds, (text, quarter)
    whole = seconds(read, long, enough=min(max_seconds, 6 * quarter + NOISE))
    assert whole < max_seconds, (text, whole)
    assert whole < 8 * quarter + NOISE, (text, quarter, whole)


def repeated(text: Text, length: int) -> Any:
    begin, part, end = text
    return begin + (part * (length // len(part) + 1))[: max(0, length - len(begin) - len(end))] + end


def seconds(read: Callable[[Any], object], text: Any, *, enough: float) -> float:
    """Return the best of three times, or the first one that is short enough; without coverage's own time."""
    best = float("inf")
    traced = sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(3):
            began = thread_time()
            read(text)
            best = min(best, thread_time() - began)
            if best < enough:
                break
    finally:
        sys.settrace(traced)
    return best


PASSAGES = [Passage(str(number), 1, "Rome", ("Rome is old. A b c. " * 60)[:1_200], 0) for number in range(3)]


def filter_whole(text: str) -> None:
    answer = answer_filter.AnswerFilter(3)
    answer.feed(text)
    answer.end()


def filter_characters(text: str) -> None:
    answer = answer_filter.AnswerFilter(3)
    for character in text:
        answer.feed(character)
    answer.end()


def refuse_sign_up(text: str) -> None:
    assert "email" in SignupSchema().validate({"email": f'"{text}"@a.b', "username": text, "password": text})


def build_prompt(text: str) -> None:
    prompt.build(text, passages=[Passage("a", 1, text[:255], text, 0)], budget=10_000)


MARKS = ("", "\u0301\u0323", "")  # of two classes: normalization has to sort them
ENDLESS: dict[str, tuple[Callable[[str], object], list[Text]]] = {
    "cite": (
        lambda text: alignment.cite(text, PASSAGES),
        [("", ".", "x"), ("", "【1†", ""), ("", "[1-999]", ""), ("", "[1-999,1-999] ", ""), ("", "[1]\n", ""), ("Rome. ", "[1]", ""), ("", "A b [1]. ", ""), ("", "Rome is old. ", ""), MARKS],
    ),
    "sentences": (sentences.sentences, [("", ".", "x"), ("", "A. ", ""), ("", "\n", "x"), ("", "```\n", ""), ("", "。", "")]),
    "filter, whole": (filter_whole, [("", "【1†", ""), ("", "[1-999]", ""), ("", "![](  ", ""), ("`", "<", ""), ("", "~", ""), ("", "<a ", "")]),
    "filter, characters": (filter_characters, [("", "【1†", ""), ("", "[1-999]", ""), ("![](", " ", '"'), ("", '![]( "', ""), ("<a", " a", ""), ("", "~", "")]),
    "chunks": (chunking.split, [("", " ", "x"), ("", "\n", "x"), ("", "# a\n", ""), ("", "|\n", ""), ("", "a\n===", ""), ("", ".'''", "")]),
    "prompt": (build_prompt, [("<", " ", "x"), ("", "< ", ""), ("", "<", ""), MARKS]),
    "condense": (follow_ups.depends_on_history, [("", " ", "x"), ("", "it", ""), ("", "a ", "")]),
    "language": (languages.detect, [("", "a", ""), ("", "中", ""), MARKS]),
    "terms": (lambda text: analysis.query_terms(analysis.prepare_query(text), "en", "en"), [MARKS, ("", "\u0f73", ""), ("", "a", ""), ("", "中", ""), ("", "a ", "")]),
    "highlights": (
        lambda text: Highlighter("a 中中 b", ["plain", "en"]).cut([text]),
        [MARKS, ("", "a ", ""), ("", "中", ""), ("", "a\u0301", "“"), ("", "a中", "")],
    ),
    "account": (names.fold_name, [MARKS, ("", "\u0f73", ""), ("", "\u0130\u0301\u0323", ""), ("", "\uff9e\u0301", ""), ("", "\ufdfa", "")]),
    "title": (sniffing.title, [MARKS, ("", "%25", ""), ("", ".", ""), ("", "\ufdfa", "")]),
    "tokens": (token_counts.estimate, [("", "a1", ""), MARKS]),
    "sign-up": (refuse_sign_up, [("", "a", ""), ("", "a.", ""), ("", "\\", "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_function_is_linear(name: str) -> None:
    function, texts = ENDLESS[name]
    function("Rome.")  # what is loaded once
    for text in texts:
        require_linear(function, text, max_seconds=1.0)


def test_answer_of_dots_beside_a_passage_is_cited_at_once() -> None:
    assert calls(lambda: alignment.cite("." * 14_000 + "x", PASSAGES)) < 60_000


def test_rows_of_a_table_with_many_columns_cost_what_they_have() -> None:
    narrow, wide = (",".join(["a"] * columns) + "\n" + "a\n" * 10_000 for columns in (1, csv.MAX_COLUMNS))
    cost = seconds(csv.CsvLoader().load, narrow.encode(), enough=0)
    assert seconds(csv.CsvLoader().load, wide.encode(), enough=3 * cost) < 3 * cost


def test_megabyte_for_an_email_address_is_refused_at_once() -> None:
    assert seconds(refuse_sign_up, "a" * 1_000_000, enough=0.1) < 0.1


def test_nothing_is_normalized_but_in_bounded_runs() -> None:
    sources = {path.name: path.read_text() for path in (ROOT / "chatbot").rglob("*.py")}
    calls = {
        name for name, source in sources.items() if "unicodedata.normalize" in source or "from unicodedata" in source
    }
    assert calls == {"normalization.py"}
