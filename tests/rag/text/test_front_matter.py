"""Front matter of Markdown and plain text: title and description are text, and the rest of the block is not."""

import pytest

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.loaders.markdown import MarkdownLoader
from chatbot.rag.loaders.text import TextLoader
from chatbot.rag.types import Parsed

YAML = """---
layout: post
title: "Refunds: a guide"  # shown above the page
date created: 2031-04-01
tags: [money, returns]
authors:
- name: Ada
description: >-
  How to return what
  you have bought.
---

## Deadlines

Within 30 days.
"""
TOML = """+++
title = "Refunds: a guide"
date = 2031-04-01
description = "How to return what you have bought."
[params]
weight = 3
+++
## Deadlines

Within 30 days.
"""
SHOWN = "How to return what you have bought.\n\n## Deadlines\n\nWithin 30 days.\n"


def load(text: str) -> Parsed:
    return MarkdownLoader().load(text.encode())


@pytest.mark.parametrize(
    "text", [YAML, TOML, YAML.replace("\n", "\r\n"), "\ufeff" + YAML], ids=["YAML", "TOML", "CRLF", "BOM"]
)
def test_page_has_the_title_and_description_of_its_front_matter(text: str) -> None:
    assert load(text) == Parsed(f"# Refunds: a guide\n\n{SHOWN}", "Refunds: a guide")
    assert TextLoader().load(text.encode()) == Parsed(f"Refunds: a guide\n\n{SHOWN}", "Refunds: a guide")


@pytest.mark.parametrize(
    ("value", "title"),
    [
        ("Pumps: a primer", "Pumps: a primer"),  # which YAML refuses
        ("Pumps # draft", "Pumps"),
        ("C#", "C#"),
        ("'Ada''s pumps' # draft", "Ada's pumps"),
        ('"The \\"big\\" one \\u00e9"', 'The "big" one é'),
        ('"never closed', "never closed"),
        ("|\n  Pumps\n  and valves", "Pumps and valves"),
        ("\n  Pumps\n  and valves", "Pumps and valves"),
        ("", None),
        ("null", None),
        ("[a, b]", None),
    ],
)
def test_title_is_read_as_yaml_has_it(value: str, title: str | None) -> None:
    assert load(f"---\ntitle: {value}\nlayout: page\n---\ntext").title == title


def test_title_of_front_matter_outranks_a_heading_and_is_text_once() -> None:
    assert load("---\ntitle: Rules\n---\n# rules\n\ntext") == Parsed("# rules\n\ntext", "Rules")
    assert load("---\ntitle: Rules\n---\n# Aim\n\ntext") == Parsed("# Rules\n\n# Aim\n\ntext", "Rules")
    assert load("---\nlayout: page\n...\n# Aim\n\ntext") == Parsed("# Aim\n\ntext", "Aim")


def test_plain_text_keeps_lines_that_are_no_front_matter() -> None:
    minutes = "---\nPresent: Ada, Alan\nAbsent: Grace\n---\nThe pump is ordered.\n"
    assert TextLoader().load(minutes.encode()) == Parsed(minutes, None)


def test_page_of_front_matter_alone_is_its_title() -> None:
    assert load("---\ntitle: Rules\n---") == Parsed("# Rules", "Rules")
    with pytest.raises(UnreadableDocument, match="The document has no text"):
        load("---\nlayout: page\n---\n")


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nA paragraph between rules.\n\n---\n\nAnother one.",
        "---\nPlease note: we are closed.\n---\n",
        "---\ntitle: Never closed\n\ntext",
        "---\ntitle: Rules\nA line that is no YAML.\n---\n",
        "---\n---\ntext",
        "text\n---\ntitle: Rules\n---\n",
        "+++\nnot = TOML = at all\n+++\n",
        f"---\ntitle: {'x' * 20_000}\n---\ntext",
        f"+++\na = {'[' * 10_000}\n+++\ntext",
    ],
)
def test_text_without_front_matter_is_whole(text: str) -> None:
    assert load(text) == Parsed(text, None)
