"""The state that one process keeps of the accounts domain."""

from uuid import UUID

from cachetools import LRUCache
from flask import Flask, current_app

from chatbot import adapters
from chatbot.mail.ports import Mailer
from chatbot.mail.templates import Templates

from .credential_cache import CredentialCache
from .credential_uses import CredentialUses
from .hash_queue import HashQueue
from .issuers import Issuers
from .tokens import Claims

EXTENSION = "chatbot.accounts"
MAX_ACCESS_TOKENS = 10_000


class AccountsState:
    """The cached claims and credentials, their unsaved uses, the waiting hashes and the mailer of one process."""

    def __init__(self, mailer: Mailer | None, templates: Templates, issuers: Issuers) -> None:
        self.mailer = mailer  # None: no mails are sent
        self.templates = templates
        self.issuers = issuers
        self.foreign_logins: LRUCache[tuple[str, str], UUID] = LRUCache(MAX_ACCESS_TOKENS)  # by issuer and subject
        self.access_claims: LRUCache[str, Claims] = LRUCache(MAX_ACCESS_TOKENS)  # of tokens with a valid signature
        self.credential_cache = CredentialCache()
        self.uses = CredentialUses()
        self.hash_queue = HashQueue()


def init_app(app: Flask) -> None:
    """Give the application its state of the accounts domain."""
    mailer = adapters.create_mailer(app.config)
    issuers = Issuers(app.config["AUTH_JWKS"])
    app.extensions[EXTENSION] = AccountsState(mailer, Templates(app.config["MAIL_TEMPLATES"]), issuers)


def get_accounts_state() -> AccountsState:
    """Return the current application's state of the accounts domain."""
    state: AccountsState = current_app.extensions[EXTENSION]
    return state
