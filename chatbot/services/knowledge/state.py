"""The state that one process keeps of the knowledge domain."""

import os
import threading
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Flask, current_app
from sqlalchemy import make_url

from chatbot import adapters
from chatbot.rag.ports import Embedder, Reranker

from . import document_watch
from .document_watch import DocumentWatch
from .ingestion.queue import FIRST_TRY, LIMITS, QUEUES, Queue
from .search.lexical_index import LexicalSearch
from .search.replicas import MemoryPositions, TablePositions
from .search.vector_index import DenseSearch

if TYPE_CHECKING:
    from chatbot.rag.loaders.sandbox.parser import Parser

EXTENSION = "chatbot.knowledge"


class KnowledgeState:
    """The indexes, the adapters and the claimed documents of one process; each is made on first use."""

    def __init__(self, app: Flask) -> None:
        self.app = app  # for work in threads, which have no application context
        self.embedder_settings = adapters.get_embedder_settings(app.config)
        self.is_embedder_probed = False
        self.embedder_fault: str | None = None  # since a call of the active embedder failed, until one does not
        self.has_store_failed = False  # since a search in the vector store failed, until one does not
        self._embedders: dict[adapters.EmbedderSettings, Embedder] = {}
        self.parsers: dict[Queue, Parser] = {}
        self.claimed_documents: dict[UUID, UUID] = {}  # and the tokens of their leases
        # Set by this process for the documents that it queues itself, which need not wait for the next look.
        self.queue_changed = {queue: threading.Event() for queue in QUEUES}
        # Set while there may be chunks without a vector: at first, and whenever the embedder failed.
        self.embeddings_missing = threading.Event()
        self.embeddings_missing.set()

    @cached_property
    def document_watch(self) -> DocumentWatch:
        """The watch that wakes this process's streams of documents."""
        return document_watch.create(self.app)

    @cached_property
    def vector_index(self) -> DenseSearch:
        """The search by vectors; raises UnknownAdapter, MissingLibrary."""
        store = adapters.create_vector_store(self.app.config)
        name = self.app.config["VECTOR_STORE"]
        return DenseSearch(store, TablePositions(name) if store.durable else MemoryPositions())

    @cached_property
    def lexical_index(self) -> LexicalSearch:
        """The search by words."""
        return LexicalSearch("tantivy", self._lexical_folder)

    @property
    def _lexical_folder(self) -> Path:
        config = self.app.config
        folder = Path(config["INSTANCE_PATH"])
        return folder / "lexical" / name_index(config["DATABASE_URL"], folder)

    @property
    def has_lexical_files(self) -> bool:
        """Whether some process of this host has searched by words, perhaps an earlier one."""
        return self._lexical_folder.exists()

    @property
    def has_lexical_index(self) -> bool:
        """Whether this process has searched by words yet: before that its index need not follow."""
        return "lexical_index" in vars(self)

    @property
    def has_copies_of_vectors(self) -> bool:
        """Whether there may be copies of vectors: this process has some, or all share a store that outlives them."""
        return "vector_index" in vars(self) or adapters.is_vector_store_durable(self.app.config)

    @cached_property
    def reranker(self) -> Reranker | None:
        """The reranker, or None where none is configured."""
        return adapters.create_reranker(self.app.config)

    def embedder(self, adapter: str = "", model: str = "") -> Embedder:
        """Return an embedder, by default the configured one; raises UnknownAdapter, MissingLibrary."""
        settings = adapters.EmbedderSettings(adapter, model) if adapter else self.embedder_settings
        if settings not in self._embedders:
            self._embedders[settings] = adapters.create_embedder(self.app.config, settings)
        return self._embedders[settings]

    def parser(self, queue: Queue) -> "Parser":
        """Return the process that reads the documents of a queue."""
        from chatbot.rag.loaders.sandbox.parser import Parser

        if queue not in self.parsers:
            self.parsers[queue] = Parser(LIMITS.get(queue, FIRST_TRY))
        return self.parsers[queue]

    def close(self) -> None:
        """Close the connections to embedders and the vector store, and end the parsers."""
        for embedder in self._embedders.values():
            if (close := getattr(embedder, "close", None)) is not None:  # of those that have connections
                close()
        if "vector_index" in vars(self):
            self.vector_index.close()
        for parser in self.parsers.values():
            parser.close()


def name_index(database_url: str, folder: Path) -> str:
    """Return the name of a database's index in a folder that several databases may share.

    A SQLite file is known by its path from there, so that the folder may be moved.
    """
    url = make_url(database_url)
    if url.drivername.startswith("sqlite"):
        place = os.path.relpath(url.database or "", folder)
    else:
        place = f"{url.host}:{url.port}/{url.database}"
    return sha256(place.encode()).hexdigest()[:16]


def init_app(app: Flask) -> None:
    """Give the application its state of the knowledge domain."""
    app.extensions[EXTENSION] = KnowledgeState(app)


def get_knowledge_state() -> KnowledgeState:
    """Return the current application's state of the knowledge domain."""
    state: KnowledgeState = current_app.extensions[EXTENSION]
    return state
