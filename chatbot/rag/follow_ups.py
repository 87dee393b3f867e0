"""Search queries for follow-up questions: with the message before, where the question depends on it."""

import re
from collections.abc import Sequence

from .types import Message

SHORT = 4  # words; "And in Spain?" asks about what was asked before
MAX_CONTEXT_LENGTH = 600  # characters of what came before that are searched too
# Words that point back, at least in some questions: English, Spanish, German, French.
POINTS_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|this|that|these|those|he|him|his|she|her|hers|there|then|one|ones|former|latter|"
    r"same|else|more|above|previous|again|eso|esto|esos|estos|ellos|ellas|dicho|allí|"
    r"es|sie|ihn|ihr|ihm|ihnen|dies|diese[rsmn]?|dort|davon|dazu|darüber|"
    r"ça|cela|ceci|elle|elles|ils|leur|celui|celle|y)\b",
    re.IGNORECASE,
)
GOES_ON = re.compile(
    r"^\s*(and|but|so|or|also|what about|how about|why|why not|y|und|et|¿y|mais|aber)\b", re.IGNORECASE
)
CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
CJK_POINTS_BACK = re.compile(r"它|他|她|这|那|其|それ|これ|あれ|彼|その|この")
CJK_SHORT = 8  # characters


def query(question: str, history: Sequence[Message]) -> str:
    """Return the search query; it differs from the question only where that depends on the history.

    No model is asked: it would cost a second answer's time, and a small one would invent. What the user asked last,
    and the question, are searched together; the question alone is searched besides.
    """
    before = [message.content for message in history if message.role == "user"]
    if not before or not depends_on_history(question):
        return question
    return f"{before[-1][-MAX_CONTEXT_LENGTH:]}\n{question}"


def depends_on_history(question: str) -> bool:
    """Return whether a question can hardly be understood alone: very short, a pronoun, or a beginning that goes on."""
    if CJK.search(question):
        return len(question.strip()) <= CJK_SHORT or bool(CJK_POINTS_BACK.search(question))
    words = re.findall(r"\w+", question)
    return len(words) <= SHORT or bool(POINTS_BACK.search(question)) or bool(GOES_ON.match(question))
