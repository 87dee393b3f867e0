"""REST routes: each parses, calls one service and dumps."""

from . import (
    accounts,
    analytics,
    chat,
    collections,
    conversations,
    documents,
    health,
    history,
    invitations,
    metrics,
    rooms,
    search,
    shares,
    sync,
    ui_stream,
)

BLUEPRINTS = (
    *accounts.BLUEPRINTS,
    chat.blueprint,
    history.blueprint,
    conversations.blueprint,
    sync.blueprint,
    shares.blueprint,
    ui_stream.blueprint,
    collections.blueprint,
    invitations.blueprint,
    documents.blueprint,
    search.blueprint,
    *rooms.BLUEPRINTS,
    analytics.blueprint,
    health.blueprint,
    metrics.blueprint,
)
