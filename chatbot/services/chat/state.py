"""The state that one process keeps of the chat domain."""

from functools import cached_property
from pathlib import Path
from uuid import UUID

from flask import Flask, current_app

from chatbot import adapters
from chatbot.cluster import get_cluster
from chatbot.concurrency.semaphores import KeyedSemaphore, RoundRobinSemaphore
from chatbot.rag.llms.fallback import FallbackLLM
from chatbot.rag.llms.queued import QueuedLLM
from chatbot.rag.ports import LLM
from chatbot.rag.types import CancelToken
from chatbot.services.knowledge.state import name_index

from .running_turns import RunningTurn
from .search.history_index import HistorySearch
from .slots import Slots
from .turn_log.memory import MemoryTurnLog
from .turn_log.port import TurnLog

EXTENSION = "chatbot.chat"
MAX_EMBEDDING_REQUESTS_PER_USER = 2  # at a time
MAX_EMBEDDING_REQUESTS = 64


class ChatState:
    """The language model, the slots and the turns of one process; each is made on first use."""

    def __init__(self, app: Flask) -> None:
        self.app = app  # for work in threads, which have no application context
        self._llm: FallbackLLM | None = None
        per_user = MAX_EMBEDDING_REQUESTS_PER_USER if app.config["RATELIMIT_ENABLED"] else MAX_EMBEDDING_REQUESTS
        self.embedding_slots = RoundRobinSemaphore(MAX_EMBEDDING_REQUESTS, per_user)
        self.running_turns: dict[UUID, RunningTurn] = {}
        self.summaries: set[CancelToken] = set()  # of those that are being written

    @cached_property
    def slots(self) -> Slots:
        """The slots in which this process runs turns."""
        config = self.app.config
        per_user = config["TURNS_PER_USER"] if config["RATELIMIT_ENABLED"] else None
        return Slots(config["TURN_SLOTS"], per_user)

    @cached_property
    def summary_slots(self) -> KeyedSemaphore:
        """The slots in which this process lets summaries be written, one of each user."""
        return KeyedSemaphore(1, adapters.get_summary_slots(self.app.config))

    @cached_property
    def turn_log(self) -> TurnLog:
        """The log of running turns: with Redis, of all processes."""
        cluster = get_cluster(self.app)
        if cluster is None:
            return MemoryTurnLog()
        from .turn_log.redis import RedisTurnLog

        return RedisTurnLog(cluster.redis, cluster.channels)

    @cached_property
    def history_index(self) -> HistorySearch:
        """The search over users' turns and titles."""
        return HistorySearch(self._history_folder)

    @property
    def has_history_index(self) -> bool:
        """Whether anything was searched on this host: before that, the index need not follow."""
        return self._history_folder.exists()

    @property
    def _history_folder(self) -> Path:
        config = self.app.config
        folder = Path(config["INSTANCE_PATH"])
        return folder / "lexical-history" / name_index(config["DATABASE_URL"], folder)

    def llm(self) -> FallbackLLM:
        """Return the language model; raises ModelUnavailable where there is none."""
        if self._llm is None:
            self._llm = adapters.create_llm(self.app.config)
        return self._llm

    def llm_for(self, user_id: UUID) -> LLM:
        """Return the language model for one user; users take turns before a model with few slots.

        Raises ModelUnavailable.
        """
        if self._llm_slots is None:
            return self.llm()
        return QueuedLLM(self.llm(), self._llm_slots, user_id, self.app.config["LLM_QUEUE_SECONDS"])

    def llm_for_summary(self, user_id: UUID) -> LLM:
        """Return the language model for a summary of one user: it takes a free slot of the model, or is refused.

        Raises ModelUnavailable.
        """
        if self._llm_slots is None:
            return self.llm()
        return QueuedLLM(self.llm(), self._llm_slots, ("summary", user_id), 0.0)

    @cached_property
    def _llm_slots(self) -> RoundRobinSemaphore | None:
        number = adapters.get_llm_slots(self.app.config)
        return None if number is None else RoundRobinSemaphore(number, max(1, number // 4))


def init_app(app: Flask) -> None:
    """Give the application its state of the chat domain."""
    app.extensions[EXTENSION] = ChatState(app)


def get_chat_state() -> ChatState:
    """Return the current application's state of the chat domain."""
    state: ChatState = current_app.extensions[EXTENSION]
    return state
