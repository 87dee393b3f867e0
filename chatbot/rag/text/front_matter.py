"""Front matter: a block of YAML or TOML in front of a text, of which a rendered page shows title and description.

Of YAML only strings at the top are read: many blocks have values that its parsers refuse ("title: Pumps: a primer").
"""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

MAX_LENGTH = 20_000  # characters of a block; a longer one is text
KEY = re.compile(r"""["']?(\w[\w. -]{0,100})["']?[ \t]{0,9}:(?:[ \t](.*))?""")
ENDS = {"---": {"---", "..."}, "+++": {"+++"}}
DESCRIPTIONS = ("description", "summary", "abstract")  # Jekyll and Docusaurus, Hugo, Pandoc
NO_STRING = ("[", "{", "- ", "&", "*", "!")  # how other values of YAML begin
QUOTED = json.JSONDecoder(strict=False)  # YAML's double quotes are JSON's, but for escapes that no title has


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The values that are shown, and the text behind the block."""

    body: str
    title: str = ""
    description: str = ""


def split(text: str) -> FrontMatter:
    """Return the front matter of a text and its body, which is the whole text where there is no such block."""
    fence, *lines = text[:MAX_LENGTH].split("\n")
    ends = ENDS.get(fence.rstrip(), set())
    length = next((number for number, line in enumerate(lines) if line.rstrip() in ends), None)
    if length is None:
        return FrontMatter(text)
    values = _read_toml(lines[:length]) if fence.startswith("+") else _read_yaml(lines[:length])
    if not values:
        return FrontMatter(text)
    start = sum(len(line) + 1 for line in (fence, *lines[: length + 1]))
    description = next((values[name] for name in DESCRIPTIONS if values.get(name)), "")
    return FrontMatter(text[start:].lstrip("\n"), values.get("title", ""), description)


def _read_toml(lines: Sequence[str]) -> dict[str, str]:
    try:
        table = tomllib.loads("\n".join(lines))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    return {key.lower(): " ".join(value.split()) if isinstance(value, str) else "" for key, value in table.items()}


def _read_yaml(lines: Sequence[str]) -> dict[str, str]:
    """Return the strings of a block by their keys in lower case; none where a line is no YAML."""
    values: dict[str, list[str]] = {}
    key = ""
    for line in lines:
        found = KEY.fullmatch(line)
        if found and (key or " " not in found[1]):  # a sentence between two rules may have a colon
            key = found[1].lower()
            values[key] = [found[2] or ""]
        elif key and line.startswith((" ", "\t", "- ", "]", "}")):
            values[key].append(line)
        elif line.strip() and not line.startswith("#"):
            return {}
    return {key: _string(" ".join(" ".join(parts).split())) for key, parts in values.items()}


def _string(value: str) -> str:
    """Return a scalar of YAML, on one line, as a string; an empty one for other values."""
    if value.startswith((">", "|")):  # a block, of lines that are folded or kept
        return value.partition(" ")[2]
    if value.startswith('"'):
        try:
            return str(QUOTED.raw_decode(value)[0])
        except ValueError:
            return value.strip('"')
    if value.startswith("'"):
        return value[1:].replace("''", "\0").partition("'")[0].replace("\0", "'")
    plain = value.partition(" #")[0]
    return "" if plain in {"~", "null"} or plain.startswith(NO_STRING) else plain
