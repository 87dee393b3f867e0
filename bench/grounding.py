"""Refusal, citations and support: whether answers stay within the documents, and show where."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.judged import Judged, judged
from bench.knowledge import Knowledge
from chatbot.rag.citations.support import support
from chatbot.rag.pipeline import REFUSAL
from chatbot.rag.text.sentences import sentences
from chatbot.rag.types import Passage

ASKED = 200
NUMBER = re.compile(r"\d+")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}")
Tell = Callable[..., None]


def strict(base: Knowledge, data: Path, tell: Tell) -> None:
    """Ask squad2's questions of their own collection and of foreign ones, strictly."""
    squad = judged(data / "squad2-half")
    asked = random.Random(1).sample(sorted(squad.queries.values()), ASKED)
    own = _refused(base, _filled(base, squad), asked)
    foreign = [
        _refused(base, _filled(base, judged(data / name)), asked) for name in ("scifact", "cranfield", "xquad-zh")
    ]
    tell("strict: foreign questions refused", sum(foreign) / len(foreign), "", 0.90)
    tell("strict: own questions refused", own, "", 0.05, more=False)


def citations(base: Knowledge, data: Path, tell: Tell) -> None:
    """Let the model copy the sentence that answers a question; tell how often a citation holds it."""
    squad = judged(data / "squad2-half")
    home = _filled(base, squad)
    held = 0
    for key in random.Random(2).sample(sorted(squad.queries), ASKED):
        (answer,) = squad.grades[key].keys() if len(squad.grades[key]) == 1 else [next(iter(squad.grades[key]))]
        gold = _sentence(squad.documents[answer][1], squad.queries[key])
        base.script[squad.queries[key]] = gold
        base.write_script()
        turn = _ask(base, squad.queries[key], home, "auto")
        held += any(
            gold.strip() in one["quote"] and base.name(one["document_id"]) == answer for one in turn["citations"]
        )
    tell("citations: the cited span holds the copied sentence", held / ASKED, "", 0.95)


def grounded(_: Knowledge, data: Path, tell: Tell) -> None:
    """Measure how well the support of a sentence separates supported from unsupported ones."""
    squad = judged(data / "squad2-half")
    dice = random.Random(3)
    texts = [text for _, text in squad.documents.values()]
    scored: list[tuple[float, bool]] = []
    for number, text in enumerate(texts):
        parts = [text[start:end] for start, end in sentences(text) if end - start > 40]
        if not parts:
            continue
        passage = Passage(str(number), 1, "", text, 0)
        scored.append((support(_paraphrased(dice.choice(parts), dice), passage), True))
        scored.append((support(_changed(dice.choice(parts), texts, number, dice), passage), False))
    tell("grounded: AUC per sentence, half of them supported", _auc(scored), "", 0.90)


def _filled(base: Knowledge, one: Judged) -> str:
    home = base.collection(one.name)
    for name, (title, text) in one.documents.items():
        base.send(home, name, title, text)
    base.wait()
    return home


def _refused(base: Knowledge, home: str, questions: list[str]) -> float:
    return sum(_ask(base, question, home, "strict")["bot_response"] == REFUSAL for question in questions) / len(
        questions
    )


def _ask(base: Knowledge, question: str, home: str, grounding: str) -> Any:
    body = {"message": question, "collection_ids": [home], "grounding": grounding}
    return base.call("POST", "/api/chat/", body)


def _sentence(text: str, question: str) -> str:
    words = set(re.findall(r"\w+", question.lower()))
    parts = [text[start:end] for start, end in sentences(text)]
    return max(parts, key=lambda part: len(words & set(re.findall(r"\w+", part.lower()))) / (len(part) + 200) ** 0.5)


def _paraphrased(sentence: str, dice: random.Random) -> str:
    """Return a sentence with a word in ten left out, but for names, numbers and negations."""
    words = sentence.split()
    kept = [
        word for word in words if not (word.islower() and word not in {"not", "no", "never"} and dice.random() < 0.1)
    ]
    return " ".join(kept)


def _changed(sentence: str, texts: list[str], number: int, dice: random.Random) -> str:
    """Return a sentence with another number or name in it, or one of a neighbouring passage."""
    if NUMBER.search(sentence) and dice.random() < 0.5:
        return NUMBER.sub(lambda found: str(int(found[0][:9]) + dice.choice((1, 2, 7, 10))), sentence, count=1)
    if NAME.search(sentence) and dice.random() < 0.5:
        return NAME.sub(dice.choice(("Arlington", "Mbeki", "Oslo", "Fischer")), sentence)
    other = texts[(number + 1) % len(texts)]
    return max((other[start:end] for start, end in sentences(other)), key=len)


def _auc(scored: list[tuple[float, bool]]) -> float:
    """Return the area under the ROC curve (Mann-Whitney)."""
    good = [score for score, supported in scored if supported]
    bad = [score for score, supported in scored if not supported]
    wins = sum((one > other) + 0.5 * (one == other) for one in good for other in bad)
    return wins / (len(good) * len(bad))
