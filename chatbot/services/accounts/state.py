"""The state that one process keeps of the accounts domain."""

from datetime import datetime
from uuid import UUID

from cachetools import LRUCache
from flask import Flask, current_app

from .credential_cache import CredentialCache
from .hash_queue import HashQueue
from .tokens import Claims

EXTENSION = "chatbot.accounts"
MAX_ACCESS_TOKENS = 10_000


class AccountsState:
    """The cached claims and credentials, the unsaved uses of API keys and the waiting hashes of one process."""

    def __init__(self) -> None:
        self.access_claims: LRUCache[str, Claims] = LRUCache(MAX_ACCESS_TOKENS)  # of tokens with a valid signature
        self.credential_cache = CredentialCache()
        self.api_key_uses: dict[UUID, datetime] = {}  # the last one of each key
        self.hash_queue = HashQueue()


def init_app(app: Flask) -> None:
    """Give the application its state of the accounts domain."""
    app.extensions[EXTENSION] = AccountsState()


def get_accounts_state() -> AccountsState:
    """Return the current application's state of the accounts domain."""
    state: AccountsState = current_app.extensions[EXTENSION]
    return state
