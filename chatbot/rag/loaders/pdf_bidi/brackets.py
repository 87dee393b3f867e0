"""Brackets and quotes that open and close.

A bracket from right to left is drawn as the other one of its pair, and pdfium turns both those that are drawn and those
that are meant: their places in words are what is left to go by.
"""

PAIRS = {
    bracket: pair for pair in ("()", "[]", "{}", "\u00ab\u00bb", "\u2039\u203a", "\u201c\u201d") for bracket in pair
}


def turn_brackets(words: list[str]) -> list[str]:
    """Return the words of a line with brackets that open before a word and close behind it."""
    is_open: dict[str, bool] = {}
    return ["".join(_turn(word, is_open)) if any(map(PAIRS.__contains__, word)) else word for word in words]


def _turn(word: str, is_open: dict[str, bool]) -> list[str]:
    letters = [at for at, letter in enumerate(word) if letter.isalnum()]
    first = letters[0] if letters else len(word)
    last = letters[-1] if letters else -1
    turned = []
    for at, letter in enumerate(word):
        pair = PAIRS.get(letter)
        if pair is None:
            turned.append(letter)
            continue
        is_within = first < at < last or not letters
        opens = not is_open.get(pair, False) if is_within else at < first
        is_open[pair] = opens
        turned.append(pair[0] if opens else pair[1])
    return turned
