"""The turns before a turn, as its prompt shows them."""

from collections.abc import Sequence

from flask import current_app

from chatbot import adapters
from chatbot.concurrency.threads import run_in_thread
from chatbot.database.transactions import read
from chatbot.rag import follow_ups, prompt
from chatbot.rag.lexical.bm25 import TextScores
from chatbot.rag.summaries import quote_turn
from chatbot.rag.token_counts import Counter
from chatbot.rag.types import Message
from chatbot.services.chat.records import ContextRecord, OpenedTurn

from . import earlier_turns, summaries
from .earlier_turns import EarlierTurn
from .summaries import StoredSummary

DUE_SHARE = 0.25  # of the budget: so many tokens beyond it that no summary covers make a new one due
SUMMARY_SHARE = 0.6  # of the room for earlier turns, at most
MIN_SUMMARY_CHARACTERS = 100  # of a longer one
MAX_CANDIDATES = 24  # pieces that are tried for the room that is left
MAX_QUERY_CHARACTERS = 4000
MIN_PIECE_CHARACTERS = 200  # of a long turn that are searched and quoted at a time
MAX_PIECE_CHARACTERS = 1200
PIECES_WITHOUT_BREAK = 100  # that are analysed: some 5 ms of the thread that all searches share

Piece = tuple[EarlierTurn, str]


class ConversationContext:
    """Finds the earlier turns for one prompt, and remembers which it shows."""

    def __init__(self, turn: OpenedTurn) -> None:
        self._turn = turn
        self._turns: list[EarlierTurn] = []
        self._summary: StoredSummary | None = None
        self._quoted: list[EarlierTurn] = []
        self.is_whole = True  # whether the messages are those of all earlier turns
        self.is_loaded = False
        self.is_recalled = False
        self.summary_due_up_to: int | None = None  # the last turn that a new summary is to cover

    def load(self) -> list[Message]:
        """Return the messages of the newest earlier turns, oldest first."""
        self.is_loaded = True
        if self._turn.sequence > 1:
            with read() as connection:
                self._turns, self.is_whole = earlier_turns.list_newest(connection, self._turn)
        return [message for turn in self._turns for message in turn.to_messages()]

    def recall(self, repeated: int, room: int) -> Sequence[str]:
        """Return texts for `room` tokens from turns before the last `repeated` messages: a summary, and the best."""
        verbatim = self._get_verbatim(repeated)
        before = verbatim[0].sequence if verbatim else self._turn.sequence
        with read() as connection:
            summary = summaries.find(connection, self._turn.conversation_id)
            older = earlier_turns.list_older(connection, self._turn.conversation_id, before)
        self.is_recalled = True
        budget = adapters.get_prompt_budget(current_app.config)
        due = int(budget.max_tokens * DUE_SHARE)
        self._note_due_summary(older, summary.last_sequence if summary else 0, due, budget.count)
        whole = summary.to_text() if summary else ""
        text = _cut_to_fit(whole, (), int(room * SUMMARY_SHARE), budget.count)
        if len(text) < min(len(whole), MIN_SUMMARY_CHARACTERS):  # in a very short prompt quotes are worth more
            text = ""
        parts = [text] if text else []
        self._summary = summary if text else None
        best = self._take_best(older, parts, room, budget.count)
        self._quoted = list({turn.id: turn for turn, _ in best}.values())
        return [*parts, *(text for _, text in best)]

    def to_record(self, repeated: int) -> ContextRecord:
        """Return the shown turns, for a trace."""
        verbatim = self._get_verbatim(repeated)
        return {
            "repeated_turns": len(verbatim),
            "first_repeated_turn_id": str(verbatim[0].id) if verbatim else None,
            "summary": self._summary.to_record() if self._summary else None,
            "quoted_turn_ids": [str(turn.id) for turn in self._quoted],
        }

    def _get_verbatim(self, repeated: int) -> list[EarlierTurn]:
        return self._turns[len(self._turns) - repeated // 2 :]  # they begin with a question

    def _take_best(self, older: Sequence[EarlierTurn], parts: Sequence[str], room: int, count: Counter) -> list[Piece]:
        """Return those pieces of older turns that fit best to the question, in the order of the conversation."""
        messages = [message for turn in self._turns[-1:] for message in turn.to_messages()]
        question = self._turn.user_message[:MAX_QUERY_CHARACTERS]
        queries = dict.fromkeys([question, follow_ups.query(question, messages)])
        size = max(MIN_PIECE_CHARACTERS, min(room // 2, MAX_PIECE_CHARACTERS))
        pieces = [(turn, text) for turn in older for text in _split(turn, size)]
        taken: dict[int, str] = {}
        for position in _rank(list(queries), [text for _, text in pieces])[:MAX_CANDIDATES]:
            text = pieces[position][1]
            if not taken:
                text = _cut_to_fit(text, parts, room, count)
            if text and prompt.count_earlier([*parts, *taken.values(), text], count) <= room:
                taken[position] = text
        return [(pieces[position][0], taken[position]) for position in sorted(taken)]

    def _note_due_summary(self, older: Sequence[EarlierTurn], covered: int, due: int, count: Counter) -> None:
        """Keep the last of the older turns, where those after the covered one have `due` tokens or more."""
        for turn in older:
            if turn.sequence > covered:
                due -= count(turn.user_message) + count(turn.bot_response)
            if due <= 0:
                self.summary_due_up_to = older[-1].sequence
                return


def _cut_to_fit(text: str, parts: Sequence[str], room: int, count: Counter) -> str:
    """Return as much of a text as fits beside other parts, in the end nothing."""
    taken = prompt.count_earlier(parts, count)
    while text and (tokens := prompt.count_earlier([*parts, text], count)) > room:
        share = max(0, room - taken) / max(1, tokens - taken)
        text = text[: min(len(text) - 1, int(len(text) * share))]
    return text


def _split(turn: EarlierTurn, size: int) -> list[str]:
    """Return a turn as one text, or as several that overlap."""
    whole = quote_turn(turn.user_message, turn.bot_response)
    if len(whole) <= size:
        return [whole]
    return [whole[start : start + size] for start in range(0, len(whole), size - size // 8)]


def _rank(queries: Sequence[str], texts: Sequence[str]) -> list[int]:
    """Return the positions of the texts that have words of the queries, best first."""
    scores = run_in_thread(TextScores, queries)
    for start in range(0, len(texts), PIECES_WITHOUT_BREAK):
        run_in_thread(scores.add, texts[start : start + PIECES_WITHOUT_BREAK])
    return run_in_thread(scores.rank)
