"""Words that the ends of lines have parted."""

import re

from chatbot.rag.loaders.pdf_words import SOFT_HYPHEN

HYPHEN = "\u2010"  # which producers that hyphenate by themselves put at a line's end
HYPHENS = f"{SOFT_HYPHEN}{HYPHEN}"
# A word whose rest may be parted again; a page's number is no rest.
JOINED = re.compile(
    rf"({SOFT_HYPHEN}|(?<=\w){HYPHEN})(?:\n(?=\d)|[\n ]*\n(?=[^\W\d_]))"
    rf"(\w++)((?:[^\s{HYPHENS}]|[{HYPHENS}](?![\n ]{{0,9}}\n))*+)(?:(?=([{HYPHENS}]))| ?)"
)


def join_hyphens(text: str) -> str:
    """Join words that a line's end has parted; a hyphen of their own is kept where the text has them with it."""

    def join(parted: re.Match[str]) -> str:
        before = text[: parted.start()].rpartition("\n")[2].split(" ")[-1]
        hyphen, rest, punctuation, next_hyphen = parted.groups()
        own = "-" if hyphen == SOFT_HYPHEN else hyphen
        is_compound = not rest[:1].islower() or before + own + rest in text
        if is_compound or _is_compound(before, rest, punctuation, text):
            rest = own + rest
        return rest + punctuation + ("" if next_hyphen else "\n")

    return JOINED.sub(join, text).replace(SOFT_HYPHEN, "-")


def _is_compound(before: str, rest: str, punctuation: str, text: str) -> bool:
    """Return whether the parts of a word are words: "E-mail", or such as "state-of-the-art" with another hyphen."""
    *others, last = before.lstrip("(\"'\u201c").split("-")
    if len(last) == 1 and last.isalpha():
        return True
    if others and punctuation.startswith("-"):
        return True
    known = (
        {word.strip(".,;:!?()\"'").lower() for word in text.split()} if others or punctuation.startswith("-") else ()
    )
    return last.lower() in known and rest.lower() in known
