"""The state that one process keeps of its database."""

import threading

from flask import Flask, current_app

from chatbot.concurrency.semaphores import KeyedSemaphore

from .integrity import FileCheck
from .sqlite.checkpoints import Checkpointer
from .sqlite.group_commit import GroupCommit

EXTENSION = "chatbot.database"
# Writers, of one user and in all, of a process that may stand with a connection before what others hold for long.
MAX_WAITING_WRITERS_PER_USER = 3
MAX_WAITING_WRITERS = 12


class DatabaseState:
    """The writers that share a commit or wait for a lock, and the state of the disk and the file."""

    def __init__(self) -> None:
        self.group_commit = GroupCommit()
        self.waiting_writers = KeyedSemaphore(MAX_WAITING_WRITERS_PER_USER, MAX_WAITING_WRITERS)
        self.full = threading.Event()  # since a write found no room, until the next one does
        self.file_check = FileCheck()
        self.checkpointer = Checkpointer()
        self.server_lock: int | None = None  # the descriptor that holds it


def init_app(app: Flask) -> None:
    """Give the application its state of the database."""
    app.extensions[EXTENSION] = DatabaseState()


def get_database_state() -> DatabaseState:
    """Return the current application's state of the database."""
    state: DatabaseState = current_app.extensions[EXTENSION]
    return state
