"""REST routes: each parses, calls one service and dumps."""

from . import auth, chat, collections, documents, health, history, invitations, metrics, search

BLUEPRINTS = (
    auth.blueprint,
    chat.blueprint,
    history.blueprint,
    collections.blueprint,
    invitations.blueprint,
    documents.blueprint,
    search.blueprint,
    health.blueprint,
    metrics.blueprint,
)
